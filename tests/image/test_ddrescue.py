"""Maps of GNU ddrescue: whatever ddrescue writes is understood, whatever is damaged is refused with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.errors import BadMapfile, NotAMapfile
from raidfs.extents import Extents
from raidfs.image.ddrescue import MAX_SIZE, Mapfile, Status, blocks_of, mapfile_lines, parse_mapfile

HEAD = "# Mapfile. Created by GNU ddrescue version 1.27\n# Command line: ddrescue -d /dev/sdx image map\n"
EXAMPLE = (
    f"{HEAD}0x00120000     ?               1\n"
    "#      pos        size  status\n"
    "0x00000000  0x00117000  +\n"
    "0x00117000  0x00000200  -\n"
    "0x00117200  0x00001000  /\n"
    "0x00118200  0x00007E00  *\n"
    "0x00120000  0x00048000  ?\n"
)


def parse(text: str) -> Mapfile:
    return parse_mapfile(text.encode(), "disk.map")


def test_every_status_of_a_map() -> None:
    found = parse(EXAMPLE)
    assert found.blocks == {
        Status.FINISHED: Extents.span(0, 0x117000),
        Status.BAD: Extents.span(0x117000, 0x117200),
        Status.NOT_SCRAPED: Extents.span(0x117200, 0x118200),
        Status.NOT_TRIMMED: Extents.span(0x118200, 0x120000),
        Status.NOT_TRIED: Extents.span(0x120000, 0x168000),
    }
    assert found.stop == 0x168000
    assert found.comments[0] == "Mapfile. Created by GNU ddrescue version 1.27"
    assert sum(each.total for each in found.unreadable(0x168000).values()) == 0x168000 - 0x117000


@pytest.mark.parametrize(
    "text",
    [
        "0 + 1\n0 512 +\n512 1024 -\n",
        "0x0 + 1\n0x0 0x200 +\n0X200 0X400 -\n",
        "00 + 1\n0 01000 +\n01000 02000 -\n",
        "0 +\n0 512 +\n512 1024 -",  # before ddrescue 1.20: no pass; and no newline at the end
        "0 F 1\r\n0 512 +\r\n\r\n512 1024 -\r\n",
        "  512   -  12 # retrying\n\t0  512\t+ # fine\n# in between\n 512 512 -\n1024 512 -#twice\n",
        "0 G 1\n0 0 ?\n0 512 +\n512 1024 -\n",
        "# \u00e4\u2028\x85\x0c\n0 + 1\n0 512 +\n512 1024 -\n",
    ],
)
def test_numbers_of_c_comments_and_the_forms_of_all_versions(text: str) -> None:
    assert parse(text).unreadable(1536) == {Status.BAD: Extents.span(512, 1536)}


def test_what_lies_outside_a_map_was_not_tried() -> None:
    found = parse("0 + 1\n512 512 +\n1024 512 -\n")
    assert found.unreadable(4096) == {
        Status.NOT_TRIED: Extents([(0, 512), (1536, 4096)]),
        Status.BAD: Extents.span(1024, 1536),
    }
    assert found.unreadable(1200) == {Status.NOT_TRIED: Extents.span(0, 512), Status.BAD: Extents.span(1024, 1200)}
    assert found.unreadable(0) == {}


def test_a_source_of_unknown_size_is_as_large_as_can_be() -> None:
    found = parse("0 + 1\n0 512 -\n512 9223372036854775807 +\n")
    assert found.unreadable(1 << 40) == {Status.BAD: Extents.span(0, 512)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "0 + 1\n0 512 +\n1024 512 -\n",
            "disk.map, line 3: the block at 1024 leaves a gap: the one before ends at 512",
        ),
        ("0 + 1\n0 512 +\n256 512 -\n", "line 3: the block at 256 overlaps the one before, which ends at 512"),
        ("0 + 1\n512 512 +\n0 512 -\n", "line 3: the block at 0 is out of order: the one before begins at 512"),
        ("0 + 1\n0 512 +\n512 512 - junk\n", "line 3: '512 512 - junk' is not a block of a ddrescue map"),
        ("0 + 1\n0 512 + 512 512 -\n", "line 2: '0 512 + 512 512 -' is not"),
        ("0 + 1\n0 512 x\n", "line 2: '0 512 x' is not"),
        ("0 + 1\n0 -512 +\n", "line 2: '0 -512 +' is not"),
        ("0 + 1\n08 512 +\n", "line 2: '08 512 +' is not"),
        ("0 + 1\n0 512 +\n#\n512 0x", "line 4: '512 0x' is not"),
        ("0 + 1\n0 512 F\n", "line 2: '0 512 F' is not"),
        (f"0 + 1\n0 {'9' * 10_000} +\n", "99...' is larger than any file can be"),
        ("0 + 1\n0 9223372036854775808 +\n", "line 2: '0 9223372036854775808 +' is larger than any file can be"),
        ("", "disk.map is no whole ddrescue map: it is empty, as if ddrescue had only begun"),
        (HEAD, "disk.map is no whole ddrescue map: it holds comments only"),
        (f"{HEAD}0 + 1\n", "disk.map, line 3: the ddrescue map ends here, before its first block"),
        ("0 512 +\n512 512 -\n", "disk.map, line 1: the ddrescue map has no status line; put one before it"),
    ],
)
def test_a_damaged_map_is_refused_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(BadMapfile) as caught:
        parse(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, NotAMapfile)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"\x7fELF\x00\x01" * 100, r"line 1 is '\x7fELF"),
        (b"# notes\ncall the customer back\n", "line 2 is 'call the customer back', but should be position, status"),
        (b"0 + 0\n0 512 +\n", "line 1 is '0 + 0'"),
        (b"0 + 1 2\n0 512 +\n", "line 1 is '0 + 1 2'"),
        (b"09 + 1\n0 512 +\n", "line 1 is '09 + 1'"),
    ],
)
def test_what_is_no_map_is_said_to_be_none(raw: bytes, sentence: str) -> None:
    with pytest.raises(NotAMapfile) as caught:
        parse_mapfile(raw, "disk.map")
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_huge_file_is_not_even_tried() -> None:
    with pytest.raises(NotAMapfile, match=f"more than {MAX_SIZE}"):
        parse_mapfile(bytes(MAX_SIZE + 1), "disk.map")


numbers = st.sampled_from([str, hex, lambda n: f"0{n:o}", lambda n: f"0X{n:X}"])


@given(
    st.lists(st.tuples(st.integers(0, 1 << 40), st.sampled_from(list(Status)), numbers, numbers), min_size=1), st.data()
)
def test_blocks_in_any_notation_come_back(blocks, data) -> None:  # type: ignore[no-untyped-def]  # of hypothesis
    position = data.draw(st.integers(0, 1 << 20))
    lines, expected = ["0 + 1"], {status: Extents() for status in Status}
    for size, status, write_start, write_size in blocks:
        lines.append(f"{write_start(position)} {write_size(size)} {status.value}")
        expected[status] = expected[status].union(Extents.span(position, position + size))
        position += size
    found = parse("\n".join(lines))
    assert {status: found.blocks.get(status, Extents()) for status in Status} == expected
    assert found.stop == position


ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=5).map(
    lambda pairs: Extents([(start, start + length) for start, length in pairs])
)


@given(ranges, ranges, st.integers(1, 64))
def test_what_is_written_is_read_again(bad: Extents, failed: Extents, size: int) -> None:
    marked = [(bad, Status.BAD), (failed, Status.NOT_TRIMMED)]
    text = "\n".join(mapfile_lines(("one", "two"), blocks_of(size, marked, Status.FINISHED)))
    found = parse(text)
    assert found.comments[:2] == ("one", "two")
    assert found.stop == size
    assert found.blocks.get(Status.BAD, Extents()) == bad.clip(0, size)
    assert found.blocks.get(Status.NOT_TRIMMED, Extents()) == failed.difference(bad).clip(0, size)
    assert sum(each.total for each in found.blocks.values()) == size


lines = st.one_of(
    st.text("0123456789xXabcF?*/-+# \t", max_size=30),
    st.tuples(st.integers(-1, 1 << 70), st.integers(-1, 1 << 70), st.sampled_from("?*/-+FG")).map(
        lambda block: f"{block[0]} {block[1]} {block[2]}"
    ),
)


@given(st.one_of(st.binary(), st.lists(lines).map(lambda each: "\n".join(["0 + 1", *each]).encode())))
def test_any_bytes_are_a_map_or_one_sentence(raw: bytes) -> None:
    said = ""
    found = Mapfile({}, 0)
    try:
        found = parse_mapfile(raw, "disk.map")
    except BadMapfile as error:
        said = str(error)
    assert said == "" or (said.startswith("disk.map") and "\n" not in said)
    for size in (0, 512, 1 << 40):
        unreadable = found.unreadable(size)
        rest = found.blocks.get(Status.FINISHED, Extents()).clip(0, size)
        assert sum(each.total for each in unreadable.values()) + rest.total == size
