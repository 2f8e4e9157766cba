"""Plans cover every byte once, touch nothing that is bad, and give the right bytes, however they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription
from raidfs.engine.account import health_runs
from raidfs.engine.chart import SectionChart, chart_sections
from raidfs.engine.damage import Flaw, known_flaws
from raidfs.engine.flatten import flatten, make_work
from raidfs.engine.health import Health, Trust
from raidfs.extents import Extents
from raidfs.kernels.combine import run_sums
from raidfs.kernels.plan import LOSSES, READS, SCRATCH, SUMS, Chart, Work, plan_window
from tests.oracle.parity import combine
from tests.support.samples import EXACT, SAMPLES, sample
from tests.support.simulated import describe, images_of

SECTOR = 512
PLENTY = 1 << 20


@dataclass(frozen=True)
class Scene:
    """An array with flaws."""

    name: str
    description: ArrayDescription
    flaws: tuple[Flaw, ...]

    @property
    def roles(self) -> list[int]:
        return sorted(self.description.serving)

    @property
    def charts(self) -> tuple[SectionChart, ...]:
        return chart_sections(self.description, self.description.of_roles(self.roles), self.flaws)

    @property
    def images(self) -> list[bytes]:
        images = images_of(sample(self.name), self.description)
        return [images[role] for role in self.roles]


@st.composite
def scenes(draw: st.DrawFn, names: Sequence[str] = SAMPLES) -> Scene:
    name = draw(st.sampled_from(names))
    array = sample(name)
    gone = draw(st.sets(st.sampled_from(sorted(array.roles)), max_size=draw(st.integers(0, 3))))
    description = describe(array, without=gone)
    roles = sorted(description.serving)
    flaws = list(known_flaws(description, description.of_roles(roles), [array.size_of_device] * len(roles)))
    starts = st.integers(0, array.size_of_device // SECTOR)
    for _ in range(draw(st.integers(0, 8)) if roles else 0):
        start, length = draw(starts) * SECTOR, draw(st.sampled_from([1, 1, 3, 8, 30])) * SECTOR
        trust = draw(st.sampled_from([Trust.NONE, Trust.NONE, Trust.DOUBTFUL, Trust.UNPROVEN]))
        source = draw(st.integers(0, len(roles) - 1))
        flaws.append(Flaw(source, Extents.span(start, start + length), trust, "drawn"))
    return Scene(name, description, tuple(flaws))


def room_of(size: int, chart: Chart) -> Work:
    """Room for a plan with `size` of each thing."""
    work = make_work(chart)
    return work._replace(
        reads=work.reads[:size], sums=work.sums[:size], terms=work.terms[:size], losses=work.losses[:size]
    )


def executed(work: Work, images: Sequence[bytes], length: int) -> bytes:
    """Run a plan naively; what nothing is written to stays a pattern, so that it shows."""
    arena = bytearray(b"\xa5" * int(work.used[SCRATCH]))
    for source, offset, size, position in work.reads[: work.used[READS]].tolist():
        piece = images[source][offset : offset + size]
        assert len(piece) == size
        arena[position : position + size] = piece
    compiled = np.frombuffer(bytes(arena), dtype=np.uint8).copy()
    run_sums(compiled[:length], compiled[length:], work.sums[: work.used[SUMS]], work.terms)
    for target, size, first, count in work.sums[: work.used[SUMS]].tolist():
        terms = work.terms[first : first + count].tolist()
        cells = {number: bytes(arena[at : at + size]) for number, (at, _) in enumerate(terms)}
        arena[target : target + size] = combine({n: c for n, (_, c) in enumerate(terms)}, cells, size)
    for start, stop, _ in work.losses[: work.used[LOSSES]].tolist():
        arena[start:stop] = bytes(stop - start)
        compiled[start:stop] = 0
    assert compiled[:length].tobytes() == bytes(arena[:length])
    return bytes(arena[:length])


def assert_sound(work: Work, scene: Scene, length: int, limit: int) -> None:
    """Every byte of the output comes from one place, scratch holds what sums need, and no read touches what is bad."""
    reads = work.reads[: work.used[READS]].tolist()
    sums = work.sums[: work.used[SUMS]].tolist()
    covered = np.zeros(work.used[SCRATCH], dtype=np.int64)
    for _, _, size, position in reads:
        covered[position : position + size] += 1
    filled = covered > 0
    for target, size, first, count in sums:
        assert count >= 1
        assert target + size <= length
        covered[target : target + size] += 1
        for at, coefficient in work.terms[first : first + count].tolist():
            assert filled[at : at + size].all()
            assert 1 <= coefficient <= 255
            assert at + size <= target or target + size <= at
            assert at >= length or at + size <= length  # a piece does not straddle output and scratch
    for start, stop, health in work.losses[: work.used[LOSSES]].tolist():
        assert health > limit or health == Health.LOST
        covered[start:stop] += 1
    assert (covered == 1).all()
    bad = [Extents().union(*(f.extents for f in scene.flaws if f.source == n and _forbids(f, limit))) for n in range(9)]
    for source, offset, size, _ in reads:
        assert not bad[source].overlaps(offset, offset + size)


def _forbids(flaw: Flaw, limit: int) -> bool:
    """Whether a flaw that holds for all geometries forbids reading, where no health beyond `limit` is served."""
    return flaw.side is None and flaw.trust > {Health.REBUILT: 0, Health.UNPROVEN: 1, Health.DOUBTFUL: 2}[Health(limit)]


def planned_and_run(
    scene: Scene, window: tuple[int, int], limit: int, size: int | None, scratch: int
) -> tuple[bytes, Extents]:
    """Plan and run a window in as many parts as the room makes necessary."""
    chart = flatten(scene.charts)
    work = make_work(chart) if size is None else room_of(size, chart)
    content, lost, (done, stop) = b"", Extents(), window
    part = stop - done
    while done < stop:
        part = min(part, stop - done)
        planned = plan_window(chart, work, (done, done + part, 0), limit, (part, part + scratch))
        if planned == 0:
            assert part > SECTOR, "a sector must always fit"
            part = max(SECTOR, part // 2)
            continue
        assert planned <= part
        if planned < part:
            part = planned
            continue
        assert_sound(work, scene, part, limit)
        content += executed(work, scene.images, part)
        lost = lost.union(Extents(work.losses[: work.used[LOSSES], :2]).shift(done))
        done += part
    return content, lost


def expected(scene: Scene, window: tuple[int, int], limit: int) -> tuple[bytes, Extents]:
    """The truth, with zeros where the account says that nothing is served."""
    content = bytearray(sample(scene.name).truth)
    runs = health_runs(scene.charts, *window)
    lost = Extents([(start, stop) for start, stop, health in runs if health > limit])
    for start, stop in lost:
        content[start:stop] = bytes(stop - start)
    return bytes(content[slice(*window)]), lost


@st.composite
def windows(draw: st.DrawFn, scene: Scene) -> tuple[int, int]:
    size = scene.description.size
    start = draw(st.integers(0, size - 1))
    return draw(st.sampled_from([(0, size), (start, min(size, start + draw(st.integers(1, 70000))))]))


@settings(max_examples=120)
@given(st.data(), scenes(EXACT), st.sampled_from([Health.REBUILT, Health.UNPROVEN, Health.DOUBTFUL]))
def test_a_plan_gives_the_truth_and_covers_all_once(data: st.DataObject, scene: Scene, limit: Health) -> None:
    window = data.draw(windows(scene))
    assert planned_and_run(scene, window, limit, None, PLENTY) == expected(scene, window, limit)


@settings(max_examples=60)
@given(st.data(), scenes(EXACT))
def test_with_next_to_no_room_the_bytes_are_the_same(data: st.DataObject, scene: Scene) -> None:
    window = data.draw(windows(scene))
    size, scratch = data.draw(st.integers(8, 24)), data.draw(st.integers(8 * SECTOR, 40 * SECTOR))
    whole = expected(scene, window, Health.UNPROVEN)
    assert planned_and_run(scene, window, Health.UNPROVEN, size, scratch) == whole


@settings(max_examples=60)
@given(st.data(), scenes())
def test_any_split_gives_the_same_bytes(data: st.DataObject, scene: Scene) -> None:
    start, stop = data.draw(windows(scene))
    whole = planned_and_run(scene, (start, stop), Health.DOUBTFUL, None, PLENTY)
    cuts = sorted(data.draw(st.lists(st.integers(start, stop), max_size=4)))
    edges = [start, *cuts, stop]
    parts = [planned_and_run(scene, (low, high), Health.DOUBTFUL, None, PLENTY) for low, high in pairwise(edges)]
    assert (b"".join(content for content, _ in parts), Extents().union(*(lost for _, lost in parts))) == whole


@pytest.mark.parametrize("name", EXACT)
def test_healthy_bytes_go_straight_to_the_output(name: str) -> None:
    description = describe(sample(name))
    roles = sorted(description.serving)
    flaws = known_flaws(description, description.of_roles(roles), [sample(name).size_of_device] * len(roles))
    chart = flatten(chart_sections(description, description.of_roles(roles), flaws))
    work = make_work(chart)
    size = description.size
    assert plan_window(chart, work, (0, size, 0), Health.UNPROVEN, (size, size)) == size
    assert (work.used[SUMS], work.used[LOSSES], work.used[SCRATCH]) == (0, 0, size)


def test_a_cell_that_is_wanted_anyway_is_read_once() -> None:
    """A whole stripe of a degraded RAID5 reads each of its cells that are left once."""
    scene = Scene("raid5", describe(sample("raid5"), without=(0,)), ())
    chart = flatten(scene.charts)
    work = make_work(chart)
    assert plan_window(chart, work, (0, 3 * 4096, 0), Health.UNPROVEN, (3 * 4096, 4 * 4096)) == 3 * 4096
    assert work.used[READS] == 3
    assert work.used[SCRATCH] == 4 * 4096  # only the parity needs scratch


def test_a_window_that_does_not_fit_is_planned_in_whole_stripes() -> None:
    scene = Scene("raid5", describe(sample("raid5"), without=(0,)), ())
    chart = flatten(scene.charts)
    work = make_work(chart)
    stripe = 3 * 4096
    size = 5 * stripe
    assert plan_window(chart, work, (0, size, 0), Health.UNPROVEN, (size, size + 2 * 4096)) == 2 * stripe
    assert plan_window(chart, work, (0, size, 0), Health.UNPROVEN, (size, size + 4095)) == 0
    assert work.used[READS] == work.used[SUMS] == work.used[LOSSES] == 0


def test_a_position_in_the_arena_is_kept() -> None:
    scene = Scene("raid4", describe(sample("raid4")), ())
    chart = flatten(scene.charts)
    work = make_work(chart)
    assert plan_window(chart, work, (100, 200, 50), Health.UNPROVEN, (1000, 1000)) == 100
    assert work.reads[0].tolist() == [0, sample("raid4").members[0].data_offset + 100, 100, 50]
