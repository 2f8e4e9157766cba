"""A description survives being written and read; whatever else a file holds is refused by its line."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, Direction, Member, Past, Reshape, State
from raidfs.array.shape import Level, Shape
from raidfs.array.toml import Declaration, read_toml
from raidfs.array.toml_fields import IMPLIED, entries_of
from raidfs.array.toml_text import toml_lines
from raidfs.errors import BadArrayFile
from tests.support.described import descriptions
from tests.support.samples import SAMPLES, sample
from tests.support.simulated import describe

SHORT = """\
shape = { level = "raid5", layout = "left-symmetric", chunk_size = "4K", raid_disks = 3 }

[[member]]
path = "a.img"
role = 0
data_offset = "64K"

[[member]]
path = "b.img"
role = 2
data_offset = "2048s"
"""
RESHAPE = """
[reshape]
position = "32K"
direction = "forward"
before = { raid_disks = 2 }
"""


def written(description: ArrayDescription) -> bytes:
    return "".join(f"{line}\n" for line in toml_lines(description)).encode()


def read(raw: bytes | str, size: int = 1 << 24) -> ArrayDescription:
    """Read a file; every member is that large."""
    declared = read_toml(raw if isinstance(raw, bytes) else raw.encode(), "ARRAY.toml")
    return described(declared, size)


def described(declared: Declaration, size: int = 1 << 24) -> ArrayDescription:
    return declared.describe({number: (member.path, size) for number, member in enumerate(declared.members)})


@settings(max_examples=60)
@given(descriptions())
def test_what_was_written_is_read(description: ArrayDescription) -> None:
    raw = written(description)
    assert read(raw) == description
    assert written(read(raw)) == raw


@pytest.mark.parametrize("name", SAMPLES)
def test_what_was_written_of_simulated_arrays_is_read(name: str) -> None:
    assert read(written(describe(sample(name)))) == describe(sample(name))


@settings(max_examples=20)
@given(descriptions(), st.lists(descriptions(), max_size=3))
def test_arrays_beside_an_array_are_read_as_they_were_written(
    description: ArrayDescription, beside: list[ArrayDescription]
) -> None:
    declared = read_toml("\n".join(toml_lines(description, beside)).encode(), "ARRAY.toml")
    assert [described(each) for each in (declared, *declared.arrays)] == [description, *beside]


def test_no_field_is_forgotten() -> None:
    """Every field of everything that a description holds is a key, or follows from another one."""
    kinds: list[Any] = [ArrayDescription]
    for kind in kinds:
        entries = entries_of(kind)
        assert [each.name for each in entries] == [
            each.name for each in fields(kind) if (kind.__name__, each.name) not in IMPLIED
        ]
        assert all(each.says for each in entries), f"{kind.__name__}: a field is not explained"
        kinds += [each.type for each in entries if is_dataclass(each.type) and each.type not in kinds]
    assert {Member, Reshape, Shape, Past} < set(kinds)


@settings(max_examples=20)
@given(st.data())
def test_every_field_is_in_the_file(data: st.DataObject) -> None:
    """That the keys are read is shown above; here, that each of them is written whenever it says something."""
    description = data.draw(descriptions())
    keys = re.findall(r"^(\w+) = ", written(description).decode(), flags=re.MULTILINE)
    for entry in entries_of(ArrayDescription):
        assert entry.is_table or getattr(description, entry.name) is None or entry.key in keys


def test_the_usual_values() -> None:
    array = read(SHORT)
    assert array.shape == Shape(Level.RAID5, "left-symmetric", 4096, 3)
    assert [(each.path, each.role, each.data_offset, each.new_data_offset) for each in array.members] == [
        ("a.img", 0, 65536, 65536),
        ("b.img", 2, 1 << 20, 1 << 20),
    ]
    assert all(each.state is State.IN_SYNC for each in array.members)
    assert (array.component_size, array.size) == ((1 << 24) - (1 << 20), 2 * ((1 << 24) - (1 << 20)))
    assert (array.name, array.reshape, array.clean, array.missing_roles) == (None, None, True, (1,))


def test_a_reshape_says_only_what_changes() -> None:
    array = read(SHORT + RESHAPE)
    assert array.reshape is not None
    assert (array.reshape.before.raid_disks, array.reshape.before.chunk_size) == (2, 4096)
    assert (array.reshape.after, array.reshape.position) == (array.shape, 32768)
    assert array.reshape.direction is Direction.FORWARD


@pytest.mark.parametrize(
    ("level", "total"), [("linear", 2 * (1 << 24) - 65536 - (1 << 20)), ("raid1", (1 << 24) - (1 << 20))]
)
def test_levels_without_chunk_or_layout_need_none(level: str, total: int) -> None:
    shape = f'shape = {{ level = "{level}", raid_disks = 2 }}'
    text = re.sub("shape = .*", shape, SHORT).replace("role = 2", "role = 1")
    assert read(text).size == total
    if level == "linear":
        assert [member.component_size for member in read(text).members] == [(1 << 24) - 65536, (1 << 24) - (1 << 20)]


def in_a_table(**keys: str) -> str:
    """The file above with other keys of its shape."""
    _, _, members = SHORT.partition("\n")
    usual = {"level": '"raid5"', "chunk_size": '"4K"', "raid_disks": "3"}
    return "[shape]\n" + "".join(f"{key} = {value}\n" for key, value in {**usual, **keys}.items()) + members


TABLE = "[\n[0, 1, 2],\n[0, 2, 1],\n]"


@pytest.mark.parametrize(
    ("keys", "line", "says"),
    [
        ({"table": TABLE.replace("2, 1", "2, 2")}, 7, "row 1 of the table has role 2 twice"),
        ({"table": TABLE.replace("[0, 1, 2]", "[0, 1]")}, 6, "row 0 of the table has 2 entries, but the array 3 roles"),
        ({"table": TABLE.replace("2, 1", "7, 1")}, 7, "row 1 of the table has role 7, but the array has the roles 0"),
        ({"table": TABLE.replace("[0, 2, 1]", "5")}, 7, "table holds 5, which is no row of numbers"),
        ({"table": TABLE.replace("2, 1", "2, true")}, 7, "table is true, not a whole number"),
        ({"table": "5"}, 5, "table is 5, not a list of rows"),
        ({"table": "[]"}, 5, "the table has 0 rows, which cannot be"),
        ({"layout": '"left-symmetric"', "table": TABLE}, 5, "layout is 'left-symmetric', but there is a table"),
        ({"layout": '"table"'}, 5, "layout is 'table', but there is no table"),
        ({"table": TABLE, "exponents": "[[0, 1]]"}, 9, "exponents are for a raid6: a raid5 has no Q"),
        ({"table": TABLE, "regions": "2"}, 9, "regions are for a raid10, not for a raid5"),
        ({"level": '"raid1"', "table": TABLE}, 5, "a raid1 has only one layout, so there is no table of it"),
        (
            {"level": '"raid6"', "raid_disks": "4", "table": "[[0, 1, 2, 3],\n[3, 2, 1, 0]]"}
            | {"exponents": "[[0, 1],\n[1, 1]]"},
            8, "row 1 of exponents is [1, 1], not 2 different numbers from 0 to 254",
        ),
    ],
)  # fmt: skip
def test_contradictions_in_a_table_are_named_by_their_line(keys: dict[str, str], line: int, says: str) -> None:
    with pytest.raises(BadArrayFile, match=re.escape(f"ARRAY.toml, line {line}: {says}")):
        read(in_a_table(**keys))


def test_the_old_shape_of_a_reshape_has_the_same_table_or_its_own_layout() -> None:
    reshape = RESHAPE.replace("raid_disks = 2", "chunk_size = 8192").replace("32K", "64K")
    text = in_a_table(table=TABLE)
    same = read(text + reshape).reshape
    assert same is not None
    assert same.before == Shape(Level.RAID5, "table", 8192, 3, ((0, 1, 2), (0, 2, 1)))
    named = read(text + reshape.replace("8192", '8192, layout = "left-symmetric"')).reshape
    assert named is not None
    assert named.before == Shape(Level.RAID5, "left-symmetric", 8192, 3)
    other = read(SHORT + reshape.replace("8192", "8192, table = [[2, 1, 0]]")).reshape
    assert other is not None
    assert other.before == Shape(Level.RAID5, "table", 8192, 3, ((2, 1, 0),))
    with pytest.raises(BadArrayFile, match=r"line 23: row 0 of the table has 3 entries, but the array 2 roles"):
        read(text + RESHAPE)


@settings(max_examples=100)
@given(st.data())
def test_any_table(data: st.DataObject) -> None:
    """What is no table is refused in one sentence; what is one is the same after it was written."""
    n = data.draw(st.integers(2, 5))
    level = data.draw(st.sampled_from(["raid0", "raid5", "raid6", "raid10"]))
    numbers = st.permutations(range(n)) | st.lists(st.integers(-1, n), min_size=n - 1, max_size=n + 1)
    rows = data.draw(st.lists(numbers, min_size=1, max_size=4))
    keys = {"level": f'"{level}"', "raid_disks": str(n), "table": str(rows)}
    if data.draw(st.booleans()):
        keys["exponents"] = str(data.draw(st.lists(st.permutations(range(max(n - 2, 0))), min_size=1, max_size=4)))
    raw = in_a_table(**keys).replace("role = 2", "role = 1").encode()
    only_speaks(raw)
    with suppress(BadArrayFile):
        assert read(written(read(raw))) == read(raw)


def test_equal_descriptions_have_equal_files() -> None:
    name = next(iter(SAMPLES))
    assert written(describe(sample(name))) == written(describe(sample(name)))


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('"64K"', '"64 parsecs"', 6, "data_offset: '64 parsecs' is no size"),
        ('"64K"', "-512", 6, "data_offset is -512 bytes, which cannot be"),
        ('"64K"', "true", 6, "data_offset is true, not a size"),
        ('data_offset = "64K"', 'dataoffset = "64K"', 6, "'dataoffset' is unknown here; known are path, role, state"),
        ('data_offset = "64K"\n', "", 3, "data_offset is missing in member: start of the component"),
        ("role = 2", "role = 0", 10, "role 0 is taken by another member (ARRAY.toml, line 5)"),
        ("role = 2", "role = 3", 10, "role is 3, but the array has the roles 0 to 2"),
        ("role = 2", 'role = "two"', 10, "role is 'two', not a whole number"),
        ("role = 2\n", "", 8, "role is missing: b.img is in-sync"),
        ("role = 2", 'role = 2\nstate = "fine"', 11, "state is 'fine'; known are in-sync, recovering"),
        ("role = 2", "role = 2\nbad_blocks = [[4, 2]]", 11, "bad_blocks holds [4, 2], which is no range of bytes"),
        ("role = 2", "role = 2\nbad_blocks = [\n[0, 512],\n7]", 13, "bad_blocks holds 7, which is no [start, stop]"),
        ('"b.img"', '""', 9, "path is '', which names no file"),
        ('"b.img"', '{ hex = "6" }', 9, "path is a table, which is no text in hexadecimal digits"),
        ('"raid5"', '"raid7"', 1, "level is 'raid7'; known are linear, raid0"),
        ('"4K"', "100", 1, "chunk_size is 100 bytes, which is no multiple of 512"),
        ("left-symmetric", "left", 1, "raid5 has no layout 'left'"),
        ("raid_disks = 3", "raid_disks = 1", 1, "raid_disks is 1, too few for a raid5"),
        ("raid_disks = 3", "raid_disks = 99999", 1, "raid_disks is 99999, which cannot be"),
        ("shape = ", "form = ", 1, "'form' is unknown here; known are uuid, name"),
        ("[[member]]\npath", "[member]\npath", 8, "this is no TOML: cannot overwrite a value"),
        ("role = 0", "role = 0 0", 5, "this is no TOML: "),
        ('"64K"', '"64K', 6, "this is no TOML: "),
    ],
)  # fmt: skip
def test_nonsense_is_named_by_its_line(old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(BadArrayFile, match=re.escape(f"ARRAY.toml, line {line}: {says}" if line != 8 else says)):
        read(SHORT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("32K", "1000", 14, "the reshape position 1000 is no multiple of a whole new stripe (8192 bytes)"),
        (
            "{ raid_disks = 2 }",
            "{ raid_disks = 2 }\nfront = { cut = 8192 }",
            17,
            "cut is 8192, but the reshape has come",
        ),
        (
            "{ raid_disks = 2 }",
            "{ raid_disks = 2 }\nfront = { cut = 32768, written = [[0, 8192]], left = [[4096, 9000]] }",
            17,
            "written, likely_written, likely_left and left of a front overlap",
        ),
        ("32K", "1T", 14, "the reshape position is 1099511627776 bytes, beyond the end of the array"),
        ('"forward"', '"backward"', 15, "direction is 'backward', but from 2 to 3 members it cannot be"),
        ('"forward"', '"sideways"', 15, "direction is 'sideways'; known are forward, backward"),
        ("raid_disks = 2", 'level = "raid6", raid_disks = 4', 13, "level"),
    ],
)
def test_contradictions_in_a_reshape_are_named_by_their_line(old: str, new: str, line: int, says: str) -> None:
    head, _, tail = (SHORT + RESHAPE).rpartition(old)
    with pytest.raises(BadArrayFile, match=r"ARRAY.toml, line \d+: ") as caught:
        read(head + new + tail)
    assert says in str(caught.value)
    assert f"line {line}:" in str(caught.value) or says == "level"


def test_what_the_images_contradict_is_named_by_its_line() -> None:
    with pytest.raises(BadArrayFile, match=r"ARRAY.toml, line 11: data_offset is 1048576, but b.img has only 69632 b"):
        read(SHORT, size=4096 + 65536)
    text = f"size = 512\n{SHORT}"
    with pytest.raises(BadArrayFile, match=r"ARRAY.toml, line 1: a size of 512 bytes; its shape holds"):
        read(text)
    with pytest.raises(BadArrayFile, match=r"ARRAY.toml, line 1: component_size is not given"):
        read_toml(SHORT.encode(), "ARRAY.toml").describe({})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "line 1: there is no [shape]"),
        (b"shape = 5", "line 1: shape is 5, not a table"),
        (SHORT.partition("\n")[0].encode(), "line 1: there is no [[member]]"),
        (b"member = 5\n", "line 1: member is 5, not [[member]]"),
        (b"[reshape]\nposition = 0\n", "line 1: there is no [shape]"),
        (b"# fine\nname = '\xff'", "line 2: this is no UTF-8"),
        (b"x = " + b"[" * 5000, "nests values too deep"),
        (b"events = " + b"9" * 5000, "ARRAY.toml"),
        (b'component_size = "' + b"9" * 5000 + b'"', "line 1: component_size"),
        (b"\0" * 512, "line 1: this is no TOML"),
    ],
)  # fmt: skip
def test_what_is_no_description_is_said(raw: bytes, says: str) -> None:
    with pytest.raises(BadArrayFile, match=re.escape(says)):
        read(raw)


def only_speaks(raw: bytes) -> None:
    """A value, or one sentence with the name of the file."""
    with suppress(BadArrayFile):
        read(raw)
        return
    with pytest.raises(BadArrayFile, match=r"\AARRAY.toml[^\n]*\Z"):
        read(raw)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    only_speaks(raw)


_WORDS = [
    *(b'"', b"[", b"]", b"{", b"}", b"=", b"\n", b"-", b"9" * 30, b"true", b"1.5", b"nan", b"1979-05-27", b"'''"),
    *(b"\\", b"[[member]]\n", b"\xff", b"\r", b'"""'),
]


@settings(max_examples=300)
@given(st.data())
def test_mutated_files(data: st.DataObject) -> None:
    stack = "\n".join(toml_lines(describe(sample("raid6")), [describe(sample("raid5")), describe(sample("growing"))]))
    raw = data.draw(st.sampled_from([(SHORT + RESHAPE).encode(), written(describe(sample("growing"))), stack.encode()]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        stop = min(len(raw), start + data.draw(st.integers(0, 12)))
        raw = raw[:start] + data.draw(st.sampled_from(_WORDS) | st.binary(max_size=3)) + raw[stop:]
    only_speaks(raw)
