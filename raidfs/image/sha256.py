"""SHA-256 that can be gone on with: its state between two blocks is eight words and how much went into them.

Python's hashlib computes it with OpenSSL, but keeps the state to itself. So the same functions of the same library are
called as OpenSSL documents them (`SHA256_Init`, `SHA256_Update`, `SHA256_Final` on a `SHA256_CTX`, `openssl/sha.h`).
They are deprecated there; where they are missing, or give something else than hashlib does, hashlib is used, and there
is no state to go on from.
"""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Bytes that change the state together."""
_SIZE = 32
_WORDS = 8


class _Context(ctypes.Structure):
    """`SHA256_CTX`."""

    _fields_ = (
        ("h", ctypes.c_uint32 * _WORDS),
        ("n_bits_low", ctypes.c_uint32),
        ("n_bits_high", ctypes.c_uint32),
        ("data", ctypes.c_uint32 * (BLOCK // 4)),
        ("n_data", ctypes.c_uint),
        ("digest_size", ctypes.c_uint),
    )


class Sha256:
    """A SHA-256 that can be taken up where it was left, if `is_resumable`; its digest is that of `hashlib.sha256`."""

    def __init__(self, state: str = "", length: int = 0) -> None:
        """Begin, or go on.

        Args:
            state: what `state` was; empty: begin.
            length: how much had gone into it [bytes].

        Raises:
            ValueError: this is no state, or it cannot be gone on with here.
        """
        self._library = _library()
        self._hashlib = hashlib.sha256()
        self._context = _Context()
        self._length = 0
        if self._library is not None:
            self._library.SHA256_Init(ctypes.byref(self._context))
        if state or length:
            self._take_up(bytes.fromhex(state), length)

    def _take_up(self, state: bytes, length: int) -> None:
        if self._library is None or len(state) != _SIZE or not 0 < length < 1 << 61 or length % BLOCK:
            raise ValueError("no state of a SHA-256 that can be gone on with here")
        self._context.h[:] = np.frombuffer(state, dtype=">u4").tolist()
        self._context.n_bits_low = length * 8 & 0xFFFFFFFF
        self._context.n_bits_high = length * 8 >> 32
        self._length = length

    @property
    def state(self) -> str:
        """What it can be gone on from; empty: it cannot, here or behind part of a block or nothing at all."""
        if self._library is None or self._length % BLOCK or not self._length:
            return ""
        return np.array(self._context.h[:], dtype=">u4").tobytes().hex()

    def update(self, data: NDArray[np.uint8]) -> None:
        """Take in bytes; uint8 (n,), contiguous. Other threads run meanwhile."""
        self._length += len(data)
        if self._library is None:
            self._hashlib.update(data.data)
        else:
            self._library.SHA256_Update(ctypes.byref(self._context), data.ctypes.data, len(data))

    def hexdigest(self) -> str:
        """Return the digest; nothing can be taken in any more."""
        if self._library is None:
            return self._hashlib.hexdigest()
        found = ctypes.create_string_buffer(_SIZE)
        self._library.SHA256_Final(found, ctypes.byref(self._context))
        return found.raw.hex()


def is_resumable() -> bool:
    """Tell whether a SHA-256 can be gone on with here."""
    return _library() is not None


@cache
def _library() -> Any:
    """Return the library behind hashlib; None: its functions are not there, or not what we know."""
    try:
        import _hashlib

        library = ctypes.CDLL(_hashlib.__file__)  # what it depends on is found through it
        library.SHA256_Init.argtypes = [ctypes.c_void_p]
        library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        library.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    except (ImportError, OSError, AttributeError):
        return None
    return library if _is_as_known(library) else None


def _is_as_known(library: Any) -> bool:
    """Compare with hashlib, with the state taken out and put back behind two blocks."""
    content, found = bytes(range(3 * BLOCK + 5)), ctypes.create_string_buffer(_SIZE)
    context, again = _Context(), _Context()
    library.SHA256_Init(ctypes.byref(context))
    library.SHA256_Update(ctypes.byref(context), content, 2 * BLOCK)
    fields = (context.n_bits_low, context.n_bits_high, context.n_data, context.digest_size)
    if fields != (2 * BLOCK * 8, 0, 0, _SIZE):
        return False
    library.SHA256_Init(ctypes.byref(again))
    again.h, again.n_bits_low = context.h, context.n_bits_low
    library.SHA256_Update(ctypes.byref(again), content[2 * BLOCK :], len(content) - 2 * BLOCK)
    library.SHA256_Final(found, ctypes.byref(again))
    return found.raw == hashlib.sha256(content).digest()
