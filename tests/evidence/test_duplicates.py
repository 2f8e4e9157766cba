"""Files that were copied are no witnesses: neither over the distance that a reshape moves pages, nor side by side."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import MemorySource
from raidfs.engine.health import Health
from raidfs.evidence.cells import Flags
from raidfs.evidence.front import find_front
from raidfs.evidence.voices import SILENT, SUPPORT, Support, claims, support
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.simulated import describe
from tests.support.storms import Crash, read_crash

K, PAGE = 1 << 10, 4 << 10
BEFORE, AFTER = Geometry(5, 2, 4, 16 * K), Geometry(5, 2, 4, 32 * K)
HEIGHT, WIDTH = 4, 3
"""Pages in a chunk of the old geometry, chunks in its stripes."""
N_ROWS = 160
IN_FLIGHT = 16
N_PAGES = N_ROWS * WIDTH


def crashed(content: list[bytes], rows: int) -> Simulation:
    """An array whose chunks are doubled in place: nothing is recorded, `rows` are written."""
    return write_array(
        BEFORE, N_ROWS * PAGE, after=AFTER, position=0, progress=rows * WIDTH * PAGE, data=b"".join(content)
    )


def served(array: Simulation) -> tuple[int, int]:
    """Return (bytes that are served wrong, bytes that are withheld)."""
    truth = np.frombuffer(bytes(array.truth), np.uint8)
    sources = tuple((role, MemorySource(bytes(each.image))) for role, each in array.roles.items())
    description = find_front(describe(array), dict(sources), IN_FLIGHT)
    content, health = read_crash(description, Crash((0, 0), "", description, sources, truth, None, ""))
    return int(((content != truth) & (health <= Health.UNPROVEN)).sum()), int((health > Health.UNPROVEN).sum())


def moved(row: int, role: int) -> tuple[int, int] | None:
    """Return the page that a role holds in a row of the old geometry, and the one that the reshape puts there."""
    found = []
    for geometry, height in ((BEFORE, HEIGHT), (AFTER, 2 * HEIGHT)):
        stripe, inside = divmod(row, height)
        data = geometry.stripe(stripe).data
        if role not in data:
            return None
        found.append((stripe * WIDTH + data.index(role)) * height + inside)
    return found[0], found[1]


@pytest.mark.parametrize("n_rows", [HEIGHT, 2 * HEIGHT])
@pytest.mark.parametrize("at", range(112, 144, HEIGHT))
def test_a_file_that_was_copied_as_far_as_pages_are_moved_proves_nothing(at: int, n_rows: int) -> None:
    for role in range(4):
        found = moved(at, role)
        if found is None or found[0] == found[1]:
            continue
        random = Random(at)
        pages = [random.randbytes(PAGE) for _ in range(N_PAGES)]
        for number in range(min(n_rows, abs(found[1] - found[0]))):
            pages[found[1] + number] = pages[found[0] + number]
        wrong, withheld = served(crashed(pages, 16))
        assert wrong == 0, role
        assert withheld > 0


@pytest.mark.parametrize("at", range(112, 144, HEIGHT))
@pytest.mark.parametrize("columns", [(0, 1), (1, 2), (0, 2)])
def test_a_file_that_lies_in_a_stripe_twice_does_not_move_the_front(at: int, columns: tuple[int, int]) -> None:
    """All else is empty but for some files, whose rows tell nothing."""
    random = Random(at)
    pages = [random.randbytes(PAGE) if number // HEIGHT % 4 < 3 else bytes(PAGE) for number in range(N_PAGES)]
    first = at * WIDTH
    pages[first : first + WIDTH * HEIGHT] = [bytes(PAGE)] * (WIDTH * HEIGHT)
    for inside in range(HEIGHT):
        for column in columns:
            pages[first + column * HEIGHT + inside] = Random(inside).randbytes(PAGE)
    assert served(crashed(pages, 16))[0] == 0


def told(at: list[int], voice: Callable[[int], int]) -> Support | None:
    """Let one cell in each of some rows say something, by a voice."""
    rows = np.array(at, dtype=np.int64)
    nobody: Flags = np.zeros(len(at), dtype=np.bool_)
    cells: NDArray[np.int64] = np.array([[voice(number)] for number in range(len(at))], dtype=np.int64)
    return support(claims(rows, nobody, cells, nobody, rows), within=100)


def test_one_voice_does_not_suffice_however_often_it_speaks() -> None:
    assert told([*range(50)], lambda _: 7) is None
    assert told([*range(50)], lambda number: 7 + number % 2) == Support(0, is_strong=False)
    assert told([*range(SUPPORT)], lambda number: 7 + number % 2) is None
    assert told([*range(SUPPORT)], lambda number: 7 + number) == Support(0, is_strong=False)
    assert told([*range(50)], lambda _: SILENT) is None


def test_voices_that_are_far_apart_do_not_support_each_other() -> None:
    assert told([0, 101, 202, 303], lambda number: 7 + number) is None
    assert told([0, 101, 102, 103, 104], lambda number: 7 + number) == Support(101, is_strong=False)


def test_rows_that_speak_for_themselves_suffice() -> None:
    rows = np.arange(SUPPORT, dtype=np.int64) * 30
    alone: Flags = np.ones(SUPPORT, dtype=np.bool_)
    nobody = np.zeros((SUPPORT, 1), dtype=np.int64)
    assert support(claims(rows, alone, nobody, ~alone, rows), within=100) == Support(0, is_strong=True)
    assert support(claims(rows, alone, nobody, ~alone, rows), within=80) is None
