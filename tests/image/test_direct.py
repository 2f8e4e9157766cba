"""Direct reads: always aligned, whatever is asked for; where a device refuses them, the page cache has to do."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raidfs.image.direct import DirectReader, open_again

DATA = random.Random(3).randbytes(64 * 512)
ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class Device:
    """Reads like `os.preadv`; its second descriptor insists on alignment, and fails at bad sectors only."""

    def __init__(self, fd: int, unit: int, bad: frozenset[int] = frozenset()) -> None:
        self.fd = fd
        self.unit = unit
        self.bad = bad
        self.direct: set[int] = set()
        self.n_direct = 0

    def reopen(self, fd: int) -> int:
        assert fd == self.fd
        self.direct.add(os.dup(fd))
        return max(self.direct)

    def read(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        (buffer,) = buffers
        if fd in self.direct:
            self.n_direct += 1
            address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
            assert offset % self.unit == len(buffer) % self.unit == address % self.unit == 0
            if any(offset <= sector * 512 < offset + len(buffer) for sector in self.bad):
                raise OSError(errno.EIO, "bad")
        return os.preadv(fd, buffers, offset)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "device").write_bytes(DATA)
    number = os.open(tmp_path / "device", os.O_RDONLY)
    yield number
    os.close(number)


@ANYWHERE
@given(st.integers(0, len(DATA) - 1), st.integers(1, 4096), st.sampled_from([512, 4096]))
def test_any_piece_is_read_aligned(fd: int, offset: int, length: int, unit: int) -> None:
    device = Device(fd, unit)
    reader = DirectReader(fd, unit, device.read, device.reopen)
    wanted = DATA[offset : offset + length]
    target = bytearray(len(wanted))
    done = 0
    while done < len(target):
        n_read = reader.read(offset + done, memoryview(target)[done:])
        assert n_read
        done += n_read
    assert bytes(target) == wanted
    assert device.n_direct
    reader.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(max(device.direct))


def test_errors_of_the_medium_are_told(fd: int) -> None:
    device = Device(fd, 512, frozenset([3]))
    reader = DirectReader(fd, 512, device.read, device.reopen)
    with pytest.raises(OSError, match="bad"):
        reader.read(3 * 512 + 100, memoryview(bytearray(10)))
    assert reader.read(4 * 512, memoryview(bytearray(512))) == 512
    reader.close()


def test_at_the_end_nothing_is_read(fd: int) -> None:
    device = Device(fd, 512)
    reader = DirectReader(fd, 512, device.read, device.reopen)
    assert reader.read(len(DATA), memoryview(bytearray(512))) == 0
    reader.close()


@pytest.mark.parametrize("refuses_at", ["opening", "reading"])
def test_where_it_is_refused_the_page_cache_serves(refuses_at: str, fd: int) -> None:
    n_refused = 0

    def refuse(_fd: int) -> int:
        nonlocal n_refused
        n_refused += 1
        raise OSError(errno.EINVAL, "no direct reads here")

    device = Device(fd, 512)

    def refuse_to_read(number: int, buffers: list[memoryview], offset: int) -> int:
        return refuse(number) if number in device.direct else device.read(number, buffers, offset)

    if refuses_at == "opening":
        reader = DirectReader(fd, 512, device.read, refuse)
    else:
        reader = DirectReader(fd, 512, refuse_to_read, device.reopen)
    target = bytearray(100)
    for _attempt in range(3):
        assert reader.read(700, memoryview(target)) == 100
    assert bytes(target) == DATA[700:800]
    assert n_refused == 1
    reader.close()


def test_a_read_that_stops_before_what_was_asked_for_is_an_error(fd: int) -> None:
    reader = DirectReader(fd, 512, lambda _fd, buffers, _offset: min(50, len(buffers[0])), os.dup)
    with pytest.raises(OSError, match="Input/output error"):
        reader.read(700, memoryview(bytearray(100)))
    reader.close()


def test_closing_does_not_wait_for_a_read_that_hangs(fd: int) -> None:
    device = Device(fd, 512)
    asked, may_answer = threading.Event(), threading.Event()

    def hang(number: int, buffers: list[memoryview], offset: int) -> int:
        asked.set()
        may_answer.wait()
        return device.read(number, buffers, offset)

    reader = DirectReader(fd, 512, hang, device.reopen)
    target = bytearray(512)
    reading = threading.Thread(target=reader.read, args=(0, memoryview(target)))
    reading.start()
    asked.wait()
    reader.close()  # would never come back
    may_answer.set()
    reading.join()
    assert target == DATA[:512]
    reader.close()


def test_the_second_descriptor_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    first = os.open(path, os.O_RDONLY)
    opened: list[tuple[str, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", lambda *given: opened.append(given))
        open_again(first)
    assert opened == [(f"/proc/self/fd/{first}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)]
    os.close(first)
