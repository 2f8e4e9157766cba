"""P and Q by their definition, and what can be computed from what is left, by Gaussian elimination.

The field is GF(256) with x^8 + x^4 + x^3 + x^2 + 1 (0x11d) and the generator g = 2; multiplication is shift and add.
Cells of a stripe are named by their role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from tests.oracle.layouts import Stripe

Combination = dict[int, int]
"""Coefficient of each role's cell."""


def gf_mul(a: int, b: int) -> int:
    """The product of two field elements, by shift and add."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return product


def gf_pow(exponent: int) -> int:
    """g^exponent."""
    power = 1
    for _ in range(exponent):
        power = gf_mul(power, 2)
    return power


@cache
def gf_inverse(a: int) -> int:
    """The element that gives 1 with `a`, by trying them all."""
    return next(b for b in range(256) if gf_mul(a, b) == 1)


@cache
def _times(coefficient: int) -> bytes:
    return bytes(gf_mul(coefficient, value) for value in range(256))


def scale(coefficient: int, block: bytes) -> bytes:
    """Every byte of a block times a coefficient."""
    return block.translate(_times(coefficient))


def add(blocks: Iterable[bytes], length: int) -> bytes:
    """The sum (XOR) of blocks of `length` bytes each."""
    total = 0
    for block in blocks:
        total ^= int.from_bytes(block, "little")
    return total.to_bytes(length, "little")


def combine(terms: Combination, cells: Mapping[int, bytes], length: int) -> bytes:
    """The sum of coefficient * cell over all terms."""
    return add((scale(c, cells[role]) if c != 1 else cells[role] for role, c in terms.items() if c), length)


def checks(stripe: Stripe) -> list[Combination]:
    """The equations of a stripe: each combination of its cells is zero."""
    equations = [dict.fromkeys((*stripe.data, stripe.p), 1)]
    if stripe.q is not None:
        equations.append({role: gf_pow(e) for role, e in zip(stripe.data, stripe.exponent, strict=True)})
        equations[1][stripe.q] = 1
    return equations


def fill(stripe: Stripe, data: list[bytes]) -> dict[int, bytes]:
    """All cells of a stripe, by role, from its data chunks in order."""
    cells = dict(zip(stripe.data, data, strict=True))
    length = len(data[0])
    cells[stripe.p] = add(data, length)
    if stripe.q is not None:
        cells[stripe.q] = add((scale(gf_pow(e), d) for e, d in zip(stripe.exponent, data, strict=True)), length)
    return cells


@lru_cache(maxsize=65536)
def recipes(stripe: Stripe, known: frozenset[int]) -> dict[int, Combination]:
    """How to compute each unknown cell of a stripe that the known ones determine.

    Eliminate the unknown cells from the check equations; an unknown is determined if and only if some equation is
    left with it as its only unknown.

    Args:
        stripe: the stripe.
        known: roles whose cells are valid.

    Returns:
        For each role that can be computed: the coefficients of known cells whose sum it is.
    """
    roles = (*stripe.data, stripe.p) + (() if stripe.q is None else (stripe.q,))
    unknown = [role for role in roles if role not in known]
    rows = [dict(equation) for equation in checks(stripe)]
    done: list[tuple[int, Combination]] = []
    for pivot in unknown:
        row = next((row for row in rows if row.get(pivot)), None)
        if row is None:
            continue
        rows.remove(row)
        inverse = gf_inverse(row[pivot])
        row = {role: gf_mul(inverse, c) for role, c in row.items()}
        rows = [_minus(other, other.get(pivot, 0), row) for other in rows]
        done = [(p, _minus(other, other.get(pivot, 0), row)) for p, other in done] + [(pivot, row)]
    return {
        pivot: {role: c for role, c in row.items() if role != pivot and c}
        for pivot, row in done
        if not any(c and role in unknown and role != pivot for role, c in row.items())
    }


def _minus(row: Combination, coefficient: int, other: Combination) -> Combination:
    return {role: row.get(role, 0) ^ gf_mul(coefficient, other.get(role, 0)) for role in {**row, **other}}


def reachable(stripe: Stripe, known: Iterable[int]) -> frozenset[int]:
    """The roles of a stripe whose cells are known or can be computed from the known ones."""
    cells = checks(stripe)[0].keys() | checks(stripe)[-1].keys()
    return (frozenset(known) & cells) | recipes(stripe, frozenset(known)).keys()


def solve(stripe: Stripe, cells: Mapping[int, bytes]) -> dict[int, bytes]:
    """The given cells of a stripe and all that can be computed from them, by role."""
    length = len(next(iter(cells.values())))
    computed = {role: combine(terms, cells, length) for role, terms in recipes(stripe, frozenset(cells)).items()}
    return {**cells, **computed}
