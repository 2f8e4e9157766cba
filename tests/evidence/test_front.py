"""How far a reshape came is proven only by what it would have overwritten first, never by what merely looks alike."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.health import Policy
from raidfs.erasure.gf256 import inverse, multiply
from raidfs.evidence.front import find_front
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.simulated import describe
from tests.support.sources import BadSectors

K, MIB = 1 << 10, 1 << 20
PAGE = 4 * K
OLD, NEW = Geometry(5, 2, 4, 64 * K), Geometry(5, 3, 4, 64 * K)
COMPONENT = 6 * MIB
ROOM = 2 * MIB
POSITION = 3 * 2560 * K
DEFAULT, STRICT = Policy(), Policy(strict=True)


def crashed(content: bytes, progress: int) -> Simulation:
    return write_array(
        OLD,
        COMPONENT,
        after=NEW,
        position=POSITION,
        progress=progress,
        data_offset=4 * MIB,
        new_data_offset=4 * MIB - ROOM,
        data=content,
    )


def served(
    simulation: Simulation, folder: Path, without: int | None = None, policy: Policy = DEFAULT
) -> tuple[int, int]:
    """Return (bytes that are served wrong, bytes that are withheld)."""
    members = [str(path) for role, path in enumerate(simulation.save(folder)) if role != without]
    with open_array(members, Options(policy=policy)) as array:
        data, lost = read_exact(array.source, 0, array.source.size)
    truth, wrong, at = bytes(simulation.truth), 0, 0
    for start, stop in [*lost, (len(data), len(data))]:
        wrong += sum(a != b for a, b in zip(data[at:start], truth[at:start], strict=True))
        at = stop
    return wrong, lost.total


@pytest.mark.parametrize("without", [None, 1, 3])
def test_old_copies_that_are_whole_prove_that_the_position_is_exact(without: int | None, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(OLD.capacity(COMPONENT))
    assert served(crashed(content, POSITION), tmp_path, without) == (0, 0)


def test_a_reshape_that_went_on_unrecorded_is_found(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(OLD.capacity(COMPONENT))
    assert served(crashed(content, 2 * POSITION), tmp_path) == (0, 0)


@pytest.mark.parametrize("period", [4 * K, 64 * K, 256 * K])
def test_content_that_repeats_itself_proves_nothing(period: int, tmp_path: Path) -> None:
    once = random.Random(3).randbytes(period)
    size = OLD.capacity(COMPONENT)
    content = bytearray(random.Random(4).randbytes(size))
    content[POSITION - 8 * MIB if POSITION > 8 * MIB else 0 : POSITION + 8 * MIB] = (once * (size // period + 1))[
        : min(size, POSITION + 8 * MIB) - (POSITION - 8 * MIB if POSITION > 8 * MIB else 0)
    ]
    array = crashed(bytes(content[:size]), 2 * POSITION)
    assert served(array, tmp_path)[0] == 0
    assert served(array, tmp_path, policy=STRICT)[1] > 0


def test_content_of_zeros_proves_nothing(tmp_path: Path) -> None:
    wrong, withheld = served(crashed(bytes(OLD.capacity(COMPONENT)), POSITION), tmp_path)
    assert wrong == 0
    assert withheld > 0


def test_each_proof_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = random.Random(5).randbytes(OLD.capacity(COMPONENT))
    members = [str(path) for path in crashed(content, 2 * POSITION).save(tmp_path)]
    with open_array(members) as array:
        reshape = array.description.reshape
    assert reshape is not None
    assert reshape.front is not None
    assert reshape.front.proofs
    for command in (["examine", "-v"], ["verify"]):
        assert main([*command, *members]) == 0
        said = capsys.readouterr().out
        assert all(proof.sentence in said for proof in reshape.front.proofs)


def test_a_front_that_was_kept_is_believed(tmp_path: Path) -> None:
    content = random.Random(6).randbytes(OLD.capacity(COMPONENT))
    members = [str(path) for path in crashed(content, 2 * POSITION).save(tmp_path)]
    kept = str(tmp_path / "ARRAY.toml")
    assert main(["examine", "-q", "-o", kept, *members]) == 0
    with open_array(members) as array, open_array([], Options(array=kept)) as again:
        assert again.description.reshape == array.description.reshape
        assert read_exact(again.source, 0, again.source.size) == read_exact(array.source, 0, array.source.size)


def test_a_front_far_away_is_found_without_reading_all_rows_before_it() -> None:
    """The reshape wrote 4500 of 6144 rows; most of the first 3000 are not read, and are known to be written."""
    n_rows, written = 6144, 4500
    content = random.Random(7).randbytes(3 * n_rows * PAGE)
    array = write_array(
        Geometry(6, 2, 5, PAGE),
        n_rows * PAGE,
        after=Geometry(6, 3, 5, PAGE),
        position=0,
        progress=3 * written * PAGE,
        data_offset=4 * MIB,
        new_data_offset=4 * MIB - 32 * PAGE,
        data=content,
    )
    images = {role: BadSectors(bytes(each.image)) for role, each in array.roles.items()}
    reshape = find_front(describe(array), images).reshape
    assert reshape is not None
    assert reshape.front is not None
    assert Extents.span(0, (written - 300) * PAGE) == reshape.front.written.clip(0, (written - 300) * PAGE)
    assert not reshape.front.written.union(reshape.front.likely_written).clip(written * PAGE, n_rows * PAGE)
    assert reshape.front.left.overlaps((n_rows - 1) * PAGE, n_rows * PAGE)
    first = 4 * MIB - 32 * PAGE
    for image in images.values():
        assert image.asked.clip(first + 100 * PAGE, first + 3000 * PAGE).total < 1000 * PAGE


@pytest.mark.parametrize("common", ["P", "data", "Q"])
def test_a_row_with_one_cell_that_occurs_elsewhere_is_what_two_equations_say(common: str) -> None:
    """What lies in many rows alike is bound by the others, in place, while a second parity begins to rotate.

    Not so where it is Q, and the pages are alike: their sum alone could be what it is by chance.
    """
    generator, n_rows, written = random.Random(8), 1024, 600
    mask = generator.randbytes(PAGE)
    content, before, after = bytearray(), Geometry(6, 18, 4, 32 * K), Geometry(6, 2, 4, 32 * K)
    for number in range(2 * n_rows):
        stripe, inside = divmod(number, 16)
        if inside < 8:
            content += mask if common == "data" else generator.randbytes(PAGE)
            continue
        twin = content[(16 * stripe + inside - 8) * PAGE :][:PAGE]
        content += {
            "P": bytes(a ^ b for a, b in zip(twin, mask, strict=True)),
            "Q": bytes(multiply(a, inverse(2)) ^ b for a, b in zip(twin, mask, strict=True)),
            "data": generator.randbytes(PAGE),
        }[common]
    array = write_array(
        before,
        n_rows * PAGE,
        after=after,
        position=0,
        progress=2 * written * PAGE,
        data_offset=4 * MIB,
        new_data_offset=4 * MIB,
        data=bytes(content),
    )
    images = {role: BadSectors(bytes(each.image)) for role, each in array.roles.items()}
    reshape = find_front(describe(array), images).reshape
    assert reshape is not None
    assert reshape.front is not None
    assert not reshape.front.written.clip(written * PAGE, n_rows * PAGE)
    n_proven = reshape.front.written.clip((written - 256) * PAGE, written * PAGE).total // PAGE
    assert n_proven > (0 if common == "Q" else 128)
