"""The field's tables against multiplication by shift and add."""

from __future__ import annotations

import pytest

from raidfs.erasure.gf256 import EXP, LOG, inverse, multiply, power
from tests.oracle.parity import gf_mul, gf_pow


def test_every_product() -> None:
    for left in range(256):
        for right in range(256):
            assert multiply(left, right) == gf_mul(left, right)


def test_every_inverse() -> None:
    for value in range(1, 256):
        assert gf_mul(value, inverse(value)) == 1
    with pytest.raises(ZeroDivisionError, match="0 has no inverse"):
        inverse(0)


def test_powers_go_round() -> None:
    for exponent in range(600):
        assert power(exponent) == gf_pow(exponent)
    assert sorted(EXP[:255].tolist()) == list(range(1, 256))
    assert all(LOG[EXP[exponent]] == exponent for exponent in range(255))
