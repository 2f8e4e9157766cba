"""The fast executor serves the same bytes as the plan, or says that it cannot; it never waits and never guesses."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from raidfs.engine.chart import chart_sections
from raidfs.engine.damage import known_flaws
from raidfs.engine.flatten import flatten, make_work
from raidfs.engine.health import Health
from raidfs.kernels.fused import GAVE_UP, SERVED, SERVED_FILLED, serve_nowait
from raidfs.kernels.plan import Chart
from tests.oracle.layouts import locate
from tests.support.nowait import answers_at_once
from tests.support.samples import EXACT, sample
from tests.support.simulated import describe

LIMIT = int(Health.UNPROVEN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "probe").write_bytes(bytes(512))
    return tmp_path


def chart_of(name: str, roles: list[int]) -> Chart:
    array = sample(name)
    description = describe(array, without=array.roles.keys() - set(roles))
    return flatten(
        chart_sections(
            description,
            description.of_roles(roles),
            known_flaws(description, description.of_roles(roles), [array.size_of_device] * len(roles)),
        )
    )


def said(name: str, folder: Path, roles: list[int], start: int, stop: int) -> int:
    """Serve array bytes from files; return what is said about it."""
    fds = [os.open(folder / f"disk{role}.img", os.O_RDONLY) for role in roles]
    try:
        chart, out, room = chart_of(name, roles), np.zeros(stop - start, np.uint8), np.zeros(1 << 18, np.uint8)
        files = np.array([(fd, 0) for fd in fds], dtype=np.int64)
        return serve_nowait(chart, make_work(chart), files, out, room, start, LIMIT)
    finally:
        for fd in fds:
            os.close(fd)


def served(name: str, folder: Path, roles: list[int], start: int, stop: int, scratch: int = 1 << 18) -> bytes | None:
    """Serve array bytes from files; None where it gave up."""
    fds = [os.open(folder / f"disk{role}.img", os.O_RDONLY) for role in roles]
    try:
        chart = chart_of(name, roles)
        out = np.full(stop - start, 0xA5, dtype=np.uint8)
        room = np.zeros(scratch, dtype=np.uint8)
        whole = serve_nowait(
            chart, make_work(chart), np.array([(fd, 0) for fd in fds], dtype=np.int64), out, room, start, LIMIT
        )
        return out.tobytes() if whole else None
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("name", EXACT)
def test_it_serves_the_truth(name: str, folder: Path) -> None:
    array = sample(name)
    array.save(folder)
    roles = sorted(array.roles)
    for present in (roles, [role for role in roles if role != 1]):
        for start, stop in ((0, array.size), (777, 778), (4095, 41000), (array.size - 5, array.size)):
            content = served(name, folder, present, start, min(stop, array.size))
            truth = array.truth[start : min(stop, array.size)]
            assert content == (truth if answers_at_once(folder / "probe") else None)


@pytest.mark.parametrize("name", ["raid5", "raid6", "growing"])
def test_it_says_whether_anything_that_it_read_is_filled(name: str, folder: Path) -> None:
    array = sample(name)
    paths = array.save(folder)
    if not answers_at_once(paths[0]):
        assert said(name, folder, sorted(array.roles), 0, array.size) == GAVE_UP
        return
    geometry = array.after or array.geometry
    first, second = (locate(geometry, at)[0] for at in (0, geometry.chunk))
    everybody = sorted(array.roles)
    without = [role for role in everybody if role != second]
    assert said(name, folder, everybody, 0, array.size) == SERVED
    assert said(name, folder, without, 0, array.size) == SERVED
    for pattern in (b"\0", b"\xff", b"text"):
        with paths[first].open("r+b") as file:
            file.seek(array.members[first].new_data_offset + 1024)
            file.write(pattern * (512 // len(pattern)))
        assert said(name, folder, everybody, 0, array.size) == SERVED_FILLED
        # of a part of a block it is not seen whether it repeats what lies beside it
        assert said(name, folder, everybody, 0, 1024) == SERVED_FILLED
        chunk = geometry.chunk
        assert said(name, folder, everybody, chunk, 2 * chunk) == SERVED
        # nothing that is served is filled, but it went into the sum
        assert said(name, folder, without, chunk, 2 * chunk) == SERVED_FILLED


def test_a_window_is_served_in_parts_where_scratch_is_short(folder: Path) -> None:
    array = sample("raid5")
    array.save(folder)
    content = served("raid5", folder, [0, 2, 3], 0, array.size, scratch=3 * 4096)
    assert content == (array.truth if answers_at_once(folder / "probe") else None)
    assert served("raid5", folder, [0, 2, 3], 0, array.size, scratch=4095) is None


def test_it_gives_up_where_anything_is_lost(folder: Path) -> None:
    sample("raid5").save(folder)
    assert served("raid5", folder, [0, 2], 0, sample("raid5").size) is None


def test_it_gives_up_where_a_read_comes_short(folder: Path) -> None:
    images = sample("raid5").save(folder)
    os.truncate(images[2], sample("raid5").members[2].data_offset + 1000)
    assert served("raid5", folder, [0, 1, 2, 3], 0, sample("raid5").size) is None


def test_it_gives_up_where_a_read_fails(folder: Path) -> None:
    sample("raid5").save(folder)
    (folder / "disk2.img").unlink()
    (folder / "disk2.img").mkdir()  # reading a folder is an error
    assert served("raid5", folder, [0, 1, 2, 3], 0, sample("raid5").size) is None


def test_more_pieces_than_one_call_takes(folder: Path) -> None:
    """A member that is read whole in small chunks: more vectors than preadv may be given."""
    array = sample("raid5-wide")
    array.save(folder)
    chart = chart_of("raid5-wide", list(range(7)))
    work = make_work(chart)
    few = work._replace(iovec=work.iovec[:2])
    fds = [os.open(folder / f"disk{role}.img", os.O_RDONLY) for role in range(7)]
    try:
        out = np.zeros(array.size, dtype=np.uint8)
        scratch = np.zeros(0, dtype=np.uint8)
        whole = serve_nowait(chart, few, np.array([(fd, 0) for fd in fds], dtype=np.int64), out, scratch, 0, LIMIT)
        assert bool(whole) == answers_at_once(folder / "probe")
        assert not whole or out.tobytes() == array.truth
    finally:
        for fd in fds:
            os.close(fd)
