"""What the writer writes, the reader reads, whatever is missing, torn, stale or under way."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from tests.oracle.labels import Label
from tests.oracle.layouts import LAYOUT_NAMES, Geometry, locate
from tests.oracle.member import NEW, OLD
from tests.oracle.parity import fill
from tests.oracle.ranges import contains, merged
from tests.oracle.reader import read
from tests.oracle.scan import describe, scan
from tests.oracle.sparse import write_sparse_array
from tests.oracle.superblock import BAD_BLOCKS, RECOVERY_OFFSET, RESHAPE_BACKWARDS
from tests.oracle.writer import Simulation, write_array

K = 1024
THREE, FOUR = Geometry(5, 2, 3, 16 * K), Geometry(5, 2, 4, 16 * K)
SIZE = 24 * 16 * K
START = 256 * K
MOVED = START - 96 * K


def growing(rows: int, **more: object) -> Simulation:
    """RAID5 of three growing to four with moved data, `rows` new rows done."""
    return write_array(
        THREE,
        SIZE,
        after=FOUR,
        position=rows * FOUR.stripe_size,
        data_offset=START,
        new_data_offset=MOVED,
        **more,  # type: ignore[arg-type]  # passed through to the parameters of the same names
    )


@pytest.mark.parametrize(
    ("level", "layout"), [(level, layout) for level in LAYOUT_NAMES for layout in LAYOUT_NAMES[level]]
)
def test_static_arrays_read_back_with_any_tolerable_loss(level: int, layout: int) -> None:
    array = write_array(Geometry(level, layout, 5, 4 * K), 11 * 4 * K)
    for count in range(3 if level == 6 else 2):
        for missing in combinations(range(5), count):
            assert read(array.array(without=missing)) == (array.truth, [])


def test_beyond_tolerance_exactly_the_missing_data_are_lost() -> None:
    array = write_array(FOUR, SIZE)
    content, lost = read(array.array(without=(1, 2)))
    chunks = range(0, array.size, FOUR.chunk)
    assert lost == merged((at, at + FOUR.chunk) for at in chunks if locate(FOUR, at)[0] in (1, 2))
    assert all(
        content[at : at + FOUR.chunk] == array.truth[at : at + FOUR.chunk]
        for at in chunks
        if locate(FOUR, at)[0] in (0, 3)
    )


@pytest.mark.parametrize("metadata", ["0.90", "1.0", "1.1", "1.2"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_superblocks_describe_the_array(metadata: str, order: str, tmp_path: Path) -> None:
    offset = 0 if metadata in ("0.90", "1.0") else START
    array = write_array(
        THREE,
        SIZE,
        after=FOUR,
        position=7 * FOUR.stripe_size,
        data_offset=offset,
        metadata=metadata,
        order="<" if order == "<" else ">",
    )
    images = array.save(tmp_path)
    assert read(describe(images)) == (array.truth, [])
    assert {scan(image)[0] for image in images} == {metadata}


def test_images_hold_right_cells_where_the_writer_says_so() -> None:
    random = Random(4)
    array = growing(6, progress=9 * FOUR.stripe_size, landed=lambda _at, _role: random.random() < 0.5)
    for side, geometry in ((OLD, THREE), (NEW, FOUR)):
        cells = array.valid_cells(side)
        seen = 0
        for row in range(SIZE // geometry.chunk):
            at = row * geometry.stripe_size
            content = bytes(array.content[side][at : at + geometry.stripe_size])
            data = [content[k * geometry.chunk :][: geometry.chunk] for k in range(geometry.data_disks)]
            for role, block in fill(geometry.stripe(row), data).items():
                for start in range(0, geometry.chunk, 4 * K):
                    component = row * geometry.chunk + start
                    if contains(cells[role], component, component + 4 * K):
                        seen += 1
                        place = array.roles[role].offset(side) + component
                        assert array.roles[role].image[place : place + 4 * K] == block[start : start + 4 * K]
        assert 40 < seen < SIZE // (4 * K) * geometry.raid_disks


@pytest.mark.parametrize("missing", [(), (0,), (1,), (2,), (3,)])
def test_torn_rows_ahead_of_the_position_do_not_matter_when_the_data_moved(missing: tuple[int, ...]) -> None:
    random = Random(5)
    array = growing(6, progress=8 * FOUR.stripe_size, landed=lambda _at, _role: random.random() < 0.5)
    assert read(array.array(without=missing)) == (array.truth, [])
    assert array.members[0].image != growing(6).members[0].image


def test_in_place_an_unrecorded_start_destroys_what_lies_ahead() -> None:
    array = write_array(THREE, SIZE, after=FOUR, progress=5 * FOUR.stripe_size)
    content, lost = read(array.array())
    assert lost == []
    assert content != array.truth
    assert content[10 * THREE.chunk :] == array.truth[10 * THREE.chunk :]


def test_backwards(tmp_path: Path) -> None:
    array = write_array(
        FOUR,
        SIZE,
        after=THREE,
        position=10 * THREE.stripe_size,
        progress=9 * THREE.stripe_size,
        data_offset=START,
        new_data_offset=START + 96 * K,
    )
    assert array.backwards
    assert read(describe(array.save(tmp_path))) == (array.truth, [])
    same_size = write_array(
        FOUR, SIZE, after=replace(FOUR, layout=1), position=8 * FOUR.stripe_size, backwards=True, new_data_offset=START
    )
    image = same_size.save(tmp_path)[0]
    assert int.from_bytes(scan(image)[1][8:12], "little") & RESHAPE_BACKWARDS
    assert read(describe([tmp_path / f"disk{number}.img" for number in range(4)])) == (same_size.truth, [])


def test_users_write_where_the_bytes_are() -> None:
    array = growing(6)
    before = array.truth
    behind, ahead = 5 * FOUR.stripe_size + 3000, 12 * FOUR.stripe_size + 777
    array.user_write(behind, b"behind the front" * 1000)
    array.user_write(ahead, b"ahead of the front" * 1000)
    assert array.truth != before
    for missing in ((), (0,), (3,)):
        assert read(array.array(without=missing)) == (array.truth, [])
    with pytest.raises(ValueError, match="waits"):
        array.user_write(6 * FOUR.stripe_size - 1, b"xx")
    truth = array.truth
    array.advance(20 * FOUR.stripe_size)
    assert array.truth == truth
    assert read(array.array()) == (truth, [])


def test_a_write_hole_spoils_parity_only() -> None:
    array = write_array(FOUR, SIZE)
    role, component = locate(FOUR, 0)
    parity = FOUR.stripe(0).p
    array.user_write(0, b"x" * 4 * K, landed=lambda _at, other: other == role)
    assert array.truth[: 4 * K] == b"x" * 4 * K
    assert read(array.array()) == (array.truth, [])
    assert read(array.array(without=(1 if role != 1 else 2,)))[0] != array.truth
    assert not contains(array.valid_cells(OLD)[parity], component, component + 4 * K)


def test_a_member_that_failed_is_stale(tmp_path: Path) -> None:
    array = growing(3)
    array.fail(1)
    array.user_write(20 * THREE.stripe_size, b"later" * 1000)
    array.advance(9 * FOUR.stripe_size)
    images = array.save(tmp_path)
    events = [scan(image)[2].events for image in images]
    assert events[1] < events[0] - 1
    described = describe(images)
    assert [member.role for member in described.members] == [0, 2, 3]
    assert read(described) == (array.truth, [])


def test_a_reshape_fills_a_hole(tmp_path: Path) -> None:
    array = write_array(THREE, SIZE, data_offset=START)
    array.fail(1)
    array.start_reshape(FOUR, [MOVED] * 4, fill=(1,))
    array.advance(6 * FOUR.stripe_size)
    assert scan(array.save(tmp_path)[4])[2].recovery_offset == 6 * FOUR.chunk
    assert read(array.array()) == (array.truth, [])
    assert read(array.array(without=(3,))) == (array.truth, [])
    assert array.valid_cells(OLD)[1] == []


def test_a_member_under_recovery_counts_up_to_its_offset(tmp_path: Path) -> None:
    array = write_array(FOUR, SIZE)
    array.fail(2)
    array.replace(2, START // 4, 5 * FOUR.chunk + 8 * K)
    assert int.from_bytes(scan(array.save(tmp_path)[4])[1][8:12], "little") & RECOVERY_OFFSET
    assert read(array.array()) == (array.truth, [])
    _, lost = read(array.array(without=(0,)))
    assert lost[0][0] >= 5 * FOUR.stripe_size


def test_bad_blocks_are_computed_around(tmp_path: Path) -> None:
    array = write_array(FOUR, SIZE, data_offset=START)
    array.spoil(0, START + 8 * K, START + 20 * K)
    array.spoil(2, START + 8 * K + 512, START + 9 * K)
    described = describe(array.save(tmp_path))
    assert int.from_bytes(scan(tmp_path / "disk0.img")[1][8:12], "little") & BAD_BLOCKS
    content, lost = read(described)
    assert lost == [(8 * K + 512, 9 * K), (40 * K + 512, 41 * K)]
    assert content[: 8 * K] == array.truth[: 8 * K]
    assert content[48 * K :] == array.truth[48 * K :]


def test_ten_tebibytes_of_sparse_members(tmp_path: Path) -> None:
    component = 10 << 40
    old, new = Geometry(6, 2, 6, 512 * K), Geometry(6, 2, 8, 512 * K)
    position = (20 << 40) // new.stripe_size * new.stripe_size
    label = Label("1.2", old, component, tuple(range(8)), new, position)
    end = old.capacity(component)
    pieces = {position - 5000: b"front" * 2000, 7: b"first", end - 8: b"the last"}
    images = write_sparse_array(tmp_path, label, pieces, data_offset=16 << 20, new_data_offset=8 << 20)
    assert sum(os.stat(image).st_blocks for image in images) * 512 < 64 << 20
    for left in (images, images[2:], images[:6]):
        described = describe(left)
        assert described.size == end
        for start, piece in pieces.items():
            content, lost = read(described, start - 7, min(start + len(piece) + 100, end))
            assert lost == []
            assert content.strip(b"\0") == piece
