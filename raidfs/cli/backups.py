"""mdadm's backups of a reshape in place: found, judged by what the members hold, and let in as the last resort.

Since 4.2 mdadm lets the kernel go on while it still copies, so that a backup may hold what was overwritten before it
was copied; nothing in it tells. So all of it that can be compared is compared:

    array     |.. new, served ..|?? open ??|.. old, served ..|
    backup    |== equal? =======|          |== equal? =======|    one page that differs: it is not used at all

One page says by itself whether it was copied in time. What is found there, if it was not, is what its old place holds
since; so a copy that differs from its old place was taken before that was overwritten. And a copy that is what the new
place holds was moved there from where both come from, unless two pages exchange their places. Such pages are likely, if
the backup is of this moment and was written to its end: if its time agrees with the superblocks', if pages that hold
something are the same here and there, and but for those that are filled, or are what the part before the last had in
their place: mdadm writes two parts in turns over each other, and data and header are safe only when both are. All
others are the last resort: one that equals its old place says nothing, and neither do pages beside it, for in a real
backup mdadm was overtaken half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from raidfs.array.backup import misdated, parts_ahead, reason_for_none, turn_of
from raidfs.array.description import ArrayDescription, State
from raidfs.block import BlockSource, one_request
from raidfs.cli.opening import Opened, Options
from raidfs.cli.replaying import Replayed
from raidfs.engine.health import Policy
from raidfs.errors import EmptySource
from raidfs.evidence.moves import Side as Places
from raidfs.evidence.moves import are_exchanged
from raidfs.evidence.turned_borders import seems_taken_up
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Side, sections_of
from raidfs.image import open_image
from raidfs.image.patient import TimedSource, in_time
from raidfs.replay.backup import lay_out
from raidfs.superblock.claim import BackupClaim, BackupPart
from raidfs.superblock.reshape_backup import read_backup_file, read_backup_on_member
from raidfs.units import format_size

_PAGE = 4096
"""The kernel moves data in pages of this size [bytes]."""
_PIECE = 64
"""A page that repeats its first bytes, this many, tells nothing."""
_SUPPORT = 4
"""Pages that must be the same in a backup and on the members before it is believed to be of this moment."""


@dataclass(frozen=True)
class _Compared:
    """A backup beside the array without it.

    Attributes:
        differing: pages that differ from what the array serves.
        equal: pages that hold something, and are what the array serves.
        likely: pages that were copied in time, as it seems, and that the array does not serve [array bytes].
    """

    differing: int
    equal: int
    likely: Extents


def open_backup(path: str, opened: Opened, options: Options, stack: ExitStack) -> None:
    """Open the file that `--backup-file` names; `stack` closes it. An empty one holds nothing, which is said.

    Raises:
        SourceError: it cannot be opened, or does not answer.
    """
    try:
        image = in_time(path, options.patience, partial(open_image, path))
    except EmptySource:
        opened.findings.append(_refused(path, "it has no bytes at all", is_named=True))
        return
    stack.callback(image.close)
    opened.backups[path] = image


def with_backups(replayed: Replayed, opened: Opened, patience: float) -> Replayed:
    """Let in what a backup holds of data that a reshape may have overwritten too early.

    Args:
        replayed: the array without it.
        opened: its images.
        patience: seconds that a member may take to answer.

    Raises:
        SourceError: a source is gone.
    """
    description = replayed.description
    findings: list[Finding] = []
    for path, source, claim, is_named in _candidates(description, opened):
        parts = parts_ahead(description, claim)
        reason = parts if isinstance(parts, str) else ""
        if not isinstance(parts, str):
            found = _compare(replayed, opened, source, parts, turn_of(description, claim.parts), patience)
            if not found.differing:
                doubt = misdated(description, claim)
                if not doubt and found.equal < _SUPPORT:
                    doubt = "hardly anything of it is on the members, too, so that nothing tells whether it is current"
                doubt = doubt or (_taken_up(description, opened, patience) if found.likely else "")
                likely = Extents() if doubt else found.likely
                findings.append(_told(path, parts, likely, doubt))
                return _let_in(replayed, path, source, parts, likely, findings)
            reason = f"it holds what was overwritten already: {found.differing} pages of 4 KiB differ from "
            reason += "what the members have there"
        findings.append(_refused(path, reason, is_named=is_named))
    return replace(replayed, findings=(*replayed.findings, *findings))


def _taken_up(description: ArrayDescription, opened: Opened, patience: float) -> str:
    """Say why a backup may be of what had been moved already; or ''."""
    serving = description.serving.items()
    with ExitStack() as stack:
        images = {
            role: stack.enter_context(TimedSource(member.path, opened.members[member.path], patience))
            for role, member in serving
        }
        seems = seems_taken_up(description, images)
    text = (
        "files seem to go on as if the reshape had been taken up again from there over what it had moved already, and "
    )
    return text + "the backup would be of that" if seems else ""


def _refused(path: str, reason: str, *, is_named: bool) -> Finding:
    """Say why a backup is of no use; `is_named`: the user gave it."""
    severity = Severity.WARNING if is_named else Severity.NOTE
    return Finding(severity, path, f"{path}: the backup of the reshape is not used: {reason}")


def _candidates(description: ArrayDescription, opened: Opened) -> Iterator[tuple[str, BlockSource, BackupClaim, bool]]:
    """Yield (path, source, header, whether the user named it); as mdadm, files first, then disks that were added."""
    for path, image in opened.backups.items():
        yield path, image, read_backup_file(image), True
    reshape = description.reshape
    if reshape is None or reason_for_none(description):
        return
    n_old = reshape.before.raid_disks
    for member in description.members:
        is_added = member.role is None or (member.state.serves and member.role >= n_old)
        if is_added and member.path in opened.members:
            source = opened.members[member.path]
            claim = read_backup_on_member(source, member.data_offset, description.component_size)
            if claim is not None:
                yield member.path, source, claim, False


def _compare(
    replayed: Replayed, opened: Opened, source: BlockSource, parts: tuple[BackupPart, ...], turn: int, patience: float
) -> _Compared:
    """Hold a backup against what the array has without it; `turn`: how far on what is written over a part lies."""
    from raidfs.engine.array_source import ArraySource

    description = replayed.description
    new = Extents([(each.array_start, each.array_stop) for each in sections_of(description) if each.side is Side.AFTER])
    members = [(member, replayed.source_of(member, opened.members[member.path])) for member in description.sources]
    differing, equal, likely = 0, 0, []
    with ExitStack() as stack:
        policies = (Policy(), Policy(doubtful=True))
        served, guessed = (
            stack.enter_context(closing(ArraySource(description, members, each, watch=False, patience=patience)))
            for each in policies
        )
        old = _OldPlaces(description, opened, patience, stack)
        moved = new.difference(_exchanged(description, parts))
        for start, stop, at in _pages(parts):
            copy, is_copied = _read(source, at, stop - start)
            held, is_held = _read(served, start, stop - start)
            differing += bool((copy != held)[is_held & is_copied].any())
            if not is_copied.all() or _is_filled(copy):
                continue
            equal += bool(is_held.all())
            if is_held.all() or _equals(served, start - turn, copy):
                continue
            before = old.read(start, stop)
            is_older = before is not None and not np.array_equal(before, copy)
            if is_older or (moved.contains(start, stop) and _equals(guessed, start, copy)):
                likely.append((start, stop))
    return _Compared(differing, equal, Extents(likely))


def _exchanged(description: ArrayDescription, parts: tuple[BackupPart, ...]) -> Extents:
    """Return the pages that change places with another one [array bytes].

    If their new place was not written after all, it still holds that other page, which is what their old place holds
    if that was: so what was copied too late is what the new place holds.
    """
    reshape = description.reshape
    assert reshape is not None
    serving = description.serving.items()
    old = Places(
        zone_of(reshape.before, description.component_size), {role: each.data_offset for role, each in serving}
    )
    new = Places(
        zone_of(reshape.after, description.component_size), {role: each.new_data_offset for role, each in serving}
    )
    pages = np.array([start for start, _, _ in _pages(parts)], dtype=np.int64)
    starts = pages[are_exchanged(pages, old, new)]
    return Extents(np.stack((starts, starts + _PAGE), axis=1))


def _equals(array: BlockSource, start: int, content: NDArray[np.uint8]) -> bool:
    """Tell whether an array serves some content at [start, start + its length)."""
    if not 0 <= start <= array.size - len(content):
        return False
    there, is_there = _read(array, start, len(content))
    return bool(is_there.all()) and np.array_equal(there, content)


def _pages(parts: tuple[BackupPart, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield (start, stop [array bytes], where the copy is) of each page."""
    for part in parts:
        for start in range(part.array_start, part.array_stop, _PAGE):
            yield start, min(start + _PAGE, part.array_stop), part.at + start - part.array_start


class _OldPlaces:
    """What members hold where the old geometry has the array's bytes, whoever wrote it there."""

    def __init__(self, description: ArrayDescription, opened: Opened, patience: float, stack: ExitStack) -> None:
        assert description.reshape is not None
        self._zone = zone_of(description.reshape.before, description.component_size)
        self._members = {
            role: (member, stack.enter_context(TimedSource(member.path, opened.members[member.path], patience)))
            for role, member in description.serving.items()
            if member.state is State.IN_SYNC
        }

    def read(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """Read the place of [start, stop), which lies in one chunk; uint8 (stop - start,), or None: it is not there."""
        ((role,), (offset,)) = self._zone.locate(np.array([start], dtype=np.int64))
        found = self._members.get(int(role))
        if found is None:
            return None
        member, source = found
        at = member.data_offset + int(offset)
        if at + stop - start > source.size or member.bad_blocks.overlaps(at, at + stop - start):
            return None
        content, there = _read(source, at, stop - start)
        return content if there.all() else None


def _read(source: BlockSource, start: int, n: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read [start, start + n); returns uint8 (n,), and bool (n,): what is there."""
    content, there = np.zeros(n, dtype=np.uint8), np.ones(n, dtype=np.bool_)
    for low, high in source.read_into(one_request(start, n), content):
        there[low:high] = False
    return content, there


def _is_filled(page: NDArray[np.uint8]) -> bool:
    """Tell whether a page repeats its first bytes, so that it may be equal to many."""
    pieces = page[: len(page) // _PIECE * _PIECE].reshape(-1, _PIECE)
    return bool((pieces == pieces[:1]).all())


def _told(path: str, parts: tuple[BackupPart, ...], likely: Extents, doubt: str) -> Finding:
    """Say what a backup is good for."""
    size = format_size(sum(part.length for part in parts))
    text = f"{path}: the backup of the reshape holds {size} ahead of the position; "
    if doubt:
        text += f"{doubt}; all of it is doubtful, and used only where nothing else is left"
        return Finding(Severity.WARNING, path, text)
    text += f"{format_size(likely.total)} that the members do not have for sure were copied in time, as it seems"
    text += ", and are unproven; the rest is used only where nothing else is left"
    return Finding(Severity.NOTE, path, text)


def _let_in(
    replayed: Replayed,
    path: str,
    source: BlockSource,
    parts: tuple[BackupPart, ...],
    likely: Extents,
    findings: list[Finding],
) -> Replayed:
    """Make a backup a source of the array."""
    description = replayed.description
    laid = lay_out(description, path, source, parts, likely)
    return replace(
        replayed,
        description=replace(description, members=(*description.members, *laid.members)),
        backup={member.role: each for member, each in zip(laid.members, laid.sources, strict=True)},
        findings=(*replayed.findings, *findings),
    )
