"""The names that arrays have in a mount of all of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from raidfs.cli.showing import folder_names
from tests.support.simulated import plain_description

ONE = plain_description()


def named(*names: str | None) -> list[str]:
    return folder_names([replace(ONE, name=name, uuid=f"{number:08x}:1:2:3") for number, name in enumerate(names)])


def test_a_name_without_its_host() -> None:
    assert named("host:data", "other:home", "swap") == ["data", "home", "swap"]


def test_arrays_without_a_name_of_their_own_have_their_uuid() -> None:
    assert named(None, "a:data", "b:data", "") == [
        "array-00000000123",
        "data-00000001123",
        "data-00000002123",
        "array-00000003123",
    ]


def test_a_name_cannot_leave_its_folder() -> None:
    assert named("host:../../etc", "host:..", "host:a b\n", "x:\udcff/") == [
        "_.._etc",
        "array-00000001123",
        "a_b_",
        "__",
    ]


@given(st.lists(st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["a", "a-00000001123", "b:a"])), max_size=6))
def test_any_names_are_told_apart(names: list[str | None]) -> None:
    found = named(*names)
    assert len(set(found)) == len(names)
    assert all(name not in ("", ".", "..") and "/" not in name and name.isprintable() for name in found)
