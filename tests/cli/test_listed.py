"""Bad-block logs that name the same places on several members: believed, unless parity shows that nothing is wrong."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.member import OLD
from tests.oracle.writer import Simulation, write_array
from tests.support.cli import raidfs
from tests.support.golden import fingerprints, golden_case

CHUNK = 4096
START = 65536
ROW = 3
PLACE = (START + ROW * CHUNK + 1024, START + ROW * CHUNK + 2048)


def array_of(level: int = 5, raid_disks: int = 4, data: bytes | None = None) -> Simulation:
    geometry = Geometry(level, 2, raid_disks, CHUNK)
    return write_array(geometry, 8 * CHUNK, data_offset=START, data=data)


def listed(array: Simulation, *roles: int, garbage: tuple[int, ...] = ()) -> Extents:
    """Let members list the same place, and spoil it on some; return the array bytes that lie there."""
    places = []
    stripe = array.geometry.stripe(ROW)
    for role in roles:
        array.roles[role].bad_blocks.append(PLACE)
        if role in garbage:
            array.roles[role].image[slice(*PLACE)] = array.random.randbytes(1024)
        if role in stripe.data:
            start = ROW * array.geometry.stripe_size + stripe.data.index(role) * CHUNK
            places.append((start + 1024, start + 2048))
    array.checkpoint()
    return Extents(places)


def served(array: Simulation, folder: Path, without: tuple[int, ...] = ()) -> tuple[bool, Extents, list[str]]:
    """Open an array; whether all that is served is right, what is not served, and what is said of the logs."""
    with open_array([str(path) for path in array.save(folder, without=without)]) as opened:
        content, lost = read_exact(opened.source, 0, array.size)
        right = bytearray(array.truth)
        for start, stop in lost:
            right[start:stop] = bytes(stop - start)
        told = [each.message for each in opened.findings if "list the same places" in each.message]
    return content == bytes(right), lost, told


@pytest.mark.parametrize(("level", "roles"), [(5, (0, 1)), (5, (0, 1, 2, 3)), (6, (0, 1, 2)), (4, (1, 3))])
def test_what_agrees_with_its_parity_was_never_lost(level: int, roles: tuple[int, ...], tmp_path: Path) -> None:
    array = array_of(level)
    listed(array, *roles)
    is_right, lost, (told,) = served(array, tmp_path)
    assert (is_right, lost) == (True, Extents())
    assert "agree with the parity of their rows and are read all the same" in told
    assert "--ignore-bad-block-log" not in told


def test_in_both_geometries_of_a_reshape(tmp_path: Path) -> None:
    geometry = Geometry(5, 2, 3, CHUNK)
    array = write_array(
        geometry,
        32 * CHUNK,
        after=Geometry(5, 2, 4, CHUNK),
        position=9 * CHUNK,
        data_offset=START + 8192,
        new_data_offset=START,
    )
    for row in (1, 20):
        at = START + row * CHUNK
        for role in (0, 2):
            array.roles[role].bad_blocks.append((at, at + 512))
    array.checkpoint()
    assert served(array, tmp_path)[:2] == (True, Extents())


@pytest.mark.parametrize("garbage", [(0,), (1,), (0, 1)])
def test_what_disagrees_is_not_read(garbage: tuple[int, ...], tmp_path: Path) -> None:
    array = array_of()
    places = listed(array, 0, 1, garbage=garbage)
    is_right, lost, (told,) = served(array, tmp_path)
    assert (is_right, lost) == (True, places)
    assert "nothing proves it good, and it is not read, unless with --ignore-bad-block-log" in told


def test_each_sector_is_judged_by_itself(tmp_path: Path) -> None:
    array = array_of()
    places = listed(array, 0, 1)
    array.roles[0].image[PLACE[0] + 5] ^= 1
    is_right, lost, (told,) = served(array, tmp_path)
    assert is_right
    assert lost == Extents([(start, start + 512) for start, _ in places])
    assert "; the rest is not read" in told


def test_blocks_that_are_filled_agree_by_accident(tmp_path: Path) -> None:
    """Two members that were never written hold zeros; with equal data on them any parity agrees."""
    array = array_of(raid_disks=3)
    stripe = array.geometry.stripe(ROW)
    start = ROW * array.geometry.stripe_size
    array.content[OLD][start + CHUNK : start + 2 * CHUNK] = bytes(CHUNK)  # then D0 and P are the same
    array.user_write(start, bytes(array.content[OLD][start : start + CHUNK]))
    for role in (stripe.data[0], stripe.p):
        array.roles[role].image[slice(*PLACE)] = bytes(1024)
    array.roles[stripe.data[1]].write(OLD, ROW * CHUNK, bytes(CHUNK))
    places = listed(array, stripe.data[0], stripe.p)
    assert served(array, tmp_path)[:2] == (True, places)


def test_blocks_that_are_the_same_agree_by_accident(tmp_path: Path) -> None:
    array = array_of(raid_disks=3)
    stripe = array.geometry.stripe(ROW)
    start = ROW * array.geometry.stripe_size
    array.user_write(start + CHUNK, bytes(CHUNK))
    old = array.random.randbytes(1024)
    for role in (stripe.data[0], stripe.p):
        array.roles[role].image[slice(*PLACE)] = old
    places = listed(array, stripe.data[0], stripe.p)
    assert served(array, tmp_path)[:2] == (True, places)


def test_a_missing_member_leaves_nothing_to_compare_with(tmp_path: Path) -> None:
    array = array_of()
    listed(array, 0, 1)
    is_right, lost, (told,) = served(array, tmp_path, (3,))
    assert is_right
    assert lost.total >= 1024
    assert "nothing proves it good" in told


def test_entries_that_nobody_shares_are_believed(tmp_path: Path) -> None:
    array = array_of()
    array.spoil(0, *PLACE)
    array.spoil(1, PLACE[0] + CHUNK, PLACE[1] + CHUNK)
    assert served(array, tmp_path) == (True, Extents(), [])


@pytest.mark.golden
def test_real_entries_that_are_bogus(tmp_path: Path) -> None:
    case = golden_case("b-r5-3to4-badblocks-bogus")
    before = fingerprints(case.members())
    for number, words in enumerate([(), ("--ignore-bad-block-log",)]):
        done = raidfs("export", *words, *case.members(), tmp_path / f"image{number}")
        assert (done.returncode, done.stderr) == (0, "")
        assert hashlib.sha256((tmp_path / f"image{number}").read_bytes()).hexdigest() == case.expected_sha256
    assert fingerprints(case.members()) == before


@pytest.mark.golden
def test_real_entries_that_are_right() -> None:
    case = golden_case("b-r5-3to4-badblocks")
    with open_array([str(path) for path in case.members()]) as opened:
        content, lost = read_exact(opened.source, 0, case.array_size)
    assert (hashlib.sha256(content).hexdigest(), lost) == (case.expected_sha256, Extents())
    with open_array([str(path) for path in case.members()], Options(ignore_bad_block_log=True)) as opened:
        content, lost = read_exact(opened.source, 0, case.array_size)
    assert hashlib.sha256(content).hexdigest() != case.expected_sha256  # they hold garbage


def test_what_lies_behind_the_end_of_a_cut_image_is_proven_by_nothing(tmp_path: Path) -> None:
    array = array_of()
    places = listed(array, 0, 1)
    paths = array.save(tmp_path)
    os.truncate(paths[0], PLACE[0] + 512)
    with open_array([str(path) for path in paths]) as opened:
        content, lost = read_exact(opened.source, 0, array.size)
    assert lost == Extents([(stop - 512, stop) for _, stop in places])
    assert all(content[a:b] == array.truth[a:b] for a, b in Extents.span(0, array.size).difference(lost))
