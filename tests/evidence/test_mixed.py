"""A sum of pages is more mixed than each of them: parity is told by that, and never a page taken for it."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from math import log2
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.engine.health import Health
from raidfs.evidence import survey
from raidfs.evidence.cells import Flags
from raidfs.evidence.front import find_front
from raidfs.evidence.mixed import entropies, more_mixed
from tests.oracle.files import files
from tests.support.storms import CRASHES_PER_STORM, file_crashes, judge, read_crash

PAGE = 4096
N_PAGES = 3000


def pages_of(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(-1, PAGE)


def rows_of(content: NDArray[np.uint8], n_data: int, chunk: int) -> NDArray[np.uint8]:
    """Return the rows of an array, parity last: uint8 (k, n, 4096)."""
    per_stripe = n_data * chunk
    data = content[: len(content) // per_stripe * per_stripe].reshape(-1, n_data, chunk, PAGE).transpose(0, 2, 1, 3)
    rows = data.reshape(-1, n_data, PAGE)
    return np.concatenate((rows, np.bitwise_xor.reduce(rows, axis=1)[:, None]), axis=1)


def told(rows: NDArray[np.uint8], seed: int = 0) -> tuple[Flags, Flags]:
    """Return in which rows the parity is told from some page, and in which the page is taken for the parity."""
    parity = np.full(len(rows), rows.shape[1] - 1)
    page = np.random.default_rng(seed).integers(0, rows.shape[1] - 1, len(rows))
    return more_mixed(rows, parity, page)


@given(alphabets=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3), seed=st.integers(0, 1 << 30))
@settings(max_examples=20, deadline=None)
def test_entropy_is_that_of_the_bytes(alphabets: list[bytes], seed: int) -> None:
    random = Random(seed)
    pages = [bytes(random.choices(each, k=PAGE)) for each in alphabets]
    expected = [-sum(n / PAGE * log2(n / PAGE) for n in Counter(page).values()) for page in pages]
    assert np.allclose(entropies(pages_of(b"".join(pages))), expected)


@pytest.mark.parametrize("chunk", [1, 4, 16])
@pytest.mark.parametrize("n_data", [2, 3, 4, 5, 8])
def test_of_files_most_rows_tell_and_none_is_deceived(n_data: int, chunk: int) -> None:
    content = pages_of(files(Random(n_data), N_PAGES * PAGE))
    is_sum, is_wrong = told(rows_of(content, n_data, chunk))
    assert not is_wrong.any()
    assert is_sum.mean() > 0.2


@pytest.mark.parametrize("n_data", [1, 2, 3, 4])
def test_what_is_as_mixed_as_can_be_tells_nothing(n_data: int) -> None:
    rows = rows_of(pages_of(Random(1).randbytes(600 * PAGE)), n_data, 1)
    assert not np.any(told(rows))
    half = rows.copy()
    half[:, 0] = 0  # and nor does what has no other cells that hold something
    half[:, -1] = np.bitwise_xor.reduce(half[:, :-1], axis=1)
    assert not np.any(told(half))


@given(
    seed=st.integers(0, 1 << 30),
    n_data=st.integers(2, 5),
    changed=st.sampled_from([0, 1, 30, 400, 2000, 4000]),
    cut=st.integers(1, PAGE),
)
@settings(max_examples=60, deadline=None)
def test_pages_and_their_changed_copies_are_no_sums(seed: int, n_data: int, changed: int, cut: int) -> None:
    random = Random(seed)
    content = files(random, 40 * PAGE)
    pages = [content[start : start + PAGE] for start in range(0, len(content), PAGE)]
    row = [bytearray(random.choice(pages)) for _ in range(n_data)]
    copy = bytearray(row[0][:cut].ljust(PAGE, b"\0"))
    for _ in range(changed):
        copy[random.randrange(PAGE)] = random.choice(row[0])
    row[1] = copy
    random.shuffle(row)
    cells = pages_of(b"".join(row))
    rows = np.concatenate((cells, np.bitwise_xor.reduce(cells, axis=0)[None]))[None]
    for page in range(n_data):
        assert not more_mixed(rows, np.array([page]), np.array([n_data]))[0].any()


def silent(_cells_: NDArray[np.uint8], one: NDArray[np.int64], _two_: NDArray[np.int64]) -> tuple[Flags, Flags]:
    return np.zeros(len(one), dtype=np.bool_), np.zeros(len(one), dtype=np.bool_)


@pytest.mark.parametrize("seed", range(10))
def test_no_byte_of_files_that_is_served_is_wrong(seed: int) -> None:
    for number, crash in enumerate(file_crashes(seed)):
        if number % (CRASHES_PER_STORM // 4) == 0:
            tally = judge(crash, by_reading=len(crash.sources) < crash.description.n_roles)
            assert (tally.wrong, tally.wrong_unproven, tally.traceless) == (0, 0, 0), crash.story


def test_more_is_served_by_it_and_nothing_good_is_lost_or_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    withheld, told_by = [0, 0], set[str]()
    for seed in (0, 3, 4, 7):
        crash = next(islice(file_crashes(seed), 2, None))
        front = find_front(crash.description, dict(crash.sources), crash.in_flight)
        assert front.reshape is not None
        assert front.reshape.front is not None
        told_by |= {proof.says for proof in front.reshape.front.proofs if "as mixed as a sum" in proof.what}
        with_it, health = read_crash(front, crash)
        with monkeypatch.context() as patched:
            patched.setattr(survey, "more_mixed", silent)
            found = find_front(crash.description, dict(crash.sources), crash.in_flight)
        without, before = read_crash(found, crash)
        was_good = before < Health.UNPROVEN
        assert (health[was_good] < Health.UNPROVEN).all(), crash.story
        assert (with_it[was_good] == without[was_good]).all(), crash.story
        withheld[0] += int((before > Health.UNPROVEN).sum())
        withheld[1] += int((health > Health.UNPROVEN).sum())
    assert withheld[1] < 0.8 * withheld[0]
    assert {says.split()[0] for says in told_by} == {"written", "not"}, "each proof is kept to be shown"
