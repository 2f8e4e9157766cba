"""Which ddrescue maps belong to which member, and what they say against it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raidfs.errors import BadMapfile, NotAMapfile, UsageError
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.image.ddrescue import MAX_SIZE, Mapfile, Status, parse_mapfile
from raidfs.units import format_size

SUFFIXES = (".map", ".mapfile")
"""Of the maps that are looked for beside an image."""


@dataclass(frozen=True)
class ToldLoss:
    """Bytes of an image that somebody told us not to be data.

    Attributes:
        extents: [image bytes].
        reason: who, and why: one clause.
    """

    extents: Extents
    reason: str


def is_mapfile_name(path: str) -> bool:
    """Tell whether a file is named like a map; in a folder of images such files are no members."""
    return path.endswith(SUFFIXES)


def without_maps(paths: Sequence[str]) -> list[str]:
    """Leave out of the members' paths what is the map of another one: `disk*` names both."""
    names = {name: path for path in paths for name in (*_named_after_stem(path), *_named_after(path)) if name != path}
    return [path for path in paths if not (is_mapfile_name(path) and path in names)]


def assign_mapfiles(words: Iterable[str], paths: Sequence[str]) -> dict[str, list[str]]:
    """Understand `--mapfile MEMBER=FILE`.

    Args:
        words: the values of the option.
        paths: of all members.

    Returns:
        The map files by member.

    Raises:
        UsageError: a word has no `=`, or names no member.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        splits = [(word[:at], word[at + 1 :]) for at, letter in enumerate(word) if letter == "="]
        if not splits or not splits[0][0] or not splits[-1][1]:
            raise UsageError(f"--mapfile {word}: write MEMBER=FILE")
        whose = [(path, file) for member, file in splits for path in paths if path == member]
        whose += [(path, file) for member, file in splits for path in paths if _is_same(path, member)]
        if not whose:
            raise UsageError(f"--mapfile {word}: none of the members is {splits[0][0]}; name it as among the MEMBERs")
        found.setdefault(whose[0][0], []).append(whose[0][1])
    return found


def load_mapfile(name: str) -> Mapfile:
    """Read a map from a file.

    Raises:
        BadMapfile: it cannot be read or understood.
    """
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise NotAMapfile(f"{name} is no ddrescue map: it is no regular file")
        with open(name, "rb") as file:
            return parse_mapfile(file.read(MAX_SIZE + 1), name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadMapfile(f"the ddrescue map {name} cannot be read: {reason}") from error


def losses_of(mapfile: Mapfile, name: str, size: int) -> list[ToldLoss]:
    """Return what a map says against an image of `size` bytes."""
    return [
        ToldLoss(extents, f"{status.words} in the map {name}") for status, extents in mapfile.unreadable(size).items()
    ]


def told_by_maps(
    sizes: Mapping[str, int], given: Mapping[str, Sequence[str]], *, look_beside: bool
) -> tuple[dict[str, list[ToldLoss]], list[Finding]]:
    """Read the maps of all images.

    Args:
        sizes: of each image, by path [bytes].
        given: the maps that the user named, by path of the image; they take the place of those beside it.
        look_beside: use maps that lie beside the other images.

    Raises:
        BadMapfile: a map that was named cannot be used, or one beside an image is damaged.
    """
    told: dict[str, list[ToldLoss]] = {path: [] for path in sizes}
    beside, findings = _maps_beside([path for path in sizes if path not in given]) if look_beside else ({}, [])
    for path, size in sizes.items():
        for name in given.get(path, ()):
            told[path] += losses_of(mapfile := load_mapfile(name), name, size)
            findings.append(_used(path, f"the ddrescue map {name} is used", mapfile, size))
        for name in beside.get(path, ()):
            try:
                mapfile = load_mapfile(name)
            except NotAMapfile as error:
                findings.append(Finding(Severity.WARNING, path, f"{error}; it lies beside {path} and is ignored"))
                continue
            except BadMapfile as error:
                raise BadMapfile(f"{error}; mend it, or leave out the maps beside images with --no-mapfiles") from error
            told[path] += losses_of(mapfile, name, size)
            findings.append(_used(path, f"the ddrescue map {name}, beside the image, is used", mapfile, size))
    return told, findings


def _maps_beside(paths: Sequence[str]) -> tuple[dict[str, list[str]], list[Finding]]:
    """Return the maps beside images; one that may belong to several of them is left to the user."""
    named = {path: _named_after(path) for path in paths}
    owned = {name for names in named.values() for name in names}
    shared = {path: [name for name in _named_after_stem(path) if name not in owned] for path in paths}
    claims = Counter(name for names in shared.values() for name in set(names))
    found: dict[str, list[str]] = {}
    findings = []
    for path in paths:
        if not os.path.isfile(path):
            continue  # a device has nothing beside it
        unique = {os.path.realpath(name): name for name in (*named[path], *shared[path]) if os.path.isfile(name)}
        found[path] = [name for name in unique.values() if claims[name] <= 1]
        for name in (name for name in unique.values() if claims[name] > 1):
            text = f"{name} may be the ddrescue map of several images and is ignored; say whose with --mapfile"
            findings.append(Finding(Severity.WARNING, path, text))
    return found, findings


def _named_after(path: str) -> list[str]:
    """`disk.img` -> `disk.img.map`; beside a link, and beside what it leads to."""
    return [f"{each}{suffix}" for each in dict.fromkeys((path, os.path.realpath(path))) for suffix in SUFFIXES]


def _named_after_stem(path: str) -> list[str]:
    """`disk.img` -> `disk.map`, as most people call it."""
    places = [Path(each) for each in dict.fromkeys((path, os.path.realpath(path)))]
    return [str(each.with_suffix(suffix)) for each in places if each.suffix for suffix in SUFFIXES]


def _is_same(path: str, other: str) -> bool:
    with suppress(OSError, ValueError):
        return os.path.samefile(path, other)
    return False


def _used(path: str, head: str, mapfile: Mapfile, size: int) -> Finding:
    unreadable = mapfile.unreadable(size)
    parts = [f"{format_size(each.total)} {status.words}" for status, each in unreadable.items()]
    says = f"not read because of it: {', '.join(parts)}" if parts else "it calls everything finished"
    last = max((int(each.array[-1, 1]) for each in mapfile.blocks.values() if each), default=0)
    if mapfile.blocks.get(Status.FINISHED, Extents()).overlaps(size, last):
        says += f"; it also covers bytes from {size} to {last}, which the image does not hold"
        return Finding(Severity.WARNING, path, f"{head}; {says}")
    return Finding(Severity.WARNING if parts else Severity.NOTE, path, f"{head}; {says}")
