"""Which of several shapes an array has, where the superblocks leave it open: the user's word, else that of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from raidfs.array.assemble import Assembly
from raidfs.array.shape import Shape
from raidfs.block import BlockSource
from raidfs.errors import UsageError
from raidfs.evidence.reading import Votes, compare_readings
from raidfs.finding import Finding, Severity
from raidfs.geometry.doubts import doubts_of, name_among, open_shapes
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
    others = " and ".join(f"--layout {name_among(shape, shapes)}" for shape in shapes if shape != taken)
    text = f"{description.alternatives[0].reason}; {_listed(votes, votes.winner)} lie where {taken} has them, and "
    text += f"nothing where the other has it: it is taken ({others} reads it otherwise)"
    finding = Finding(Severity.WARNING, "array", text)
    return replace(assembly, description=description.taken_as(taken), findings=(*assembly.findings, finding))


def _told(shapes: tuple[Shape, ...], votes: Votes) -> list[Finding]:
    """Say what was found that does not suffice, if anything was."""
    found = [
        f"{_listed(votes, number)} lie where --layout {name_among(shape, shapes)} has them"
        for number, shape in enumerate(shapes)
        if votes.structures[number]
    ]
    return [Finding(Severity.NOTE, "array", f"{' and '.join(found)}: that decides nothing")] if found else []


def _listed(votes: Votes, number: int) -> str:
    """Return what speaks for a reading: `2 ext4 superblocks and 5 ext4 block bitmaps`."""
    words = [each.what for each in votes.structures[number]]
    counts = {word: words.count(word) for word in words}
    return " and ".join(f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items())
