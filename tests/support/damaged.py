"""Golden arrays with damage: as raidfs sees them, and what the oracle says must be lost then."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Direction
from raidfs.array.shape import Shape
from raidfs.block import Requests
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.array_source import ArraySource
from raidfs.extents import Extents
from raidfs.image.raw import RawImage
from tests.oracle import reader as oracle
from tests.oracle.layouts import LAYOUT_NAMES, Geometry

Damage = Mapping[int, Extents]
"""Bad bytes [image bytes] by index of the member."""


class FailingReads:
    """Reads like `os.preadv`, but not what is bad."""

    def __init__(self, bad: Extents) -> None:
        self._bad = bad

    def __call__(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        """Read into one buffer."""
        if self._bad.overlaps(offset, offset + len(buffers[0])):
            raise OSError(5, "Input/output error")
        return os.preadv(fd, buffers, offset)


class ByReading:
    """An image without its descriptor, so that everybody has to read it."""

    def __init__(self, image: RawImage) -> None:
        self._image = image
        self.size = image.size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        return self._image.read_into(requests, out)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost."""
        return self._image.known_losses(start, stop)


def write_map(path: Path, size: int, bad: Extents, statuses: str = "-") -> None:
    """Write a ddrescue map by hand, in which `bad` has one of the statuses in turn."""
    lines, position = ["# Mapfile. Created by GNU ddrescue version 1.27", "0x00000000     +               1"], 0
    for number, (start, stop) in enumerate([*bad, (size, size)]):
        if position < start:
            lines.append(f"0x{position:08X}  0x{start - position:08X}  +")
        if start < stop:
            lines.append(f"{start}  {stop - start}  {statuses[number % len(statuses)]}")
        position = stop
    path.write_text("".join(f"{line}\n" for line in lines))


@contextmanager
def damaged_array(
    members: Sequence[Path], folder: Path, told: Damage, failing: Damage, missing: Collection[int] = ()
) -> Iterator[ArraySource]:
    """Open an array from its members.

    Args:
        members: all of them.
        folder: for the maps.
        told: what maps call bad.
        failing: what fails when it is read.
        missing: indexes of the members that are not there.
    """
    there = [index for index in range(len(members)) if index not in missing]
    words = []
    for index in there:
        if told.get(index):
            name = folder / f"{members[index].name}.map"
            write_map(name, members[index].stat().st_size, told[index], "-*/?")
            words.append(f"{members[index]}={name}")
    with ExitStack() as stack:
        options = Options(mapfiles=tuple(words))
        array = stack.enter_context(open_array([str(members[index]) for index in there], options))
        by_path = {str(members[index]): failing.get(index, Extents()) for index in there}
        sources = []
        for member, image in array.serving:
            again = stack.enter_context(RawImage(image.path, FailingReads(by_path[image.path])))
            again.declare_lost(image.known_losses(0, image.size))
            sources.append((member, ByReading(again)))
        source = ArraySource(array.description, sources)
        stack.callback(source.close)
        yield source


def oracle_array(description: ArrayDescription, bad: Mapping[str, Extents]) -> oracle.Array:
    """Say the same to the oracle.

    Args:
        description: the array, with those members that are there.
        bad: by path [image bytes].
    """
    members = tuple(
        oracle.Member(
            role, Path(m.path), m.data_offset, m.new_data_offset, m.recovered_to, tuple(bad.get(m.path, Extents()))
        )
        for role, m in sorted(description.serving.items())
    )
    reshape = description.reshape
    if reshape is None:
        return oracle.Array(_geometry(description.shape), description.component_size, members)
    backwards = reshape.direction is Direction.BACKWARD
    before, after = _geometry(reshape.before), _geometry(reshape.after)
    return oracle.Array(before, description.component_size, members, after, reshape.position, backwards)


def _geometry(shape: Shape) -> Geometry:
    level = int(shape.level.title.removeprefix("raid"))
    layout = next((number for number, name in LAYOUT_NAMES[level].items() if name == shape.layout), 0)
    return Geometry(level, layout, shape.raid_disks, shape.chunk_size)
