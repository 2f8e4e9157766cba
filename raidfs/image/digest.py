"""SHA-256 of whole images, to prove that nothing changed them; several at once, each in a thread of its own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np

from raidfs.block import one_request
from raidfs.extents import Extents
from raidfs.image.raw import RawImage

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


def digest_images(images: Mapping[str, RawImage]) -> Iterator[tuple[int, dict[str, Digest]]]:
    """Take the digests of images.

    Args:
        images: by path.

    Yields:
        Bytes read so far, and the digests that are done, by path; the last one is the result. Closing the generator
        stops the reading.

    Raises:
        SourceError: an image is gone.
    """
    stop = threading.Event()
    n_read = dict.fromkeys(images, 0)
    done: dict[str, Digest] = {}

    def digest(path: str, image: RawImage) -> None:
        found = hashlib.sha256()
        buffer = np.zeros(min(_STEP, image.size), dtype=np.uint8)
        lost = Extents()
        for start in range(0, image.size, _STEP):
            if stop.is_set():
                return
            window = buffer[: min(_STEP, image.size - start)]
            lost = lost.union(image.read_into(one_request(start, len(window)), window).shift(start))
            found.update(window.data)
            n_read[path] += len(window)
        done[path] = Digest(found.hexdigest(), image.size, image.mtime_ns, lost.total)

    with ThreadPoolExecutor(max(1, len(images)), thread_name_prefix="raidfs-digest") as pool:
        pending = {pool.submit(digest, path, image) for path, image in images.items()}
        try:
            while pending:
                ended, pending = wait(pending, timeout=_TELL_EVERY, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                yield sum(n_read.values()), dict(done)
        finally:
            stop.set()
