"""What is written to an overlay is read from it, across runs; nothing else changes, and what is lost stays told."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import BlockSource, MemorySource, read_exact
from raidfs.errors import OutputError
from raidfs.extents import Extents
from raidfs.linear import ZEROS, LinearMap, piece_of, window
from raidfs.overlay import BLOCK, Overlay
from tests.support.contract import assert_contract

SIZE = 10 * BLOCK + 700
DATA = Random(3).randbytes(SIZE)


def opened(path: Path, source: BlockSource | None = None, identity: str = "array 1") -> Overlay:
    return Overlay(MemorySource(DATA) if source is None else source, str(path / "overlay"), identity)


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 60))
def test_it_is_what_was_written(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    chance, path = Random(seed), tmp_path_factory.mktemp("overlay")
    losses = Extents((at, at + 512) for at in chance.sample(range(0, SIZE - 512, 512), 2))
    truth, lost = bytearray(DATA), losses
    overlay = opened(path, MemorySource(DATA, losses))
    for _ in range(chance.randint(0, 8)):
        start = chance.choice((chance.randint(0, SIZE), chance.randint(0, 10) * BLOCK))
        stop = min(SIZE, start + chance.choice((0, 1, 512, BLOCK, 3 * BLOCK, SIZE)))
        around = (start // BLOCK * BLOCK, min(SIZE, -(-stop // BLOCK) * BLOCK))
        data = chance.randbytes(stop - start)
        if lost.overlaps(around[0], start) or lost.overlaps(stop, around[1]):
            if data:
                with pytest.raises(OutputError, match="cannot be read"):
                    overlay.write(start, data)
            continue
        overlay.write(start, data)
        truth[start:stop] = data
        lost = lost.difference(Extents.span(*around)) if data else lost
        if chance.random() < 0.3:
            overlay.close()
            overlay = opened(path, MemorySource(DATA, losses))
    assert_contract(overlay, bytes(truth), lost, seed)
    overlay.close()


def test_it_reads_at_once_where_everything_can(tmp_path: Path) -> None:
    overlay = opened(tmp_path, LinearMap(SIZE, [piece_of(0, DATA)]))
    overlay.write(BLOCK, b"x" * BLOCK)
    out = np.zeros(3 * BLOCK, dtype=np.uint8)
    assert overlay.try_read_into(0, out)
    assert out.tobytes() == DATA[:BLOCK] + b"x" * BLOCK + DATA[2 * BLOCK : 3 * BLOCK]
    overlay.close()
    overlay = opened(tmp_path)
    assert overlay.try_read_into(BLOCK, out[:BLOCK])
    assert not overlay.try_read_into(0, out)
    overlay.close()


def test_only_what_was_flushed_is_sure(tmp_path: Path) -> None:
    overlay = opened(tmp_path)
    overlay.write(0, b"a" * BLOCK)
    overlay.flush()
    overlay.write(BLOCK, b"b" * BLOCK)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "overlay").write_bytes((tmp_path / "overlay").read_bytes())
    overlay.close()
    after = opened(copy)
    assert read_exact(after, 0, 2 * BLOCK)[0] == b"a" * BLOCK + DATA[BLOCK : 2 * BLOCK]
    after.close()
    after = opened(tmp_path)
    assert read_exact(after, 0, 2 * BLOCK)[0] == b"a" * BLOCK + b"b" * BLOCK
    assert after.n_written == 2 * BLOCK
    after.close()


def test_it_costs_what_was_written(tmp_path: Path) -> None:
    """A source of 4 TiB: its map alone would be 128 MiB."""
    size = 4 << 40
    overlay = opened(tmp_path, window(ZEROS, 0, size))
    places = [0, 5 << 30, (1 << 40) - 100, size - 7]
    for place in places:
        overlay.write(place, b"written")
    overlay.close()
    status = (tmp_path / "overlay").stat()
    assert status.st_size > size
    assert status.st_blocks * 512 < 1 << 20
    overlay = opened(tmp_path, window(ZEROS, 0, size))
    assert overlay.n_written == 4 * BLOCK
    assert all(read_exact(overlay, place, 7) == (b"written", Extents()) for place in places)
    assert read_exact(overlay, (1 << 40) - BLOCK, 2 * BLOCK)[0].strip(b"\0") == b"written"
    overlay.close()


def test_what_is_lost_below_is_healed_by_writing_over_it(tmp_path: Path) -> None:
    overlay = opened(tmp_path, MemorySource(DATA, Extents.span(BLOCK, BLOCK + 512)))
    with pytest.raises(OutputError, match=f"bytes {BLOCK} to {BLOCK + 600} cannot be read"):
        overlay.write(BLOCK + 600, b"x" * (BLOCK - 600))
    assert overlay.known_losses(0, SIZE) == Extents.span(BLOCK, BLOCK + 512)
    overlay.write(BLOCK, b"y" * 512 + b"z" * (BLOCK - 512))
    assert not overlay.known_losses(0, SIZE)
    overlay.write(BLOCK + 600, b"x" * 100)
    assert read_exact(overlay, BLOCK, 800) == (b"y" * 512 + b"z" * 88 + b"x" * 100 + b"z" * 100, Extents())
    overlay.close()


@pytest.mark.parametrize("place", [(-1, b"x"), (SIZE, b"x"), (SIZE - 3, b"long")])
def test_writing_outside_is_a_bug(tmp_path: Path, place: tuple[int, bytes]) -> None:
    overlay = opened(tmp_path)
    with pytest.raises(ValueError, match="outside"):
        overlay.write(*place)
    overlay.close()


# ------------------------------------------------------------------------------------------------------------ refusals


def refused(path: Path, message: str, source: BlockSource | None = None, identity: str = "array 1") -> None:
    before = (path / "overlay").read_bytes() if (path / "overlay").is_file() else b""
    with pytest.raises(OutputError, match=f"^cannot use .*overlay as an overlay: .*{message}"):
        opened(path, source, identity)
    assert not before or (path / "overlay").read_bytes() == before


def test_one_of_another_array_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    refused(tmp_path, "made for another array .array 1", identity="array 2")
    refused(tmp_path, f"made for an array of {SIZE} bytes, this one has 5000", MemorySource(bytes(5000)))
    opened(tmp_path).close()


def test_what_is_no_overlay_is_refused(tmp_path: Path) -> None:
    (tmp_path / "overlay").write_bytes(b"my thesis")
    refused(tmp_path, "it holds something else; name a new file")
    (tmp_path / "overlay").write_bytes(b"raidfs overlay 1\n{broken")
    refused(tmp_path, "its header is damaged")
    (tmp_path / "overlay").unlink()
    (tmp_path / "overlay").mkdir()
    refused(tmp_path, "it is no regular file")


def test_what_holds_something_else_is_not_even_opened_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "overlay").write_bytes(DATA)
    flags: list[int] = []
    really = os.open

    def watched(path: str, how: int, *mode: int) -> int:
        flags.append(how)
        return really(path, how, *mode)

    monkeypatch.setattr(os, "open", watched)
    with pytest.raises(OutputError, match="holds something else"):
        opened(tmp_path)
    assert [each & os.O_ACCMODE for each in flags] == [os.O_RDONLY]


def test_one_that_was_cut_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    os.truncate(tmp_path / "overlay", SIZE)
    refused(tmp_path, "it was cut")


def test_one_in_use_is_refused(tmp_path: Path) -> None:
    overlay = opened(tmp_path)
    refused(tmp_path, "another mount uses it")
    overlay.close()


def test_a_member_is_refused(tmp_path: Path) -> None:
    member = tmp_path / "overlay"
    member.write_bytes(b"")
    status = member.stat()
    with pytest.raises(OutputError, match="one of the members"):
        Overlay(MemorySource(DATA), str(member), "array 1", [(status.st_dev, status.st_ino)])
    assert member.read_bytes() == b""
    (tmp_path / "link").symlink_to(member)
    with pytest.raises(OutputError, match="one of the members"):
        Overlay(MemorySource(DATA), str(tmp_path / "link"), "array 1", [(status.st_dev, status.st_ino)])
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OutputError, match="no regular file"):
        Overlay(MemorySource(DATA), str(tmp_path / "fifo"), "array 1")


def test_a_size_that_no_file_has_is_told(tmp_path: Path) -> None:
    refused(tmp_path, "its file system has no files of", window(ZEROS, 0, 1 << 61))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    refused(tmp_path / "none", "No such file")


def test_an_empty_file_will_do(tmp_path: Path) -> None:
    (tmp_path / "overlay").touch()
    opened(tmp_path).close()


def test_a_disk_that_is_full_is_an_error_and_nothing_is_taken_for_written() -> None:
    overlay = Overlay.__new__(Overlay)  # over a device that is always full, which could not be opened as an overlay
    overlay._source, overlay._data_start, overlay._pages, overlay._dirty = MemorySource(DATA), 0, {}, set()
    overlay._lock, overlay._fd = threading.Lock(), os.open("/dev/full", os.O_RDWR)
    with pytest.raises(OSError, match="No space left") as told:
        overlay.write(0, b"x" * BLOCK)
    assert told.value.errno == errno.ENOSPC
    assert read_exact(overlay, 0, BLOCK)[0] == DATA[:BLOCK]
    os.close(overlay._fd)
