"""What `-o` may say."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.errors import UsageError
from raidfs.fuse.options import KNOWN, MountOptions, fuse_options, parse_options


def test_nothing_said_means_defaults() -> None:
    assert parse_options([]) == parse_options([""]) == parse_options([",", "ro,defaults"]) == MountOptions()
    assert MountOptions().owner == (os.getuid(), os.getgid())


def test_all_options_in_several_words() -> None:
    options = parse_options(["doubtful,zero, direct_io", "check,allow_other,uid=7", "gid=8,noatime,nosuid,nodev"])
    assert options == MountOptions(
        doubtful=True,
        zero=True,
        check=True,
        direct_io=True,
        allow_other=True,
        uid=7,
        gid=8,
        kernel_flags=frozenset(("noatime", "nosuid", "nodev")),
    )
    assert options.owner == (7, 8)


def test_words_of_fstab_are_passed_over() -> None:
    words = "noauto,nofail,_netdev,user,x-systemd.automount,comment=rescue"
    assert parse_options([words]) == MountOptions()


def test_what_the_kernel_gets() -> None:
    always = {"fsname=raidfs", "subtype=raidfs"}
    assert fuse_options(MountOptions()) == always | {"ro"}
    # whoever mounts for himself may read the image anyway, so no file of it is closed to him
    others = {"ro", "default_permissions", "allow_other", "noatime"}
    assert fuse_options(parse_options(["allow_other,noatime,uid=3"])) == always | others
    assert fuse_options(parse_options(["overlay=o.img,zero"])) == always
    assert parse_options(["overlay=o.img,zero"]).overlay == os.path.abspath("o.img")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("sloppy", f"-o sloppy is not known to raidfs; known are {', '.join(KNOWN)}"),
        ("max_read=1", "-o max_read=1 is not known"),
        ("uid", "-o uid is not known"),
        ("uid=root", "-o uid=root needs a number, such as uid=1000"),
        ("gid=-1", "-o gid=-1 needs a number"),
        ("uid=99999999999", "needs a number"),
        ("uid=²", "needs a number"),
        ("zero=1", "-o zero=1 is not known"),
        ("rw", "-o rw is not possible: members are never written; with -o overlay=FILE"),
        ("strict,doubtful", "choose one of them"),
    ],
)
def test_what_is_not_known_is_refused_in_one_sentence(word: str, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_options([word])
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(parse_options([text]), MountOptions)
