"""Reshapes that were begun anew, the same or another one, over what an earlier run had moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from raidfs.block import read_exact
from raidfs.cli.session import open_array
from tests.oracle.copied import Written, write_copied
from tests.oracle.layouts import Geometry
from tests.oracle.member import OLD
from tests.oracle.places import Copies
from tests.oracle.writer import Simulation

K = 1 << 10
COMPONENT = 8 << 20
START = 4 << 20


@dataclass(frozen=True)
class Kind:
    """A reshape.

    Attributes:
        before, after: the geometries.
        room: by how much data offsets move, against the direction of travel [bytes].
        backwards: direction, where there are as many members.
        component: component size [bytes].
        filled: roles of the old geometry that have no member yet: a RAID0 is a RAID5 whose parity nobody holds.
    """

    before: Geometry
    after: Geometry
    room: int = 1 << 20
    backwards: bool = False
    component: int = COMPONENT
    filled: tuple[int, ...] = ()

    @property
    def is_backward(self) -> bool:
        """Direction."""
        return self.after.raid_disks < self.before.raid_disks or self.backwards


def begun(kind: Kind, first: float, content: bytes | None = None, seed: int = 1) -> Simulation:
    """An array whose reshape came to a part of the way."""
    before, after = kind.before, kind.after
    roles = range(max(before.raid_disks, after.raid_disks))
    moved = START + (kind.room if kind.is_backward else -kind.room)
    array = Simulation(
        before,
        kind.component,
        data_offsets=[START] * before.raid_disks,
        size_of_device=START + kind.room + kind.component + (1 << 20),
        data=Random(seed).randbytes(before.capacity(kind.component)) if content is None else content,
        seed=seed,
    )
    for role in kind.filled:
        array.fail(role)
    array.start_reshape(after, [moved for _ in roles], backwards=kind.backwards, fill=kind.filled)
    array.advance(part(array, first))
    return array


def part(array: Simulation, share: float) -> int:
    """A position that far on the way."""
    assert array.after is not None
    step = max(array.geometry.chunk, array.after.chunk) * array.after.data_disks
    there = int(array.size * share) // step * step
    return array.size // step * step - there if array.backwards else there


def run_again(array: Simulation, share: float, since: float = 0.0) -> None:
    """The same reshape from its begin, or from another position: it takes all bytes for those of the old geometry."""
    assert array.after is not None
    old = array.geometry
    physical = bytearray()
    for row in range(array.used_size // old.chunk):
        stripe = old.stripe(row)
        for role in stripe.data:
            member = array.roles[role]
            at = member.data_offset + row * old.chunk
            physical += member.image[at : at + old.chunk]
    position = part(array, share)
    low, high = sorted((part(array, since), position))
    array.content[OLD][low:high] = physical[low:high]  # it is moved from here
    array.position = part(array, since)
    array.advance(position)


def run_another(array: Simulation, kind: Kind, share: float) -> Simulation:
    """Another reshape, from the begin, over what the first one left on the members that both have."""
    other = begun(kind, 0.0)
    for role in other.roles.keys() & array.roles.keys():
        low = START - max(kind.room, 1 << 20)
        image = array.roles[role].image
        stop = min(len(image), len(other.roles[role].image), START + kind.component + kind.room)
        other.roles[role].image[low:stop] = image[low:stop]
    other.checkpoint()
    run_again(other, share)
    return other


@dataclass(frozen=True)
class Mirror:
    """The reshape of a RAID10; data offsets move by `room` against the direction of travel."""

    before: Copies
    after: Copies
    room: int = 256 * K

    @property
    def is_backward(self) -> bool:
        """Direction."""
        return self.after.raid_disks < self.before.raid_disks


def copied(kind: Mirror, first: float, second: float | None = None, content: bytes | None = None) -> Written:
    """An array whose reshape came to `first`, and was begun anew then up to `second`."""
    n = max(kind.before.raid_disks, kind.after.raid_disks)
    moved = START + (kind.room if kind.is_backward else -kind.room)
    written = write_copied(
        kind.before,
        [kind.before.component_size] * n,
        after=kind.after,
        position=kind.before.size if kind.is_backward else 0,
        backwards=kind.is_backward,
        data_offset=START,
        new_data_offset=moved,
        data=content,
        seed=2,
    )
    if kind.is_backward:
        written.position = written.size
    for share in (first,) if second is None else (first, second):
        there = int(written.size * share) // (64 * K) * 64 * K
        written.move(written.size - there if kind.is_backward else there)
    return written


def served(paths: list[Path], truth: bytes) -> tuple[int, int, str]:
    """Bytes that are served wrong, bytes that are not served, and what is said."""
    with open_array([str(path) for path in paths]) as opened:
        data, lost = read_exact(opened.source, 0, opened.source.size)
        said = "\n".join(finding.message for finding in opened.findings)
    differs = np.frombuffer(data, np.uint8) != np.frombuffer(truth, np.uint8)
    for start, stop in lost:
        differs[start:stop] = False
    return int(differs.sum()), lost.total, said
