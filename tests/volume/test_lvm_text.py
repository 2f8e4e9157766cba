"""The text of LVM2 is read as its own tools read it; what is no such text is refused in a clause."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.volume.lvm_text import BadText, parse_text


def test_everything_that_it_may_hold() -> None:
    found = parse_text(
        '# remark\nvg-0.a+b {\n\tid = "a\\"b\\\\c"\nseqno = 12 # twelve\nratio = 2.5\nempty = []\n'
        'status = ["READ", "WRITE"]\nstripes = [\n"pv0", 7,\n"pv1", -1\n]\ninner {\n5th { x = 1 }\n}\n}\n'
        "version = 1\n# end"
    )
    group = found.section("vg-0.a+b")
    assert group.text("id") == 'a"b\\c'
    assert (group.number("seqno"), group.number("ratio"), found.number("version")) == (12, 2, 1)
    assert (group.items("empty"), group.texts("status")) == ([], ["READ", "WRITE"])
    assert group.items("stripes") == ["pv0", 7, "pv1", -1]
    assert group.section("inner").section("5th").number("x") == 1
    assert (group.text("seqno"), group.texts("id"), group.items("id"), group.section("none").values) == ("", [], [], {})


@pytest.mark.parametrize(
    "text",
    [
        "a {",
        "a = ",
        "a = [1, 2",
        'a = "x',
        "}",
        "a }",
        "= 1",
        "a = {",
        "a {" * 40,
        "a = " + "[" * 40,
        "a = \x01",
        "a = " + "9" * 50,
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(BadText):
        parse_text(text)


@pytest.mark.parametrize("value", ["-1", '"x"', "[]", "99999999999999999999"])
def test_numbers_are_numbers(value: str) -> None:
    with pytest.raises(BadText, match="a is missing or no number"):
        parse_text(f"a = {value}").number("a")


@given(st.text(alphabet='ab01 ={}[]",#\n\\.-', max_size=60))
def test_any_text_ends_in_an_answer(text: str) -> None:
    with suppress(BadText):
        parse_text(text)
