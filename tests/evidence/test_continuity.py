"""What doubtful bytes are read as: the front where all of the array reads best."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.health import Policy
from raidfs.evidence import continuity
from raidfs.evidence.cells import Flags
from raidfs.evidence.contents import pages_at
from raidfs.evidence.window import Numbers
from tests.oracle.layouts import Geometry
from tests.support.restarts import COMPONENT, K, Kind, begun, part

KINDS = {
    "chunk": Kind(Geometry(5, 2, 4, 16 * K), Geometry(5, 2, 4, 32 * K), room=0),
    "smaller chunk": Kind(Geometry(5, 2, 4, 64 * K), Geometry(5, 2, 4, 16 * K), room=0),
    "layout": Kind(Geometry(5, 2, 4, 32 * K), Geometry(5, 1, 4, 32 * K), room=0),
    "layout that keeps parity in its place": Kind(Geometry(5, 2, 4, 32 * K), Geometry(5, 0, 4, 32 * K), room=0),
    "backwards": Kind(Geometry(5, 2, 4, 16 * K), Geometry(5, 2, 4, 32 * K), room=0, backwards=True),
}


def files(size: int) -> bytes:
    """Files of records with numbers; those of each begin with other words."""
    random, found = Random(5), bytearray()
    while len(found) < size:
        words = random.randbytes(27).hex()
        n_records = random.choice([400, 3000, 12000])
        found += b"".join(b"%s %08d\n" % (words.encode(), number) for number in range(n_records))
        found += bytes(-len(found) % 4096)
    return bytes(found[:size])


def wrong_pages(paths: list[Path], truth: bytes) -> int:
    """Pages of 4096 bytes that are read wrong if doubtful ones are wanted."""
    with open_array([str(path) for path in paths], Options(policy=Policy(doubtful=True))) as opened:
        data, lost = read_exact(opened.source, 0, opened.source.size)
    assert not lost
    differs = np.frombuffer(data, np.uint8) != np.frombuffer(truth, np.uint8)
    return int(differs.reshape(-1, 4096).any(axis=1).sum())


@pytest.mark.parametrize("share", [0.2, 0.6])
@pytest.mark.parametrize("name", KINDS)
def test_the_front_is_guessed_where_nothing_proves_it(name: str, share: float, tmp_path: Path) -> None:
    kind = KINDS[name]
    array = begun(kind, 0.0, files(kind.before.capacity(COMPONENT)))
    array.tear(part(array, share))
    step = max(kind.before.stripe_size, kind.after.stripe_size) // 4096
    assert wrong_pages(array.save(tmp_path), bytes(array.truth)) <= 2 * step


def test_random_bytes_leave_the_guess_where_it_is(tmp_path: Path) -> None:
    kind = KINDS["chunk"]
    array = begun(kind, 0.0)
    array.tear(part(array, 0.5))
    with open_array([str(path) for path in array.save(tmp_path)]) as opened:
        assert opened.description.reshape is not None
        front = opened.description.reshape.front
        assert front is not None
        assert front.cut == 0


def test_steps_of_many_chunks_are_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_read = []

    def counted(images: Mapping[int, BlockSource], role: Numbers, offset: Numbers) -> tuple[NDArray[np.uint8], Flags]:
        n_read.append(len(role))
        return pages_at(images, role, offset)

    monkeypatch.setattr(continuity, "pages_at", counted)
    kind = Kind(Geometry(5, 2, 4, 4 * K), Geometry(5, 2, 4, 256 * K), room=0)
    array = begun(kind, 0.0, files(kind.before.capacity(COMPONENT)))
    array.tear(part(array, 0.5))
    assert wrong_pages(array.save(tmp_path), bytes(array.truth)) <= 2 * kind.after.stripe_size // 4096
    assert 0 < max(n_read) <= 4096
