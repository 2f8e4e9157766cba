"""SHA-256 of whole images, to prove that nothing changed them; several at once, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from raidfs.block import one_request
from raidfs.image.raw import RawImage
from raidfs.image.sha256 import Sha256

_STEP = 1 << 20
"""Bytes per read."""
_TELL_EVERY = 0.25
"""Seconds between two reports of progress."""


@dataclass(frozen=True)
class Digest:
    """What must be the same before and after.

    Attributes:
        sha256: of all bytes, those that cannot be read counting as zeros.
        size: [bytes].
        mtime_ns: modification time; 0 for devices, which have none of their own.
        unreadable: bytes that could not be read.
    """

    sha256: str
    size: int
    mtime_ns: int
    unreadable: int


@dataclass(frozen=True)
class Begun:
    """A digest that is not done, to be gone on with.

    Attributes:
        offset: how far the image was read [bytes].
        unreadable: bytes up to there that could not be read.
        state: of the SHA-256; see `raidfs.image.sha256`.
    """

    offset: int
    unreadable: int
    state: str


def begun_of(notes: Mapping[str, Any], size: int) -> Begun:
    """Make one of what was kept of it, for an image of `size` bytes.

    Raises:
        TypeError: this is something else.
        ValueError: it cannot be gone on with.
    """
    found = Begun(**notes)
    if not 0 <= found.unreadable <= found.offset <= size:
        raise ValueError(f"{found.offset} bytes of {size} cannot be done")
    Sha256(found.state, found.offset)
    return found


def digest_images(
    images: Mapping[str, RawImage], begun: dict[str, Begun] | None = None
) -> Iterator[tuple[int, dict[str, Digest]]]:
    """Take the digests of images.

    Args:
        images: by path.
        begun: those to go on with, by path; kept as far as they come, so that it holds what is not done at the end.

    Yields:
        Bytes read so far, and the digests that are done, by path; the last one is the result. Closing the generator
        stops the reading.

    Raises:
        SourceError: an image is gone.
        ValueError: what was begun cannot be gone on with.
    """
    stop = threading.Event()
    begun = {} if begun is None else begun
    n_read = dict.fromkeys(images, 0)
    done: dict[str, Digest] = {}

    def digest(path: str, image: RawImage, found: Sha256, so_far: Begun) -> None:
        buffer = np.zeros(min(_STEP, image.size), dtype=np.uint8)
        n_read[path], unreadable = so_far.offset, so_far.unreadable
        for start in range(so_far.offset, image.size, _STEP):
            if stop.is_set():
                return
            window = buffer[: min(_STEP, image.size - start)]
            unreadable += image.read_into(one_request(start, len(window)), window).total
            found.update(window)
            n_read[path] += len(window)
            if found.state:
                begun[path] = Begun(n_read[path], unreadable, found.state)
        done[path] = Digest(found.hexdigest(), image.size, image.mtime_ns, unreadable)
        begun.pop(path, None)

    nothing = Begun(0, 0, "")
    taken_up = {
        path: (found, Sha256(found.state, found.offset)) for path in images for found in [begun.get(path, nothing)]
    }
    with ThreadPoolExecutor(max(1, len(images)), thread_name_prefix="raidfs-digest") as pool:
        pending = {
            pool.submit(digest, path, image, taken_up[path][1], taken_up[path][0]) for path, image in images.items()
        }
        try:
            while pending:
                ended, pending = wait(pending, timeout=_TELL_EVERY, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                yield sum(n_read.values()), dict(done)
        finally:
            stop.set()
