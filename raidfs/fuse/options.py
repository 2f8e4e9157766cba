"""What `-o` may say: parsed once, refused with a sentence where it is not known. Imports neither pyfuse3 nor trio."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from raidfs.errors import UsageError

_KERNEL_FLAGS = frozenset(
    ("noatime", "atime", "relatime", "nodiratime", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "async", "sync")
)
"""Flags of mount(8) that are handed on; they change nothing about what is served."""
_NO_MEANING = frozenset(
    ("ro", "defaults", "auto", "noauto", "nofail", "_netdev", "user", "users", "nouser", "owner", "group", "lazytime")
)
"""Words of /etc/fstab that say nothing to us (`ro` is always so)."""
_FSTAB_PREFIXES = ("x-", "comment=", "X-")


@dataclass(frozen=True)
class MountOptions:
    """The options of one mount.

    Attributes:
        doubtful: serve doubtful bytes too.
        zero: serve lost bytes as zeros instead of failing.
        strict: withhold unproven bytes.
        check: compare every row with its parity before it is served.
        noreplay: show file systems as they lie on the array, without replaying their journals.
        direct_io: bypass the page cache for array.img.
        allow_other: let other users, root included, reach the mount.
        uid: owner of everything in the tree.
        gid: group of everything in the tree.
        overlay: file that takes what is written to images; None: nothing can be written.
        kernel_flags: flags handed to the kernel as they are.
    """

    doubtful: bool = False
    zero: bool = False
    strict: bool = False
    check: bool = False
    noreplay: bool = False
    direct_io: bool = False
    allow_other: bool = False
    uid: int | None = None
    gid: int | None = None
    overlay: str | None = None
    kernel_flags: frozenset[str] = frozenset()

    @property
    def owner(self) -> tuple[int, int]:
        """User and group of everything in the tree; whoever mounts, unless told."""
        return (os.getuid() if self.uid is None else self.uid, os.getgid() if self.gid is None else self.gid)


_SWITCHES = ("doubtful", "zero", "strict", "check", "noreplay", "direct_io", "allow_other")
_NUMBERS = ("uid", "gid")
KNOWN = (*_SWITCHES, "overlay=FILE", "uid=N", "gid=N", "ro", "noatime", "nosuid", "nodev", "noexec")
"""The options worth naming in a message or a help text."""


def parse_options(texts: Iterable[str]) -> MountOptions:
    """Read the values of all `-o` of a command line, each a comma-separated list.

    Raises:
        UsageError: an option is not known, contradicts another, or has no number where it needs one.
    """
    options = MountOptions()
    for word in (part.strip() for text in texts for part in text.split(",")):
        options = _with(options, word) if word else options
    if options.strict and options.doubtful:
        raise UsageError("-o strict withholds what is not proven, -o doubtful serves even more: choose one of them")
    return options


def _with(options: MountOptions, word: str) -> MountOptions:
    """Return the options with one more word of the command line."""
    name, equals, value = word.partition("=")
    if name in _NUMBERS and equals:
        number = _number(name, value)
        return replace(options, uid=number) if name == "uid" else replace(options, gid=number)
    if word in _SWITCHES:
        return _switched_on(options, word)
    if name == "overlay" and value:
        return replace(options, overlay=os.path.abspath(value))
    if word in _KERNEL_FLAGS:
        return replace(options, kernel_flags=options.kernel_flags | {word})
    if word in _NO_MEANING or word.startswith(_FSTAB_PREFIXES):
        return options
    if word == "rw":
        raise UsageError(
            "-o rw is not possible: members are never written; with -o overlay=FILE writes to images go to a file"
        )
    raise UsageError(f"-o {word} is not known to raidfs; known are {', '.join(KNOWN)}")


def _switched_on(options: MountOptions, name: str) -> MountOptions:
    """Return the options with one switch on."""
    change: dict[str, Any] = {name: True}
    return replace(options, **change)


def _number(name: str, value: str) -> int:
    """Return the number of `uid=` or `gid=`."""
    if not (value.isascii() and value.isdecimal()) or int(value) > 0xFFFFFFFE:
        raise UsageError(f"-o {name}={value} needs a number, such as {name}=1000")
    return int(value)


def fuse_options(options: MountOptions) -> set[str]:
    """Return the words for libfuse."""
    words = {"fsname=raidfs", "subtype=raidfs", *options.kernel_flags}
    if options.overlay is None:
        words.add("ro")
    # alone, whoever mounts may read the image anyway: so no file in it is closed to them, whoever owned it
    return words | {"allow_other", "default_permissions"} if options.allow_other else words
