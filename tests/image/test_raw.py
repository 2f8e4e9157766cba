"""Raw images keep the contract of block sources, whatever their medium does; they are opened for reading only."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import read_exact
from raidfs.errors import SourceChanged, SourceError, SourceGone
from raidfs.extents import Extents
from raidfs.image import open_image
from raidfs.image.isolate import Budget, Losses
from raidfs.image.raw import RawImage
from tests.support.contract import assert_contract

DATA = random.Random(1).randbytes(20 * 512 + 100)


class BadMedium:
    """Reads like `os.preadv`, but fails at bad places with an errno.

    Attributes:
        asked: ranges that were asked for, in order [bytes].
    """

    def __init__(self, bad: Extents, is_partial: bool, number: int = errno.EIO) -> None:
        """Fail at `bad`; with `is_partial` a read gives what lies before the bad place, else it fails as a whole."""
        self._bad = bad
        self._is_partial = is_partial
        self._number = number
        self.asked: list[tuple[int, int]] = []

    def __call__(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        """Read into one buffer."""
        (buffer,) = buffers
        self.asked.append((offset, offset + len(buffer)))
        bad = self._bad.clip(offset, offset + len(buffer))
        if not bad:
            return os.preadv(fd, buffers, offset)
        length = int(bad.array[0, 0]) - offset if self._is_partial else 0
        if length == 0:
            raise OSError(self._number, os.strerror(self._number))
        return os.preadv(fd, [buffer[:length]], offset)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    image = tmp_path / "member.img"
    image.write_bytes(DATA)
    return image


def test_a_regular_file_keeps_the_contract(path: Path) -> None:
    with open_image(str(path)) as image:
        assert_contract(image, DATA)
        assert image.is_regular
        assert image.path == str(path)


@pytest.mark.parametrize("is_partial", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        Extents([(0, 512)]),
        Extents([(20 * 512, len(DATA))]),
        Extents([(512, 1024), (3 * 512, 9 * 512), (10 * 512, 11 * 512)]),
        Extents([(0, len(DATA))]),
    ],
)
def test_a_file_with_bad_sectors_keeps_the_contract(path: Path, bad: Extents, is_partial: bool) -> None:
    with RawImage(str(path), BadMedium(bad, is_partial)) as image:
        assert_contract(image, DATA, bad)
        assert image.known_losses(0, image.size) == bad


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODATA, errno.EREMOTEIO, errno.ETIMEDOUT, errno.EILSEQ])
def test_every_way_of_the_kernel_to_report_bad_media_is_a_loss(path: Path, number: int) -> None:
    with RawImage(str(path), BadMedium(Extents([(512, 1024)]), False, number)) as image:
        assert read_exact(image, 0, 2048) == (DATA[:512] + bytes(512) + DATA[1024:2048], Extents([(512, 1024)]))


def test_a_bad_byte_costs_its_sector(path: Path) -> None:
    with RawImage(str(path), BadMedium(Extents([(700, 701)]), False)) as image:
        assert read_exact(image, 0, len(DATA))[1] == Extents([(512, 1024)])


def test_what_a_partial_read_gave_of_a_bad_sector_is_kept(path: Path) -> None:
    with RawImage(str(path), BadMedium(Extents([(700, 701)]), True)) as image:
        assert read_exact(image, 0, len(DATA))[1] == Extents([(700, 1024)])


def test_what_was_lost_is_never_asked_for_again(path: Path) -> None:
    medium = BadMedium(Extents([(1024, 2048)]), False)
    with RawImage(str(path), medium) as image:
        read_exact(image, 1100, 10)
        assert image.known_losses(0, image.size) == Extents([(1024, 1536)])
        medium.asked.clear()
        read_exact(image, 1024, 512)
        assert medium.asked == []
        read_exact(image, 0, len(DATA))
        assert not any(start < 1536 and stop > 1024 for start, stop in medium.asked)
        medium.asked.clear()
        assert read_exact(image, 0, len(DATA))[1] == Extents([(1024, 2048)])
        assert medium.asked == [(0, 1024), (2048, len(DATA))]


def test_bisection_asks_for_few_ranges(path: Path) -> None:
    medium = BadMedium(Extents([(5 * 512, 6 * 512)]), False)
    with RawImage(str(path), medium) as image:
        read_exact(image, 0, 16 * 512)
    assert len(medium.asked) == 2 * 4 + 1


def test_short_reads_are_continued(path: Path) -> None:
    def few_bytes(fd: int, buffers: list[memoryview], offset: int) -> int:
        return os.preadv(fd, [buffers[0][:37]], offset)

    with RawImage(str(path), few_bytes) as image:
        assert read_exact(image, 3, len(DATA) - 3) == (DATA[3:], Extents())


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4)), max_size=6),
    st.integers(0, len(DATA)),
    st.integers(0, len(DATA)),
    st.booleans(),
)
def test_exactly_the_bad_sectors_are_lost(
    tmp_path_factory: pytest.TempPathFactory, sectors: list[tuple[int, int]], one: int, other: int, is_partial: bool
) -> None:
    path = tmp_path_factory.mktemp("raw") / "member.img"
    path.write_bytes(DATA)
    bad = Extents([(first * 512, (first + count) * 512) for first, count in sectors]).clip(0, len(DATA))
    start, stop = sorted((one, other))
    with RawImage(str(path), BadMedium(bad, is_partial)) as image:
        raw, lost = read_exact(image, start, stop - start)
    assert lost == bad.clip(start, stop).shift(-start)
    expected = bytearray(DATA[start:stop])
    for lost_start, lost_stop in lost:
        expected[lost_start:lost_stop] = bytes(lost_stop - lost_start)
    assert raw == bytes(expected)


def test_a_file_that_shrank_lost_its_end(path: Path) -> None:
    with open_image(str(path)) as image:
        os.truncate(path, 1000)
        assert read_exact(image, 500, 1000) == (DATA[500:1000] + bytes(500), Extents([(500, 1000)]))
        assert image.size == len(DATA)
        assert image.known_losses(0, image.size) == Extents([(1000, len(DATA))])
        with pytest.raises(SourceChanged, match=f"had {len(DATA)} bytes when it was opened and has 1000 now"):
            image.assert_unchanged()


def test_a_file_that_grew_or_was_written_to_has_changed(path: Path) -> None:
    with open_image(str(path)) as image:
        image.assert_unchanged()
        os.utime(path, ns=(0, 12345))
        with pytest.raises(SourceChanged, match="was written to while it was read"):
            image.assert_unchanged()
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(SourceChanged, match="stop whatever changes it"):
            image.assert_unchanged()


def test_a_deleted_or_replaced_file_is_still_what_was_opened(path: Path) -> None:
    with open_image(str(path)) as image:
        path.unlink()
        path.write_bytes(b"another")
        image.assert_unchanged()
        assert read_exact(image, 0, len(DATA)) == (DATA, Extents())


def test_an_end_before_the_end_is_asked_for_again(path: Path) -> None:
    """What says that a file ends where it does not may say so once, or at one place."""
    ends = iter([0])

    def read(fd: int, buffers: list[memoryview], offset: int) -> int:
        if offset == 1024:
            for n_read in ends:
                return n_read
        return os.preadv(fd, [buffers[0][: 1024 - offset] if offset < 1024 else buffers[0]], offset)

    with RawImage(str(path), read) as image:
        assert read_exact(image, 0, len(DATA)) == (DATA, Extents())


def test_an_end_that_stays_where_it_should_not_be_costs_no_more_than_its_sector(path: Path) -> None:
    def read(fd: int, buffers: list[memoryview], offset: int) -> int:
        ends = 1024 <= offset < 1536
        return 0 if ends else os.preadv(fd, [buffers[0][: 1024 - offset] if offset < 1024 else buffers[0]], offset)

    with RawImage(str(path), read) as image:
        assert read_exact(image, 0, len(DATA))[1] == Extents.span(1024, 1536)
        assert not image.found.ended


def test_a_file_whose_file_system_is_gone_is_gone(path: Path) -> None:
    image = RawImage(str(path))
    os.close(image.fd)
    for ask in (image.assert_unchanged, lambda: image.mtime_ns):
        with pytest.raises(SourceGone, match=r"member\.img: is gone: Bad file descriptor"):
            ask()


def test_a_source_that_is_gone_raises(path: Path) -> None:
    with (
        RawImage(str(path), BadMedium(Extents([(0, 512)]), False, errno.ESTALE)) as image,
        pytest.raises(SourceError, match=r"member\.img: reading at 0 bytes failed: Stale file handle"),
    ):
        read_exact(image, 0, 100)


def test_opened_read_only_closed_on_exec_and_without_access_times(path: Path) -> None:
    with open_image(str(path)) as image:
        flags = fcntl.fcntl(image.fd, fcntl.F_GETFL)
        assert flags & os.O_ACCMODE == os.O_RDONLY
        assert flags & os.O_NOATIME
        assert fcntl.fcntl(image.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(image.fd)


def test_access_times_are_accepted_where_we_are_not_the_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system_open = os.open

    def refusing_open(name: str, flags: int) -> int:
        if flags & os.O_NOATIME:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return system_open(name, flags)

    monkeypatch.setattr(os, "open", refusing_open)
    with open_image(str(path)) as image:
        assert read_exact(image, 0, 10)[0] == DATA[:10]


def test_a_file_that_may_not_be_read_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing_open(name: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", name, flags)

    monkeypatch.setattr(os, "open", refusing_open)
    with pytest.raises(SourceError, match=r"member\.img: may not be read \(Permission denied\); run as its owner"):
        open_image(str(path))


def test_what_is_no_image_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    cases = {
        str(tmp_path): "a folder, neither an image file nor a block device",
        str(tmp_path / "empty"): "empty, so it holds nothing of a member",
        str(tmp_path / "pipe"): "a pipe, neither",
        str(tmp_path / "socket"): "a socket, neither",
        str(tmp_path / "missing"): "cannot be opened: No such file or directory",
        "/dev/null": "a character device, neither",
        "a\0b": "cannot be opened: embedded null byte",
    }
    for name, message in cases.items():
        with pytest.raises(SourceError) as caught:
            open_image(name)
        assert str(caught.value).startswith(f"{name}: {message}")
        assert "\n" not in str(caught.value)


def test_refused_files_leave_no_descriptor_behind(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    before = len(os.listdir("/proc/self/fd"))
    for _attempt in range(3):
        with pytest.raises(SourceError):
            open_image(str(tmp_path / "empty"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_two_paths_of_one_image_are_recognised(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    os.link(path, tmp_path / "hard")
    (tmp_path / "other").write_bytes(DATA)
    inodes = []
    for name in ("member.img", "link", "hard", "other"):
        with open_image(str(tmp_path / name)) as image:
            inodes.append(image.describe_inode())
    assert inodes[0] == inodes[1] == inodes[2] != inodes[3]


def test_positions_beyond_32_bits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.img"
    with path.open("wb") as file:
        file.seek(5 << 32)
        file.write(b"here")
    with open_image(str(path)) as image:
        assert read_exact(image, (5 << 32) - 2, 6) == (b"\0\0here", Extents())
        out = np.zeros(2, dtype=np.uint8)
        image.read_into(np.array([[(5 << 32) + 1, 2, 0]], dtype=np.int64), out)
        assert out.tobytes() == b"er"


def test_what_is_declared_lost_is_never_asked_for(path: Path) -> None:
    medium = BadMedium(Extents([(1024, 1536)]), False)
    with RawImage(str(path), medium) as image:
        image.declare_lost(Extents([(0, 512), (512 * 20, 1 << 62)]))
        bad = Extents([(0, 512), (1024, 1536), (512 * 20, len(DATA))])
        assert_contract(image, DATA, bad)
        assert image.known_losses(0, image.size) == bad
        assert image.found == Losses(bad=Extents([(1024, 1536)]))
        assert not any(Extents([asked]).intersection(bad.difference(image.found.bad)) for asked in medium.asked)


def test_with_the_budget_used_up_a_failing_read_is_lost_as_a_whole(path: Path) -> None:
    medium = BadMedium(Extents([(1024, 1536), (8192, 8193)]), False)
    with RawImage(str(path), medium, budget=Budget(n_failures=1)) as image:
        assert read_exact(image, 0, 2048)[1] == Extents([(0, 2048)])
        assert image.is_budget_used_up
        assert read_exact(image, 4096, 1024) == (DATA[4096:5120], Extents())
        medium.asked.clear()
        assert read_exact(image, 7000, 2000)[1] == Extents([(0, 2000)])
        assert medium.asked == [(7000, 9000)]
        assert image.found.unsplit == Extents([(0, 2048), (13 * 512, 18 * 512)])
        assert image.found.bad == Extents()
