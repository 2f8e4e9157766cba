"""`raidfs verify` over real arrays: sound ones agree everywhere, damage is named, nothing is forgotten when stopped."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import OpenArray, open_array
from raidfs.cli.verification import Verification
from raidfs.engine.copies import copies_of
from raidfs.errors import Interrupted, OutputError, SourceChanged
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.image.raw import RawImage
from raidfs.output import sealed, unsealed
from raidfs.report.verification import as_data
from tests.support.damaged import write_map
from tests.support.golden import Case, fingerprints, golden_case, golden_cases

pytestmark = pytest.mark.golden
GROWN = golden_case("a-r5-3to4-12-64k-40")
SIX, SIX_GROWN = golden_case("s-r6-ls"), golden_case("h-r6-4to6-12-64k")
SECTOR = 512


def verify(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit code and what it said as JSON."""
    code = main(["verify", "--json", *map(str, words)])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, said


def counts(said: dict[str, Any], key: str) -> int:
    return sum(each[key] for each in said["verify"]["stripes"])


@pytest.mark.parametrize("case", golden_cases(1), ids=lambda case: case.name)
def test_real_arrays_agree(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    members = case.members()
    before = fingerprints(members)
    code, said = verify(capsys, *members)
    assert code == 0
    assert fingerprints(members) == before
    assert (counts(said, "disagree"), counts(said, "disagree_unproven")) == (0, 0)
    assert [each["unchanged"] for each in said["verify"]["originals"]] == [True] * len(members)
    assert {each["path"]: each["sha256_before"] for each in said["verify"]["originals"]} == {
        str(path): before[path].sha256 for path in members
    }
    if not case.at_limit:
        assert counts(said, "unchecked") == counts(said, "agree_with_one_parity") == 0
        assert counts(said, "agree") > 0
    else:
        assert counts(said, "unchecked") == sum(each["stripes"] for each in said["verify"]["unchecked"])


def spoil_one_chunk_per_stripe(paths: list[Path], said: dict[str, Any], random: Random) -> dict[str, Extents]:
    """Spoil one random chunk in every stripe, in both geometries of a reshape; return what was spoiled, by path.

    All chunks of a stripe lie at one height of the members, whatever the layout.
    """
    reshape, array = said["reshape"], said["array"]
    shapes = {"only": array, **({side: reshape[side] for side in ("before", "after")} if reshape else {})}
    found: dict[str, Extents] = {}
    for section in said["verify"]["stripes"]:
        shape = shapes[section["geometry"]]
        chunk, disks = shape["chunk_size"], shape["raid_disks"]
        size = chunk * (disks - 2)
        key = "new_data_offset" if section["geometry"] == "after" else "data_offset"
        offsets = {each["role"]: (each["path"], each[key]) for each in said["members"]}
        for stripe in range(section["array_start"] // size, -(-section["array_stop"] // size)):
            path, offset = offsets[random.randrange(disks)]
            start = offset + stripe * chunk
            with open(path, "r+b") as image:
                image.seek(start)
                content = image.read(chunk)
                image.seek(start)
                image.write(bytes(each ^ 0x5A for each in content))
            found[path] = found.get(path, Extents()).union(Extents.span(start, start + chunk))
    assert {str(path) for path in paths} >= found.keys()
    return found


@pytest.mark.parametrize(
    "case", [SIX, golden_case("s-r6-ls6"), golden_case("s-r6-ddf-N-continue"), SIX_GROWN], ids=lambda each: each.name
)
def test_raid6_names_every_spoiled_chunk(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = case.copies(tmp_path)
    _, said = verify(capsys, "--no-hash", *paths)
    spoiled = spoil_one_chunk_per_stripe(paths, said, Random(6))
    code, said = verify(capsys, "--no-hash", *paths)
    assert code == 4
    assert counts(said, "disagree") == sum(each["agree"] + each["disagree"] for each in said["verify"]["stripes"])
    found: dict[str, Extents] = {}
    for each in said["verify"]["mismatches"]:
        place = Extents.span(each["image_offset"], each["image_offset"] + each["length"])
        found[each["path"]] = found.get(each["path"], Extents()).union(place)
        assert each["sector"] * SECTOR == each["image_offset"]
    assert found == spoiled


def test_raid5_names_the_stripe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = GROWN.copies(tmp_path)
    _, said = verify(capsys, "--no-hash", *paths)
    member = said["members"][2]
    with open(member["path"], "r+b") as image:
        image.seek(member["new_data_offset"] + 5 * 65536 + 1024)
        image.write(b"\xa5" * 512)
    code, said = verify(capsys, *paths)
    assert code == 4
    assert said["verify"]["mismatching_stripes"] == [[5 * 3 * 65536, 6 * 3 * 65536]]
    assert [each["severity"] for each in said["findings"]].count("error") == 1
    assert main(["verify", "--no-hash", *map(str, paths)]) == 4
    text = capsys.readouterr().out
    assert "array bytes 983040 to 1179648: 1 sector of each member from component byte 328704; which is wrong" in text
    assert len(text.splitlines()) <= 24


@pytest.mark.parametrize("missing", range(4))
def test_with_a_member_missing_it_says_what_could_not_be_checked(
    missing: int, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [path for index, path in enumerate(SIX.members()) if index != missing]
    code, said = verify(capsys, "--no-hash", *members)
    assert (code, counts(said, "agree"), counts(said, "unchecked")) == (0, 0, 0)
    assert counts(said, "agree_with_one_parity") > 0
    members = [path for index, path in enumerate(GROWN.members()) if index != missing]
    code, said = verify(capsys, "--no-hash", *members)
    assert code == 0
    assert {each["reason"] for each in said["verify"]["unchecked"]} == {
        f"no image serves role {role}" for role in said["array"]["missing_roles"]
    }
    assert main(["verify", "-q", "--no-hash", *map(str, members)]) == 0
    assert capsys.readouterr().out == ""


@contextmanager
def reading(
    case: Case, after: int, then: BaseException | None, paths: list[Path] | None = None, options: Options = Options()
) -> Iterator[OpenArray]:
    """Open a case, or copies of it, whose images raise `then` in some read, counted over all of them; None: never.

    No signal comes in the thread of a member that is read in time: it would pass for a fault of the member.
    """
    with open_array([str(path) for path in paths or case.members()], options) as opened:
        left = [after]

        def reader(fd: int, buffers: list[memoryview], offset: int) -> int:
            left[0] -= 1
            in_time = threading.current_thread().name == "raidfs-member"
            if left[0] < 0 and then is not None and not (in_time and isinstance(then, KeyboardInterrupt)):
                raise then
            return os.preadv(fd, buffers, offset)

        images = {path: RawImage(path, reader) for path in opened.images}
        moved = replace(opened._opened, images=images, members=dict(images))
        array = OpenArray(opened.assembly, moved, opened.options, opened._replayed)
        yield array
        array.close()
        for image in images.values():
            image.close()


def outcome(case: Case, state: Path | None) -> dict[str, Any]:
    with reading(case, 0, None) as array:
        return as_data(Verification(array, str(state) if state else None, hashing=True).run(quiet=True))


@pytest.mark.parametrize("n_reads", [1, 100, 110, 130, 190, 250])
def test_what_was_stopped_goes_on(n_reads: int, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with reading(GROWN, n_reads, KeyboardInterrupt()) as array:
        with pytest.raises(Interrupted, match="run the same command again to go on") as told:
            Verification(array, str(state), hashing=True).run(quiet=True)
        assert str(state) in str(told.value)
    assert state.exists()
    assert outcome(GROWN, state) == outcome(GROWN, None)
    assert list(tmp_path.iterdir()) == []


def test_what_was_hashed_of_an_image_is_not_read_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with reading(GROWN, 30, KeyboardInterrupt()) as array, pytest.raises(Interrupted):
        Verification(array, str(state), hashing=True).run(quiet=True)
    notes = unsealed(state.read_text())
    begun = notes["notes"]["begun"]
    assert sum(each["offset"] for each in begun.values()) >= 25 << 20
    with reading(GROWN, 0, None) as array:
        verification = Verification(array, str(state), hashing=True)
        assert verification._done == sum(each["offset"] for each in begun.values())
    next(iter(begun.values()))["offset"] += 1
    kept, other = state.read_text(), tmp_path / "other"
    for text in (sealed(notes), kept.replace("1", "2", 1), kept.replace("section", "Section"), sealed({"notes": 3})):
        other.write_text(text)
        with reading(GROWN, 0, None) as array, pytest.raises(OutputError, match=r"other (is damaged|exists and is no)"):
            Verification(array, str(other), hashing=True)


def test_without_a_state_it_says_that_it_could_have_one() -> None:
    with reading(GROWN, 40, KeyboardInterrupt()) as array, pytest.raises(Interrupted, match="with --state FILE"):
        Verification(array, None, hashing=False).run(quiet=True)


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with reading(GROWN, 120, KeyboardInterrupt()) as array, pytest.raises(Interrupted):
        Verification(array, str(state), hashing=True).run(quiet=True)
    kept = state.read_text()
    with reading(SIX, 0, None) as array, pytest.raises(OutputError, match="state of other members"):
        Verification(array, str(state), hashing=True)
    assert state.read_text() == kept
    notes = unsealed(kept)
    notes["notes"]["walked"] = {"section": 0}
    notes["notes"]["before"] = {"x": {"y": 1}}
    state.write_text(sealed(notes))
    with reading(GROWN, 0, None) as array, pytest.raises(OutputError, match="damaged"):
        Verification(array, str(state), hashing=True)


def test_with_another_map_it_is_another_verification(tmp_path: Path) -> None:
    state, map_file, member = tmp_path / "state", tmp_path / "map", GROWN.members()[0]
    write_map(map_file, member.stat().st_size, Extents.span(8 << 20, 9 << 20))
    mapped = Options(mapfiles=(f"{member}={map_file}",))
    with reading(GROWN, 120, KeyboardInterrupt(), options=mapped) as array, pytest.raises(Interrupted):
        Verification(array, str(state), hashing=False).run(quiet=True)
    with reading(GROWN, 0, None) as array, pytest.raises(OutputError, match="state of other members"):
        Verification(array, str(state), hashing=False)


@pytest.mark.parametrize("content", ["precious", "[]", '{"identity": 1}'])
def test_a_file_that_is_no_state_is_never_written(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "file"
    state.write_text(content)
    assert main(["verify", "--no-hash", "--state", str(state), *map(str, SIX.members())]) == 1
    assert "is no state of raidfs; name a new file" in capsys.readouterr().err
    assert state.read_text() == content


def test_a_member_is_no_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = SIX.copies(tmp_path)
    before = fingerprints(paths)
    assert main(["verify", "--no-hash", "--state", str(paths[0]), *map(str, paths)]) == 1
    assert "never written" in capsys.readouterr().err
    assert fingerprints(paths) == before


def test_a_member_that_changes_ends_it(tmp_path: Path) -> None:
    paths = SIX.copies(tmp_path)
    with open_array([str(path) for path in paths]) as array:
        os.utime(paths[1], ns=(1, 1))
        with pytest.raises(SourceChanged, match="was written to"):
            Verification(array, None, hashing=False).run(quiet=True)


def test_a_member_that_changes_in_secret_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The content changes, size and time do not: only the digest tells."""
    paths, state = SIX.copies(tmp_path), tmp_path / "state"
    n_reads = sum(-(-path.stat().st_size // (1 << 20)) for path in paths) + 3  # while the stripes are checked
    with reading(SIX, n_reads, KeyboardInterrupt(), paths) as array, pytest.raises(Interrupted):
        Verification(array, str(state), hashing=True).run(quiet=True)
    before = paths[1].stat()
    with paths[1].open("r+b") as image:
        image.seek(-7, os.SEEK_END)  # reads by descriptor are not counted: the first of it may have been hashed again
        image.write(b"changed")
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert main(["verify", "--state", str(state), *map(str, paths)]) == 1
    text = capsys.readouterr().out
    assert f"{paths[1]} is not what it was" in text
    assert "nothing of this can be relied on" in text


@pytest.mark.parametrize("case", [SIX, golden_case("s-r5-la")], ids=lambda case: case.name)
def test_the_account_tells_what_was_found(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What both parities name is rebuilt, what nobody can tell is doubtful: as with `-o check`."""
    paths = case.copies(tmp_path)
    with open_array([str(path) for path in paths]) as array:
        offset, size = array.description.serving[0].data_offset, array.description.size
    with paths[0].open("r+b") as file:
        file.seek(offset + (1 << 20))
        file.write(Random(1).randbytes(3 << 20))
    code, said = verify(capsys, "--no-hash", *paths)
    account = said["account"]
    assert code == 4
    assert account["good"] < size
    assert (account["rebuilt"] > 0) == (account["doubtful"] == 0) == (case is SIX)
    assert main(["verify", "--no-hash", *map(str, paths)]) == 4
    assert "Account   " in capsys.readouterr().out


def test_a_wrong_old_copy_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its new place and the parity of that are two against one; where both rows are wrong, both places are named."""
    paths = GROWN.copies(tmp_path)
    with open_array([str(path) for path in paths]) as array:
        copies = copies_of(array.description)
        assert copies is not None
        reshape = array.description.reshape
        assert reshape is not None
        at = copies.start + (copies.stop - copies.start) // 2 // 4096 * 4096
        zones = [zone_of(shape, array.description.component_size) for shape in (reshape.before, reshape.after)]
        places = []
        for zone, name in zip(zones, ("data_offset", "new_data_offset"), strict=True):
            roles, components = zone.locate(np.array([at], dtype=np.int64))
            member = array.description.serving[int(roles[0])]
            places.append((member.path, getattr(member, name) + int(components[0])))
    (old, old_at), (new, new_at) = places
    spoil(Path(old), old_at)
    code, said = verify(capsys, "--no-hash", *paths)
    (odd,) = said["verify"]["copies"]["odd"]
    assert odd["wrong"] == "old"
    assert (odd["old"]["image_offset"], odd["new"]["image_offset"]) == (old_at, new_at)
    assert Path(odd["old"]["path"]).name == Path(old).name
    assert any(f"sector {old_at // SECTOR} (the old copy)" in each["message"] for each in said["findings"])
    assert code == 0  # nothing that is served is wrong
    spoil(Path(new), new_at)
    code, said = verify(capsys, "--no-hash", *paths)
    assert code == 4


def spoil(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("has_state", [False, True])
def test_stopped_before_it_began_it_says_what_is_kept(
    has_state: bool,  # a case
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_words: object, **_options: object) -> None:
        raise KeyboardInterrupt

    state = tmp_path / "state"
    if has_state:
        state.write_text("{}")
    monkeypatch.setattr(sys.modules["raidfs.cli.verify"], "open_array", stop)
    assert main(["verify", "--state", str(state), *map(str, SIX.members())]) == 1
    said = capsys.readouterr().err
    assert ("as it was: run the same command again to go on" if has_state else "nothing is kept") in said
