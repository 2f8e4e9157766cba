"""From member files with their superblocks to the bytes: both executors, and files that change under them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, Member
from raidfs.block import BlockSource, MemorySource, read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine import array_source
from raidfs.engine.account import account_of
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Health, Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry, locate
from tests.oracle.writer import Simulation, write_array
from tests.support.contract import assert_contract
from tests.support.crashes import Damaged, arrays
from tests.support.nowait import answers_at_once
from tests.support.samples import EXACT, sample
from tests.support.scenes import as_recorded
from tests.support.worth import SECTOR, healths


def save(damaged: Damaged, folder: Path) -> list[str]:
    """Write the images as they are left; members that failed long ago too."""
    gone = [damaged.array.roles[role].device_number for role in damaged.missing]
    paths = damaged.array.save(folder, without=gone)
    for role, size in damaged.truncated:
        path = folder / f"disk{damaged.array.roles[role].device_number}.img"
        if path.exists():
            os.truncate(path, size)
    return [str(path) for path in paths]


@contextmanager
def both(array: OpenArray, policy: Policy = Policy()) -> Iterator[tuple[ArraySource, ArraySource]]:
    """The array over its files, and over the same bytes in memory, which only the plan in Python can read."""
    description = as_recorded(array.description)
    fast = ArraySource(description, array.serving, policy)
    memory: list[tuple[Member, BlockSource]] = [
        (member, MemorySource(Path(image.path).read_bytes())) for member, image in array.serving
    ]
    slow = ArraySource(description, memory, policy)
    try:
        yield fast, slow
    finally:
        fast.close()
        slow.close()


@st.composite
def left_overs(draw: st.DrawFn) -> Damaged:
    """Draw an array whose members say themselves what is wrong with them; some are gone or cut short."""
    array = draw(arrays())
    roles = sorted(array.roles)
    missing = draw(st.frozensets(st.sampled_from(roles), max_size=2)) if len(roles) > 2 else frozenset()
    truncated: tuple[tuple[int, int], ...] = ()
    if draw(st.booleans()):
        end = draw(st.integers(array.members[0].data_offset // SECTOR, array.size_of_device // SECTOR)) * SECTOR
        truncated = ((draw(st.sampled_from(roles)), end),)
    return Damaged(array, missing, truncated)


@settings(max_examples=120)
@given(st.data(), left_overs())
def test_what_the_superblocks_tell_is_served_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, damaged: Damaged
) -> None:
    expected = np.repeat(healths(damaged.situation), SECTOR)
    truth = np.frombuffer(damaged.array.truth, dtype=np.uint8)
    paths = save(damaged, tmp_path_factory.mktemp("members"))
    with open_array(paths) as array, both(array) as (fast, slow):
        assert array.description.size == damaged.array.size
        content, lost = read_exact(fast, 0, fast.size)
        assert read_exact(slow, 0, slow.size) == (content, lost)
        assert fast.known_losses(0, fast.size) == slow.known_losses(0, slow.size) == lost
        withheld = expected > Health.UNPROVEN
        account = account_of(fast.sight.charts)
        assert account.lost + account.doubtful == int(withheld.sum())
        assert account.lost <= int((expected == Health.LOST).sum())  # old copies, and members that left, may hold some
        assert lost.total == int(withheld.sum())
        served = np.frombuffer(content, dtype=np.uint8)
        sure = (expected <= (Health.REBUILT if damaged.has_stale_parity else Health.UNPROVEN)) & ~withheld
        assert np.array_equal(served[sure], truth[sure])
        assert not served[withheld].any()
        start, stop = sorted(data.draw(st.tuples(st.integers(0, fast.size), st.integers(0, fast.size))))
        out = np.zeros(stop - start, dtype=np.uint8)
        assert not slow.try_read_into(start, out) or start == stop
        assert read_exact(fast, start, stop - start) == (content[start:stop], lost.clip(start, stop).shift(-start))
        # now it is known, too, whether a sector of which only a part was asked for is filled
        if fast.try_read_into(start, out):
            assert (out.tobytes(), Extents()) == (content[start:stop], lost.clip(start, stop))
        else:
            assert lost.overlaps(start, stop) or not answers_at_once(Path(paths[0]))


@pytest.mark.parametrize("name", EXACT)
def test_an_array_of_files_keeps_the_contract(name: str, tmp_path: Path) -> None:
    paths = [str(path) for path in sample(name).save(tmp_path, without=[1])]
    with open_array(paths) as array:
        losses = array.source.known_losses(0, array.description.size)
        assert_contract(array.source, sample(name).truth, losses)


@pytest.mark.parametrize("name", EXACT)
def test_healthy_and_degraded_windows_need_no_waiting(name: str, tmp_path: Path) -> None:
    array = sample(name)
    for without in ([], [1]):
        paths = [str(path) for path in array.save(tmp_path, without=without)]
        with open_array(paths) as opened:
            out = np.zeros(array.size, dtype=np.uint8)
            # the first time, blocks of which the array holds a part only are asked about
            assert opened.source.read_into(np.array([[0, array.size, 0]]), out) == Extents()
            assert out.tobytes() == array.truth
            assert opened.source.try_read_into(0, out) == answers_at_once(Path(paths[0]))
            assert out.tobytes() == array.truth


# Files that change while they are read -------------------------------------------------------------------------------


FOUR = Geometry(5, 2, 4, 4096)


@pytest.fixture
def array() -> Simulation:
    return write_array(FOUR, 64 * 1024, data_offset=65536)


def own(array: Simulation, *roles: int) -> Extents:
    """Array bytes whose own place is on one of the members."""
    starts = range(0, array.size, FOUR.chunk)
    return Extents([(at, at + FOUR.chunk) for at in starts if locate(FOUR, at)[0] in roles])


def assert_served(source: ArraySource, truth: bytes, lost: Extents) -> None:
    """Whole and in pieces: the truth, but for exactly these losses."""
    for start, stop in [(0, source.size), (5000, 9000), (source.size - 1, source.size)]:
        content, missing = read_exact(source, start, stop - start)
        assert missing == lost.clip(start, stop).shift(-start)
        expected = bytearray(truth[start:stop])
        for a, b in missing:
            expected[a:b] = bytes(b - a)
        assert content == bytes(expected)


def scribble(path: Path) -> None:
    """Overwrite the data of a member, some seconds after it was opened as far as the file tells."""
    with path.open("r+b") as file:
        file.seek(65536)
        file.write(b"\xee" * 64 * 1024)
    os.utime(path, ns=(0, 1))


def test_a_file_that_is_written_to_is_erased_and_rebuilt_around(array: Simulation, tmp_path: Path) -> None:
    paths = array.save(tmp_path)
    with open_array([str(path) for path in paths]) as opened:
        assert_served(opened.source, array.truth, Extents())
        scribble(paths[1])
        assert_served(opened.source, array.truth, Extents())
        assert any("disk1.img" in finding.message for finding in opened.findings)
        scribble(paths[3])
        assert_served(opened.source, array.truth, own(array, 1, 3))
        assert opened.account().lost == own(array, 1, 3).total


def test_a_change_that_another_reader_finds_first_is_not_served_at_once(
    array: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reader has read without waiting, another finds the change, only then the first looks for changes."""
    paths = array.save(tmp_path)
    (start, stop), *_ = own(array, 1)
    (other_start, other_stop), *_ = own(array, 0)
    serve_nowait = array_source.serve_nowait  # type: ignore[attr-defined]  # what the module itself calls
    with open_array([str(path) for path in paths]) as opened, ThreadPoolExecutor(1) as pool:
        source = opened.source

        def served_then_found(*arguments: object) -> int:
            monkeypatch.setattr(array_source, "serve_nowait", serve_nowait)
            scribble(paths[1])
            result = serve_nowait(*arguments)  # type: ignore[arg-type]  # passed on as they came
            found = pool.submit(read_exact, source, other_start, other_stop - other_start).result()
            assert found == (array.truth[other_start:other_stop], Extents())
            return result

        monkeypatch.setattr(array_source, "serve_nowait", served_then_found)
        assert read_exact(source, start, stop - start) == (array.truth[start:stop], Extents())


def test_a_file_that_is_cut_short_is_rebuilt_around(array: Simulation, tmp_path: Path) -> None:
    paths = array.save(tmp_path)
    with open_array([str(path) for path in paths]) as opened:
        assert_served(opened.source, array.truth, Extents())
        os.truncate(paths[2], 65536 + 10_000)
        assert_served(opened.source, array.truth, Extents())
        os.truncate(paths[0], 0)
        assert_served(opened.source, array.truth, own(array, 0, 2))


def test_a_file_that_is_replaced_stays_what_was_opened(array: Simulation, tmp_path: Path) -> None:
    paths = array.save(tmp_path)
    with open_array([str(path) for path in paths]) as opened:
        paths[1].unlink()
        paths[1].write_bytes(bytes(array.size_of_device))
        assert_served(opened.source, array.truth, Extents())


def test_files_that_may_change_are_not_watched(array: Simulation, tmp_path: Path) -> None:
    paths = array.save(tmp_path)
    with open_array([str(path) for path in paths], Options(force_live=True)) as opened:
        read_exact(opened.source, 0, array.size)
        os.utime(paths[1], ns=(0, 1))
        assert_served(opened.source, array.truth, Extents())
        assert opened.source.generation == 0


@pytest.mark.parametrize("doubtful", [False, True])
def test_doubtful_bytes_are_served_on_request_only(doubtful: bool, tmp_path: Path) -> None:
    simulated = sample("in-place")
    paths = [str(path) for path in simulated.save(tmp_path)]
    with open_array(paths, Options(policy=Policy(doubtful=doubtful))) as opened:
        content, lost = read_exact(opened.source, 0, simulated.size)
        assert lost == (Extents() if doubtful else Extents.span(simulated.position, simulated.size))
        assert content[: simulated.position] == simulated.truth[: simulated.position]
        assert opened.account().doubtful == simulated.size - simulated.position
        if doubtful:
            assert content == simulated.truth  # nothing was overwritten in this one


@pytest.mark.parametrize("strict", [False, True])
def test_unproven_bytes_are_withheld_on_request_only(strict: bool, array: Simulation, tmp_path: Path) -> None:
    array.resync_offset = 8192
    array.checkpoint()
    paths = [str(path) for path in array.save(tmp_path, without=[1])]
    beyond = own(array, 1).difference(Extents.span(0, 2 * FOUR.stripe_size))
    with open_array(paths, Options(policy=Policy(strict=strict))) as opened:
        assert opened.account().unproven == beyond.total
        assert_served(opened.source, array.truth, beyond if strict else Extents())


def test_descriptions_are_what_the_superblocks_say(array: Simulation, tmp_path: Path) -> None:
    with open_array([str(path) for path in array.save(tmp_path)]) as opened:
        description: ArrayDescription = opened.description
    assert (description.size, description.component_size) == (array.size, array.component_size)
    assert str(description.shape) == "raid5, left-symmetric, chunk 4 KiB, 4 members"
