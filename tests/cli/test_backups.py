"""mdadm's backup of a reshape in place: let in where it helps, never believed where it may be wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.health import Policy
from tests.oracle.at_risk import Reshape, furthest_progress
from tests.oracle.backup import backup_file, put_on_member
from tests.oracle.layouts import Geometry, locate
from tests.oracle.writer import Simulation, write_array
from tests.support.cli import raidfs
from tests.support.golden import Case, cases_here, fingerprints

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


def crash(kind: str, seed: int, *, racy: bool = False, holding: NDArray[np.bool_] | None = None) -> Crash:
    """Crash a reshape within what was backed up, some writes in flight.

    Args:
        kind: of `RESHAPES`.
        seed: of everything random.
        racy: mdadm copied some of it too late.
        holding: bool (array size,): which bytes are not zeros.
    """
    random = Random(seed)
    before, after = RESHAPES[kind]
    backwards = kind == "shrink"
    unit = int(np.lcm(before.stripe_size, after.stripe_size))
    step = max(before.chunk, after.chunk) * after.data_disks
    size = min(before.capacity(COMPONENT), after.capacity(COMPONENT))
    data = random.randbytes(before.capacity(COMPONENT))
    if holding is not None:
        data = bytes(np.where(holding[: len(data)], np.frombuffer(data, np.uint8), 0).astype(np.uint8))
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
@pytest.mark.parametrize("seed", range(3))
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


def saved(crashed: Crash, folder: Path) -> list[str]:
    """Write the images of a crash, and its backup file beside them; the latter is no member."""
    (folder / "members").mkdir(parents=True)
    (folder / "backup").write_bytes(crashed.file)
    return [str(path) for path in crashed.array.save(folder / "members")]


def test_what_is_nowhere_else_is_there(tmp_path: Path) -> None:
    """Rows that were torn in the middle of being moved: the backup holds what neither place has."""
    crashed = crash("chunk", 0)
    paths = saved(crashed, tmp_path)
    truth = np.frombuffer(crashed.array.truth, np.uint8)
    without = read(paths, policy=DOUBTFUL)
    assert (without.content != truth).any()
    helped = read(paths, policy=DOUBTFUL, backup_file=str(tmp_path / "backup"))
    assert np.array_equal(helped.content, truth)
    strict, usual = (
        read(paths, policy=policy, backup_file=str(tmp_path / "backup")) for policy in (Policy(strict=True), Policy())
    )
    assert (usual.there & ~strict.there).any(), "what it holds is never more than unproven"


def test_every_command_takes_it_and_writes_to_nothing(tmp_path: Path) -> None:
    crashed = crash("chunk", 0)
    paths = [Path(path) for path in saved(crashed, tmp_path)]
    before = fingerprints([*paths, tmp_path / "backup"])
    commands: dict[str, list[str]] = {
        "examine": [],
        "verify": [],
        "explain": ["--at", "4096"],
        "export": [str(tmp_path / "image")],
        "needs": ["-o", str(tmp_path / "needs")],
    }
    for command, words in commands.items():
        done = raidfs(command, "--backup-file", tmp_path / "backup", *paths, *words)
        assert done.returncode in (0, 4), done.stderr
        assert "Traceback" not in done.stderr
    assert fingerprints([*paths, tmp_path / "backup"]) == before


def test_it_may_lie_in_the_folder_of_the_images(tmp_path: Path) -> None:
    crashed = crash("chunk", 0)
    paths = saved(crashed, tmp_path)
    named = read(paths, backup_file=str(tmp_path / "backup"))
    beside = read([*paths, str(tmp_path / "backup")])
    assert np.array_equal(named.there, beside.there)
    assert named.messages == beside.messages


def test_a_file_that_declares_the_array_names_it(tmp_path: Path) -> None:
    crashed = crash("chunk", 0)
    paths = saved(crashed, tmp_path)
    toml = tmp_path / "array.toml"
    assert main(["examine", "-q", "--backup-file", str(tmp_path / "backup"), "-o", str(toml), *paths]) == 4
    assert f'backup = "{tmp_path / "backup"}"' in toml.read_text()
    named = read(paths, backup_file=str(tmp_path / "backup"))
    declared = read([], array=str(toml))
    assert np.array_equal(declared.there, named.there)
    assert np.array_equal(declared.content[declared.there], named.content[named.there])
    (tmp_path / "backup").unlink()
    assert main(["examine", "-q", "--array", str(toml)]) == 1


@pytest.mark.parametrize("metadata", ["1.2", "0.90"])
def test_it_is_found_on_a_disk_that_was_added(metadata: str, tmp_path: Path) -> None:
    before, after = RESHAPES["grow"]
    array = write_array(
        before, COMPONENT, after=after, data_offset=0 if metadata == "0.90" else START, metadata=metadata
    )
    array.tear(2 * after.stripe_size, lambda at, role: role != 3 or at % 8192 == 0)
    uuid = array.array_uuid
    member = array.roles[3]
    put_on_member(member.image, member.data_offset + COMPONENT, uuid, array.truth[: 2 * 3 * CHUNK])
    truth = np.frombuffer(array.truth, np.uint8)
    paths = [str(path) for path in array.save(tmp_path)]
    seen = read(paths)
    assert len(seen.messages) == 1
    assert "holds 48 KiB ahead of the position" in seen.messages[0]
    assert np.array_equal(seen.content[seen.there], truth[seen.there])
    with open_array(paths) as opened:  # the disk itself is read as before
        read_exact(opened.source, 0, opened.source.size)
        assert not any(opened.damage.values())
    put_on_member(member.image, member.data_offset + COMPONENT, uuid, array.truth[: 2 * 3 * CHUNK], given_up=True)
    (told,) = read([str(path) for path in array.save(tmp_path)]).messages
    assert "mdadm gave it up" in told


def refusals(crashed: Crash) -> dict[str, bytes]:
    """Backups that are of no use, by why."""
    uuid, ((start, content), (_, second)) = crashed.array.array_uuid, crashed.parts
    unit = len(content) // 4
    return {
        "it is empty": bytes(8192),
        "it is of another array": backup_file(bytes(16), crashed.parts),
        "it is of another moment": backup_file(uuid, [(start + 20 * unit, content)]),
        "it is of another reshape": backup_file(uuid, [(start + 4096, content)]),
        "all of it lies behind the position": backup_file(uuid, [(0, content[: 2 * unit])]),
        "its header is torn or damaged": crashed.file[:66] + b"x" + crashed.file[67:],
        "its data would reach beyond it": crashed.file[:-512],
        "it holds what was overwritten already": backup_file(uuid, [(start, second), (start + len(content), content)]),
    }


def test_what_is_of_no_use_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    crashed = crash("chunk", 0)
    paths = saved(crashed, tmp_path)
    plain = read(paths)
    for reason, raw in refusals(crashed).items():
        (tmp_path / "backup").write_bytes(raw)
        seen = read(paths, backup_file=str(tmp_path / "backup"))
        (told,) = seen.messages
        assert f"the backup of the reshape is not used: {reason}" in told
        assert np.array_equal(seen.there, plain.there)
        assert np.array_equal(seen.content, plain.content)


def test_a_file_without_a_byte_is_no_backup(tmp_path: Path) -> None:
    paths = saved(crash("chunk", 0), tmp_path)
    plain = read(paths)
    (tmp_path / "backup").write_bytes(b"")
    seen = read(paths, backup_file=str(tmp_path / "backup"))
    assert seen.messages == [f"{tmp_path / 'backup'}: the backup of the reshape is not used: it has no bytes at all"]
    assert np.array_equal(seen.there, plain.there)


def served_besides(crashed: Crash, folder: Path, raw: bytes) -> tuple[Seen, NDArray[np.bool_]]:
    """What is read with a backup, and which bytes are served that would not be without it."""
    paths = saved(crashed, folder)
    (folder / "backup").write_bytes(raw)
    seen = read(paths, backup_file=str(folder / "backup"))
    return seen, seen.there & ~read(paths).there


@pytest.mark.parametrize("apart", [-3 * 3600, 3600, 86400 * 400])
def test_a_backup_of_another_time_is_only_the_last_resort(apart: int, tmp_path: Path) -> None:
    """mdadm takes one that is up to two hours older than the superblocks, or ten minutes younger."""
    crashed = crash("chunk", 0)
    late = backup_file(crashed.array.array_uuid, crashed.parts, mtime=1_600_000_000 + apart)
    seen, besides = served_besides(crashed, tmp_path, late)
    assert not besides.any()
    assert "it was written at 20" in seen.messages[0]
    assert "but the array last told its position at 2020-09-13" in seen.messages[0]
    truth = np.frombuffer(crashed.array.truth, np.uint8)
    members = [str(path) for path in sorted((tmp_path / "members").iterdir())]
    plain = read(members, policy=DOUBTFUL)
    helped = read(members, policy=DOUBTFUL, backup_file=str(tmp_path / "backup"))
    assert not (plain.there & ~helped.there).any()
    assert (helped.content != truth).sum() <= (plain.content != truth).sum()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("left", ["zeros", "the part before the last", "another part"])
def test_a_backup_that_was_not_written_to_its_end_serves_nothing_wrong(left: str, seed: int, tmp_path: Path) -> None:
    """Where its data did not land lies what was in the file before: what was written over."""
    crashed = crash("chunk", seed)
    truth = np.frombuffer(crashed.array.truth, np.uint8)
    (start, first), (_, second) = crashed.parts
    earlier = bytes(truth[start - len(first) - len(second) :][: len(first)]) if start >= 2 * len(first) else b""
    old = {"zeros": b"", "the part before the last": earlier, "another part": bytes(truth[-len(first) :])}[left]
    old = old.ljust(len(first), b"\0")
    random = Random(seed)
    torn = b"".join(
        old[at : at + 4096] if random.random() < 0.5 else first[at : at + 4096] for at in range(0, len(first), 4096)
    )
    raw = backup_file(crashed.array.array_uuid, [(start, torn), (start + len(first), second)])
    seen, _ = served_besides(crashed, tmp_path, raw)
    assert np.array_equal(seen.content[seen.there], truth[seen.there])


def test_a_backup_is_not_current_because_nothing_speaks_against_it(tmp_path: Path) -> None:
    """All around is zeros."""
    there = read(saved(crash("chunk", 0), tmp_path / "full")).there
    crashed = crash("chunk", 0, holding=~there)
    raw = backup_file(crashed.array.array_uuid, [(at, bytes(len(part))) for at, part in crashed.parts])
    seen, besides = served_besides(crashed, tmp_path / "sparse", raw)
    assert not besides.any()
    assert "hardly anything of it is on the members, too" in seen.messages[0]


def test_a_backup_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = saved(crash("chunk", 0), tmp_path)
    assert main(["examine", "--backup-file", str(tmp_path / "none"), *paths]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


REAL = {
    "c-r5-3to4-12-512k-backup-critical": "it holds what was overwritten already",
    "e-r5-4to3-12-64k-backup": "it is empty",
    "f-r5-chunk-64to128-backup": "it holds what was overwritten already",
    "g-r5to6-4to5-12-64k-backup": "it holds what was overwritten already",
    "g-r5to6-4to5-12-64k": "it is of another moment",
}


@pytest.mark.parametrize("case", cases_here(*REAL), ids=lambda case: case.name)
def test_real_backups_are_refused_where_they_are_stale(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """All that Linux and mdadm left: each would destroy data if it were restored, as mdadm does."""
    members = case.members()
    before = fingerprints(members)
    told = []
    for words in ([], ["--backup-file", str(case.backup())]):
        main(["examine", "--json", *words, *map(str, members)])
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["account"] == told[1]["account"]
    assert any(REAL[case.name] in each["message"] for each in told[1]["findings"])
    assert fingerprints(members) == before


@pytest.mark.parametrize("case", cases_here("c-r5-3to4-12-512k-backup-critical"), ids=lambda case: case.name)
def test_a_real_backup_that_was_overtaken_serves_nothing_wrong(case: Case) -> None:
    """With a member missing less tells that it is stale: 7 of its 48 blocks of 64 KiB are."""
    members = [str(path) for path in case.members()]
    named = str(case.backup())
    truth = read(members).content
    for without in range(4):
        paths = [path for number, path in enumerate(members) if number != without]
        plain, helped = read(paths), read(paths, backup_file=named)
        assert np.array_equal(helped.content[helped.there], truth[helped.there])
        assert not (plain.there & ~helped.there).any()


@pytest.mark.parametrize("case", cases_here("c-r5-3to4-12-128k-torn"), ids=lambda case: case.name)
def test_rows_that_a_real_crash_tore_are_there_by_the_backup(case: Case) -> None:
    """The crash is real; the backup was written from the truth, as mdadm has it where it holds the kernel back."""
    members = [str(path) for path in case.members()]
    named = str(case.backup())
    truth = read(members, policy=DOUBTFUL).content
    plain, helped = read(members), read(members, backup_file=named)
    assert ((~plain.there).sum(), (~helped.there).sum()) == (1 << 20, 1 << 19)
    assert np.array_equal(helped.content[helped.there], truth[helped.there])
    for without in range(4):
        paths = [path for number, path in enumerate(members) if number != without]
        fewer, more = read(paths), read(paths, backup_file=named)
        assert np.array_equal(more.content[more.there], truth[more.there])
        assert not (fewer.there & ~more.there).any()


def exchanged_pages(array: Simulation) -> list[tuple[int, int]]:
    """Pages that the reshape puts each where the other lay [array bytes]."""
    after = array.after
    assert after is not None
    pages = range(0, array.size, 4096)
    lay_at = {locate(array.geometry, page): page for page in pages}
    pairs = [(page, lay_at.get(locate(after, page), page)) for page in pages]
    return [
        (page, other) for page, other in pairs if page < other and locate(after, other) == locate(array.geometry, page)
    ]


@pytest.mark.parametrize("number", range(3))
def test_a_copy_of_the_page_that_one_changes_places_with_is_not_believed(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied after that was written over it; and it is at its own place as well, where the write did not land."""
    before, after = (Geometry(5, SYMMETRIC, 5, chunk) for chunk in (CHUNK, 2 * CHUNK))
    unit = int(np.lcm(before.stripe_size, after.stripe_size))
    text = bytes(Random(number).choices(b"etaoin shrdlu", k=before.capacity(COMPONENT)))
    array = write_array(before, COMPONENT, after=after, data=text)
    array.advance(2 * unit)
    first, reached = array.position, array.position + 6 * unit
    page, other = [pair for pair in exchanged_pages(array) if first <= pair[0] and pair[1] < first + 4 * unit][number]
    late = locate(after, page)
    array.tear(reached, lambda at, role: (role, at) != late)
    assert old_place(array, page) == text[other : other + 4096] != text[page : page + 4096]
    copied = text[:page] + old_place(array, page) + text[page + 4096 :]
    parts = [(first + start, copied[first + start : first + start + 4 * unit]) for start in (0, 4 * unit)]
    paths = saved(Crash(array, parts), tmp_path)

    def seen() -> tuple[bool, bytes]:
        found = read(paths, backup_file=str(tmp_path / "backup"))
        assert "were copied in time" in found.messages[0]
        return bool(found.there[page : page + 4096].all()), found.content[page : page + 4096].tobytes()

    assert not seen()[0]
    monkeypatch.setattr("raidfs.cli.backups.are_exchanged", lambda pages, *_: np.zeros(len(pages), np.bool_))
    assert seen() == (True, text[other : other + 4096]), "nothing else but that they are exchanged speaks against it"
