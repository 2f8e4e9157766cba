"""Contents that make it hard to tell where a block belongs: what repeats, is empty, or looks alike."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

PAGE = 4096


def unrelated(random: Random, n_pages: int) -> list[bytes]:
    """Pages of random bytes."""
    return [random.randbytes(PAGE) for _ in range(n_pages)]


def empty(random: Random, n_pages: int) -> list[bytes]:
    """Nothing but zeros."""
    return [bytes(PAGE)] * n_pages


def sparse(random: Random, n_pages: int) -> list[bytes]:
    """Few pages that hold something, single ones and runs."""
    share = random.choice([0.02, 0.1, 0.3])
    pages = [random.randbytes(PAGE) if random.random() < share else bytes(PAGE) for _ in range(n_pages)]
    for _ in range(random.randrange(4)):
        start = random.randrange(n_pages)
        for number in range(start, min(n_pages, start + random.randrange(1, 40))):
            pages[number] = random.randbytes(PAGE)
    return pages


def repeating(random: Random, n_pages: int) -> list[bytes]:
    """A few pages over and over, in a period or without one."""
    pool = [bytes(PAGE), *(random.randbytes(PAGE) for _ in range(random.randrange(1, 8)))]
    if random.random() < 0.5:
        period = [random.choice(pool) for _ in range(random.randrange(1, 40))]
        return (period * (n_pages // len(period) + 1))[:n_pages]
    return [random.choice(pool) for _ in range(n_pages)]


def texts(random: Random, n_pages: int) -> list[bytes]:
    """Files whose sectors begin with their number and repeat a short pattern; their last page ends in zeros."""
    pages: list[bytes] = []
    while len(pages) < n_pages:
        pattern = bytes(random.randrange(32, 127) for _ in range(16))
        length = random.randrange(1, 30)
        for number in range(length):
            sectors = [b"%s:%08d " % (pattern[:6], number * 8 + sector) + pattern * 32 for sector in range(8)]
            pages.append(b"".join(sector[:512] for sector in sectors))
        cut = random.randrange(PAGE)
        pages[-1] = pages[-1][:cut].ljust(PAGE, b"\0")
        pages += [bytes(PAGE)] * random.choice([0, 0, 1, 20])
    return pages[:n_pages]


def pairs(random: Random, n_pages: int) -> list[bytes]:
    """Pages that occur twice, near each other or a fixed distance apart, among zeros and single ones."""
    distance = random.randrange(1, 40)
    pages = sparse(random, n_pages)
    for number in range(distance, n_pages):
        if random.random() < 0.5:
            pages[number] = pages[number - distance]
    return pages


def mixed(random: Random, n_pages: int) -> list[bytes]:
    """Runs of everything."""
    pages: list[bytes] = []
    while len(pages) < n_pages:
        kind = random.choice([unrelated, empty, sparse, repeating, texts, pairs, constants])
        pages += kind(random, random.randrange(1, 60))
    return pages[:n_pages]


def constants(random: Random, n_pages: int) -> list[bytes]:
    """Pages of one byte value each, and sums of them."""
    return [bytes([random.choice([0, 1, 2, 3, 255])]) * PAGE for _ in range(n_pages)]


KINDS: dict[str, Callable[[Random, int], list[bytes]]] = {
    each.__name__: each for each in (unrelated, sparse, repeating, texts, pairs, mixed, constants, empty)
}
"""All of them."""


def content_of(kind: str, random: Random, size: int) -> bytes:
    """Make a content of `size` bytes."""
    return b"".join(KINDS[kind](random, -(-size // PAGE)))[:size]
