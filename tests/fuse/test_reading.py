"""How reads are answered: whole or with EIO, exactly where something is lost, whatever the sizes, however many read."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyfuse3 import FUSEError

from raidfs.block import MemorySource
from raidfs.errors import SourceError
from raidfs.extents import Extents
from raidfs.fuse.reading import MAX_REQUEST, Reading, errno_of, opened
from raidfs.units import SECTOR, align_down, align_up
from tests.fuse.fakes import LOSSES, SIZE, BlockingSource, FickleSource, GoneSource, QuickSource, contents

PAGE = 4096
DATA = contents()
LOST_PAGES = Extents([(align_down(start, PAGE), align_up(stop, PAGE)) for start, stop in LOSSES]).clip(0, SIZE)
RANGES = st.tuples(st.integers(0, SIZE + PAGE), st.integers(1, 2 * MAX_REQUEST + 1))


async def _read(source: MemorySource, offset: int, size: int) -> bytes:
    return bytes(await Reading().read(opened(source), offset, size))


# ------------------------------------------------------------------------------------------------------ without a mount


def test_any_loss_is_an_input_output_error() -> None:
    assert errno_of(Extents()) == 0
    assert errno_of(Extents.span(3, 4)) == errno.EIO


@pytest.mark.parametrize("kind", [QuickSource, BlockingSource])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(RANGES)
def test_a_reply_is_whole_or_none(kind: type[MemorySource], window: tuple[int, int]) -> None:
    offset, size = window
    stop = min(offset + size, SIZE)
    source = kind(DATA, LOSSES)
    if LOSSES.overlaps(offset, stop):
        with pytest.raises(FUSEError) as raised:
            trio.run(_read, source, offset, size)
        assert raised.value.errno == errno.EIO
    else:
        assert trio.run(_read, source, offset, size) == DATA[offset:stop]


def test_what_a_failed_fast_read_left_behind_is_not_served() -> None:
    assert trio.run(_read, FickleSource(DATA), 0, 10_000) == DATA[:10_000]

    async def thrice() -> list[bytes]:
        reading, file = Reading(), opened(FickleSource(DATA))
        return [bytes(await reading.read(file, 7, 5000)) for _ in range(3)]

    assert trio.run(thrice) == [DATA[7:5007]] * 3


def test_simultaneous_blocking_reads_do_not_share_memory() -> None:
    results: dict[int, bytes] = {}

    async def read(reading: Reading, source: MemorySource, offset: int) -> None:
        results[offset] = bytes(await reading.read(opened(source), offset, 70_000))

    async def all_at_once() -> None:
        reading, source = Reading(), BlockingSource(DATA)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(read, reading, source, number * 70_000 // 2)

    trio.run(all_at_once)
    assert all(results[offset] == DATA[offset : offset + 70_000] for offset in results)
    assert len(results) == 20


@pytest.mark.parametrize(
    ("fault", "logged"),
    [
        (SourceError("a has gone"), "a has gone"),
        (OSError(errno.ESTALE, "Stale file handle"), "[Errno 116] Stale file handle"),
        (KeyError("x"), "a bug in raidfs, please report it: KeyError: 'x'"),
        (AssertionError("y"), "a bug in raidfs, please report it: AssertionError: y"),
    ],
)
def test_a_source_that_fails_costs_the_request_and_is_logged_once(
    fault: Exception, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def twice() -> None:
        reading, file = Reading(), opened(GoneSource(fault))
        for _ in range(2):
            with pytest.raises(FUSEError) as raised:
                await reading.read(file, 0, 512)
            assert raised.value.errno == errno.EIO

    trio.run(twice)
    assert [record.getMessage() for record in caplog.records] == [logged]


# --------------------------------------------------------------------------------------------------------- with a mount


@contextmanager
def _open(path: Path, flags: int = 0) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    """Read once into page-aligned memory, as O_DIRECT demands."""
    with mmap.mmap(-1, align_up(size, PAGE)) as memory, memoryview(memory) as view, view[:size] as target:
        return bytes(target[: os.preadv(descriptor, [target], offset)])


def _failing(descriptor: int, unit: int) -> Extents:
    """Return the units that cannot be read; check the bytes of all others, and that no reply is short."""
    failed = []
    for start in range(0, SIZE, unit):
        stop = min(start + unit, SIZE)
        try:
            assert _pread(descriptor, unit, start) == DATA[start:stop]
        except OSError as error:
            failed.append((start, stop) if error.errno == errno.EIO else (0, 1 << 62))
    return Extents(failed)


@pytest.mark.fuse
@pytest.mark.parametrize("name", ["array.img", "blocking.img"])
class TestMounted:
    def test_through_the_page_cache_exactly_the_pages_with_a_loss_fail(self, shared: Path, name: str) -> None:
        with _open(shared / name) as descriptor:
            assert _failing(descriptor, PAGE) == LOST_PAGES
            # again: what failed is not cached
            assert _failing(descriptor, PAGE) == LOST_PAGES

    def test_with_o_direct_exactly_the_lost_sectors_fail(self, shared: Path, name: str) -> None:
        with _open(shared / name, os.O_DIRECT) as descriptor:
            assert _failing(descriptor, SECTOR) == LOSSES

    def test_with_direct_io_exactly_the_lost_bytes_fail(self, direct: Path, name: str) -> None:
        with _open(direct / name) as descriptor:
            assert _failing(descriptor, SECTOR) == LOSSES
            for start, stop in LOSSES:
                assert _pread(descriptor, 100, start - 100) == DATA[start - 100 : start]
                if stop < SIZE:
                    assert _pread(descriptor, 100, stop) == DATA[stop : stop + 100]
                for offset in (start - 99, stop - 1):
                    with pytest.raises(OSError, match="Input/output error"):
                        _pread(descriptor, 100, offset)

    def test_a_file_is_read_up_to_its_first_loss_and_no_further(self, shared: Path, name: str) -> None:
        first = next(iter(LOST_PAGES))[0]
        done = 0
        with (shared / name).open("rb", buffering=0) as file:
            while done < first:
                piece = file.read(100_000)
                assert piece == DATA[done : done + len(piece)] != b""
                done += len(piece)
            assert done == first
            with pytest.raises(OSError, match="Input/output error"):
                file.read(100_000)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(window=RANGES)
    def test_any_range_gives_the_same_bytes(self, shared: Path, name: str, window: tuple[int, int]) -> None:
        offset, size = window
        expected_stop = min(offset + size, SIZE)
        lost = LOST_PAGES.clip(offset, expected_stop)
        readable = next(iter(lost))[0] if lost else expected_stop
        with _open(shared / name) as descriptor:
            done = offset
            while done < readable:
                piece = _pread(descriptor, expected_stop - done, done)
                assert piece == DATA[done : done + len(piece)] != b""
                done += len(piece)
            if lost:
                with pytest.raises(OSError, match="Input/output error"):
                    _pread(descriptor, expected_stop - done, done)
            else:
                assert done >= expected_stop

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(window=RANGES)
    def test_direct_reads_of_any_range_are_whole_or_fail(
        self, direct: Path, name: str, window: tuple[int, int]
    ) -> None:
        offset, size = window[0], min(window[1], MAX_REQUEST)
        stop = min(offset + size, SIZE)
        with _open(direct / name) as descriptor:
            if LOSSES.overlaps(offset, stop):
                with pytest.raises(OSError, match="Input/output error"):
                    _pread(descriptor, size, offset)
            else:
                assert _pread(descriptor, size, offset) == DATA[offset:stop]


@pytest.mark.fuse
@pytest.mark.parametrize("flags", [0, os.O_DIRECT])
def test_concurrent_readers_get_the_same_bytes(shared: Path, flags: int) -> None:
    def read_backwards(step: int) -> bytes:
        with _open(shared / "fickle.img", flags) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            pieces = [_pread(descriptor, step, start) for start in range(0, SIZE, step)[::-1]]
        return b"".join(reversed(pieces))

    with ThreadPoolExecutor(6) as readers:
        steps = [512, 4096, 65536, 3 * 4096, 1 << 20, 2 << 20]
        for whole in readers.map(read_backwards, steps):
            assert whole == DATA


@pytest.mark.fuse
@pytest.mark.parametrize("name", ["gone.img", "bug.img", "failing.txt"])
def test_what_fails_does_not_end_the_mount(shared: Path, name: str) -> None:
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output error"):
            (shared / name).read_bytes()
    assert (shared / "README.txt").read_text() == "Hello.\n"
