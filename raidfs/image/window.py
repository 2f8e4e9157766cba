"""A run of an image that is a member by itself: a partition of a whole disk.

Member bytes are window bytes: whoever reads a member needs not know that there is more around it. Only who goes past
`read_into`, by the file descriptor, adds `base`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raidfs.block import Requests, check_requests
from raidfs.extents import Extents
from raidfs.image.raw import RawImage


class Window:
    """A `BlockSource` over a part of an image; keeps its threading rules.

    Attributes:
        path: how it is called: that of the image, and the partition's number.
        names: what it may be called as well, behind the `#`: its number and where it begins, `1@1048576`.
        image: what it is a part of.
        base: where it begins [image bytes].
    """

    def __init__(self, image: RawImage, name: str, start: int, size: int) -> None:
        """Look at [start, start + size) of an image, which is called `#name` of it."""
        self.path = f"{image.path}#{name}"
        number, _, _ = name.partition("@")
        self.names = (name, f"{number}@{start}")
        self.image = image
        self.base = start
        self._size = size

    @property
    def size(self) -> int:
        """Size [bytes]."""
        return self._size

    @property
    def fd(self) -> int:
        """File descriptor of the image, open for reading."""
        return self.image.fd

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when the image is no longer what was opened."""
        self.image.assert_unchanged()

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        check_requests(requests, self._size, len(out))
        return self.image.read_into(requests + np.array([self.base, 0, 0], dtype=np.int64), out)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop)."""
        return self.image.known_losses(self.base + start, self.base + stop).shift(-self.base)
