"""mdadm's backup of a reshape in place: let in where it helps, never believed where it may be wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.health import Policy
from tests.oracle.at_risk import Reshape, furthest_progress
from tests.oracle.backup import backup_file
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array

CHUNK = 8192
COMPONENT = 64 * CHUNK
START = 64 * 1024
SYMMETRIC = 2
RESHAPES = {
    "grow": (Geometry(5, SYMMETRIC, 3, CHUNK), Geometry(5, SYMMETRIC, 4, CHUNK)),
    "chunk": (Geometry(5, SYMMETRIC, 4, CHUNK), Geometry(5, SYMMETRIC, 4, 2 * CHUNK)),
    "six": (Geometry(6, 18, 5, CHUNK), Geometry(6, SYMMETRIC, 5, CHUNK)),
    "shrink": (Geometry(5, SYMMETRIC, 4, CHUNK), Geometry(5, SYMMETRIC, 3, CHUNK)),
}


@dataclass
class Crash:
    """A reshape in place that crashed, with what mdadm backed up.

    Attributes:
        array: the array.
        parts: (array start, content) of the backup.
    """

    array: Simulation
    parts: list[tuple[int, bytes]]

    @property
    def file(self) -> bytes:
        """The backup file."""
        return backup_file(self.array.array_uuid, self.parts)


def crash(kind: str, seed: int, *, racy: bool = False) -> Crash:
    """Crash a reshape within what was backed up, some writes in flight; racy: mdadm copied some of it too late."""
    random = Random(seed)
    before, after = RESHAPES[kind]
    backwards = kind == "shrink"
    unit = int(np.lcm(before.stripe_size, after.stripe_size))
    step = max(before.chunk, after.chunk) * after.data_disks
    size = min(before.capacity(COMPONENT), after.capacity(COMPONENT))
    data = random.randbytes(before.capacity(COMPONENT))
    array = write_array(before, COMPONENT, after=after, position=size if backwards else 0, data=data, seed=seed)
    array.advance({"grow": 0, "shrink": unit}.get(kind, 2 * unit))
    part = 4 * unit if kind in ("chunk", "six") else unit
    first = 0 if backwards else array.position
    offsets = dict.fromkeys(range(max(before.raid_disks, after.raid_disks)), (START, START))
    limit = furthest_progress(Reshape(before, after, COMPONENT, array.position, backwards, offsets))
    n_steps = min(abs(limit - array.position), part if part == unit else 2 * part) // step
    sign = -1 if backwards else 1
    reached = [array.position + sign * step * number for number in sorted(random.choices(range(n_steps + 1), k=2))]
    copied = array.truth[first : first + 2 * part]
    if racy:
        array.tear(reached[0])
        copied = b"".join(old_place(array, first + at) for at in range(0, 2 * part, 4096))
    chance = random.random()
    last = reached[1] // after.data_disks

    def landed(at: int, role: int) -> bool:
        in_flight = abs(at - last) <= 2 * array.geometry.chunk and not (racy and is_behind(at))
        return not in_flight or Random(seed * 7919 + at + role).random() < chance

    def is_behind(at: int) -> bool:
        edge = reached[0] // after.data_disks
        return at >= edge if backwards else at < edge

    array.tear(reached[1], landed)
    parts = [(first, copied[:part]), (first + part, copied[part:])]
    return Crash(array, parts[:1] if part == unit else parts)


def old_place(array: Simulation, at: int) -> bytes:
    """What lies where the old geometry has a page of the array."""
    number, inside = divmod(at, array.geometry.chunk)
    row, k = divmod(number, array.geometry.data_disks)
    member = array.roles[array.geometry.stripe(row).data[k]]
    place = member.data_offset + row * array.geometry.chunk + inside
    return bytes(member.image[place : place + 4096])


@dataclass
class Seen:
    """What is read of an array: bytes, and which of them are served."""

    content: NDArray[np.uint8]
    there: NDArray[np.bool_]
    messages: list[str]


def read(paths: list[str], **options: object) -> Seen:
    with open_array(paths, replace(Options(), **options)) as array:  # type: ignore[arg-type]  # names of its fields
        content, lost = read_exact(array.source, 0, array.source.size)
        there = np.ones(len(content), dtype=np.bool_)
        for start, stop in lost:
            there[start:stop] = False
        account = array.account()
        assert sum((account.good, account.rebuilt, account.unproven, account.doubtful, account.lost)) == len(content)
        messages = [each.message for each in array.findings if "backup of the reshape" in each.message]
    return Seen(np.frombuffer(content, np.uint8), there, messages)


DOUBTFUL = Policy(doubtful=True)


@pytest.mark.parametrize("racy", [False, True])
@pytest.mark.parametrize("kind", RESHAPES)
@pytest.mark.parametrize("seed", range(6))
def test_a_backup_only_ever_helps(kind: str, seed: int, racy: bool, tmp_path: Path) -> None:
    crashed = crash(kind, seed, racy=racy)
    truth = np.frombuffer(crashed.array.truth, np.uint8)
    (tmp_path / "backup").write_bytes(crashed.file)
    named = str(tmp_path / "backup")
    for without in ((), (seed % 3,)):
        folder = tmp_path / f"{without}"
        folder.mkdir()
        paths = [str(path) for path in crashed.array.save(folder, without=without)]
        plain, helped = read(paths), read(paths, backup_file=named)
        assert len(helped.messages) == 1
        assert np.array_equal(helped.content[helped.there], truth[helped.there])
        assert not (plain.there & ~helped.there).any()
        all_plain, all_helped = read(paths, policy=DOUBTFUL), read(paths, policy=DOUBTFUL, backup_file=named)
        assert not (all_plain.there & ~all_helped.there).any()
        wrong = [(each.content != truth) | ~each.there for each in (all_plain, all_helped)]
        assert not (wrong[1] & ~wrong[0]).any()
