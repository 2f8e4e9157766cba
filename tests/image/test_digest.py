"""Digests of whole images, with what cannot be read told."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from raidfs.errors import SourceError
from raidfs.extents import Extents
from raidfs.image.digest import Begun, Digest, begun_of, digest_images
from raidfs.image.raw import RawImage

SIZE = (2 << 20) + 700


def image_file(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(SIZE))
    return path


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    paths = [str(image_file(tmp_path, name)) for name in "abc"]
    images = {path: RawImage(path) for path in paths}
    *_, (n_bytes, found) = digest_images(images)
    assert n_bytes == 3 * SIZE
    for path in paths:
        expected = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        assert found[path] == Digest(expected, SIZE, Path(path).stat().st_mtime_ns, 0)
        images[path].close()


def test_nothing_to_do() -> None:
    assert list(digest_images({})) == []


def test_what_cannot_be_read_counts_as_zeros_and_is_told(tmp_path: Path) -> None:
    path = image_file(tmp_path, "a")
    bad = range(1 << 20, (1 << 20) + 1024)

    def reader(fd: int, buffers: list[memoryview], offset: int) -> int:
        if offset < bad.stop and bad.start < offset + len(buffers[0]):
            raise OSError(errno.EIO, "Input/output error")
        return os.preadv(fd, buffers, offset)

    with RawImage(str(path), reader) as image:
        *_, (_, found) = digest_images({"a": image})
    content = bytearray(path.read_bytes())
    content[bad.start : bad.stop] = bytes(len(bad))
    assert found["a"].sha256 == hashlib.sha256(content).hexdigest()
    assert found["a"].unreadable == len(bad)


def test_an_image_that_is_gone_ends_it(tmp_path: Path) -> None:
    def reader(_fd: int, _buffers: list[memoryview], _offset: int) -> int:
        raise OSError(errno.ESTALE, "Stale file handle")

    with RawImage(str(image_file(tmp_path, "a")), reader) as image, pytest.raises(SourceError, match="Stale"):
        list(digest_images({"a": image}))


def test_what_was_stopped_within_an_image_is_gone_on_with_there(tmp_path: Path) -> None:
    """The bad sectors of the part that was read are remembered; nothing of it is read again."""
    path = image_file(tmp_path, "a")
    bad = Extents.span(512, 1536)
    offsets: list[int] = []

    def reader(fd: int, buffers: list[memoryview], offset: int) -> int:
        if offsets and offset >= 1 << 20:
            raise KeyboardInterrupt
        offsets.append(offset)
        return os.preadv(fd, buffers, offset)

    def later(fd: int, buffers: list[memoryview], offset: int) -> int:
        assert offset >= 1 << 20
        return os.preadv(fd, buffers, offset)

    begun: dict[str, Begun] = {}
    with RawImage(str(path), reader) as image:
        image.declare_lost(bad)
        with pytest.raises(KeyboardInterrupt):
            list(digest_images({"a": image}, begun))
    assert (begun["a"].offset, begun["a"].unreadable) == (1 << 20, bad.total)
    kept = {"a": begun_of(json.loads(json.dumps(asdict(begun["a"]))), SIZE)}
    with RawImage(str(path), later) as image:
        *_, (n_bytes, found) = digest_images({"a": image}, kept)
    content = bytearray(path.read_bytes())
    content[512:1536] = bytes(1024)
    assert found["a"].sha256 == hashlib.sha256(content).hexdigest()
    assert (n_bytes, found["a"].unreadable, kept) == (SIZE, bad.total, {})


@pytest.mark.parametrize(
    "changes",
    [{"offset": 64}, {"offset": SIZE + 4096}, {"offset": 0}, {"unreadable": -1}, {"state": ""}, {"state": "zz"}],
)
def test_what_nobody_began_is_refused(changes: dict[str, object]) -> None:
    notes = {"offset": 4096, "unreadable": 100, "state": "00" * 32, **changes}
    with pytest.raises(ValueError, match=r"no state|cannot be done|hexadecimal"):
        begun_of(notes, SIZE)
