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
BEFORE, AFTER = Geometry(5, 2, 4, 16 * K), Geometry(5, 3, 4, 16 * K)
ROOM = 4
"""Pages by which the reshape moves the data offset: no more than its step, so that its position may lag."""
HEIGHT, WIDTH = 4, 3
"""Pages in a chunk, chunks in a stripe."""
N_ROWS = 192
IN_FLIGHT = 16
N_PAGES = N_ROWS * WIDTH
BUSY = range(20 * WIDTH, 180 * WIDTH)
"""Pages that hold something: before and behind them all is empty, so that no row is known to be left."""
RECORDED = 8
"""Rows up to the recorded position, which is exact: so nothing speaks against a witness."""


def crashed(content: list[bytes]) -> Simulation:
    """An array of which another layout is written, a chunk further ahead."""
    return write_array(
        BEFORE,
        N_ROWS * PAGE,
        after=AFTER,
        position=RECORDED * WIDTH * PAGE,
        data_offset=64 * K + ROOM * PAGE,
        new_data_offset=64 * K,
        data=b"".join(content),
    )


def served(array: Simulation) -> tuple[int, int]:
    """Return (bytes that are served wrong, bytes that are withheld)."""
    truth = np.frombuffer(bytes(array.truth), np.uint8)
    sources = tuple((role, MemorySource(bytes(each.image))) for role, each in array.roles.items())
    description = find_front(describe(array), dict(sources), IN_FLIGHT)
    content, health = read_crash(description, Crash((0, 0), "", description, sources, truth, None, ""))
    return int(((content != truth) & (health <= Health.UNPROVEN)).sum()), int((health > Health.UNPROVEN).sum())


def page_at(geometry: Geometry, row: int, role: int) -> int | None:
    """Return the page that a role holds in a row of a geometry; None: parity."""
    stripe, inside = divmod(row, HEIGHT)
    data = geometry.stripe(stripe).data
    return (stripe * WIDTH + data.index(role)) * HEIGHT + inside if role in data else None


@pytest.mark.parametrize("role", range(4))
@pytest.mark.parametrize("row", [100, 104, 108, 112])
def test_a_file_that_was_copied_as_far_as_pages_are_moved_proves_nothing(row: int, role: int) -> None:
    held, put = page_at(BEFORE, row - ROOM, role), page_at(AFTER, row, role)
    random = Random(row)
    pages = [random.randbytes(PAGE) if number in BUSY else bytes(PAGE) for number in range(N_PAGES)]
    if held is not None and put is not None:
        pages[put : put + HEIGHT] = pages[held : held + HEIGHT]
    assert served(crashed(pages))[0] == 0


@pytest.mark.parametrize("columns", [(0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("row", [100, 104, 108, 112])
def test_a_file_that_lies_in_a_stripe_twice_does_not_move_the_front(row: int, columns: tuple[int, int]) -> None:
    """The chunk beside it is empty; all other rows hold something that tells nothing."""
    random = Random(row)
    pages = [random.randbytes(PAGE) if number in BUSY else bytes(PAGE) for number in range(N_PAGES)]
    for inside in range(HEIGHT):
        for column in range(WIDTH):
            copy = pages[row * WIDTH + inside] if column in columns else bytes(PAGE)
            pages[row * WIDTH + column * HEIGHT + inside] = copy
    assert served(crashed(pages))[0] == 0


def told(at: list[int], voice: Callable[[int], int]) -> Support | None:
    """Let one cell in each of some rows say something, by a voice."""
    rows = np.array(at, dtype=np.int64)
    nobody: Flags = np.zeros(len(at), dtype=np.bool_)
    cells: NDArray[np.int64] = np.array([[voice(number)] for number in range(len(at))], dtype=np.int64)
    return support(claims(rows, nobody, cells, nobody, rows), within=100)


def test_one_voice_does_not_suffice_however_often_it_speaks() -> None:
    assert told([*range(50)], lambda _: 7) is None
    assert told([*range(50)], lambda number: 7 + number % 2) == Support(15, is_strong=False)
    assert told([*range(SUPPORT)], lambda number: 7 + number % 2) is None
    assert told([*range(SUPPORT)], lambda number: 7 + number) == Support(SUPPORT - 1, is_strong=False)
    assert told([*range(50)], lambda _: SILENT) is None


def test_voices_that_are_far_apart_do_not_support_each_other() -> None:
    assert told([0, 101, 202, 303], lambda number: 7 + number) is None
    assert told([0, 101, 102, 103, 104], lambda number: 7 + number) == Support(104, is_strong=False)


def test_rows_that_speak_for_themselves_suffice() -> None:
    rows = np.arange(SUPPORT, dtype=np.int64) * 30
    alone: Flags = np.ones(SUPPORT, dtype=np.bool_)
    nobody = np.zeros((SUPPORT, 1), dtype=np.int64)
    assert support(claims(rows, alone, nobody, ~alone, rows), within=100) == Support(0, is_strong=True)
    assert support(claims(rows, alone, nobody, ~alone, rows), within=80) is None


def test_one_voice_is_not_borne_out_by_others_behind_it() -> None:
    found = told([*range(50)], lambda number: 7 if number < 20 else 7 + number)
    assert found is not None
    assert found.at > 20
