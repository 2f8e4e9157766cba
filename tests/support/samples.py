"""A few simulated arrays, one of each kind, made once per process; tests must not change them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array

K = 1024
START = 128 * K


def _torn(seed: int) -> Callable[[int, int], bool]:
    random = Random(seed)
    return lambda _at, _role: random.random() < 0.5


def _growing() -> Simulation:
    before, after = Geometry(5, 2, 3, 4 * K), Geometry(5, 2, 4, 4 * K)
    stripe = after.stripe_size
    return write_array(
        before,
        76 * K + 512,
        after=after,
        position=5 * stripe,
        progress=7 * stripe,
        landed=_torn(1),
        data_offset=START,
        new_data_offset=START - 64 * K,
    )


def _shrinking() -> Simulation:
    before, after = Geometry(6, 9, 6, 4 * K), Geometry(6, 9, 5, 8 * K)
    return write_array(
        before,
        80 * K,
        after=after,
        position=6 * after.stripe_size,
        progress=5 * after.stripe_size,
        landed=_torn(2),
        data_offset=START - 64 * K,
        new_data_offset=START,
    )


def _in_place() -> Simulation:
    before, after = Geometry(5, 2, 4, 4 * K), Geometry(5, 1, 4, 4 * K)
    return write_array(before, 64 * K, after=after, position=4 * after.stripe_size, data_offset=START)


def _becoming_six() -> Simulation:
    before, after = Geometry(6, 18, 5, 4 * K), Geometry(6, 2, 5, 4 * K)
    return write_array(
        before,
        64 * K,
        after=after,
        position=10 * after.stripe_size,
        progress=8 * after.stripe_size,
        landed=_torn(3),
        backwards=True,
        data_offset=START - 64 * K,
        new_data_offset=START,
    )


_MAKERS: dict[str, Callable[[], Simulation]] = {
    "raid4": lambda: write_array(Geometry(4, 0, 3, 4 * K), 41 * K, data_offset=START),
    "pair": lambda: write_array(Geometry(5, 2, 2, 4 * K), 40 * K, data_offset=START),
    "raid5": lambda: write_array(Geometry(5, 2, 4, 4 * K), 44 * K, data_offset=START),
    "raid5-wide": lambda: write_array(Geometry(5, 1, 7, 1 * K), 15 * K, data_offset=START),
    "raid5-tall": lambda: write_array(Geometry(5, 0, 3, 32 * K), 64 * K + 512, data_offset=START),
    "raid6": lambda: write_array(Geometry(6, 2, 6, 4 * K), 41 * K, data_offset=START),
    "raid6-ddf": lambda: write_array(Geometry(6, 10, 5, 2 * K), 24 * K, data_offset=START),
    "raid6-five": lambda: write_array(Geometry(6, 17, 5, 4 * K), 40 * K, data_offset=START),
    "growing": _growing,
    "shrinking": _shrinking,
    "in-place": _in_place,
    "becoming-six": _becoming_six,
}

SAMPLES = tuple(_MAKERS)
"""Names of all."""
EXACT = tuple(name for name in SAMPLES if name != "in-place")
"""Names of those whose every byte is sure while no member is missing."""


@cache
def sample(name: str) -> Simulation:
    """Return the array of that name."""
    return _MAKERS[name]()
