"""Files that go on over the borders of chunks as two runs leave these speak against a backup of mdadm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raidfs.block import BlockSource
from raidfs.evidence.turned_borders import seems_taken_up
from tests.cli.test_backups import Crash, read, saved
from tests.oracle.layouts import Geometry
from tests.oracle.member import OLD
from tests.oracle.writer import Simulation
from tests.support.restarts import COMPONENT, K, Kind, begun, part, run_again
from tests.support.simulated import describe, images_of, memory_sources

KINDS = {
    "raid5, chunk": Kind(Geometry(5, 2, 4, 16 * K), Geometry(5, 2, 4, 32 * K), room=0),
    "raid5, layout": Kind(Geometry(5, 2, 4, 32 * K), Geometry(5, 0, 4, 32 * K), room=0),
    "raid6, backwards": Kind(Geometry(6, 2, 5, 32 * K), Geometry(6, 3, 5, 32 * K), room=0, backwards=True),
}
PAGE = 4096


def file(size: int) -> bytes:
    """One whose pages are the more alike the closer they are."""
    random = np.random.default_rng(6)
    pages = random.integers(1, 256, (size // PAGE, PAGE), dtype=np.uint8)
    for number in range(1, len(pages)):
        pages[number] = np.where(random.random(PAGE) < 0.1, pages[number], pages[number - 1])
    return pages.tobytes()


def crashed(kind: Kind, since: float | None, stop: float) -> Simulation:
    array = begun(kind, 0.5, file(kind.before.capacity(COMPONENT)))
    if since is not None:
        run_again(array, stop, since)
    array.position = part(array, 0.4)
    array.checkpoint()
    return array


def asked(array: Simulation) -> bool:
    description = describe(array)
    images: dict[int, BlockSource] = dict(memory_sources(images_of(array, description)))
    return seems_taken_up(description, images)


@pytest.mark.parametrize("name", KINDS)
def test_a_reshape_that_was_taken_up_from_its_position_is_told_from_one_run(name: str) -> None:
    assert asked(crashed(KINDS[name], 0.4, 0.45))
    assert not asked(crashed(KINDS[name], None, 0.0))


def test_only_what_begins_at_the_position_tells() -> None:
    assert not asked(crashed(KINDS["raid5, layout"], 0.43, 0.48))


def test_a_backup_of_what_had_been_moved_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["raid5, layout"]
    array = begun(kind, 0.5, file(kind.before.capacity(COMPONENT)))
    truth = np.frombuffer(bytes(array.truth), np.uint8)
    run_again(array, 0.45, 0.4)
    array.position = first = part(array, 0.4)
    array.checkpoint()
    length = 12 * kind.before.chunk
    before = first - length  # what lies behind the position is on the members, too
    taken = [(before, bytes(truth[before:first])), (first, bytes(array.content[OLD][first : first + length]))]
    paths = saved(Crash(array, taken), tmp_path)

    def n_wrong() -> int:
        found = read(paths, backup_file=str(tmp_path / "backup"))
        return int(((found.content != truth) & found.there).sum())

    assert n_wrong() == 0
    monkeypatch.setattr("raidfs.cli.backups.seems_taken_up", lambda *_: False)
    assert n_wrong() > 0, "nothing else speaks against it"
