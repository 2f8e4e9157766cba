"""Facts are what was given, and what the recorded position leaves open."""

from __future__ import annotations

from raidfs.engine.account import Account
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.report.facts import gather
from tests.support.samples import sample
from tests.support.simulated import describe


def test_facts_are_gathered_once() -> None:
    description = describe(sample("in-place"))
    account = Account(description.size, 0, 0, 0, 0)
    finding = Finding(Severity.NOTE, "array", "all is well")
    facts = gather(description, account, [finding])
    assert (facts.description, facts.account, facts.findings) == (description, account, (finding,))
    assert facts.undecided == Extents.span(sample("in-place").position, description.size)
    assert gather(describe(sample("growing")), account, []).undecided == Extents()
