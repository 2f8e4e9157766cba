"""Members that go wrong while the array is mounted: every byte that is read is right, or the read fails with EIO."""

from __future__ import annotations

import errno
import json
import mmap
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from raidfs.extents import Extents
from raidfs.fuse.mountpoint import find_mount
from raidfs.fuse.unmount import end_mount
from raidfs.image.ddrescue import Status, parse_mapfile
from tests.support.faulty import Faulty, faulty_files
from tests.support.golden import CHECKOUT, Case, golden_case
from tests.support.truth import truth

pytestmark = [pytest.mark.fuse, pytest.mark.golden, pytest.mark.slow]

ONE_MAY_MISS = golden_case("a-r5-3to4-12-64k-40")
TWO_MAY_MISS = golden_case("h-r6-4to6-12-64k")
BUFFERED, DIRECT = os.O_RDONLY, os.O_RDONLY | os.O_DIRECT
PIECES = (36 << 10, 200 << 10, 1 << 20)
"""How much readers ask for at a time [bytes]."""


@dataclass
class Served:
    """An array that is mounted over members that may go wrong.

    Attributes:
        case: which one.
        members: the members.
        path: where it is mounted.
        process: who serves it.
    """

    case: Case
    members: Faulty
    path: Path
    process: subprocess.Popen[str]

    @property
    def damage(self) -> dict[str, list[tuple[str, int]]]:
        """What status.json says against the members: (reason, bytes) by the name of the member."""
        status = json.loads((self.path / "status.json").read_text())
        return {
            Path(member["path"]).name: [(each["reason"], each["bytes"]) for each in member["damage"]]
            for member in status["members"]
            if member["damage"]
        }

    @property
    def lost(self) -> Extents:
        """What array.map says is not served."""
        found = parse_mapfile((self.path / "array.map").read_bytes(), "array.map").blocks
        return Extents().union(*(blocks for status, blocks in found.items() if status is not Status.FINISHED))

    def read(self, start: int, stop: int, flags: int) -> bytes:
        """Read from the array until all is there or there is an input/output error; what was read must be right."""
        file = os.open(self.path / "array.img", flags)
        buffer, content = mmap.mmap(-1, stop - start), b""
        try:
            while len(content) < stop - start:
                n_read = os.preadv(file, [buffer], start + len(content))
                assert n_read > 0, "the file ends"
                content += buffer[: min(n_read, stop - start - len(content))]
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        finally:
            os.close(file)
        assert content == truth(self.case)[start : start + len(content)], f"wrong bytes in [{start}, {stop})"
        return content

    def read_everything(self, flags: int, seed: int = 1, n_readers: int = 3) -> Extents:
        """Let several readers read all of it, each in an order of its own; return what none of them got.

        Raises:
            AssertionError: something was read that is not the truth.
        """
        whole = truth(self.case)

        def read(number: int) -> Extents:
            piece = PIECES[number % len(PIECES)]
            starts = list(range(0, len(whole), piece))
            random.Random(seed * 100 + number).shuffle(starts)
            got = []
            for start in starts:
                stop = min(start + piece, len(whole))
                got.append((start, start + len(self.read(start, stop, flags))))
            return Extents(got)

        with ThreadPoolExecutor(n_readers) as pool:
            return Extents.span(0, len(whole)).difference(Extents().union(*pool.map(read, range(n_readers))))

    def assert_the_map_is_right(self) -> None:
        """Everything that array.map calls served is read, and nothing else."""
        lost = self.lost
        for start, stop in Extents.span(0, len(truth(self.case))).difference(lost):
            for begin in range(start, stop, 1 << 20):
                end = min(stop, begin + (1 << 20))
                assert len(self.read(begin, end, DIRECT)) == end - begin  # to the sector: the kernel caches pages
        for start, _ in list(lost)[:20]:
            assert self.read(start, start + 512, DIRECT) == b""  # the kernel may still have it from before

    def end(self) -> str:
        """End it; return its log."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate()
        assert self.process.returncode == 0
        assert find_mount(str(self.path)) is None
        return log


def _make_sure_it_ends(process: subprocess.Popen[str], path: Path) -> None:
    """Leave nothing behind when a test has failed."""
    process.kill()
    if find_mount(str(path)) is not None:
        end_mount(str(path))


@contextmanager
def served(case: Case, folder: Path, *options: str, direct: bool = True) -> Iterator[Served]:
    """Mount an array over faulty members until the block ends, by when it must still be there and have met no bug."""
    path = folder / "array"
    path.mkdir()
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        members = stack.enter_context(faulty_files(folder / "members", case.members(), direct=direct))
        command = [sys.executable, "-m", "raidfs", "mount", "-f", *options, *map(str, members.paths), str(path)]
        process = stack.enter_context(subprocess.Popen(command, cwd=CHECKOUT, stdout=pipe, stderr=pipe, text=True))
        stack.callback(_make_sure_it_ends, process, path)
        assert process.stdout is not None
        assert "is at" in process.stdout.readline()
        array = Served(case, members, path, process)
        yield array
        assert process.poll() is None
        assert members.was_opened_for_reading_only()
        for member in members.paths:
            members.heal(member)
        log = array.end()
        assert "Traceback" not in log
        assert "bug" not in log


@pytest.mark.parametrize(
    ("direct", "flags"), [(True, BUFFERED), (False, DIRECT)], ids=["the array cached", "the member cached"]
)
def test_a_member_that_fails_now_and_then_costs_nothing(direct: bool, flags: int, tmp_path: Path) -> None:
    with served(ONE_MAY_MISS, tmp_path, direct=direct) as array:
        bad = array.members.paths[1]
        array.members.fail(bad, every=5)
        assert not array.read_everything(flags)
        assert array.members.n_failed(bad) > 0
        array.members.heal(bad)
        assert not array.read_everything(flags, seed=2)
        assert not array.lost


def test_two_members_that_fail_now_and_then_give_the_truth_or_an_error(tmp_path: Path) -> None:
    with served(ONE_MAY_MISS, tmp_path) as array:
        for number, path in enumerate(array.members.paths[:2]):
            array.members.fail(path, every=3, seed=number)
        array.read_everything(DIRECT)
        for path in array.members.paths:
            array.members.heal(path)
        array.assert_the_map_is_right()


def test_a_place_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    """On all members, so that nothing could be rebuilt."""
    with served(ONE_MAY_MISS, tmp_path) as array:
        for path in array.members.paths:
            array.members.fail(path, times=1)
        assert len(array.read(0, 512, DIRECT)) == 512
        assert not array.damage


def test_what_fails_for_good_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    """Two members of a RAID5 are bad at the same height; one more is bad elsewhere."""
    start = 8 << 20
    with served(ONE_MAY_MISS, tmp_path) as array:
        first, second, third = array.members.paths[:3]
        array.members.fail(first, ranges=[(start, start + 4096)])
        array.members.fail(second, ranges=[(start + 1024, start + 2048)])
        array.members.fail(third, ranges=[(2 * start, 2 * start + 512)])
        array.read_everything(BUFFERED)
        assert array.lost.total in (1024, 2048)  # one of the two may hold parity there
        assert sum(n for _, n in array.damage[first.name]) >= 1024
        assert {reason for name in (first.name, second.name) for reason, _ in array.damage[name]} == {
            "could not be read"
        }
        array.assert_the_map_is_right()


@pytest.mark.parametrize("flags", [BUFFERED, DIRECT], ids=["buffered", "O_DIRECT"])
def test_answers_that_come_short_are_completed(flags: int, tmp_path: Path) -> None:
    with served(ONE_MAY_MISS, tmp_path) as array:
        for path in array.members.paths:
            array.members.cut_short(path, every=2)
        assert not array.read_everything(flags)
        assert not array.damage


def test_two_members_of_a_raid6_may_fail_in_different_ways(tmp_path: Path) -> None:
    with served(TWO_MAY_MISS, tmp_path) as array:
        array.members.fail(array.members.paths[0], every=4)
        array.members.vanish(array.members.paths[3])
        assert not array.read_everything(DIRECT)
        assert "is gone: Stale file handle" in array.damage[array.members.paths[3].name][0][0]
        array.members.heal(array.members.paths[0])
        assert not array.read_everything(BUFFERED)


GONE: list[tuple[Callable[[Faulty, Path], None], str, bool]] = [
    (lambda members, path: members.vanish(path), "is gone: Stale file handle", True),
    (lambda members, path: members.vanish(path, errno.ENOTCONN), "is gone: Transport endpoint is not connected", False),
    (lambda members, path: members.vanish(path, errno.EIO), "is gone: Input/output error", True),
    (lambda members, path: members.resize(path, 5 << 20), "has 5242880 now", False),
    (lambda members, path: members.resize(path, 1 << 30), "has 1073741824 now", True),
    (lambda members, path: members.touch(path), "was written to while it was read", False),
]


@pytest.mark.parametrize(("happens", "told", "direct"), GONE, ids=[told for _, told, _ in GONE])
def test_a_member_that_is_not_what_it_was_is_used_no_more(
    happens: Callable[[Faulty, Path], None], told: str, direct: bool, tmp_path: Path
) -> None:
    with served(ONE_MAY_MISS, tmp_path, direct=direct) as array:
        gone = array.members.paths[2]
        array.read(0, 1 << 20, DIRECT)
        happens(array.members, gone)
        assert not array.read_everything(BUFFERED)
        assert [told in reason for reason, _ in array.damage[gone.name]] == [True]
        happens(array.members, array.members.paths[0])
        array.read_everything(DIRECT)
        assert array.lost.total > 0
        array.assert_the_map_is_right()


def test_a_member_that_hangs_is_rebuilt_around_and_comes_back(tmp_path: Path) -> None:
    with served(ONE_MAY_MISS, tmp_path, "--patience", "5") as array:
        hangs = array.members.paths[1]
        array.members.hang(hangs)
        assert not array.read_everything(DIRECT)
        assert not array.damage
        array.members.heal(hangs)
        array.members.fail(array.members.paths[0])
        while array.read_everything(BUFFERED):
            pass
        assert hangs.name not in array.damage


@pytest.mark.parametrize("request_", ["read", "getattr"])
def test_a_member_that_hangs_does_not_stop_the_mount(request_: str, tmp_path: Path) -> None:
    with served(ONE_MAY_MISS, tmp_path, "--patience", "5", direct=False) as array:
        hangs = array.members.paths[1]
        array.members.hang(hangs, request=request_)
        assert len(array.read(0, 1 << 20, DIRECT)) == 1 << 20
        assert len(array.read(20 << 20, 21 << 20, DIRECT)) == 1 << 20
