"""Content as on real disks: files of Python's library, each from a page border on, the last page ending in zeros.

Some are texts, some are compiled, some are compressed, and there are what deceives: copies, copies that were changed,
longer ones of the same beginning, tables whose records are all alike, and files of which pieces take turns.
"""

from __future__ import annotations

import marshal
import os
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random

PAGE = 4096
_MOST = 160
"""Files that are taken."""


@lru_cache(maxsize=1)
def _sources() -> tuple[bytes, ...]:
    """Return files of Python's library; which ones they are does not matter."""
    found = [path.read_bytes() for path in sorted(Path(os.__file__).parent.glob("*.py"))]
    return tuple(each for each in found if len(each) > PAGE)[:_MOST]


@lru_cache(maxsize=_MOST)
def _compiled(number: int) -> bytes:
    return marshal.dumps(compile(_sources()[number], "", "exec"))


def _text(random: Random) -> bytes:
    return random.choice(_sources())


def _binary(random: Random) -> bytes:
    return _compiled(random.randrange(len(_sources())))


def _packed(random: Random) -> bytes:
    return zlib.compress(_text(random))


def _table(random: Random) -> bytes:
    """Records of one form, numbered."""
    form, first = random.randbytes(random.choice([8, 20, 56])), random.randrange(1 << 20)
    return b"".join(form + (first + number).to_bytes(8, "little") for number in range(random.randrange(200, 3000)))


def _wide(random: Random) -> bytes:
    """A text of two bytes for each character."""
    return _text(random).decode("latin-1").encode("utf-16-le")


def _zeros(random: Random) -> bytes:
    return bytes(random.randrange(1, 40) * PAGE)


def _versions(random: Random) -> bytes:
    """One file several times, changed here and there, each from a border of so many pages on."""
    file, step = random.choice([_text, _binary])(random), random.choice([1, 4, 16, 32]) * PAGE
    found = []
    for _ in range(random.randrange(2, 12)):
        each = bytearray(file[: random.choice([step, step, random.randrange(PAGE, step + PAGE)])])
        for _ in range(random.choice([0, 1, 20, 400])):
            each[random.randrange(len(each))] = random.randrange(256)
        found.append(bytes(each).ljust(-(-len(each) // step) * step, b"\0"))
    return b"".join(found)


def _taking_turns(random: Random) -> bytes:
    """Two or three files in pieces of so many pages, as if they had been written at once."""
    chosen, step = [_text(random) for _ in range(random.choice([2, 3]))], random.choice([1, 4, 16]) * PAGE
    pieces = -(-min(map(len, chosen)) // step)
    return b"".join(each[n * step : n * step + step].ljust(step, b"\0") for n in range(pieces) for each in chosen)


_KINDS: tuple[tuple[Callable[[Random], bytes], int], ...] = (
    (_text, 30),
    (_binary, 30),
    (_packed, 12),
    (_table, 6),
    (_wide, 4),
    (_zeros, 8),
    (_versions, 6),
    (_taking_turns, 4),
)


def files(random: Random, size: int) -> bytes:
    """Make a content of `size` bytes."""
    kinds, weights = zip(*_KINDS, strict=True)
    found = bytearray()
    while len(found) < size:
        file = random.choices(kinds, weights)[0](random)
        found += file.ljust(-(-len(file) // PAGE) * PAGE, b"\0")
    return bytes(found[:size])
