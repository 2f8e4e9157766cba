"""The virtual array as a `BlockSource`: plan -> read -> (learn, plan again) -> decode.

What is known of the damage is an immutable `Sight`; learning replaces it as a whole, so a reader sees either the old or
the new one. Damage only grows, and it grows before the answer that it concerns is given, never after. Threads share
nothing but the sight; each has its own room for plans and scratch.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.block import BlockSource, Requests, Watchable, check_requests
from raidfs.engine.account import extents_with
from raidfs.engine.chart import SectionChart, chart_sections, solved_with
from raidfs.engine.damage import UNREADABLE, Flaw, known_flaws, merged_flaws, unread_flaws, without_healed
from raidfs.engine.fetch import EVERYTHING, Failure, FileSource, MemberReader, answers_at_once, patient, run_reads
from raidfs.engine.flatten import fits, flatten, make_work
from raidfs.engine.health import Health, Policy, Trust
from raidfs.engine.judge import warm_up
from raidfs.engine.judges import judges_of
from raidfs.engine.scrutiny import Knowledge, Scrutiny
from raidfs.errors import SourceChanged, SourceGone
from raidfs.extents import Extents
from raidfs.kernels.combine import run_sums
from raidfs.kernels.filled import any_read_filled
from raidfs.kernels.fused import GAVE_UP, SERVED, SERVED_FILLED, serve_nowait
from raidfs.kernels.plan import LOSSES, READS, SCRATCH, SUMS, Chart, Work, plan_window

_SCRATCH = 4 << 20
"""Scratch bytes per thread; a request that needs more is planned in parts."""
_SMALLEST = 4096
"""Parts of a request are not made smaller than this [bytes]."""
_MOST_TRIES = 16
"""Rounds of reading and planning again for one request, until members that still fail are left out of it."""
_JUDGED_AT_ONCE = 32 << 20
"""Array bytes that are judged together, at most; bounds the memory."""
_UNSTEADY = "gave other bytes when it was read again"
_NOTHING = Extents()
_PATIENCE = 20.0
"""Seconds until a member that does not answer is rebuilt around."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What is known at one moment.

    Attributes:
        flaws: everything that speaks against the sources.
        charts: the sections under these flaws.
        chart: the same for the kernels.
        generation: how often something was learned.
    """

    flaws: tuple[Flaw, ...]
    charts: tuple[SectionChart, ...]
    chart: Chart
    generation: int


class _Room(threading.local):
    """Memory of one thread.

    Attributes:
        chart: what it was last found to suffice for.
        work: for plans; None: none yet.
        scratch: for what sums need besides.
    """

    chart: Chart | None = None
    work: Work | None = None
    scratch: NDArray[np.uint8]


class ArraySource:
    """The array's bytes. Thread-safe; see the module's docstring."""

    def __init__(
        self,
        description: ArrayDescription,
        sources: Sequence[tuple[Member, BlockSource]],
        policy: Policy = Policy(),
        *,
        told: Sequence[Flaw] = (),
        watch: bool = True,
        patience: float = _PATIENCE,
    ) -> None:
        """Look at an array.

        Args:
            description: the array.
            sources: (member, image) of everything that may hold its bytes; of one role the preferred first.
            policy: what is served.
            told: what is known against the sources besides what the description and they themselves say.
            watch: refuse bytes of files that change while we read them.
            patience: seconds until a member that does not answer is rebuilt around.
        """
        self.description = description
        self.policy = policy
        self._members = [member for member, _ in sources]
        self._sources = [source for _, source in sources]
        watchable = enumerate(self._sources) if watch else ()
        checks = {number: source.assert_unchanged for number, source in watchable if isinstance(source, Watchable)}
        self._readers = [MemberReader(source, checks.get(number)) for number, source in enumerate(self._sources)]
        self._checks = {number: check for number, check in checks.items() if answers_at_once(self._sources[number])}
        self._erased: frozenset[int] = frozenset()
        self._patience = patience
        self._room = _Room()
        self._learning = threading.Lock()
        plain = all(isinstance(source, FileSource) for source in self._sources) and len(self._sources) > 0
        files = [(cast(FileSource, source).fd, cast(FileSource, source).base) for source in self._sources if plain]
        self._files = np.array(files, dtype=np.int64).reshape(-1, 2) if plain else None
        known = known_flaws(description, self._members, [source.size for source in self._sources])
        fixed = without_healed((*known, *told), self._sources)
        self._n_fixed = len(fixed)
        self._sight = self._look((*fixed, *unread_flaws(self._sources, fixed)), 0)
        self._scrutiny, self._is_thorough = self._scrutinised(check=policy.check), policy.check

    @property
    def size(self) -> int:
        """Size of the array [bytes]."""
        return self.description.size

    @property
    def sight(self) -> Sight:
        """What is known now."""
        return self._sight

    @property
    def learned(self) -> tuple[Flaw, ...]:
        """What was found out by reading: one flaw for each source and reason."""
        return self._sight.flaws[self._n_fixed :]

    @property
    def generation(self) -> int:
        """How often damage was learned since the array was opened."""
        return self._sight.generation

    def close(self) -> None:
        """Let the members' threads end; the sources stay open."""
        for reader in self._readers:
            reader.close()

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known not to be served in [start, stop) [array bytes]."""
        withheld = frozenset(health for health in Health if health > self.policy.limit)
        return extents_with(self._sight.charts, withheld, start, stop)

    def warm_up(self) -> None:
        """Compile the kernels, or load them from their cache."""
        out = np.zeros(min(512, self.size), dtype=np.uint8)
        self._serve_nowait(0, out)
        self._plan((0, len(out)), len(out), self._sight.chart)
        _, scratch = self._work_for(self._sight.chart)
        run_sums(out, scratch, np.zeros((0, 4), dtype=np.int64), np.zeros((0, 2), dtype=np.int64))
        any_read_filled(np.zeros((0, 4), dtype=np.int64), out)
        warm_up()

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` from `offset` [array bytes] on if that needs no waiting and nothing is lost; else return False."""
        if not 0 <= offset <= self.size - len(out):
            raise ValueError(f"request [{offset}, {offset + len(out)}) outside an array of {self.size} bytes")
        return self._serve_nowait(offset, out) == SERVED

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`. Bytes that the policy withholds are losses."""
        lost: list[Extents] = []
        for offset, length, position in check_requests(requests, self.size, len(out)):
            part = out[position : position + length]
            said = self._serve_nowait(offset, part) if length else SERVED
            if said == SERVED_FILLED:
                self._scrutiny.settle(*solved_with(self._sight.charts, offset, offset + length))
                said = self._serve_nowait(offset, part)
            if said != SERVED:
                lost.append(self._read_slowly(offset, part).shift(position))
        return Extents().union(*lost) if lost else _NOTHING

    def scrutinise(self, ranges: Extents) -> None:
        """Have all that is behind some array bytes judged, whatever it holds: what is found counts from then on.

        That is what `Policy.check` does on every read. What was judged so is never judged again with less.
        """
        if not self._is_thorough:
            self._scrutiny, self._is_thorough = self._scrutinised(check=True), True
        for start, stop in ranges:
            for low in range(start, stop, _JUDGED_AT_ONCE):
                self._scrutiny.settle(*solved_with(self._sight.charts, low, min(low + _JUDGED_AT_ONCE, stop)))

    def learn(self, failures: Iterable[tuple[int, Extents, str]]) -> None:
        """Take (source, image bytes, reason) as unreadable from now on."""
        self.take(
            Flaw(source, extents, Trust.NONE, reason, curable=reason == UNREADABLE)
            for source, extents, reason in failures
        )

    def take(self, flaws: Iterable[Flaw]) -> None:
        """Know this, too, against the sources from now on."""
        with self._learning:
            known = merged_flaws(self._sight.flaws, self._n_fixed, flaws)
            self._sight = self._look(known, self._sight.generation + 1)

    def _scrutinised(self, *, check: bool) -> Scrutiny:
        """Return who asks the parity before what looks as if it was never copied is believed."""
        members = list(zip(self._sources, self._readers, strict=True))
        knowledge = Knowledge(
            flaws=lambda: self._sight.flaws,
            learn=self.take,
            unchanged=self._unchanged,
            sources=lambda: [patient(source, reader, self._patience) for source, reader in members],
        )
        return Scrutiny(judges_of(self.description, self._members, check=check), knowledge, forgets=self.policy.check)

    def _look(self, flaws: tuple[Flaw, ...], generation: int) -> Sight:
        charts = chart_sections(self.description, self._members, flaws)
        return Sight(flaws, charts, flatten(charts), generation)

    def _unchanged(self) -> bool:
        """Erase members that changed under us, before anything of them is served.

        Asked is who can be read at once. The others might hang; of them it is known from their reads.
        """
        found = {number: reader.erased for number, reader in enumerate(self._readers) if reader.erased}
        for number, check in self._checks.items():
            try:
                check()
            except (SourceChanged, SourceGone) as error:
                found[number] = str(error)
        new = {number: reason for number, reason in found.items() if number not in self._erased}
        if new:
            # learned first: whoever finds it among the erased finds the new sight, too
            self.learn((number, EVERYTHING, reason) for number, reason in new.items())
            self._erased |= new.keys()
        return not new

    def _serve_nowait(self, offset: int, out: NDArray[np.uint8]) -> int:
        """Fill `out` if that needs no waiting: SERVED, GAVE_UP, or SERVED_FILLED where its rows are not settled."""
        if self._files is None:
            return GAVE_UP
        sight = self._sight
        work, scratch = self._work_for(sight.chart)
        said: int = serve_nowait(sight.chart, work, self._files, out, scratch, offset, int(self.policy.limit))
        if said == SERVED_FILLED or (said == SERVED and self.policy.check):
            behind = solved_with(sight.charts, offset, offset + len(out))
            said = SERVED if self._scrutiny.is_settled(*behind) else SERVED_FILLED
        # in this order: what was read is what was opened, and nobody has learned of a change meanwhile
        return said if said != SERVED or (self._unchanged() and self._sight is sight) else GAVE_UP

    def _read_slowly(self, offset: int, out: NDArray[np.uint8]) -> Extents:
        """Go through the plan in Python, in parts where it does not fit."""
        lost: list[Extents] = []
        done, part = 0, len(out)
        while done < len(out):
            part = min(part, len(out) - done)
            losses = self._read_part(offset + done, out[done : done + part])
            if losses is None:
                assert part > _SMALLEST, "a plan of one page must fit"
                part = max(_SMALLEST, part // 2)
                continue
            lost.append(losses.shift(done))
            done += part
        return Extents().union(*lost)

    def _read_part(self, offset: int, out: NDArray[np.uint8]) -> Extents | None:
        """Serve one part; None: its plan does not fit, make it smaller."""
        absent: tuple[Flaw, ...] = ()
        for number in itertools.count():
            sight = self._sight
            chart = sight.chart if not absent else self._look((*sight.flaws, *absent), -1).chart
            work = self._plan((offset, offset + len(out)), len(out), chart)
            if work is None:
                return None
            reads = work.reads[: work.used[READS]].copy()
            losses = Extents(work.losses[: work.used[LOSSES], :2])
            arena = np.empty(int(work.used[SCRATCH]), dtype=np.uint8)
            failures = run_reads(self._readers, reads, arena, self._patience) if len(reads) else []
            unsure = self._to_ask_about(reads, arena) if not failures else reads[:0]
            if len(unsure):
                self._scrutiny.settle(*solved_with(sight.charts, offset, offset + len(out)))
                failures = self._unlike(unsure, arena)
            if failures or self._sight is not sight:
                absent += self._absent([each for each in failures if each.reason != _UNSTEADY])
                if number >= _MOST_TRIES:
                    absent += tuple(Flaw(each.source, EVERYTHING, Trust.NONE, "keeps failing") for each in failures)
                continue
            size = len(out)
            run_sums(arena[:size], arena[size:], work.sums[: work.used[SUMS]], work.terms)
            out[:] = arena[:size]
            for start, stop in losses:
                out[start:stop] = 0
            return losses
        raise AssertionError("an array runs out of members before numbers end")

    def _to_ask_about(self, reads: NDArray[np.int64], arena: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the reads that are not believed before the parity of their rows was heard."""
        if self.policy.check or not any_read_filled(reads, arena):
            return reads if self.policy.check else reads[:0]
        return reads[[any_read_filled(reads[number : number + 1], arena) for number in range(len(reads))]]

    def _unlike(self, reads: NDArray[np.int64], arena: NDArray[np.uint8]) -> list[Failure]:
        """Read again what was read before its rows were judged, and return what fails or is not the same any more.

        What was judged was read by itself: it is what is served only if both readings around it are alike.
        """
        again = np.empty_like(arena)
        failures = run_reads(self._readers, reads, again, self._patience)
        if failures:
            return failures
        for source, offset, length, at in reads.tolist():
            differ = arena[at : at + length] != again[at : at + length]
            if differ.any():
                first, last = np.flatnonzero(differ)[[0, -1]].tolist()
                changed = Extents.span(offset + first, offset + last + 1)
                failures.append(Failure(source, changed, lasting=False, reason=_UNSTEADY))
        return failures

    def _absent(self, failures: Sequence[Failure]) -> tuple[Flaw, ...]:
        """Learn lasting failures; return the passing ones as flaws for this request."""
        lasting = [each for each in failures if each.lasting]
        if lasting:
            self.learn((each.source, each.extents, each.reason) for each in lasting)
        self._erased |= {each.source for each in lasting if each.extents == EVERYTHING}
        return tuple(
            Flaw(each.source, EVERYTHING, Trust.NONE, "did not answer in time") for each in failures if not each.lasting
        )

    def _plan(self, window: tuple[int, int], length: int, chart: Chart) -> Work | None:
        """Plan a whole window into this thread's room; None: it does not fit."""
        work, _ = self._work_for(chart)
        start, stop = window
        room = (length, length + _SCRATCH)
        planned = plan_window(chart, work, (start, stop, 0), int(self.policy.limit), room)
        return work if planned == stop - start else None

    def _work_for(self, chart: Chart) -> tuple[Work, NDArray[np.uint8]]:
        """Return this thread's room for plans over a chart, and its scratch; learning may make charts larger."""
        room = self._room
        work = room.work
        if work is None or (room.chart is not chart and not fits(work, chart)):
            work = room.work = make_work(chart)
            room.scratch = np.zeros(_SCRATCH, dtype=np.uint8)
        room.chart = chart
        return work, room.scratch
