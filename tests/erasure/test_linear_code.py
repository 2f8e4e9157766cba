"""What is recovered is what the oracle computes by elimination, and it is refused exactly where the rank is too low."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.erasure.gf256 import multiply
from raidfs.erasure.linear_code import LinearCode, Term, companions, parity_code, recover
from tests.oracle.layouts import LAYOUT_NAMES, Geometry, Stripe
from tests.oracle.parity import fill, gf_inverse, gf_mul, reachable, solve
from tests.support.simulated import name_of

GEOMETRIES = [
    Geometry(level, layout, raid_disks, 4096)
    for level in (5, 6)
    for layout in LAYOUT_NAMES[level]
    for raid_disks in range(4 if level == 6 else 3, 9)
]
LENGTH = 3


def code_of(stripe: Stripe) -> tuple[LinearCode, tuple[int, ...]]:
    """The code of a stripe, and the role of each cell."""
    parity = (stripe.p,) if stripe.q is None else (stripe.p, stripe.q)
    return parity_code(len(stripe.data), len(parity), stripe.exponent), (*stripe.data, *parity)


def evaluate(terms: tuple[Term, ...], cells: list[bytes]) -> bytes:
    out = [0] * LENGTH
    for term in terms:
        out = [a ^ gf_mul(term.coefficient, b) for a, b in zip(out, cells[term.cell], strict=True)]
    return bytes(out)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=name_of)
def test_every_erasure_that_the_level_tolerates(geometry: Geometry) -> None:
    random = Random(1)
    for row in range(geometry.raid_disks):
        stripe = geometry.stripe(row)
        code, roles = code_of(stripe)
        content = fill(stripe, [random.randbytes(LENGTH) for _ in stripe.data])
        cells = [content[role] for role in roles]
        for count in range(1, geometry.level - 3):
            for erased in combinations(range(len(roles)), count):
                left = {roles[cell]: cells[cell] for cell in range(len(roles)) if cell not in erased}
                solved = solve(stripe, left)
                for wanted in erased:
                    terms = recover(code, frozenset(erased), wanted)
                    assert terms is not None
                    assert not {term.cell for term in terms} & {*erased}
                    assert all(1 <= term.coefficient <= 255 for term in terms)
                    assert evaluate(terms, cells) == cells[wanted] == solved[roles[wanted]]


@pytest.mark.parametrize("geometry", [each for each in GEOMETRIES if each.raid_disks in (4, 6)], ids=name_of)
def test_beyond_tolerance_exactly_what_the_rank_allows(geometry: Geometry) -> None:
    stripe = geometry.stripe(1)
    code, roles = code_of(stripe)
    for count in range(1, len(roles) + 1):
        for erased in combinations(range(len(roles)), count):
            known = [roles[cell] for cell in range(len(roles)) if cell not in erased]
            for wanted in erased:
                terms = recover(code, frozenset(erased), wanted)
                assert (terms is not None) == (roles[wanted] in reachable(stripe, known))


def test_one_missing_member_of_a_raid6_costs_only_xor() -> None:
    code = parity_code(4, 2, (0, 1, 2, 3))
    for wanted in range(4):
        terms = recover(code, frozenset([wanted]), wanted)
        assert terms == tuple(Term(cell, 1) for cell in range(5) if cell != wanted)


def test_any_equations_do() -> None:
    """Mirrors are codes too; with dependent or no equations nothing is made up."""
    mirror = LinearCode.of_rows(((1, 1, 0), (1, 0, 1)))
    assert recover(mirror, frozenset([0]), 0) in ((Term(1, 1),), (Term(2, 1),))
    assert recover(mirror, frozenset([0, 1]), 0) == (Term(2, 1),)
    assert recover(mirror, frozenset([0, 1, 2]), 0) is None
    twice = LinearCode.of_rows(((1, 1, 1), (3, 3, 3)))
    assert recover(twice, frozenset([0, 1]), 0) is None
    assert recover(twice, frozenset([2]), 2) == (Term(0, 1), Term(1, 1))
    scaled = LinearCode.of_rows(((7, 9),))
    assert recover(scaled, frozenset([0]), 0) == (Term(1, multiply(9, gf_inverse(7))),)
    assert recover(LinearCode(()), frozenset([0]), 0) is None


def rank(rows: list[list[int]]) -> int:
    done = 0
    for column in range(len(rows[0])):
        pivot = next((row for row in rows[done:] if row[column]), None)
        if pivot is not None:
            rows.remove(pivot)
            factors = [gf_mul(row[column], gf_inverse(pivot[column])) for row in rows]
            rows = [
                [a ^ gf_mul(factor, b) for a, b in zip(row, pivot, strict=True)] if factor and number >= done else row
                for number, (row, factor) in enumerate(zip(rows, factors, strict=True))
            ]
            rows.insert(done, pivot)
            done += 1
    return done


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 20), st.integers(1, 60))
def test_many_equations_give_the_same_as_few(seed: int, n_erased: int) -> None:
    """What is solved together is a combination of the equations, and found exactly where one at a time finds it."""
    chance = Random(seed)
    width, n_checks = 70, 66
    rows = [[0] * width for _ in range(n_checks)]
    for row in rows:
        for cell in chance.sample(range(width), 3):
            row[cell] = chance.choice([1, 1, 2, 77])
    erased = frozenset(chance.sample(range(width), n_erased))
    code = LinearCode.of_rows(rows)
    whole = rank([*rows])
    for wanted in sorted(erased)[:6]:
        terms = recover(code, erased, wanted)
        unknown = [[row[cell] for cell in sorted(erased - {wanted})] + [0] for row in rows]
        with_wanted = [[*each[:-1], row[wanted]] for each, row in zip(unknown, rows, strict=True)]
        assert (terms is not None) == (rank(with_wanted) > rank(unknown))
        if terms is not None:
            assert not {term.cell for term in terms} & erased
            told = [0] * width
            told[wanted] = 1
            for term in terms:
                told[term.cell] = term.coefficient
            assert rank([*rows, told]) == whole


@settings(max_examples=200)
@given(st.integers(2, 8), st.integers(1, 5), st.data())
def test_companions_are_those_of_some_set_that_suffices_only_with_them(
    width: int, n_checks: int, data: st.DataObject
) -> None:
    row = st.lists(st.sampled_from([0, 0, 1, 1, 2, 77]), min_size=width, max_size=width).map(tuple)
    code = LinearCode.of_rows(data.draw(st.lists(row, min_size=n_checks, max_size=n_checks)))
    cells = st.sets(st.integers(0, width - 1))
    gone, missing = frozenset(data.draw(cells)), frozenset(data.draw(cells))
    missing -= gone
    wanted = data.draw(st.sampled_from(sorted(gone | missing or {0})))
    others = missing - {wanted}
    suffices = {
        frozenset(found): recover(code, gone | missing - frozenset(found) | {wanted}, wanted) is not None
        for n in range(len(others) + 1)
        for found in combinations(sorted(others), n)
    }
    helps = {
        cell
        for cell in others
        if any(suffices[found | {cell}] and not does for found, does in suffices.items() if cell not in found)
    }
    assert companions(code, gone, missing, wanted) == helps
