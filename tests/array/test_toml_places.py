"""Where keys stand is found in every way in which TOML can be written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.toml_places import Path, line_at, lines_of

TEXT = '''\
# a comment with "quotes" and [brackets]
plain = 1
"quoted # key" = "a # b"
'literal' . inner = 'c:\\'   # and one more
many = """
x = 1
\\""" still """""
raw = \'\'\'
[no]
\'\'\'\'\'
list = [ # first
  1, [2,
  3], { deep = [
     4 ], other = "}" },
]

[table.sub]
key = 1979-05-27 07:32:00
[[rows]]
a = 1
[rows.inner]
b = 2
[[rows.more]]
[[rows.more]]
c = 3
[[rows]]
a = 4
[rows.inner]
b = 5
'''


def test_every_way_of_writing() -> None:
    tomllib.loads(TEXT)
    expected: dict[Path, int] = {
        ("plain",): 2,
        ("quoted # key",): 3,
        ("literal", "inner"): 4,
        ("many",): 5,
        ("raw",): 8,
        ("list",): 11,
        ("list", 0): 12,
        ("list", 1, 1): 13,
        ("list", 2, "deep"): 13,
        ("list", 2, "deep", 0): 14,
        ("list", 2, "other"): 14,
        ("table", "sub"): 17,
        ("table", "sub", "key"): 18,
        ("rows", 0): 19,
        ("rows", 0, "inner", "b"): 22,
        ("rows", 0, "more", 1, "c"): 25,
        ("rows", 1): 26,
        ("rows", 1, "a"): 27,
        ("rows", 1, "inner"): 28,
        ("rows", 1, "inner", "b"): 29,
    }
    found = lines_of(TEXT)
    assert {path: found.get(path) for path in expected} == expected
    assert lines_of(TEXT.replace("\n", "\r\n")) == found
    assert line_at(found, ("rows", 1, "missing", 7)) == 26
    assert line_at(found, ("nowhere",)) == 1


@pytest.mark.parametrize("text", ["a = [1, }", "a = [}", "a = {b = }", "a = [1 ] ]", "a = [#", "a = [1, , 2]", "a = ]"])
def test_what_is_no_toml_ends_the_walk(text: str) -> None:
    assert lines_of(f"{text}\n")[("a",)] == 1


def paths_in(value: Any, path: Path = ()) -> set[Path]:
    """Every path of a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(paths_in(each, (*path, key)) for key, each in inside))


@settings(max_examples=300)
@given(st.data())
def test_everything_that_is_read_is_found(data: st.DataObject) -> None:
    """Lines of the text above in any order and number: wherever that is TOML, every path has a line inside it."""
    lines = TEXT.split("\n")
    drawn = data.draw(st.lists(st.sampled_from(lines), max_size=30))
    text = "\n".join(drawn)
    found = lines_of(text)  # ends, whatever the text is
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert paths_in(document) <= found.keys()
    assert all(1 <= line <= len(drawn) + 1 for line in found.values())
