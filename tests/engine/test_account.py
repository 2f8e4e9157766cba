"""The account without reading: sums to the size, agrees with the runs, and costs nothing on giant arrays."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.shape import Level
from raidfs.engine import account
from raidfs.engine.account import Account, account_of, class_runs, extents_with, health_runs
from raidfs.engine.chart import SectionChart, chart_sections
from raidfs.engine.damage import Flaw, known_flaws
from raidfs.engine.health import Health, Trust
from raidfs.extents import Extents
from tests.support.crashes import Damaged, arrays, damages
from tests.support.samples import sample
from tests.support.simulated import describe, plain_description


def charts_of(damaged: Damaged) -> tuple[SectionChart, ...]:
    """All damage known from the start."""
    description = damaged.description
    roles = sorted(description.serving)
    flaws = list(known_flaws(description, description.of_roles(roles), [source.size for _, source in damaged.sources]))
    flaws += [
        Flaw(roles.index(role), Extents([place]), Trust.NONE, "bad") for role, place in damaged.bad if role in roles
    ]
    return chart_sections(description, description.of_roles(roles), flaws)


def counted(charts: tuple[SectionChart, ...], size: int) -> list[int]:
    found: Counter[Health] = Counter()
    for start, stop, health in health_runs(charts, 0, size):
        found[health] += stop - start
    return [found[health] for health in Health]


@settings(max_examples=80)
@given(st.data(), arrays().flatmap(damages), st.sampled_from([1, 2, 5, 4096]))
def test_account_runs_and_extents_agree(data: st.DataObject, damaged: Damaged, at_once: int) -> None:
    charts, size = charts_of(damaged), damaged.array.size
    told = account_of(charts)
    assert told.total == size
    assert [told.good, told.rebuilt, told.unproven, told.doubtful, told.lost] == counted(charts, size)
    start, stop = sorted(data.draw(st.tuples(st.integers(0, size), st.integers(0, size))))
    whole = list(health_runs(charts, 0, size))
    clipped = [(max(a, start), min(b, stop), health) for a, b, health in whole if a < stop and b > start]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account, "_CODEWORDS_AT_ONCE", at_once)
        assert list(health_runs(charts, 0, size)) == whole
        assert list(health_runs(charts, start, stop)) == [run for run in clipped if run[0] < run[1]]
        for healths in (frozenset([Health.LOST]), frozenset([Health.GOOD, Health.REBUILT]), frozenset(Health)):
            expected = Extents([(a, b) for a, b, health in whole if health in healths])
            assert extents_with(charts, healths, start, stop) == expected.clip(start, stop)


def test_classes_are_taken_together() -> None:
    description = describe(sample("raid5"), without=(0,))
    charts = chart_sections(description, description.of_roles([1, 2, 3]), ())
    assert len(list(health_runs(charts, 0, description.size))) > 10
    served = [int(health > Health.UNPROVEN) for health in Health]
    assert list(class_runs(charts, 0, description.size, served)) == [(0, description.size, 0)]


def test_a_petabyte_is_accounted_for_at_once() -> None:
    description = plain_description(Level.RAID6, "left-symmetric", 10, 512 * 1024, (1 << 50) // (8 * 512 * 1024))
    flaws = (Flaw(3, Extents([(1 << 40, (1 << 40) + 512), (1 << 44, (1 << 44) + 4096)]), Trust.NONE, "bad"),)
    told = account_of(chart_sections(description, description.of_roles(list(range(10))), flaws))
    assert told.total == description.size
    assert 0 < told.rebuilt <= 4096 + 512
    without = account_of(chart_sections(description, description.of_roles([0, 1, 2, 3, 4, 5, 6]), ()))
    assert without.total == description.size
    assert without.lost == pytest.approx(description.size * 3 / 10, rel=1e-6)


def test_the_worst_byte_counts() -> None:
    assert Account(5, 0, 0, 0, 0).worst is Health.GOOD
    assert Account(5, 1, 0, 0, 0).worst is Health.REBUILT
    assert Account(5, 1, 2, 3, 0).worst is Health.DOUBTFUL
    assert Account(0, 0, 0, 0, 9).worst is Health.LOST
    assert Account(0, 0, 0, 0, 0).worst is Health.GOOD
