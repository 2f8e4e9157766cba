"""Linear equations over GF(256): which unknowns they determine, and with what values. Gaussian elimination, no more.

An equation is a row of coefficients, one for each unknown; what it is equal to may follow in further columns.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.oracle.parity import gf_inverse, gf_mul

Matrix = NDArray[np.uint8]


@cache
def products() -> Matrix:
    """The product of every two elements; uint8 (256, 256)."""
    table = [[gf_mul(a, b) for b in range(256)] for a in range(256)]
    return np.array(table, dtype=np.uint8)


def reduced(rows: Matrix, n_unknowns: int) -> Matrix:
    """The reduced row echelon form.

    Args:
        rows: uint8 (m, n), n >= n_unknowns: the coefficients, and what is carried along.
        n_unknowns: number of columns that are eliminated.

    Returns:
        uint8 (rank, n): each row begins with a one, the only entry of its column.
    """
    rows = rows.copy()
    rank = 0
    for column in range(n_unknowns):
        nonzero = np.flatnonzero(rows[rank:, column])
        if not len(nonzero):
            continue
        rows[[rank, rank + nonzero[0]]] = rows[[rank + nonzero[0], rank]]
        rows[rank] = products()[gf_inverse(int(rows[rank, column]))][rows[rank]]
        others = np.flatnonzero(rows[:, column])
        others = others[others != rank]
        rows[others] ^= products()[rows[others, column][:, None], rows[rank][None, :]]
        rank += 1
    return rows[:rank]


def determined(rows: Matrix) -> NDArray[np.bool_]:
    """Which unknowns are the same in all solutions: those that stand alone in a row of the reduced form.

    Args:
        rows: uint8 (m, n).

    Returns:
        bool (n,).
    """
    form = reduced(rows, rows.shape[1])
    alone = form[np.count_nonzero(form, axis=1) == 1]
    found: NDArray[np.bool_] = np.count_nonzero(alone, axis=0) > 0
    return found


def values(rows: Matrix, n_unknowns: int) -> dict[int, Matrix]:
    """What each unknown is equal to that the equations determine.

    Args:
        rows: uint8 (m, n_unknowns + length): the coefficients and the right sides.
        n_unknowns: number of unknowns.

    Returns:
        uint8 (length,) by unknown.
    """
    form = reduced(rows, n_unknowns)
    return {int(np.flatnonzero(row)[0]): row[n_unknowns:] for row in form if np.count_nonzero(row[:n_unknowns]) == 1}


def connected(known: Matrix, wanted: Matrix, others: Matrix) -> NDArray[np.bool_]:
    """Which rows belong to some smallest set of `others` that, with the known rows, gives the wanted one.

    Modulo the known rows, such a set and the wanted row are a circuit of the matroid of these rows. Two elements lie in
    a common circuit if and only if they are in one connected component; and the components are those of the graph in
    which every element outside a basis is joined to the basis elements of which it is a combination.

    Args:
        known: uint8 (m, n). wanted: uint8 (n,). others: uint8 (k, n).

    Returns:
        bool (k,); all False where the known rows give the wanted one by themselves.
    """
    form = reduced(known, known.shape[1])
    elements = _modulo(np.concatenate((wanted[None, :], others)), form)
    columns = reduced(np.ascontiguousarray(elements.T), len(elements))
    label = list(range(len(elements)))
    for row in columns:
        members = np.flatnonzero(row).tolist()  # a basis element, and what needs it
        labels = {label[member] for member in members}
        label = [min(labels) if each in labels else each for each in label]
    return np.array([each == label[0] for each in label[1:]], dtype=np.bool_)


def _modulo(rows: Matrix, form: Matrix) -> Matrix:
    """Subtract from each row the combination of the reduced rows that has the same leading entries."""
    rows = rows.copy()
    for row in form:
        lead = int(np.flatnonzero(row)[0])
        rows ^= products()[rows[:, lead][:, None], row[None, :]]
    return rows
