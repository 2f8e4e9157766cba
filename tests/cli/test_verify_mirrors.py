"""`raidfs verify` over real arrays of copies: healthy ones are equal, damage is named with member and sector."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raidfs.cli import main
from raidfs.cli.verification import Verification
from raidfs.errors import Interrupted
from raidfs.report.verification import as_data
from tests.cli.test_verify import reading
from tests.support.golden import Case, fingerprints, golden_case, golden_cases

pytestmark = pytest.mark.golden
SECTOR = 512
REFUSED = {"r-r10-n2-to-o2", "r-r10-n2-to-o2-room"}
"""Linux itself moved these wrongly, so that no byte of them is trusted."""
MIRRORS = [case for case in golden_cases(3) if case.level in ("raid1", "raid10") and case.name not in REFUSED]
COPIES = [case for case in MIRRORS if not case.stale]
SINGLE = [case for case in golden_cases(3) if case.name.startswith(("s-r0", "s-linear"))]
MIRROR, TEN, RESHAPED = (golden_case(name) for name in ("s-r1-2-090", "s-r10-f2-5", "r-r10-o2-to-n2"))


def verify(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit code and what it said as JSON."""
    code = main(["verify", "--json", *map(str, words)])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, said


def total(said: dict[str, Any], key: str) -> int:
    return sum(int(each[key]) for each in said["verify"]["mirrors"])


@pytest.mark.parametrize("case", COPIES, ids=lambda case: case.name)
def test_real_copies_are_equal(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    members = case.members()
    before = fingerprints(members)
    code, said = verify(capsys, *case.choice, *members)
    assert code == 0
    assert fingerprints(members) == before
    assert total(said, "agree") == said["array"]["size"]
    assert (said["verify"]["stripes"], said["verify"]["differences"], said["verify"]["unchecked"]) == ([], [], [])
    assert all(each["unchanged"] for each in said["verify"]["originals"])


@pytest.mark.parametrize("case", SINGLE, ids=lambda case: case.name)
def test_where_every_byte_is_held_once_it_says_so(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(capsys, *case.members())
    assert code == 0
    assert (said["verify"]["stripes"], said["verify"]["mirrors"]) == ([], [])
    assert all(each["unchanged"] for each in said["verify"]["originals"])
    assert main(["verify", "--no-hash", *map(str, case.members())]) == 0
    assert "this array holds every byte once: there is nothing to compare" in capsys.readouterr().out


@pytest.mark.parametrize("case", [MIRROR, TEN, RESHAPED], ids=lambda case: case.name)
def test_single_sectors_are_named_with_member_and_sector(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = case.copies(tmp_path)
    _, said = verify(capsys, "--no-hash", *paths)
    random = Random(case.name)
    spoiled: set[tuple[str, int]] = set()
    for member in said["members"]:
        low = min(member["data_offset"], member["new_data_offset"])
        at = (low // SECTOR + random.randrange(2048, 8192)) * SECTOR
        with open(member["path"], "r+b") as image:
            image.seek(at)
            content = image.read(SECTOR)
            image.seek(at)
            image.write(bytes(each ^ 0x5A for each in content))
        spoiled.add((member["path"], at // SECTOR))
    code, said = verify(capsys, "--no-hash", *paths)
    assert code == 4
    differences = said["verify"]["differences"]
    found = {(copy["path"], copy["sector"]) for each in differences for copy in each["copies"]}
    assert spoiled <= found
    assert len(differences) == said["verify"]["n_differences"] == len(spoiled)
    assert total(said, "differ") == len(spoiled) * SECTOR
    assert total(said, "agree") == said["array"]["size"] - len(spoiled) * SECTOR
    assert main(["verify", "--no-hash", *map(str, paths)]) == 4
    text = capsys.readouterr().out
    assert "some copies DIFFER" in text
    assert "discarded" in text
    path, sector = next(iter((copy["path"], copy["sector"]) for copy in differences[0]["copies"]))
    assert f"{path} sector {sector} differ from " in text
    assert len(text.splitlines()) <= 24


def test_with_one_member_left_nothing_can_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(capsys, "--no-hash", MIRROR.members()[0])
    assert code == 0
    size = said["array"]["size"]
    assert said["verify"]["unchecked"] == [{"geometry": "only", "reason": "no image serves role 1", "bytes": size}]
    assert total(said, "unchecked") == size


@pytest.mark.parametrize("case", [MIRROR, RESHAPED], ids=lambda case: case.name)
@pytest.mark.parametrize("n_after_hashing", [-5, 1, 5, 20])
def test_what_was_stopped_goes_on(case: Case, n_after_hashing: int, tmp_path: Path) -> None:
    state = tmp_path / "state"
    n_reads = sum(-(-path.stat().st_size // (1 << 20)) for path in case.members()) + n_after_hashing

    def outcome(path: Path | None) -> dict[str, Any]:
        with reading(case, 0, None) as array:
            return as_data(Verification(array, str(path) if path else None, hashing=True).run(quiet=True))

    with reading(case, n_reads, KeyboardInterrupt()) as array, pytest.raises(Interrupted, match="to go on"):
        Verification(array, str(state), hashing=True).run(quiet=True)
    assert outcome(state) == outcome(None)
    assert list(tmp_path.iterdir()) == []
