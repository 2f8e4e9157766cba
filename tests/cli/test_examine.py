"""What a tired administrator reads, and what a script reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raidfs.cli import main
from tests.support.golden import golden_case, golden_cases

pytestmark = pytest.mark.golden
GROWN = golden_case("a-r5-3to4-12-64k-40")


@pytest.mark.parametrize("case", golden_cases(1), ids=lambda case: case.name)
def test_every_report_has_at_most_20_lines_and_ends_with_the_next_command(case, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's own
    assert main(["examine", *map(str, case.members())]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 20
    assert lines[-1].startswith("Next      raidfs mount ")


def test_the_report_of_a_reshape_names_both_geometries_and_the_position(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examine", *map(str, GROWN.members())]) == 0
    text = capsys.readouterr().out
    assert "from 3 members, left-symmetric, chunk 64 KiB" in text
    assert "to   4 members, left-symmetric, chunk 64 KiB" in text
    assert "28901376 bytes (sector 56448, 27.56 MiB), 59.9 % of the array, forward" in text
    assert "data at sector 2048, new at 1664" in text
    assert "everything: 46 MiB good" in text


def test_json_is_all_that_is_printed_and_has_the_keys_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examine", "--json", *map(str, GROWN.members()[1:])]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema_version"] == 1
    assert said["array"]["level"] == "raid5"
    assert said["array"]["size"] == GROWN.array_size == sum(said["account"].values())
    assert said["reshape"]["position"] == 56448 * 512
    assert said["reshape"]["direction"] == "forward"
    assert (said["reshape"]["before"]["raid_disks"], said["reshape"]["after"]["raid_disks"]) == (3, 4)
    assert said["reshape"]["front"]["undecided"] == []
    assert {member["role"] for member in said["members"]} == {1, 2, 3}
    assert said["account"]["rebuilt"] > 0
    assert any("role 0" in finding["message"] for finding in said["findings"])


def test_damage_has_an_exit_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examine", *map(str, GROWN.members()[2:])]) == 4
    text = capsys.readouterr().out
    assert "everything" not in text
    assert "Withheld" in text
    assert main(["examine", "--quiet", *map(str, GROWN.members()[2:])]) == 4
    assert capsys.readouterr().out == ""


def test_a_folder_stands_for_its_images_and_options_travel_into_the_next_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = GROWN.members()[0].parent
    left_out = str(GROWN.members()[0])
    assert main(["examine", "--exclude", left_out, str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"mount --exclude {left_out} {folder} /mnt/rescue")


def test_verbose_shows_the_superblocks_field_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examine", "-v", *map(str, GROWN.members())]) == 0
    text = capsys.readouterr().out
    assert "superblock 1.2 at byte 4096" in text
    assert text.count("reshape_position") >= 4


def test_a_stale_member_is_named_and_set_apart(capsys: pytest.CaptureFixture[str]) -> None:
    case = golden_case("s-r6-degraded2")
    assert main(["examine", "--json", *map(str, case.members())]) == 0
    said = json.loads(capsys.readouterr().out)
    apart = {
        Path(member["path"]).name for member in said["members"] if member["state"] not in ("in-sync", "recovering")
    }
    assert apart == {f"disk{index}.img" for index in case.stale}
    assert all(member["note"] for member in said["members"] if member["state"] in ("stale", "faulty"))
