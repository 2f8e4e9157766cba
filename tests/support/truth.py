"""What a golden array holds, for tests that compare bytes and not only digests."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from raidfs.block import read_exact
from raidfs.cli.session import open_array
from tests.support.golden import Case


@lru_cache(maxsize=12)
def truth(case: Case) -> bytes:
    """Return the whole array, read from members without any fault and proven by the digest that the case carries."""
    with open_array([str(path) for path in case.members()]) as array:
        content, lost = read_exact(array.source, 0, array.source.size)
    assert not lost
    assert hashlib.sha256(content).hexdigest() == case.expected_sha256
    return content
