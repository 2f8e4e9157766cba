"""A table proves that it is possible, or does not come to be; it prints itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raidfs.array.shape import Level, Shape
from raidfs.errors import GeometryError
from raidfs.geometry.parity import parity_table
from raidfs.geometry.table import RowTable, symbol_name

FIVE = parity_table(Shape(Level.RAID5, "left-symmetric", 4096, 4))
SIX = parity_table(Shape(Level.RAID6, "left-symmetric", 4096, 5))


def changed(table: RowTable, field: str, place: tuple[int, int], value: int) -> RowTable:
    array = getattr(table, field).copy()
    array[place] = value
    return replace(table, **{field: array})


def test_two_cells_on_one_place_are_refused() -> None:
    with pytest.raises(GeometryError, match="same member bytes"):
        changed(FIVE, "role", (0, 0), int(FIVE.role[0, 1]))
    with pytest.raises(GeometryError, match="same member bytes"):
        replace(FIVE, row=np.zeros_like(FIVE.row))


def test_two_cells_of_a_stripe_on_one_role_are_refused() -> None:
    row = FIVE.row.copy()
    role = FIVE.role.copy()
    role[0, 0], row[0, 0] = role[0, 1], 99
    with pytest.raises(GeometryError, match="two cells on one role"):
        replace(FIVE, role=role, row=row)


@pytest.mark.parametrize("symbol", [0, 2, 3])
def test_a_data_symbol_without_a_cell_is_refused(symbol: int) -> None:
    with pytest.raises(GeometryError, match="no cell"):
        changed(FIVE, "symbol", (1, 1), symbol)


@pytest.mark.parametrize("row", [-1, 4])
def test_a_cell_outside_the_period_is_refused(row: int) -> None:
    with pytest.raises(GeometryError, match="outside its period"):
        changed(FIVE, "row", (3, 2), row)


def test_equal_exponents_are_refused_where_there_is_a_q() -> None:
    with pytest.raises(GeometryError, match="share an exponent"):
        changed(SIX, "exponent", (2, 0), int(SIX.exponent[2, 1]))
    with pytest.raises(GeometryError, match="share an exponent"):  # 2 ** 255 is 1
        changed(SIX, "exponent", (2, 0), int(SIX.exponent[2, 1]) + 255)
    assert replace(FIVE, exponent=np.ones_like(FIVE.exponent)).width == 4  # without a Q they have no meaning


def test_measures() -> None:
    assert (FIVE.period, FIVE.width, FIVE.has_q, FIVE.n_data) == (4, 4, False, 3)
    assert (SIX.period, SIX.width, SIX.has_q, SIX.n_data) == (5, 5, True, 3)
    assert SIX.symbol_names() == ["D0", "D1", "D2", "P", "Q"]
    assert [symbol_name(symbol, 2) for symbol in range(4)] == ["D0", "D1", "P", "Q"]


def test_it_prints_itself() -> None:
    assert FIVE.render().split("\n") == [
        "stripe   D0  D1  D2   P",
        "     0    0   1   2   3",
        "     1    3   0   1   2",
        "     2    2   3   0   1",
        "     3    1   2   3   0",
    ]
    assert SIX.render().split("\n")[:3] == [
        "stripe   D0  D1  D2   P   Q   exponent of D0.. in Q",
        "     0    1   2   3   4   0   0 1 2",
        "     1    0   1   2   3   4   0 1 2",
    ]
