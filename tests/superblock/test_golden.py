"""Every superblock of the golden cases is read as mdadm reads it."""

from __future__ import annotations

import pytest

from raidfs.block import MemorySource
from raidfs.superblock import claim_of, scan
from tests.support.examined import assert_as_examined, examined_members
from tests.support.golden import Case, golden_cases


@pytest.mark.golden
@pytest.mark.parametrize("case", golden_cases(1), ids=lambda case: case.name)
def test_claims_of_all_members_are_what_mdadm_reads(case: Case) -> None:
    members = case.members()
    for index, text in examined_members(case.examine_text):
        scanned = scan(MemorySource(members[index].read_bytes()), "sda")
        assert scanned.findings == ()
        assert [found.intact for found in scanned.found] == [True]
        assert scanned.found[0].findings == ()
        assert_as_examined(claim_of(scanned.found[0]), text)
