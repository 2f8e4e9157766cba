"""The account of `raidfs verify` is that of `raidfs export --check`, to the sector, whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from raidfs.block import one_request
from raidfs.cli.opening import Options
from raidfs.cli.session import OpenArray, open_array
from raidfs.cli.verification import Verification
from raidfs.engine.account import health_runs
from raidfs.engine.health import Policy
from raidfs.engine.verify import Walked, walk
from raidfs.errors import Interrupted
from raidfs.extents import Extents
from tests.support.damaged import write_map
from tests.support.golden import Case, cases_here

pytestmark = pytest.mark.golden
SECTOR = 512
WINDOW = 2 << 20
CASES = cases_here(
    "a-r5-3to4-12-64k-40",
    "f-r5-chunk-64to128-12",
    "g-r6to5-5to4-12-64k",
    "h-r6-4to6-12-64k",
    "r-r10-n2-to-o2-room",
    "r-r5-replace",
    "s-r6-ls",
    "v-r5-3to4-offsets",
)


@dataclass(frozen=True)
class Place:
    """Where a member holds data [image bytes]."""

    path: Path
    start: int
    stop: int


def places_of(paths: Sequence[Path]) -> list[Place]:
    """Where the members hold data, in either geometry."""
    with open_array([str(path) for path in paths]) as array:
        size = array.description.component_size
        found = []
        for member in array.description.sources:
            offsets = member.data_offset, member.new_data_offset
            stop = min(max(offsets) + size, Path(member.path).stat().st_size)
            found.append(Place(Path(member.path), min(offsets), stop))
        return found


def spoil(places: Sequence[Place], random: Random) -> None:
    """Write wrong sectors anywhere: garbage, and what looks as if it was never copied."""
    for number in range(30):
        place = random.choice(places)
        n = random.choice([1, 1, 1, 8, 8, 200])
        at = random.randrange(place.start // SECTOR, place.stop // SECTOR - n) * SECTOR
        content = bytes(n * SECTOR) if number % 5 == 0 else random.randbytes(n * SECTOR)
        with place.path.open("r+b") as image:
            image.seek(at)
            image.write(content)


def lose(place: Place, folder: Path, random: Random) -> str:
    """Write a map that says that some of a member could not be read; return the word for it."""
    starts = [random.randrange(place.start // SECTOR, place.stop // SECTOR - 40) * SECTOR for _ in range(12)]
    file = folder / f"{place.path.name}.map"
    bad = Extents([(start, start + SECTOR * random.choice([1, 8, 40])) for start in starts])
    write_map(file, place.path.stat().st_size, bad)
    return f"{place.path}={file}"


@contextmanager
def opened(paths: Sequence[Path], maps: Sequence[str], *, check: bool = False) -> Iterator[OpenArray]:
    options = Options(mapfiles=tuple(maps), policy=Policy(check=check), no_mapfiles=True)
    with open_array([str(path) for path in paths], options) as array:
        yield array


def runs_of(array: OpenArray) -> list[tuple[int, int, int]]:
    return list(health_runs(array.charts, 0, array.description.size))


def assert_alike(paths: Sequence[Path], maps: Sequence[str] = ()) -> None:
    """`verify` ends with the account that reading everything with a check ends with."""
    with opened(paths, maps) as array:
        Verification(array, None, hashing=False).run(quiet=True)
        verified, account = runs_of(array), array.account()
    with opened(paths, maps, check=True) as array:
        buffer = np.zeros(WINDOW, dtype=np.uint8)
        for start in range(0, array.source.size, WINDOW):
            window = buffer[: min(WINDOW, array.source.size - start)]
            array.source.read_into(one_request(start, len(window)), window)
        assert verified == runs_of(array)
        assert account == array.account()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verify_and_check_have_one_account(case: Case, tmp_path: Path) -> None:
    paths, random = case.copies(tmp_path), Random(case.name)
    places = places_of(paths)
    spoil(places, random)
    assert_alike(paths)
    gone, bad, *_ = random.sample(places, len(places))
    assert_alike([path for path in paths if path != gone.path], [lose(bad, tmp_path, random)])


def stopping_after(n_batches: int) -> Callable[..., Iterator[Walked]]:
    """The walk, stopped by the user behind some batches."""

    def walked(*given: Any) -> Iterator[Walked]:
        for number, each in enumerate(walk(*given), 1):
            yield each
            if number == n_batches:
                raise KeyboardInterrupt

    return walked


@pytest.mark.parametrize("case", cases_here("a-r5-3to4-12-64k-40", "s-r6-ls", "s-r1-2-090"), ids=lambda case: case.name)
@pytest.mark.parametrize("n_batches", [1, 3])
def test_whoever_goes_on_has_the_same_account(
    case: Case, n_batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found before the stop is judged anew; fills that no parity speaks against as well."""
    paths, random = case.copies(tmp_path), Random(case.name)
    for _ in range(3):
        spoil(places_of(paths), random)
    state = str(tmp_path / "state")
    with monkeypatch.context() as patched, opened(paths, ()) as array:
        patched.setattr("raidfs.cli.verification.walk", stopping_after(n_batches))
        with pytest.raises(Interrupted):
            Verification(array, state, hashing=False).run(quiet=True)
    with opened(paths, ()) as array:
        Verification(array, state, hashing=False).run(quiet=True)
        gone_on, account = runs_of(array), array.account()
    with opened(paths, ()) as array:
        Verification(array, None, hashing=False).run(quiet=True)
        assert (gone_on, account) == (runs_of(array), array.account())
