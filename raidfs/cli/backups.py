"""mdadm's backups of a reshape in place: found, judged by what the members hold, and let in as the last resort.

Since 4.2 mdadm lets the kernel go on while it still copies, so that a backup may hold what was overwritten before it
was copied; nothing in it tells. So all of it that can be compared is compared:

    array     |.. new, served ..|?? open ??|.. old, served ..|
    backup    |== equal? =======|          |== equal? =======|    one page that differs: it is not used at all

What is equal to data that the reshape has moved since proves that the copy was taken before they were overwritten. The
kernel and mdadm both go on from there in order, so what lies ahead of them is likely. What is equal to data that were
never overwritten proves nothing: the rest is doubtful then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from raidfs.array.backup import parts_ahead, reason_for_none
from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, one_request
from raidfs.cli.opening import Opened, Options
from raidfs.cli.replaying import Replayed
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.reshape import Side, sections_of
from raidfs.image import open_image
from raidfs.image.patient import in_time
from raidfs.replay.backup import lay_out
from raidfs.superblock.claim import BackupClaim, BackupPart
from raidfs.superblock.reshape_backup import read_backup_file, read_backup_on_member
from raidfs.units import format_size

_PAGE = 4096
"""The kernel moves data in pages of this size [bytes]."""
_ENOUGH = 4
"""Pages that tell something, and are equal to what was moved since, until the rest is believed."""
_PIECE = 64
"""A page that repeats its first bytes, this many, tells nothing."""


@dataclass(frozen=True)
class _Compared:
    """A backup beside the array without it.

    Attributes:
        differing: pages that differ from what the array serves.
        moved: equal pages that tell something, of data that were moved since [array bytes].
        same: pages that the array holds as doubtful ones in the new geometry, and that are equal [array bytes].
    """

    differing: int
    moved: Extents
    same: Extents


def open_backup(path: str, opened: Opened, options: Options, stack: ExitStack) -> None:
    """Open the file that `--backup-file` names; `stack` closes it.

    Raises:
        SourceError: it cannot be opened, or does not answer.
    """
    image = in_time(path, options.patience, partial(open_image, path))
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
            found = _compare(replayed, opened, source, parts, patience)
            if not found.differing:
                return _let_in(replayed, path, source, parts, found, findings)
            reason = f"it holds what was overwritten already: {found.differing} pages of 4 KiB differ from "
            reason += "what the members have there"
        severity = Severity.WARNING if is_named else Severity.NOTE
        findings.append(Finding(severity, path, f"{path}: the backup of the reshape is not used: {reason}"))
    return replace(replayed, findings=(*replayed.findings, *findings))


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
    replayed: Replayed, opened: Opened, source: BlockSource, parts: tuple[BackupPart, ...], patience: float
) -> _Compared:
    """Hold a backup against what the array has without it."""
    description = replayed.description
    moved = [(each.array_start, each.array_stop) for each in sections_of(description) if each.side is Side.AFTER]
    new = Extents(moved)
    sources = [(member, replayed.source_of(member, opened.members[member.path])) for member in description.sources]
    from raidfs.engine.array_source import ArraySource

    differing = 0
    proofs: list[tuple[int, int]] = []
    same: list[tuple[int, int]] = []
    with ExitStack() as stack:
        served, any_ = (
            stack.enter_context(closing(ArraySource(description, sources, policy, watch=False, patience=patience)))
            for policy in (Policy(), Policy(doubtful=True))
        )
        for part in parts:
            for start in range(part.array_start, part.array_stop, _PAGE):
                n = min(_PAGE, part.array_stop - start)
                copy, is_copied = _read(source, part.at + start - part.array_start, n)
                held, is_held = _read(served, start, n)
                known = is_held & is_copied
                differing += bool((copy != held)[known].any())
                tells = is_copied.all() and new.contains(start, start + n) and not _is_filled(copy)
                if tells and known.all():
                    proofs.append((start, start + n))
                elif tells and not is_held.any():
                    guess, is_there = _read(any_, start, n)
                    same += [(start, start + n)] if is_there.all() and np.array_equal(guess, copy) else []
    return _Compared(differing, Extents(proofs), Extents(same))


def _ahead_of(description: ArrayDescription, moved: Extents) -> Extents:
    """Return what the reshape comes to after the first of what it has moved [array bytes]."""
    assert description.reshape is not None
    if description.reshape.direction.is_forward:
        return Extents.span(int(moved.array[0, 0]), description.size)
    return Extents.span(0, int(moved.array[-1, 1]))


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


def _let_in(
    replayed: Replayed,
    path: str,
    source: BlockSource,
    parts: tuple[BackupPart, ...],
    found: _Compared,
    findings: list[Finding],
) -> Replayed:
    """Make a backup a source of the array."""
    description = replayed.description
    whole = Extents([(part.array_start, part.array_stop) for part in parts])
    was_in_time = found.moved.total >= _ENOUGH * _PAGE
    likely = found.same.union(_ahead_of(description, found.moved) if was_in_time else Extents()).intersection(whole)
    laid = lay_out(description, path, source, parts, likely)
    sources = dict(replayed.sources)
    for member, each in zip(laid.members, laid.sources, strict=True):
        sources[member.path, member.role] = each
    why = (
        f"{format_size(found.moved.total)} of it equal data that were moved since, so it was taken in time"
        if was_in_time
        else "too little of it was moved since to tell whether it was taken in time, so it is doubtful"
    )
    text = f"{path}: the backup of the reshape holds {format_size(whole.total)} ahead of the position; {why}"
    findings = [*findings, Finding(Severity.NOTE, path, text)]
    return replace(
        replayed,
        description=replace(description, members=(*description.members, *laid.members)),
        sources=sources,
        findings=(*replayed.findings, *findings),
    )
