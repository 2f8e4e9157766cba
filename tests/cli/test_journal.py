"""Write journals from end to end: what was acknowledged is served, whoever is missing; what is lost is doubtful."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random

import numpy as np
import pytest

from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.journal import DATA_OFFSET, Journaled
from tests.oracle.layouts import Geometry
from tests.oracle.writer import write_array
from tests.support.cli import raidfs
from tests.support.damaged import write_map
from tests.support.golden import Case, cases_here, fingerprints

CHUNK = 8192
BLOCK = 4096
ROWS = 12


def written(level: int, raid_disks: int = 4, seed: int = 1) -> Journaled:
    """An array that crashed with stripes in every state of its journal."""
    geometry = Geometry(level, 2 if level > 4 else 0, raid_disks, CHUNK)
    array = write_array(geometry, ROWS * CHUNK, data_offset=65536, seed=seed)
    random = Random(seed)
    told = Journaled(array, n_blocks=300, head=280)
    heights = list(range(0, ROWS * CHUNK, BLOCK))
    random.shuffle(heights)

    def landed(_role: int) -> bool:
        return random.random() < 0.5

    for number, height in enumerate(heights[:20]):
        chunks = sorted(random.sample(range(geometry.data_disks), random.randint(1, geometry.data_disks)))
        if number % 4 == 0:
            told.write_through(height, chunks, landed)
            continue
        told.cache(height, chunks)
        if number % 4 == 1:
            told.write_out(height, landed, flush=number % 8 == 1)
    return told


def save(told: Journaled, folder: Path, without: tuple[int, ...] = (), *, journal: bool = True) -> list[str]:
    """Save the members, but for some, and the journal device."""
    folder.mkdir(exist_ok=True)
    paths = [str(path) for path in told.array.save(folder, without=without)]
    (folder / "journal.img").write_bytes(told.device())
    return [*paths, str(folder / "journal.img")] if journal else paths


def wrong(told: Journaled, opened: OpenArray) -> tuple[Extents, Extents]:
    """Read the array; return the sectors that are not as acknowledged, and those that are not served."""
    content, lost = read_exact(opened.source, 0, told.array.size)
    differ = np.frombuffer(content, np.uint8) != np.frombuffer(told.array.truth, np.uint8)
    sectors = np.flatnonzero(differ.reshape(-1, 512).any(axis=1)).tolist()
    return Extents([(at * 512, at * 512 + 512) for at in sectors]).difference(lost), lost


@pytest.mark.parametrize("level", [4, 5, 6])
def test_everything_acknowledged_is_served_whoever_is_missing(level: int, tmp_path: Path) -> None:
    told = written(level)
    for without in ((), (0,), (1,), (2,), (3,), *(((0, 1), (1, 3)) if level == 6 else ())):
        with open_array(save(told, tmp_path / f"{without}", without)) as opened:
            assert wrong(told, opened) == (Extents(), Extents()), without
            account = opened.account()
            assert (account.unproven, account.doubtful, account.lost) == (0, 0, 0)
            assert any("is replayed in memory" in each.message for each in opened.findings)


def test_without_the_journal_nothing_is_sure(tmp_path: Path) -> None:
    told = written(5)
    paths = save(told, tmp_path, journal=False)
    with open_array(paths) as opened:
        assert opened.account().doubtful == told.array.size
        assert any("the array has a write journal, but no whole and current one" in f.message for f in opened.findings)
        assert wrong(told, opened) == (Extents(), Extents.span(0, told.array.size))
    with open_array(paths, Options(policy=Policy(doubtful=True))) as opened:
        differing, lost = wrong(told, opened)
        assert (lost, differing.total > 0) == (Extents(), True)  # the journal was needed


def test_sectors_that_a_member_has_lost_come_from_the_journal(tmp_path: Path) -> None:
    told = written(5)
    paths = save(told, tmp_path, (3,))
    cached = {at: {role(told, at, k) for k in chunks} for at, chunks in told.cached.items()}
    height = next(at for at, roles in cached.items() if 0 in roles and told.array.geometry.stripe(at // CHUNK).p != 3)
    bad = Extents([(65536 + height, 65536 + height + BLOCK), (65536 + ROWS * CHUNK, 65536 + ROWS * CHUNK + 512)])
    write_map(tmp_path / "map", Path(paths[0]).stat().st_size, bad)
    with open_array(paths, Options(mapfiles=(f"{paths[0]}={tmp_path / 'map'}",))) as opened:
        differing, lost = wrong(told, opened)
        assert not differing
        # without the former data nobody knows the parity, and without this what is missing, unless the journal has it
        assert lost == (Extents() if 3 in cached[height] else Extents.span(*place(told, height, 3)))


def test_data_of_two_missing_members_are_taken_from_the_journal_where_it_has_them(tmp_path: Path) -> None:
    told = written(5)
    with open_array(save(told, tmp_path, (0, 3))) as opened:
        differing, lost = wrong(told, opened)
        members = [member for member in opened.description.members if member.role in (0, 3)]
        assert {member.note for member in members} == {f"holds what the write journal has of role {n}" for n in (0, 3)}
    assert not differing
    for height, chunks in told.cached.items():
        for k in chunks:
            assert not lost.overlaps(*place(told, height, role(told, height, k)))
    assert raidfs("examine", *save(told, tmp_path, (0, 3))).returncode == 4


def role(told: Journaled, height: int, k: int) -> int:
    return told.array.geometry.stripe(height // CHUNK).data[k]


def place(told: Journaled, height: int, wanted: int) -> tuple[int, int]:
    """The array bytes of a role at a height."""
    row, inside = divmod(height, CHUNK)
    k = told.array.geometry.stripe(row).data.index(wanted)
    start = row * told.array.geometry.stripe_size + k * CHUNK + inside
    return start, start + BLOCK


def test_lost_blocks_of_the_journal_make_what_they_held_doubtful(tmp_path: Path) -> None:
    told = written(5)
    first = told.ring.entries[1]
    bad = Extents.span(DATA_OFFSET + (first + 1) * BLOCK, DATA_OFFSET + (first + 1) * BLOCK + 512)
    paths = save(told, tmp_path)
    write_map(tmp_path / "map", Path(paths[-1]).stat().st_size, bad)
    with open_array(paths, Options(mapfiles=(f"{paths[-1]}={tmp_path / 'map'}",))) as opened:
        assert wrong(told, opened) == (Extents(), Extents())  # parity in the journal knows better
        assert opened.account().rebuilt == BLOCK
        assert any("of the write journal" in each.message and "are damaged" in each.message for each in opened.findings)


def test_lost_data_that_were_nowhere_else_are_doubtful(tmp_path: Path) -> None:
    told = written(5)
    height = next(iter(told.cached))
    position = next(
        number
        for number, block in told.ring.blocks.items()
        if any(
            block == told.array.truth[slice(*place(told, height, role(told, height, k)))] for k in told.cached[height]
        )
    )
    told.ring.blocks[position] = bytes(BLOCK)  # further entries follow, so that it was acknowledged
    with open_array(save(told, tmp_path)) as opened:
        differing, lost = wrong(told, opened)
    assert not differing
    assert lost
    assert lost.total % BLOCK == 0


def test_a_journal_that_breaks_off_leaves_nothing_sure(tmp_path: Path) -> None:
    told = written(5)
    paths = save(told, tmp_path)
    second = told.ring.entries[1] % told.ring.n_blocks
    bad = Extents.span(DATA_OFFSET + second * BLOCK, DATA_OFFSET + second * BLOCK + 512)
    write_map(tmp_path / "map", Path(paths[-1]).stat().st_size, bad)
    with open_array(paths, Options(mapfiles=(f"{paths[-1]}={tmp_path / 'map'}",))) as opened:
        assert opened.account().doubtful == told.array.size
        assert any("cannot be replayed to its end" in each.message for each in opened.findings)


def test_one_damaged_block_of_a_journal_never_gives_a_wrong_byte(tmp_path: Path) -> None:
    """Each block of each entry but the last, which cannot be told from one that was on its way."""
    told = written(5)
    whole = dict(told.ring.blocks)
    last = told.ring.entries[-1]
    for position in [at for at in whole if (last - at) % told.ring.n_blocks < told.ring.n_blocks // 2 and at != last]:
        damaged = bytearray(whole[position])
        damaged[20] ^= 0x40
        told.ring.blocks[position] = bytes(damaged)
        with open_array(save(told, tmp_path)) as opened:
            differing, lost = wrong(told, opened)
        assert not differing, position
        assert lost or position not in told.ring.entries, position
        told.ring.blocks[position] = whole[position]


def test_verify_and_explain_see_the_array_as_it_is_replayed(tmp_path: Path) -> None:
    told = written(6, 5)
    paths = save(told, tmp_path)
    done = raidfs("verify", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert raidfs("explain", *paths, "--at", "0").returncode == 0


@pytest.mark.golden
@pytest.mark.parametrize(
    "case", cases_here("j-r5-journal-dirty", "j-r5-journal-writeback", "s-r5-journal"), ids=lambda case: case.name
)
def test_real_arrays(case: Case, tmp_path: Path) -> None:
    journal = case.data["expect"]["journal_member"]
    paths = case.members()
    before = fingerprints(paths)
    done = raidfs("export", *paths, tmp_path / "image")
    assert (done.returncode, done.stderr) == (0, "")
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == case.expected_sha256
    for index in range(len(paths)):
        with open_array([str(path) for number, path in enumerate(paths) if number != index]) as opened:
            content, lost = read_exact(opened.source, 0, case.array_size)
        if index == journal:
            assert lost == Extents.span(0, case.array_size)
        else:
            assert (hashlib.sha256(content).hexdigest(), lost) == (case.expected_sha256, Extents())
    assert fingerprints(paths) == before
