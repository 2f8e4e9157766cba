"""Recorded positions that lie further than the reshape came: nothing that it never moved is called good."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.test_accusing import seen, true_content
from tests.oracle.layouts import Geometry
from tests.support.golden import Case, cases_here
from tests.support.positions import record
from tests.support.restarts import K, Kind, begun, served

FURTHER = {
    "i-r10-n2-4to6-12-64k": (44 << 20, 48234496),
    "r-r10-o2-to-n2": (18 << 20, 24 << 20),
    "r-r10-chunk-64to128": (18 << 20, 24 << 20),
    "f-r5-layout-ls-to-ra": (22 << 20,),
    "f-r5-chunk-64to128-12": (33 << 20, 45 << 20),
    "i-r0-3to4-12-64k": (72351744,),
    "g-r5to6-4to5-12-64k": (30 << 20, 54 << 20),
    "g-r6to5-5to4-12-64k": (33 << 20, 60 << 20),
    "r-r0-to-r5-exact": (28 << 20, 51 << 20),
    "a-r5-3to4-12-64k-40": (30 << 20, 45 << 20),
    "h-r6-4to6-12-64k": (35 << 20,),
}
UNIT = 12 * 65536
"""A whole stripe of each of them, or several."""


@pytest.mark.golden
@pytest.mark.parametrize("case", cases_here(*FURTHER), ids=lambda case: case.name)
def test_a_position_that_is_too_far_serves_nothing_wrong_as_good(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    for position in FURTHER[case.name]:
        for member in members:
            with suppress(LookupError):
                record(member, position // UNIT * UNIT)
        found = seen(members)
        content, whole = found.content[: case.array_size], true_content(case)
        wrong = content != whole[: len(content)]
        assert not wrong[found.good[: len(content)]].any()
        assert not wrong[~found.lost[: len(content)]].any()
        assert any("lies too far by the data" in each or "begun anew" in each for each in found.findings)


@pytest.mark.parametrize("rows", [0, 3, 8, 20, 40])
def test_a_reshape_that_went_on_without_record_is_none(rows: int, tmp_path: Path) -> None:
    """Also where it went so far that the old copies behind the position are overwritten, and their old places too."""
    kind = Kind(Geometry(5, 5, 4, 64 * K), Geometry(5, 2, 4, 64 * K), room=512 * K, filled=(3,))
    array = begun(kind, 0.25)
    array.tear(array.position + rows * kind.after.stripe_size)
    wrong, withheld, said = served(array.save(tmp_path), bytes(array.truth))
    assert wrong == 0
    assert withheld == 0
    assert "lies too far" not in said
