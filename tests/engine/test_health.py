"""The order of healths and what is served of them."""

from __future__ import annotations

from raidfs.engine.health import Health, Policy, Trust


def test_from_best_to_worst() -> None:
    assert [health.word for health in sorted(Health)] == ["good", "rebuilt", "unproven", "doubtful", "lost"]
    assert sorted(Trust) == [Trust.SURE, Trust.UNPROVEN, Trust.DOUBTFUL, Trust.LAST, Trust.NONE]


def test_served_by_default_are_the_first_three() -> None:
    assert Policy().limit is Health.UNPROVEN
    assert Policy(doubtful=True).limit is Health.DOUBTFUL
    assert Policy(strict=True).limit is Health.REBUILT
