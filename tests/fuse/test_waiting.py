"""Waiting for the device: at once where a request is there, through trio where anything else may happen."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from raidfs.fuse.waiting import MOST_IN_A_ROW, Lock, Waiting


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for each in ends:
        os.close(each)


def turns_of_another(pipe: tuple[int, int], n_waits: int, *, is_busy: bool) -> int:
    """Wait for a pipe that can be read, again and again; return how many turns another task had meanwhile."""
    os.write(pipe[1], b"x")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        waiting = Waiting(lambda: is_busy)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(n_waits):
                await waiting.wait_readable(pipe[0])
            nursery.cancel_scope.cancel()

    trio.run(main)
    return turns


def test_what_is_there_is_had_at_once(pipe: tuple[int, int]) -> None:
    assert turns_of_another(pipe, MOST_IN_A_ROW, is_busy=False) <= 1


def test_other_tasks_have_their_turns_in_the_end(pipe: tuple[int, int]) -> None:
    assert turns_of_another(pipe, 10 * (MOST_IN_A_ROW + 1), is_busy=False) >= 9


def test_while_a_thread_works_its_answer_is_waited_for_too(pipe: tuple[int, int]) -> None:
    assert turns_of_another(pipe, 20, is_busy=True) >= 19


def test_what_comes_later_is_waited_for(pipe: tuple[int, int]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Waiting(lambda: False).wait_readable, pipe[0])
            await trio.testing.wait_all_tasks_blocked()
            os.write(pipe[1], b"x")

    trio.run(main)


def test_a_lock_that_is_held_is_waited_for() -> None:
    order: list[str] = []

    async def hold(lock: Lock, name: str) -> None:
        async with lock:
            order.append(f"{name} in")
            await trio.testing.wait_all_tasks_blocked()
            order.append(f"{name} out")

    async def main() -> None:
        lock = Lock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, lock, "a")
            nursery.start_soon(hold, lock, "b")

    trio.run(main)
    assert [each.split()[1] for each in order] == ["in", "out", "in", "out"]


def test_who_comes_back_at_once_need_not_wait_for_who_waits() -> None:
    order: list[str] = []

    async def wait(lock: Lock) -> None:
        async with lock:
            await trio.testing.wait_all_tasks_blocked()
            order.append("other")

    async def main() -> None:
        lock = Lock()
        await lock.__aenter__()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, lock)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(3):  # each time the other is woken, and never before this task waits for something else
                await lock.__aexit__(None, None, None)
                await lock.__aenter__()
                order.append("back")
            await lock.__aexit__(None, None, None)

    trio.run(main)
    assert order == ["back", "back", "back", "other"]


def test_nobody_who_waits_for_a_lock_is_forgotten() -> None:
    done: list[int] = []

    async def work(lock: Lock, number: int) -> None:
        for _ in range(5):
            async with lock:
                await trio.lowlevel.checkpoint()
        done.append(number)

    async def main() -> None:
        lock = Lock()
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(work, lock, number)

    trio.run(main)
    assert sorted(done) == list(range(6))
