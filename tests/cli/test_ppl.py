"""Partial parity logs from end to end: torn stripes are whole again, and what they cannot settle is unproven."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.ppl import Entry, Write, build_log, torn_write
from tests.oracle.superblock import superblock_offset
from tests.oracle.writer import Simulation, write_array
from tests.support.cli import raidfs
from tests.support.golden import Case, cases_here, fingerprints

CHUNK = 4096
WRITES = (Write(2, 0, 2, 512, 1536), Write(5, 0, 3, 0, 4096), Write(6, 2, 1, 0, 4096), Write(9, 1, 2, 1024, 4096))


def crashed(landed: int, *, dirty: bool = True) -> tuple[Simulation, list[Entry]]:
    """An array that crashed while it wrote; of each write the cells in the bits of `landed` arrived."""
    array = write_array(Geometry(5, 2, 4, CHUNK), 16 * CHUNK, data_offset=65536, seed=3)
    entries = [torn_write(array, write, lambda role: bool(landed >> role & 1)) for write in WRITES]
    array.ppl_size = 32768
    array.resync_offset = 0 if dirty else None
    array.checkpoint()
    return array, entries


def save(
    array: Simulation, entries: list[Entry], folder: Path, without: int | None = None, lost: int | None = None
) -> list[str]:
    """Save the members with their logs, but for one that is missing; the log of `lost` was never written."""
    for role, member in array.roles.items():
        at = superblock_offset("1.2", len(member.image)) + 8192
        log = build_log(array.array_uuid, 5, [entry for entry in entries if entry.parity_role == role])
        member.image[at : at + 32768] = (log if role != lost else b"").ljust(32768, b"\0")
    folder.mkdir(exist_ok=True)
    return [str(path) for path in array.save(folder, without=[] if without is None else [without])]


def modified(array: Simulation, write: Write) -> tuple[int, ...]:
    """The roles whose data a write modifies."""
    return array.geometry.stripe(write.row).data[write.first : write.first + write.n]


def differing(array: Simulation, content: bytes) -> Extents:
    """The sectors of the array that are not as they are to be [array bytes]."""
    wrong = np.frombuffer(content, np.uint8) != np.frombuffer(array.truth, np.uint8)
    return Extents([(at * 512, at * 512 + 512) for at in np.flatnonzero(wrong.reshape(-1, 512).any(axis=1)).tolist()])


def own(array: Simulation, write: Write, role: int) -> Extents:
    """The array bytes of a role at the height of a write."""
    stripe = array.geometry.stripe(write.row)
    if role == stripe.p:
        return Extents()
    start = write.row * array.geometry.stripe_size + stripe.data.index(role) * CHUNK
    return Extents.span(start + write.start, start + write.stop)


@pytest.mark.parametrize("landed", range(16))
def test_what_the_logs_settle_is_rebuilt_and_right(landed: int, tmp_path: Path) -> None:
    array, entries = crashed(landed)
    for role in range(4):
        mine = [write for write in WRITES if role in modified(array, write)]
        unproven = Extents().union(*(own(array, write, role) for write in mine if write.n > 1))
        in_flight = [own(array, write, role) for write in mine if write.n == 1]
        paths = save(array, entries, tmp_path / str(role), role)
        with open_array(paths, Options(policy=Policy(strict=True))) as opened:
            assert (opened.account().unproven, opened.account().lost) == (unproven.total, 0)
            content, lost = read_exact(opened.source, 0, array.size)
        assert lost == unproven
        # a write that was alone in its row may have arrived or not
        assert not differing(array, content).difference(lost.union(*in_flight))


def test_without_the_logs_torn_stripes_are_wrong(tmp_path: Path) -> None:
    """The test above tests something: some rows are only right because of them."""
    array, entries = crashed(0b0101)
    wrong = 0
    for role in range(4):
        paths = save(array, [], tmp_path / str(role), role)
        with open_array(paths) as opened:
            content, _ = read_exact(opened.source, 0, array.size)
            assert opened.account().rebuilt == 0 < opened.account().unproven
        wrong += differing(array, content).total
    assert wrong > 4096
    assert len(entries) == 4


def test_one_damaged_log_makes_all_parity_unproven_but_the_others_are_used(tmp_path: Path) -> None:
    array, entries = crashed(0b0101)
    lost = array.geometry.stripe(2).p
    role = array.geometry.stripe(2).data[2]
    with open_array(save(array, entries, tmp_path, role, lost)) as opened:
        assert opened.account().rebuilt == 0 < opened.account().unproven
        assert any("has no valid header, so that parity is not proven" in each.message for each in opened.findings)
        assert opened.source.known_losses(0, array.size) == Extents()


def test_a_member_whose_superblock_is_damaged_vouches_for_nothing(tmp_path: Path) -> None:
    array, entries = crashed(0b1111)
    paths = save(array, entries, tmp_path, 0)
    with Path(paths[1]).open("r+b") as file:
        file.seek(4096 + 200)
        file.write(b"\xff")
    with open_array(paths) as opened:
        assert opened.account().rebuilt == 0


def test_of_a_clean_array_logs_are_not_replayed(tmp_path: Path) -> None:
    array, entries = crashed(0b0000, dirty=False)
    with open_array(save(array, entries, tmp_path, 0)) as opened:
        assert opened.account().unproven == 0
        assert not any("partial parity" in each.message for each in opened.findings)
        assert read_exact(opened.source, 0, array.size) == (array.truth, Extents())


def test_verify_finds_every_stripe_whole(tmp_path: Path) -> None:
    array, entries = crashed(0b0110)
    done = raidfs("verify", *save(array, entries, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert raidfs("verify", *save(array, [], tmp_path / "without")).returncode == 4  # they were needed


@pytest.mark.golden
@pytest.mark.parametrize("case", cases_here("j-r5-ppl-dirty-missing", "s-r5-ppl"), ids=lambda case: case.name)
def test_real_arrays(case: Case, tmp_path: Path) -> None:
    before = fingerprints(case.members())
    done = raidfs("export", *case.members(), tmp_path / "image")
    assert (done.returncode, done.stderr) == (0, "")
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == case.expected_sha256
    assert fingerprints(case.members()) == before
