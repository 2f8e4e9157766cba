"""Which of several shapes an array has, where the superblocks leave it open: the user's word, else that of the data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from raidfs.array.assemble import Assembly
from raidfs.array.description import ArrayDescription
from raidfs.array.shape import Shape
from raidfs.block import BlockSource
from raidfs.errors import SourceError, UsageError
from raidfs.evidence.announced import counted
from raidfs.evidence.reading import Votes, compare_readings
from raidfs.evidence.sums import summed_shape
from raidfs.finding import Finding, Severity
from raidfs.geometry.doubts import doubts_of, name_among, open_shapes
from raidfs.image.patient import TimedSource
from raidfs.units import parse_size


def with_layout(assembly: Assembly, wanted: str) -> Assembly:
    """Take the shape that the user wants.

    Args:
        assembly: the array.
        wanted: its layout, perhaps with a comma and its chunk.

    Raises:
        UsageError: it is none of those that are open.
    """
    description = assembly.description
    shapes = open_shapes(description) or (description.shape,)
    fitting = [shape for shape in shapes if is_called(shape, wanted)]
    if len(fitting) != 1:
        told = " or ".join(name_among(shape, shapes) for shape in shapes)
        reason = "several layouts fit" if fitting else "this layout is not open"
        raise UsageError(f"--layout {wanted}: {reason}; this {description.shape.level.title} has {told}")
    if not description.alternatives:
        return assembly
    taken = description.taken_as(fitting[0])
    asked = Finding(Severity.NOTE, "array", f"{fitting[0]} is taken, as asked; the superblocks leave it open")
    return replace(assembly, description=taken, findings=(*assembly.findings, asked))


def is_called(shape: Shape, wanted: str) -> bool:
    """Tell whether a text names a shape by its layout, perhaps with its chunk."""
    if wanted == shape.layout:
        return True
    layout, _, chunk = wanted.rpartition(",")
    try:
        return layout.strip() == shape.layout and parse_size(chunk.strip()) == shape.chunk_size
    except (UsageError, ValueError):  # the latter: more digits than Python takes
        return False


def decided_by_data(assembly: Assembly, members: Mapping[str, BlockSource], patience: float) -> Assembly:
    """Take the shape for which the data speak, where they do, and say so.

    Args:
        assembly: the array.
        members: by path.
        patience: seconds that a member may take to answer.

    Raises:
        SourceError: a source is gone.
    """
    description = assembly.description
    shapes = open_shapes(description)
    where = [doubt.where for doubt in doubts_of(description)]
    if not shapes or not where or (description.shape.has_own_sizes and description.missing_roles):
        return assembly
    summed = _summed(description, shapes, members, patience)
    if summed is not None:
        return _taken(assembly, shapes, summed, f"the sums of rows are right where {summed} has them")
    from raidfs.engine.array_source import ArraySource

    sources = [(member, members[member.path]) for member in description.sources]
    readings = [ArraySource(description.taken_as(shape), sources, watch=False, patience=patience) for shape in shapes]
    try:
        votes = compare_readings(readings, where[0].union(*where))
    finally:
        for each in readings:
            each.close()
    if votes.winner is None:
        told = _told(shapes, votes)
        return replace(assembly, findings=(*assembly.findings, *told))
    taken = shapes[votes.winner]
    seen = f"{counted(votes.structures[votes.winner])} lie where {taken} has them, and nothing where the other has it"
    return _taken(assembly, shapes, taken, seen)


def _summed(
    description: ArrayDescription, shapes: tuple[Shape, ...], members: Mapping[str, BlockSource], patience: float
) -> Shape | None:
    """Return the shape in which the sums of rows are right; None: they do not tell, or a member is gone."""
    if len(shapes) != 2 or not all(shape.has_parity for shape in shapes):
        return None
    serving = description.serving.items()
    images = {role: TimedSource(member.path, members[member.path], patience) for role, member in serving}
    with suppress(SourceError):
        number = summed_shape(description, (shapes[0], shapes[1]), images)
        return None if number is None else shapes[number]
    return None


def _taken(assembly: Assembly, shapes: tuple[Shape, ...], taken: Shape, seen: str) -> Assembly:
    """Take one of several shapes, and say what was seen of it and how to have the other."""
    others = " and ".join(f"--layout {name_among(shape, shapes)}" for shape in shapes if shape != taken)
    text = f"{assembly.description.alternatives[0].reason}; {seen}: it is taken ({others} reads it otherwise)"
    finding = Finding(Severity.WARNING, "array", text)
    return replace(assembly, description=assembly.description.taken_as(taken), findings=(*assembly.findings, finding))


def _told(shapes: tuple[Shape, ...], votes: Votes) -> list[Finding]:
    """Say what was found that does not suffice, if anything was."""
    found = [
        f"{counted(votes.structures[number])} lie where --layout {name_among(shape, shapes)} has them"
        for number, shape in enumerate(shapes)
        if votes.structures[number]
    ]
    return [Finding(Severity.NOTE, "array", f"{' and '.join(found)}: that decides nothing")] if found else []
