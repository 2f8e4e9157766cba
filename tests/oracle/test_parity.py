"""The oracle's parity proves itself: the field is a field, and every tolerable loss is computed back."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from tests.oracle.layouts import LAYOUT_NAMES, Stripe, stripe_of
from tests.oracle.parity import checks, combine, fill, gf_inverse, gf_mul, gf_pow, reachable, recipes, solve

STRIPES = [
    stripe_of(level, layout, raid_disks, row)
    for level, names in LAYOUT_NAMES.items()
    for layout in names
    for raid_disks in (4, 6)
    for row in range(3)
]


def test_generator_has_full_order() -> None:
    assert {gf_pow(exponent) for exponent in range(255)} == set(range(1, 256))
    assert gf_pow(255) == 1
    assert gf_mul(0x80, 2) == 0x1D


def test_multiplication_distributes_and_inverts() -> None:
    random = Random(1)
    for _ in range(300):
        a, b, c = (random.randrange(256) for _ in range(3))
        assert gf_mul(a, b) == gf_mul(b, a)
        assert gf_mul(a, b ^ c) == gf_mul(a, b) ^ gf_mul(a, c)
    assert all(gf_mul(a, gf_inverse(a)) == 1 for a in range(1, 256))


def test_p_and_q_byte_by_byte() -> None:
    stripe = Stripe(p=3, q=4, data=(0, 1, 2), exponent=(0, 1, 2))
    cells = fill(stripe, [b"\x01\xff", b"\x02\x10", b"\x80\x00"])
    assert cells[3] == bytes([0x01 ^ 0x02 ^ 0x80, 0xFF ^ 0x10])
    assert cells[4] == bytes([0x01 ^ gf_mul(2, 0x02) ^ gf_mul(4, 0x80), 0xFF ^ gf_mul(2, 0x10)])


@pytest.mark.parametrize("stripe", STRIPES)
def test_every_tolerable_loss_is_computed_back(stripe: Stripe) -> None:
    random = Random(2)
    cells = fill(stripe, [random.randbytes(7) for _ in stripe.data])
    for equation in checks(stripe):
        assert combine(equation, cells, 7) == bytes(7)
    for count in range(1, len(checks(stripe)) + 1):
        for lost in combinations(cells, count):
            left = {role: cell for role, cell in cells.items() if role not in lost}
            assert solve(stripe, left) == cells
            assert reachable(stripe, left) == {*cells}


@pytest.mark.parametrize("stripe", STRIPES)
def test_beyond_tolerance_only_what_is_left_is_known(stripe: Stripe) -> None:
    roles = {*stripe.data, stripe.p, stripe.q} - {None}
    for lost in combinations(sorted(role for role in roles if role is not None), len(checks(stripe)) + 1):
        assert recipes(stripe, frozenset(roles - {*lost})) == {}
