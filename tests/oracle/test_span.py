from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.parity import gf_mul
from tests.oracle.span import Matrix, connected, determined, products, reduced, values

BITS = st.integers(0, 1)


def matrices(element: st.SearchStrategy[int], n_columns: int, most_rows: int) -> st.SearchStrategy[Matrix]:
    row = st.lists(element, min_size=n_columns, max_size=n_columns)
    rows = st.lists(row, max_size=most_rows)
    return rows.map(lambda told: np.array(told, dtype=np.uint8).reshape(-1, n_columns))


def sums_of(rows: Matrix, unknowns: Matrix) -> Matrix:
    """Each equation's left side for each assignment, by definition."""
    total = np.zeros((len(rows), unknowns.shape[1]), dtype=np.uint8)
    for number, row in enumerate(rows.tolist()):
        for coefficient, column in zip(row, unknowns, strict=True):
            total[number] ^= np.array([gf_mul(coefficient, each) for each in range(256)], dtype=np.uint8)[column]
    return total


@given(matrices(BITS, 9, 12))
def test_an_unknown_is_determined_if_all_solutions_agree_on_it(rows: Matrix) -> None:
    """All assignments of bits are tried: with coefficients 0 and 1 no more can be known over GF(256)."""
    every = np.array(list(product((0, 1), repeat=9)), dtype=np.uint8).T
    solutions = every[:, ~sums_of(rows, every).any(axis=0)]
    assert np.array_equal(determined(rows), ~solutions.any(axis=1))


@given(matrices(st.integers(0, 255), 2, 3))
def test_the_same_with_any_coefficients(rows: Matrix) -> None:
    every = np.indices((256, 256)).reshape(2, -1).astype(np.uint8)
    solutions = every[:, ~sums_of(rows, every).any(axis=0)]
    assert np.array_equal(determined(rows), ~solutions.any(axis=1))


@given(matrices(st.integers(0, 255), 5, 8), st.binary(min_size=15, max_size=15))
def test_values_are_those_of_the_solution(rows: Matrix, told: bytes) -> None:
    unknowns = np.frombuffer(told, dtype=np.uint8).reshape(5, 3)
    whole = np.concatenate((rows, sums_of(rows, unknowns)), axis=1)
    found = values(whole, 5)
    assert sorted(found) == np.flatnonzero(determined(rows)).tolist()
    assert all(np.array_equal(block, unknowns[unknown]) for unknown, block in found.items())


@given(matrices(st.sampled_from([0, 0, 1, 2, 77]), 4, 6))
def test_the_reduced_form_says_the_same(rows: Matrix) -> None:
    form = reduced(rows, 4)
    assert len(reduced(np.concatenate((rows, form)), 4)) == len(form)
    leads = [int(np.flatnonzero(row)[0]) for row in form]
    assert leads == sorted(set(leads))
    assert np.array_equal(form[:, leads], np.eye(len(form), dtype=np.uint8))


def is_given(rows: Matrix, wanted: Matrix) -> bool:
    return len(reduced(np.concatenate((rows, wanted[None, :])), len(wanted))) == len(reduced(rows, len(wanted)))


@given(
    matrices(st.sampled_from([0, 0, 1, 3]), 4, 3),
    matrices(st.sampled_from([0, 0, 1, 3]), 4, 1).filter(len),
    matrices(st.sampled_from([0, 0, 1, 3]), 4, 6),
)
def test_connected_rows_are_those_of_some_smallest_set(known: Matrix, wanted: Matrix, others: Matrix) -> None:
    """Every set of other rows is tried."""
    expected = np.zeros(len(others), dtype=np.bool_)
    for number in range(len(others)):
        rest = [other for other in range(len(others)) if other != number]
        for chosen in (chosen for n in range(len(rest) + 1) for chosen in combinations(rest, n)):
            without = np.concatenate((known, others[list(chosen)]))
            expected[number] |= not is_given(without, wanted[0]) and is_given(
                np.concatenate((without, others[[number]])), wanted[0]
            )
    assert np.array_equal(connected(known, wanted[0], others), expected)


def test_products_are_those_of_the_field() -> None:
    assert products()[3, 7] == gf_mul(3, 7)
    assert products()[0x80, 2] == 0x1D
