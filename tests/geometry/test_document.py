"""The printed layouts are those of the code, and the code's are the kernel's."""

from __future__ import annotations

import re

import pytest

from raidfs.geometry.document import layouts_document
from tests.oracle.layouts import RAID5_NAMES, RAID6_NAMES, Geometry


@pytest.mark.parametrize(
    ("level", "layout", "name"),
    [(5, *item) for item in RAID5_NAMES.items()] + [(6, *item) for item in RAID6_NAMES.items()],
)
def test_every_layout_is_printed_as_the_oracle_has_it(level: int, layout: int, name: str) -> None:
    n = {5: 4, 6: 5}[level]
    part = layouts_document().split(f"## RAID{level}\n")[1].split("\n## ")[0]
    (table,) = re.findall(rf"### {re.escape(name)} \({layout}\), {n} members\n\n```\n(.*?)\n```", part, re.DOTALL)
    head, *rows = table.split("\n")
    assert head.split()[: n + 1] == ["stripe", *(f"D{k}" for k in range(n - level + 4)), *"PQ"[: level - 4]]
    for row, line in enumerate(rows):
        stripe = Geometry(level, layout, n, 1).stripe(row)
        parity = [stripe.p] if stripe.q is None else [stripe.p, stripe.q]
        assert [int(word) for word in line.split()] == [row, *stripe.data, *parity, *stripe.exponent]


def test_raid4_is_printed_once() -> None:
    assert layouts_document().count("### parity-last (any), 4 members") == 1
