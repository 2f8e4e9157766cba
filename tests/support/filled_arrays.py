"""Arrays with parity of which copies were made that hold fills, drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.crashes import Damaged, some_land
from tests.support.filled_bench import START
from tests.support.fills import LONG_TEXTS, PATTERNS, filled, located
from tests.support.worth import SECTOR

CHUNKS = (1024, 4096)
DATA = "rrrzzpc"
"""Kinds of sectors, as often as they occur: random, zeros, a pattern, the same as one that came before."""


def contents(draw: st.DrawFn, size: int, random: Random, patterns: Sequence[bytes], kinds: str = DATA) -> bytes:
    """Data as they are, of some kinds."""
    drawn = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=40))
    sectors: list[bytes] = []
    for number in range(size // SECTOR):
        kind = drawn[number % len(drawn)]
        if kind == "c" and sectors:
            sectors.append(random.choice(sectors))
        elif kind in "zp":
            sectors.append(filled(random.choice(patterns) if kind == "p" else b"\0", SECTOR))
        else:
            sectors.append(random.randbytes(SECTOR))
    return b"".join(sectors)


@st.composite
def arrays(
    draw: st.DrawFn,
    levels: Sequence[int] = (4, 5, 6),
    *,
    reshaped: bool | None = None,
    patterns: Sequence[bytes] = PATTERNS,
    kinds: str = DATA,
) -> Simulation:
    """Draw an array, perhaps in a reshape between places that lie far apart, perhaps not shut down cleanly."""
    random = Random(draw(st.integers(0, 1 << 20)))

    level = draw(st.sampled_from(levels))

    def geometry() -> Geometry:
        layout = draw(st.sampled_from(sorted(LAYOUT_NAMES[level])))
        disks = draw(st.integers(4 if level == 6 else 2, 6))
        return Geometry(level, layout, disks, draw(st.sampled_from(CHUNKS)))

    before = geometry()
    size = draw(st.integers(1, 5)) * 4096
    data = contents(draw, before.capacity(size), random, patterns, kinds)
    if not (draw(st.booleans()) if reshaped is None else reshaped):
        return write_array(before, size, data_offset=START, data=data, seed=random.randrange(1 << 20))
    after = geometry()
    is_backwards = after.raid_disks < before.raid_disks
    step = max(before.chunk, after.chunk) * after.data_disks
    most = min(before.capacity(size), after.capacity(size)) // step
    return write_array(
        before,
        size,
        after=after,
        position=draw(st.integers(0, most)) * step,
        backwards=is_backwards,
        data_offset=START,
        new_data_offset=START + (32 << 10 if is_backwards else -(32 << 10)),
        data=data,
        seed=random.randrange(1 << 20),
    )


def dirty(draw: st.DrawFn, array: Simulation) -> None:
    """Let the array crash in the middle of writes."""
    random = Random(draw(st.integers(0, 1 << 20)))
    array.resync_offset = draw(st.integers(0, array.component_size // SECTOR)) * SECTOR
    for start in draw(st.lists(st.integers(0, array.size // SECTOR - 1), max_size=4)):
        row = start * SECTOR // array.geometry.stripe_size
        if row * array.geometry.chunk >= array.resync_offset:
            block = draw(st.sampled_from([bytes(SECTOR), random.randbytes(SECTOR)]))
            array.user_write(start * SECTOR, block, some_land(random, 0.5))


def fill_somewhere(draw: st.DrawFn, array: Simulation) -> None:
    """Fill ranges of members, near each other so that they meet; nobody is told."""
    n = array.component_size // SECTOR
    for _ in range(draw(st.integers(1, 4))):
        member = array.roles[draw(st.sampled_from(sorted(array.roles)))]
        offset = draw(st.sampled_from([member.data_offset, member.new_data_offset]))
        first = draw(st.integers(0, n - 1))
        length = min(draw(st.sampled_from([1, 2, 7, 8, n])), n - first) * SECTOR
        start = offset + first * SECTOR
        pattern = draw(st.sampled_from((b"\0", b"\0", None, *PATTERNS, *LONG_TEXTS)))
        fill = located(start, length) if pattern is None else filled(pattern, length, draw(st.integers(0, 63)))
        member.image[start : start + length] = fill


@st.composite
def copies(draw: st.DrawFn) -> Damaged:
    """Draw an array of which copies were made that hold fills; members may be missing, sectors may be bad."""
    array = draw(arrays())
    if array.after is None and draw(st.integers(0, 3)) == 0:
        dirty(draw, array)
    fill_somewhere(draw, array)
    roles = sorted(array.roles)
    missing = draw(st.frozensets(st.sampled_from(roles), max_size=draw(st.sampled_from([0, 0, 0, 1, 1, 2]))))
    place = st.integers(START // SECTOR, (START + array.component_size) // SECTOR - 1)
    bad = draw(st.lists(st.tuples(st.sampled_from(roles), place), max_size=2))
    ranges = tuple((role, (sector * SECTOR, (sector + 1) * SECTOR)) for role, sector in bad)
    return Damaged(array, missing, bad=ranges)
