"""Thousands of crashes in the middle of reshapes, read by raidfs: no byte that is served may be wrong.

    python -m tests.support.storms [CRASHES] [FIRST_SEED]

prints what was served, withheld and wrong, by kind of content.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from random import Random

import click
import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, MemorySource, read_exact
from raidfs.engine.account import health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.damage import known_flaws, trust_map
from raidfs.engine.health import Health, Policy
from raidfs.evidence.front import find_front
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Side, sections_of
from tests.oracle.at_risk import Reshape
from tests.oracle.contents import KINDS, PAGE, content_of
from tests.oracle.duplicates import with_duplicates
from tests.oracle.files import files
from tests.oracle.labels import device_size
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.storm import Storm
from tests.oracle.writer import Landed, Simulation, everything
from tests.support.crashes import some_land
from tests.support.reshapes import furthest
from tests.support.simulated import describe, seated

K = 1024
START = 224 * K
CHUNKS = (4 * K, 8 * K, 16 * K, 64 * K)
CRASHES_PER_STORM = 20
PARITY_LAST = 5
FILES = "files"
"""A kind of content besides the others, see `tests.oracle.files`."""
READ_EVERY = 25
"""Of crashes with all members, one in so many is read as users do; the others are looked up."""


@dataclass(frozen=True, eq=False)
class Crash:
    """One crash.

    Attributes:
        seed: from which it was made. kind: of the content. description: as recorded. sources: the members that are
        there, by role. truth: the array. in_flight: rows that may be in flight, as raidfs is told; None: it is not.
        story: what happened, for messages.
    """

    seed: tuple[int, int]
    kind: str
    description: ArrayDescription
    sources: tuple[tuple[int, BlockSource], ...]
    truth: NDArray[np.uint8]
    in_flight: int | None
    story: str


def storms(first_seed: int) -> Iterator[Crash]:
    """Yield crashes, endlessly."""
    seed = first_seed
    while True:
        yield from crashes_of(seed)
        yield from crashes_of(seed, duplicates=True)
        yield from file_crashes(seed)
        seed += 1


def crashes_of(seed: int, *, duplicates: bool = False) -> Iterator[Crash]:
    """Yield the crashes of one array.

    Args:
        seed: of everything.
        duplicates: some of its content lies where the work of the reshape would look like it, see
            `tests.oracle.duplicates`; most of these arrays have the same members before and after.
    """
    random = Random(seed)
    kind = random.choice([*KINDS])
    reshape = _reshape(random)
    copier = Random(f"{seed} copied") if duplicates else None
    if copier:
        kind, reshape = copier.choice([kind, "unrelated", "sparse", "texts"]), _alike(copier, reshape)
    array = _array(random, reshape, kind, copier)
    storm = Storm(array, furthest(reshape))
    if not storm.rows:
        return
    for number in range(CRASHES_PER_STORM):
        yield _crash((seed, number), f"{kind}, copied" if copier else kind, random, storm)


def file_crashes(seed: int) -> Iterator[Crash]:
    """Yield crashes of one array full of files, during a reshape that keeps its members: its parity tells no front."""
    random = Random(f"{seed} {FILES}")
    reshape = _alike(random, _reshape(random))
    if reshape.before.level == reshape.after.level != 6 and random.random() < 0.8:
        size = random.choice([640, 1280, 2560]) * K
        offsets = dict.fromkeys(reshape.offsets, (START, START))
        reshape = replace(reshape, component_size=size, offsets=offsets)
        step = reshape.step * reshape.after.data_disks
        reshape = replace(reshape, position=reshape.size // step * step if reshape.backwards else 0)
    storm = Storm(_array(random, reshape, FILES), furthest(reshape))
    if not storm.rows:
        return
    for number in range(CRASHES_PER_STORM):
        yield _crash((seed, number), FILES, random, storm)


def short_crashes(seed: int, kind: str, reshape: Reshape) -> Iterator[Crash]:
    """Yield crashes of one array during a given reshape, of which members are missing."""
    random = Random(seed)
    storm = Storm(_array(random, reshape, kind), furthest(reshape))
    for _ in range(CRASHES_PER_STORM):
        yield _crash((seed, CRASHES_PER_STORM - 1), kind, random, storm)


def _alike(random: Random, reshape: Reshape) -> Reshape:
    """Let most reshapes keep their members, in place or not: their parity tells nothing."""
    if random.random() < 0.3:
        return reshape
    before, after = reshape.before, reshape.after
    if before.level == 6 and random.random() < 0.7:
        before, after = (replace(each, level=5, layout=each.layout % 6) for each in (before, after))
    after = replace(after, raid_disks=before.raid_disks)
    if after == before:
        after = replace(after, chunk=random.choice([each for each in CHUNKS if each != after.chunk]))
    move = random.choice([0, 0, 4, 16]) * 4 * K
    offsets = dict.fromkeys(range(before.raid_disks), (START, START + (move if reshape.backwards else -move)))
    size = random.choice([160, 320, 640]) * K
    drawn = replace(reshape, before=before, after=after, component_size=size, offsets=offsets)
    step = drawn.step * after.data_disks
    behind = random.choice([0, 0, random.randint(0, drawn.size // step)]) * step
    return replace(drawn, position=drawn.size // step * step - behind if reshape.backwards else behind)


def _reshape(random: Random) -> Reshape:
    """Draw a reshape at its recorded position."""
    level = random.choice([4, 5, 5, 5, 6, 6])
    fewest = 4 if level == 6 else 3
    before = Geometry(level, random.choice(sorted(LAYOUT_NAMES[level])), random.randint(fewest, 6), _chunk(random))
    disks = before.raid_disks if random.random() < 0.5 else random.randint(fewest, 6)
    layout = random.choice([before.layout, random.choice(sorted(LAYOUT_NAMES[level]))])
    chunk = random.choice([before.chunk, _chunk(random)])
    after = Geometry(level, layout, disks, chunk)
    growth = after.raid_disks - before.raid_disks
    backwards = growth < 0 or (growth == 0 and random.random() < 0.4)
    room = random.choice([0, 0, random.randrange(1, 9), 16, 40]) * 4 * K
    move = room if backwards else -room
    roles = range(max(before.raid_disks, after.raid_disks))
    offsets = dict.fromkeys(roles, (START, START + move))
    size = random.choice([96, 96, 128, 160, 192, 256, 256, 640]) * K
    drawn = Reshape(before, after, size, 0, backwards, offsets)
    step = drawn.step * after.data_disks
    steps = min(drawn.size, after.capacity(drawn.used_size)) // step
    start = steps if backwards else 0
    near = max(0, start - random.randrange(4)) if backwards else min(steps, random.randrange(4))
    return replace(drawn, position=random.choice([near, random.randint(0, steps)]) * step)


def _chunk(random: Random) -> int:
    return random.choice(CHUNKS)


def _array(random: Random, reshape: Reshape, kind: str, copier: Random | None = None) -> Simulation:
    """Write the array up to its recorded position; users have written to it on both sides.

    Args:
        random: of everything. reshape: at its position. kind: of its content.
        copier: puts duplicates into it; None: nobody does.
    """
    offsets = [reshape.offsets[role] for role in sorted(reshape.offsets)]
    size = reshape.component_size
    make = files if kind == FILES else partial(content_of, kind)
    data = make(random, reshape.before.capacity(size))
    array = Simulation(
        reshape.before,
        size,
        data_offsets=[old for old, _ in offsets],
        size_of_device=device_size(size, *(each for pair in offsets for each in pair)),
        data=with_duplicates(copier, data, reshape) if copier else data,
        seed=random.randrange(1 << 30),
    )
    fill = _filled(random, array, reshape)
    array.start_reshape(reshape.after, [new for _, new in offsets], backwards=reshape.backwards, fill=fill)
    for role in (*fill, *range(reshape.before.raid_disks, reshape.after.raid_disks)):
        image = array.roles[role].image
        image[:] = random.choice([bytes(len(image)), bytes(array.roles[0].image), bytes(image)])
    array.advance(reshape.position)
    for _ in range(random.choice([0, 0, 3])):
        start = random.randrange(array.size)
        data = random.randbytes(min(random.choice([512, 4096, 9000]), array.size - start))
        landed: Landed = everything
        if random.random() < 0.3:  # the write hole: parity was not updated
            array.resync_offset = 0
            landed = some_land(random, 0.6)
        try:
            array.user_write(start, data, landed)
        except ValueError:  # the reshape is at work there: the write waits
            continue
    return array


def _filled(random: Random, array: Simulation, reshape: Reshape) -> tuple[int, ...]:
    """Let the last member be filled by the reshape: that of a RAID5 which becomes a RAID6, or a RAID0 a RAID5."""
    last = reshape.before.raid_disks - 1
    if reshape.backwards:
        return ()
    if reshape.before.level == 6:
        is_filled = reshape.before.layout >= 16 and random.random() < 0.6
    else:  # by a generator of its own: seeds that are known to be hard stay what they are
        is_filled = _parity_is_last(reshape.before) and Random(array.array_uuid).random() < 0.6
    if is_filled:
        array.fail(last)
    return (last,) if is_filled else ()


def _parity_is_last(geometry: Geometry) -> bool:
    """Whether all parity lies on the last member: without it, the array is a RAID0."""
    return geometry.level == 4 or (geometry.level == 5 and geometry.layout == PARITY_LAST)


def _crash(seed: tuple[int, int], kind: str, random: Random, storm: Storm) -> Crash:
    """Draw one crash."""
    number = seed[1]
    begun = random.randint(0, len(storm.rows))
    most = random.choice([1, 4, 16, 40])
    in_flight = min(begun, random.randint(0, most))
    landed, how = _landed(random, in_flight, len(storm.array.roles))
    images = storm.crash(begun, landed)
    without: tuple[int, ...] = ()
    if number % 10 == 9:
        without = tuple(random.sample(sorted(images), random.choice([1, 1, 2])))
    description = describe(storm.array, without=without)
    sources = tuple((role, MemorySource(image.tobytes())) for role, image in images.items() if role not in without)
    told = most if random.random() < 0.7 else None
    shapes = f"{storm.array.geometry} -> {storm.array.after}"
    story = (
        f"seed {seed}, {kind}, {shapes}, position {storm.array.position}, backwards {storm.array.backwards}, "
        f"{begun} of {len(storm.rows)} rows begun, {in_flight} in flight ({how}), told {told}, without {without}"
    )
    return Crash(seed, kind, description, sources, storm.truth, told, story)


def _landed(random: Random, n_rows: int, n_roles: int) -> tuple[NDArray[np.bool_], str]:
    """Draw which writes landed."""
    chance = np.random.default_rng(random.randrange(1 << 30))
    shape = (n_rows, n_roles)
    how = random.choice(["any", "rows", "all but one", "only one", "members", "none", "most"])
    if how == "any":
        return chance.random(shape) < chance.random(), how
    if how == "most":
        return chance.random(shape) < 0.97, how
    if how == "rows":
        return np.broadcast_to(chance.random((n_rows, 1)) < chance.random(), shape).copy(), how
    if how == "members":  # each member got so far
        return np.arange(n_rows)[:, None] < chance.integers(0, n_rows + 1, n_roles)[None, :], how
    found = np.full(shape, how == "all but one")
    if n_rows and how != "none":
        row = random.randrange(n_rows)
        chosen = random.sample(range(n_roles), random.choice([1, 2, n_roles]))
        found[row, chosen] = how == "only one"
    return found, how


@dataclass
class Tally:
    """What came of some crashes.

    Attributes:
        crashes: how many. asked: in how many of them the data were asked.
        total: bytes. withheld: of them, not served. unproven: served as such.
        wrong: served as proven, and wrong. wrong_unproven: served as unproven, and wrong, though another place held
        the truth. traceless: served as unproven, and wrong, where no place holds the truth any more.
    """

    crashes: int = 0
    asked: int = 0
    total: int = 0
    withheld: int = 0
    unproven: int = 0
    wrong: int = 0
    wrong_unproven: int = 0
    traceless: int = 0


def judge(crash: Crash, *, by_reading: bool = True) -> Tally:
    """Read an array after a crash and compare.

    Args:
        crash: the crash.
        by_reading: read it as users do; else look up each page at its own place, which is the same and faster where no
            member is missing.
    """
    description = find_front(crash.description, dict(crash.sources), crash.in_flight)
    asked = int(description is not crash.description)
    content, health = (read_crash if by_reading else _look_up)(description, crash)
    wrong = content != crash.truth
    proven, unproven = health < Health.UNPROVEN, health == Health.UNPROVEN
    tally = Tally(
        crashes=1,
        asked=asked,
        total=len(crash.truth),
        withheld=int((health > Health.UNPROVEN).sum()),
        unproven=int(unproven.sum()),
        wrong=int((wrong & proven).sum()),
    )
    if not crash.description.unsynced:  # else parity may be stale, and unproven is what its results are then
        for page in np.unique(np.flatnonzero(wrong & unproven) // PAGE).tolist():
            here = slice(page * PAGE, page * PAGE + PAGE)
            n_bytes = int((wrong & unproven)[here].sum())
            if _is_held(crash, page):
                tally.wrong_unproven += n_bytes
            else:
                tally.traceless += n_bytes
    return tally


def _is_held(crash: Crash, page: int) -> bool:
    """Tell whether a page's old or new place holds what the array holds there."""
    reshape, images = crash.description.reshape, dict(crash.sources)
    assert reshape is not None
    for shape, is_new in ((reshape.after, True), (reshape.before, False)):
        zone = zone_of(shape, crash.description.component_size)
        (role,), (offset,) = zone.locate(np.array([page * PAGE]))
        member = crash.description.serving.get(int(role))
        if member is not None:
            start = (member.new_data_offset if is_new else member.data_offset) + int(offset)
            if read_exact(images[int(role)], start, PAGE)[0] == crash.truth[page * PAGE : page * PAGE + PAGE].tobytes():
                return True
    return False


def read_crash(description: ArrayDescription, crash: Crash) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read all bytes, and what each is worth."""
    array = ArraySource(description, seated(description, crash.sources), Policy())
    try:
        content, _ = read_exact(array, 0, array.size)
        runs = health_runs(array.sight.charts, 0, array.size)
        health = np.concatenate([np.full(stop - start, worth, np.uint8) for start, stop, worth in runs])
    finally:
        array.close()
    return np.frombuffer(content, np.uint8), health


def _look_up(description: ArrayDescription, crash: Crash) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Take every byte from its own place, worth what is known against that."""
    members = [description.serving[role] for role, _ in crash.sources]
    flaws = known_flaws(description, members, [source.size for _, source in crash.sources])
    content = np.zeros((description.size // PAGE, PAGE), dtype=np.uint8)
    health = np.full(len(content), Health.LOST, dtype=np.uint8)
    worth = np.array([Health.GOOD, Health.UNPROVEN, Health.DOUBTFUL, Health.DOUBTFUL, Health.LOST], dtype=np.uint8)
    for section in sections_of(description):
        page = np.arange(section.array_start // PAGE, section.array_stop // PAGE)
        roles, offsets = section.zone.locate(page * PAGE)
        for number, member in enumerate(members):
            mine = roles == member.role
            start = member.new_data_offset if section.side is Side.AFTER else member.data_offset
            against = [each for each in flaws if each.source == number and each.side in (None, section.side)]
            trust = trust_map([(flaw.extents, flaw.trust) for flaw in against])
            health[page[mine]] = worth[trust.at(offsets[mine] + start)]
            image = read_exact(crash.sources[number][1], 0, crash.sources[number][1].size)[0]
            pages = np.frombuffer(image, np.uint8)[: len(image) // PAGE * PAGE].reshape(-1, PAGE)
            content[page[mine]] = pages[(offsets[mine] + start) // PAGE]
    return content.reshape(-1), np.repeat(health, PAGE)


def run(n_crashes: int, first_seed: int) -> dict[str, Tally]:
    """Judge crashes and add up what came of them, by kind of content; what is wrong is told at once."""
    found: dict[str, Tally] = {}
    for number, crash in enumerate(islice(storms(first_seed), n_crashes)):
        is_short = len(crash.sources) < crash.description.n_roles
        tally = judge(crash, by_reading=number % READ_EVERY == 0 or is_short)
        known = vars(found.setdefault(crash.kind, Tally()))
        known.update({name: known[name] + n for name, n in vars(tally).items()})
        if tally.wrong or tally.wrong_unproven:
            click.echo(f"WRONG: {tally.wrong} proven, {tally.wrong_unproven} unproven: {crash.story}")
    return found


def main() -> None:
    """Run some crashes and print a table."""
    n_crashes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    begun = time.monotonic()
    tallies = run(n_crashes, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    click.echo(f"{n_crashes} crashes in {time.monotonic() - begun:.0f} s; wrong and traceless in bytes")
    click.echo("content             crashes   asked  withheld  unproven   wrong  traceless")
    for kind, tally in sorted(tallies.items()):
        shares = f"{100 * tally.withheld / tally.total:8.2f}% {100 * tally.unproven / tally.total:8.2f}%"
        wrong = tally.wrong + tally.wrong_unproven
        click.echo(f"{kind:<20} {tally.crashes:>8} {tally.asked:>7} {shares} {wrong:>7} {tally.traceless:>10}")


if __name__ == "__main__":
    main()
