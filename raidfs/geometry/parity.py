"""Tables of RAID4, RAID5 and RAID6: one short function per family of layouts, one dictionary entry per layout.

Source of every row: `raid5.c: raid5_compute_sector` (places) and `raid6_d0`, `raid6_idx_to_slot` (order of the data in
Q). `n` is raid_disks, `row` the stripe's number, `k` the number of a data chunk in its stripe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from raidfs.array.shape import Level, Shape
from raidfs.geometry.table import RowTable


@dataclass(frozen=True)
class _Row:
    """Roles of one stripe: of the data chunks in array order, of P, and of Q where there is one."""

    data: list[int]
    parity: list[int]


_Place = Callable[[int, int], _Row]
"""(row, n) -> the roles of that stripe."""


def _left(row: int, n: int) -> int:
    return n - 1 - row % n


def _right(row: int, n: int) -> int:
    return row % n


def _first(row: int, n: int) -> int:
    return 0


def _last(row: int, n: int) -> int:
    return n - 1


def _asymmetric(p_role: Callable[[int, int], int]) -> _Place:
    """Data in role order, stepping over the parity."""

    def place(row: int, n: int) -> _Row:
        parity = p_role(row, n)
        return _Row([role for role in range(n) if role != parity], [parity])

    return place


def _symmetric(p_role: Callable[[int, int], int]) -> _Place:
    """Data begin behind the parity and go round."""

    def place(row: int, n: int) -> _Row:
        parity = p_role(row, n)
        return _Row([(parity + 1 + k) % n for k in range(n - 1)], [parity])

    return place


def _asymmetric_pq(p_role: Callable[[int, int], int]) -> _Place:
    """Q behind P, data in role order, stepping over both."""

    def place(row: int, n: int) -> _Row:
        p = p_role(row, n)
        q = (p + 1) % n
        return _Row([role for role in range(n) if role not in (p, q)], [p, q])

    return place


def _symmetric_pq(p_role: Callable[[int, int], int]) -> _Place:
    """Q behind P, data begin behind Q and go round."""

    def place(row: int, n: int) -> _Row:
        p = p_role(row, n)
        return _Row([(p + 2 + k) % n for k in range(n - 2)], [p, (p + 1) % n])

    return place


def _continue_pq(row: int, n: int) -> _Row:
    """Q before P, data begin behind P and go round."""
    p = _left(row, n)
    return _Row([(p + 1 + k) % n for k in range(n - 2)], [p, (p - 1) % n])


def _parity_last_pq(row: int, n: int) -> _Row:
    return _Row(list(range(n - 2)), [n - 2, n - 1])


def _with_q_last(five: _Place) -> _Place:
    """A RAID5 on the first n - 1 members, Q on the last: what a RAID5 is while it becomes a RAID6."""

    def place(row: int, n: int) -> _Row:
        inner = five(row, n - 1)
        return _Row(inner.data, [*inner.parity, n - 1])

    return place


_FIVE: dict[str, _Place] = {
    "left-asymmetric": _asymmetric(_left),
    "right-asymmetric": _asymmetric(_right),
    "left-symmetric": _symmetric(_left),
    "right-symmetric": _symmetric(_right),
    "parity-first": _asymmetric(_first),
    "parity-last": _asymmetric(_last),
}

LAYOUTS: dict[Level, dict[str, _Place]] = {
    Level.RAID4: {"parity-last": _FIVE["parity-last"]},
    Level.RAID5: _FIVE,
    Level.RAID6: {
        "left-asymmetric": _asymmetric_pq(_left),
        "right-asymmetric": _asymmetric_pq(_right),
        "left-symmetric": _symmetric_pq(_left),
        "right-symmetric": _symmetric_pq(_right),
        "parity-first": _asymmetric_pq(_first),
        "parity-last": _parity_last_pq,
        "ddf-zero-restart": _asymmetric_pq(_right),
        "ddf-N-restart": _asymmetric_pq(lambda row, n: n - 1 - (row + 1) % n),
        "ddf-N-continue": _continue_pq,
    }
    | {f"{name}-6": _with_q_last(place) for name, place in _FIVE.items() if name != "parity-last"},
}
"""Every layout that raidfs reads."""


def _exponents(row: _Row, n: int, *, ddf: bool) -> list[int]:
    """Exponent of each data chunk in Q.

    md counts the data in the order of the members behind Q, stepping over P; DDF counts members from role 0 on, P and Q
    included (`raid5.c: raid6_d0`, `raid6_idx_to_slot`).
    """
    if ddf:
        return row.data
    p, q = row.parity
    order = [role for role in ((q + 1 + i) % n for i in range(n)) if role not in (p, q)]
    exponent_of = {role: exponent for exponent, role in enumerate(order)}
    return [exponent_of[role] for role in row.data]


@cache
def parity_table(shape: Shape) -> RowTable:
    """Build the table of a RAID4, RAID5 or RAID6.

    Raises:
        GeometryError: the layout is impossible with so many members.
    """
    n = shape.raid_disks
    if shape.table is None:
        rows = [LAYOUTS[shape.level][shape.layout](row, n) for row in range(_period(shape))]
    else:
        rows = [_Row([*row[: shape.n_data]], [*row[shape.n_data :]]) for row in shape.table]
    role = np.array([[*row.data, *row.parity] for row in rows], dtype=np.int16)
    exponent = np.zeros((len(rows), shape.n_data), dtype=np.int16)
    if shape.exponents is not None:
        exponent[:] = shape.exponents
    elif shape.n_parity == 2:
        exponent[:] = [_exponents(row, n, ddf=shape.layout.startswith("ddf-")) for row in rows]
    numbers = np.arange(len(rows), dtype=np.int16)[:, None]
    return RowTable(
        n_data=shape.n_data,
        role=role,
        row=np.broadcast_to(numbers, role.shape).copy(),
        region=np.zeros_like(role),
        symbol=np.broadcast_to(np.arange(n, dtype=np.int16), role.shape).copy(),
        exponent=exponent,
        rows_per_period=len(rows),
    )


def _period(shape: Shape) -> int:
    """Stripes after which the layout repeats."""
    if shape.layout in ("parity-first", "parity-last", "parity-first-6"):
        return 1
    return shape.raid_disks - 1 if shape.layout.endswith("-6") else shape.raid_disks
