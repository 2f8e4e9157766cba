"""Digests of whole images, with what cannot be read told."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from raidfs.errors import SourceError
from raidfs.image.digest import Digest, digest_images
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
