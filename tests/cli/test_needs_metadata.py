"""Superblocks, bad-block logs, bitmaps and md's logs that cannot be read are asked for where that gives bytes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from raidfs.image.ddrescue import Status, parse_mapfile
from raidfs.superblock import claim_of
from tests.oracle.layouts import Geometry
from tests.oracle.superblock import superblock_offset
from tests.oracle.writer import Simulation, write_array
from tests.support.damaged import write_map
from tests.support.disks import Slice, gpt_disk
from tests.support.golden import SECTOR, Case, cases_here, golden_case

pytestmark = pytest.mark.golden
GROWN = golden_case("a-r5-3to4-12-64k-40")
SUPERBLOCK = Extents.span(8 * SECTOR, 9 * SECTOR)
"""Of metadata 1.2 [member bytes]."""
CHUNK, START, ROWS = 4096, 65536, 24


def asked(
    members: Sequence[Path], bad: Mapping[Path, Extents], folder: Path, capsys: pytest.CaptureFixture[str]
) -> dict[Path, dict[str, Any]]:
    """What `raidfs needs` says of each member when maps call something bad; each map that it writes says the same."""
    assert (
        main(["needs", "--json", *maps(bad, folder), *map(str, members), "-o", str(folder / "needs"), "--force"]) == 0
    )
    found = {}
    for each in json.loads(capsys.readouterr().out)["members"]:
        path = Path(each["path"])
        found[path] = each
        if each["domain_map"]:
            domain = parse_mapfile(Path(each["domain_map"]).read_bytes(), "domain")
            assert domain.blocks[Status.FINISHED] == Extents([tuple(span) for span in each["ranges"]])
    return found


def maps(bad: Mapping[Path, Extents], folder: Path) -> list[str]:
    words = []
    for path, extents in bad.items():
        name = folder / f"{path.parent.name}-{path.name}.map"
        write_map(name, path.stat().st_size, extents, "-")
        words += ["--mapfile", f"{path}={name}"]
    return words


def what(each: dict[str, Any]) -> list[tuple[str, Extents]]:
    return [(one["what"], Extents([tuple(span) for span in one["ranges"]])) for one in each["metadata"]]


def withheld(members: Sequence[Path], words: Sequence[str] = ()) -> int:
    with open_array([str(path) for path in members], Options(mapfiles=tuple(words[1::2]))) as array:
        account = array.account()
    return account.lost + account.doubtful


def test_a_superblock_is_asked_for_where_its_member_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = GROWN.members()[1:]
    bad = {members[0]: SUPERBLOCK.union(Extents.span(100 * SECTOR, 101 * SECTOR))}
    found = asked(members, bad, tmp_path, capsys)
    assert what(found[members[0]]) == [("the superblock 1.2", SUPERBLOCK)]
    assert found[members[0]]["ranges"] == [list(span) for span in SUPERBLOCK]
    assert withheld(members, maps(bad, tmp_path)) > 0
    assert withheld(members) == 0
    assert main(["needs", *maps(bad, tmp_path), *map(str, members), "-o", str(tmp_path / "again")]) == 0
    out = capsys.readouterr().out
    assert f"{members[0]}: 512 bytes of the superblock 1.2 -> {tmp_path}/again/disk1.img.domain.map" in out
    assert "ddrescue -d -r3 -m" in out
    assert "run `raidfs needs` again" in out


def test_several_superblocks_are_asked_for_though_none_helps_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RAID6 of 6: the bytes of both members that are lost come back only together with what else is bad."""
    array = write_array(Geometry(6, 2, 6, CHUNK), ROWS * CHUNK, data_offset=START)
    members = array.save(tmp_path)[2:]
    found = asked(members, dict.fromkeys(members[:2], SUPERBLOCK), tmp_path, capsys)
    assert {path: what(each) for path, each in found.items()} == {
        path: [("the superblock 1.2", SUPERBLOCK)] for path in members[:2]
    }


def test_a_superblock_is_not_asked_for_where_the_array_is_whole_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = GROWN.members()
    assert asked(members, {members[1]: SUPERBLOCK}, tmp_path, capsys) == {}
    assert not (tmp_path / "needs").exists()


def test_a_superblock_is_not_asked_for_where_no_role_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Something is lost, and an image has bad sectors where a superblock might lie: it would be a further spare."""
    members, place = GROWN.members(), Extents.span(8 << 20, (8 << 20) + SECTOR)
    spare = tmp_path / "spare.img"
    spare.write_bytes(bytes(1 << 20))
    bad = {members[0]: place, members[1]: place, spare: SUPERBLOCK}
    found = asked([*members, spare], bad, tmp_path, capsys)
    assert {path: each["ranges"] for path, each in found.items()} == {
        path: [list(span) for span in place] for path in members[:2]
    }
    assert not any(each["metadata"] for each in found.values())


@pytest.mark.parametrize("sector", [0, 1, 7])
def test_the_rest_of_a_damaged_superblock_is_asked_for(
    sector: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Metadata 0.90 has 4 KiB: what the array is, its members, and which of them this is."""
    case: Case = golden_case("d-r5-3to4-090-64k")
    members = case.members()[1:]
    first = superblock_offset("0.90", members[0].stat().st_size)
    bad = Extents.span(first + sector * SECTOR, first + (sector + 1) * SECTOR)
    found = asked(members, {members[0]: bad}, tmp_path, capsys)
    assert what(found[members[0]]) == [("the superblock 0.90", bad)]
    whole = asked(case.members(), {members[0]: bad}, tmp_path, capsys)
    assert not any(each["ranges"] for each in whole.values())


def test_a_bad_block_log_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = golden_case("b-r5-3to4-badblocks")
    listed, others = case.members()[2], [path for number, path in enumerate(case.members()) if number not in (1, 2)]
    with open_array([str(listed)]) as array:
        log = array.superblocks[str(listed)].record
    start = (log.number("super_offset") + log.number("bblog_offset")) * SECTOR
    bad = Extents.span(start, start + SECTOR)
    found = asked([*others, listed], {listed: bad}, tmp_path, capsys)
    assert what(found[listed]) == [("the bad-block log", bad)]


def partitioned(folder: Path) -> list[Path]:
    """Disks whose first partitions, at sector 2048, are the members of an array."""
    array = write_array(Geometry(5, 2, 3, CHUNK), ROWS * CHUNK, data_offset=START)
    disks = []
    for path in array.save(folder):
        content = path.read_bytes()
        n_sectors = len(content) // SECTOR
        disks.append(folder / f"{path.name}-disk")
        disks[-1].write_bytes(bytes(gpt_disk([Slice(2048, n_sectors, content)], n_sectors + 4096)))
    return disks


def test_superblocks_are_looked_for_in_partitions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disks = partitioned(tmp_path)
    bad = SUPERBLOCK.shift(2048 * SECTOR)
    found = asked(disks[:2], {disks[0]: bad}, tmp_path, capsys)
    (path,) = found
    assert str(path) == f"{disks[0]}#1"
    assert what(found[path]) == [("the superblock 1.2", bad)]


def test_a_partition_table_is_asked_for_with_the_superblock_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both ends of the disk are bad: its partition is looked for where the others have theirs."""
    disks = partitioned(tmp_path)
    size = disks[0].stat().st_size
    table = Extents.span(0, 34 * SECTOR)
    superblock = SUPERBLOCK.shift(2048 * SECTOR)
    bad = table.union(superblock, Extents.span(size - 33 * SECTOR, size))
    found = asked(disks[:2], {disks[0]: bad}, tmp_path, capsys)
    (path,) = found
    assert what(found[path]) == [("the partition table", table), ("the superblock 1.2", superblock)]
    # the superblock alone is none to us either if nothing says where its partition begins
    found = asked(disks[:2], {disks[0]: table.union(Extents.span(size - 33 * SECTOR, size))}, tmp_path, capsys)
    assert [what(each) for each in found.values()] == [[("the partition table", table)]]


def left_behind(tmp_path: Path) -> tuple[Simulation, list[Path]]:
    """An array that lost a member and was written to since; its bitmap tells what that one missed."""
    array = write_array(Geometry(5, 2, 4, CHUNK), ROWS * CHUNK, data_offset=START, seed=5)
    array.keep_bitmap(CHUNK)
    array.fail(0)
    array.user_write(0, array.random.randbytes(9000))
    array.settle()
    array.checkpoint()
    return array, array.save(tmp_path)


def test_a_bitmap_is_asked_for_where_it_may_prove_that_a_member_missed_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, members = left_behind(tmp_path)
    members = [members[0], *members[2:]]
    with open_array([str(path) for path in members]) as opened:
        record = opened.superblocks[str(members[1])].record
    start = (record.number("super_offset") + record.number("bitmap_offset")) * SECTOR
    bad = Extents.span(start, start + SECTOR)
    found = asked(members, dict.fromkeys(members[1:], bad), tmp_path, capsys)
    assert {path: what(each) for path, each in found.items() if each["metadata"]} == {
        path: [("the write-intent bitmap", bad)] for path in members[1:]
    }
    assert withheld(members) < withheld(members, maps(dict.fromkeys(members[1:], bad), tmp_path))
    # one that can be read tells as much
    found = asked(members, {members[1]: bad}, tmp_path, capsys)
    assert not any(each["metadata"] for each in found.values())


def in_journal(members: Sequence[Path], journal: Path) -> int:
    """Where the oldest entry of a write journal lies [bytes of the device]."""
    with open_array([str(path) for path in members]) as array:
        claim = claim_of(array.superblocks[str(journal)])
    assert claim.journal_tail is not None
    return claim.data_offset + claim.journal_tail


JOURNALED = cases_here("j-r5-journal-dirty", "j-r5-journal-writeback")
by_name = pytest.mark.parametrize("case", JOURNALED, ids=lambda case: case.name)


@by_name
def test_what_a_replay_needs_of_a_write_journal_is_asked_for(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oldest entry, and what may follow it; not what was overwritten long ago, nor what lies behind the end."""
    members = case.members()
    journal = members[case.data["expect"].get("journal_member", -1)]
    start = in_journal(members, journal)
    bad = Extents.span(start + SECTOR, start + 2 * SECTOR)
    assert withheld(members, maps({journal: bad}, tmp_path)) > withheld(members) == 0
    found = asked(members, {journal: bad}, tmp_path, capsys)
    assert {path: what(each) for path, each in found.items()} == {journal: [("the write journal", bad)]}
    far = Extents.span(journal.stat().st_size - SECTOR, journal.stat().st_size)
    assert withheld(members, maps({journal: far}, tmp_path)) == 0
    assert asked(members, {journal: far}, tmp_path, capsys) == {}


@by_name
def test_the_superblock_of_a_write_journal_is_asked_for(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = case.members()
    journal = members[case.data["expect"].get("journal_member", -1)]
    found = asked(members, {journal: SUPERBLOCK}, tmp_path, capsys)
    assert {path: what(each) for path, each in found.items()} == {journal: [("the superblock 1.2", SUPERBLOCK)]}


def test_a_partial_parity_log_is_asked_for_where_it_settles_the_parity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is withheld without it, but what is rebuilt is unproven."""
    members = golden_case("j-r5-ppl-dirty-missing").members()
    with open_array([str(path) for path in members]) as array:
        area = claim_of(array.superblocks[str(members[1])]).ppl
        unproven = array.account().unproven
    assert area is not None
    bad = Extents.span(area.offset, area.offset + SECTOR)
    mapped = Options(mapfiles=tuple(maps({members[1]: bad}, tmp_path)[1::2]))
    with open_array([str(path) for path in members], mapped) as array:
        assert array.account().unproven > unproven
        assert array.account().doubtful == array.account().lost == 0
    found = asked(members, {members[1]: bad}, tmp_path, capsys)
    assert {path: what(each) for path, each in found.items()} == {members[1]: [("the partial parity log", bad)]}
    words = [*maps({members[1]: bad}, tmp_path), *map(str, members), "-o", str(tmp_path / "again")]
    assert main(["needs", *words]) == 0
    assert "of the array are unproven. Worth another attempt:" in capsys.readouterr().out
    behind = Extents.span(area.offset + area.size - SECTOR, area.offset + area.size)
    assert not any(each["ranges"] for each in asked(members, {members[1]: behind}, tmp_path, capsys).values())


def test_where_no_superblock_can_be_read_their_places_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = GROWN.members()
    bad = dict.fromkeys(members, SUPERBLOCK.union(Extents.span(100 * SECTOR, 101 * SECTOR)))
    found = asked(members, bad, tmp_path, capsys)
    assert {path: what(each) for path, each in found.items()} == {
        path: [("where superblocks may lie", SUPERBLOCK)] for path in members
    }
    assert main(["needs", *maps(bad, tmp_path), *map(str, members), "-o", str(tmp_path / "again")]) == 0
    out = capsys.readouterr().out
    assert "holds an md superblock" in out
    assert "Worth another attempt, since superblocks may lie there:" in out
    # where all of them can be read there is none, and nothing to ask for
    plain = tmp_path / "plain.img"
    plain.write_bytes(bytes(1 << 20))
    assert main(["needs", str(plain), "-o", str(tmp_path / "none")]) == 1
