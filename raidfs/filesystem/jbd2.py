"""Replaying the journal of ext3 and ext4 in memory: the file system as it would be once the kernel had mounted it.

    file system   |..super..|......|#a#|.....|#b#|......|  journal  |
    replayed      | cleared |......| ^ |.....| ^ |......| emptied.. |
                                     +---------+-- read from the last committed copies in the journal

Nothing is written, and next to nothing is copied: a block is read from where its copy lies in the journal, and what is
lost there is lost here. What revocations, escapes and checksums mean is the kernel's (`fs/jbd2/recovery.c`).

A copy whose checksum is wrong, or that cannot be read, is not passed over for an older one: where the block itself has
the content that the checksum is of, it had been written already; else it is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact
from raidfs.filesystem.ext_journal import SUPER_AT, SUPER_SIZE, ExtSuper, journal_of, read_super
from raidfs.filesystem.jbd2_fast import NO_FAST_COMMITS, FastCommits, read_fast_commits
from raidfs.filesystem.jbd2_format import ESCAPED, MAGIC, JournalSuper, Unusable, is_after, parse_super
from raidfs.filesystem.jbd2_log import Copy, Log, read_log
from raidfs.finding import Finding, Severity
from raidfs.linear import MISSING, LinearMap, Piece, overlaid, piece_of
from raidfs.superblock.crc32c import crc32c, crc32c_rows

_AT_ONCE = 1024
"""Blocks that are checked at once."""
_GAP = 16
"""Blocks between two that are read along with them: that costs less than a read of its own."""


class State(Enum):
    """What became of a journal."""

    NONE = "no journal"
    CLEAN = "nothing to replay"
    REPLAYED = "replayed"
    EXTERNAL = "on another device"
    UNUSABLE = "not usable"


@dataclass(frozen=True)
class Replay:
    """A file system with its journal replayed.

    Attributes:
        source: its bytes; where nothing was replayed, those that were given.
        state: what became of the journal.
        transactions: how many were replayed.
        blocks: how many blocks are read from the journal.
        last_ns: when the last transaction was complete [ns since 1970]; 0: not known.
        summary: one sentence for the user.
        findings: what else is to be told.
        is_sure: nothing speaks against the result; else something that was written may be missing, nobody knows where.
        fast: fast commits that were not replayed.
    """

    source: BlockSource
    state: State
    summary: str
    transactions: int = 0
    blocks: int = 0
    last_ns: int = 0
    findings: tuple[Finding, ...] = ()
    is_sure: bool = True
    fast: FastCommits = NO_FAST_COMMITS


def replay(source: BlockSource, subject: str) -> Replay | None:
    """Replay the journal of an ext file system.

    Args:
        source: the file system.
        subject: what it is called in findings.

    Returns:
        None: there is no ext file system.

    Raises:
        SourceError: the source is gone.
    """
    told = read_super(source)
    if told is None:
        return None
    base, findings = source, _Findings(subject)
    if told.place != SUPER_AT:
        findings.error(f"its superblock is lost or damaged; the backup at byte {told.place} is used")
        base = overlaid(source, [piece_of(SUPER_AT, told.raw)])
    if told.is_journal:
        return Replay(source, State.NONE, "the journal of another file system, which lies on another device")
    if not told.has_journal:
        return Replay(base, State.NONE, "there is no journal", findings=findings.all)
    if not told.journal_inode:
        return _external(base, told, findings)
    if told.has_orphans:
        findings.note(
            "files that were deleted or cut while they were open wait for the kernel to finish that; they are shown as"
            " they are"
        )
    try:
        return _replayed(source, base, told, findings)
    except Unusable as reason:
        if told.needs_recovery or told.place != SUPER_AT:
            findings.error(f"the journal cannot be replayed: {reason}; what was changed last is missing or torn")
        else:
            findings.warning(f"the journal cannot be read: {reason}; nothing in it is needed")
        summary = "the journal cannot be replayed"
        return Replay(base, State.UNUSABLE, summary, findings=findings.all, is_sure=not told.needs_recovery)


class _Findings:
    """What is to be told of one file system."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._all: list[Finding] = []

    @property
    def all(self) -> tuple[Finding, ...]:
        return tuple(self._all)

    def _add(self, severity: Severity, message: str) -> None:
        self._all.append(Finding(severity, self._subject, f"{self._subject}: {message}"))

    def note(self, message: str) -> None:
        self._add(Severity.NOTE, message)

    def warning(self, message: str) -> None:
        self._add(Severity.WARNING, message)

    def error(self, message: str) -> None:
        self._add(Severity.ERROR, message)


def _external(base: BlockSource, told: ExtSuper, findings: _Findings) -> Replay:
    where = f"the journal lies on another device (UUID {told.journal_uuid})"
    if told.needs_recovery:
        findings.error(f"{where} and was not replayed: what was changed last is missing or torn")
    return Replay(base, State.EXTERNAL, where, findings=findings.all, is_sure=not told.needs_recovery)


def _replayed(source: BlockSource, base: BlockSource, told: ExtSuper, findings: _Findings) -> Replay:
    """Replay a journal that lies inside."""
    place = journal_of(source, told)
    parts = place.parts
    if place.problem:
        findings.warning(f"the journal: {place.problem}")
    block_size = told.block_size
    first, lost = read_exact(parts, 0, 1024)
    if lost:
        raise Unusable("its superblock cannot be read")
    journal = parse_super(first, parts.size // block_size, block_size)
    if journal.error:
        findings.warning(f"the kernel noted error {journal.error} in the journal")
    # a backup of the superblock does not know whether there is something to replay; the journal does
    if not told.needs_recovery and told.place == SUPER_AT:
        if journal.start:
            findings.warning("the journal holds transactions, but the superblock says that they are done with")
        return Replay(base, State.CLEAN, "there is nothing to replay in the journal", findings=findings.all)
    log = read_log(parts, journal) if journal.start else Log([], journal.sequence, "it is empty")
    last = _last_copies(log)
    count = min(told.n_blocks, source.size // block_size)
    outside = [home for home in last if home >= count]
    if outside:
        log.doubts.append(f"{len(outside)} of its blocks belong behind the end of the file system")
    checked = _Checked(source, parts, journal, {home: last[home] for home in sorted(last) if home < count})
    pieces = checked.pieces()
    emptied = journal.emptied((log.following + 1) % (1 << 32))
    laid = overlaid(base, [*pieces, piece_of(place.place, emptied), _cleared(base, pieces, told)])
    if checked.n_lost:
        findings.error(
            f"{checked.n_lost} copies in the journal cannot be read or have a wrong checksum: what they replaced is"
            " lost, it is not served"
        )
    fast = read_fast_commits(parts, journal, log.following) if journal.n_fast else NO_FAST_COMMITS
    _tell(log, fast, findings)
    return Replay(
        laid,
        State.REPLAYED,
        _summary(log, len(last)),
        len(log.transactions),
        len(last),
        max((each.committed_ns for each in log.transactions), default=0),
        findings.all,
        not log.doubts and not fast.n_commits and not fast.is_cut,
        fast,
    )


def _tell(log: Log, fast: FastCommits, findings: _Findings) -> None:
    for note in log.notes:
        findings.warning(f"the journal: {note}")
    for doubt in log.doubts:
        findings.error(f"the journal: {doubt}; files changed shortly before the stop may be wrong")
    if fast.n_commits:
        findings.error(
            f"{fast.n_commits} fast commits behind the last transaction were not replayed, only the kernel can, on a"
            f" writable overlay (-o overlay=FILE): {len(fast.inodes)} files and {fast.n_names} names are as they were"
            " before them"
        )
    if fast.is_cut:
        findings.error(
            "a block where fast commits may lie cannot be read: files changed shortly before the stop may be as they"
            " were before"
        )


def _summary(log: Log, n_blocks: int) -> str:
    if not log.transactions:
        return f"the journal holds no complete transaction: {log.end}"
    first, last = log.transactions[0].sequence, log.transactions[-1].sequence
    return (
        f"the journal was replayed in memory: {len(log.transactions)} transactions ({first} to {last}) with"
        f" {n_blocks} blocks; {log.end}"
    )


@dataclass(frozen=True, slots=True)
class _Last:
    copy: Copy
    sequence: int


def _last_copies(log: Log) -> dict[int, _Last]:
    """Return the copy that counts for each block; one that is not older than its revocation does not."""
    homes = {copy.tag.home for transaction in log.transactions for copy in transaction.copies}
    revoked: dict[int, int] = {}
    for transaction in log.transactions:
        for blocks in transaction.revoked:
            revoked.update((home, transaction.sequence) for home in blocks.tolist() if home in homes)
    return {
        copy.tag.home: _Last(copy, transaction.sequence)
        for transaction in log.transactions
        for copy in transaction.copies
        if copy.tag.home not in revoked or is_after(transaction.sequence, revoked[copy.tag.home])
    }


class _Checked:
    """Copies, checked against their checksums.

    Attributes:
        n_lost: how many are of no use, nor are the blocks that they are of.
    """

    def __init__(self, source: BlockSource, parts: LinearMap, journal: JournalSuper, last: dict[int, _Last]) -> None:
        self._source, self._parts, self._journal, self._last = source, parts, journal, last
        self.n_lost = 0

    def pieces(self) -> list[Piece]:
        """Return what is to be laid over the file system."""
        size, found = self._journal.block_size, list[Piece]()
        at_home, lost = self._judged()
        run: list[int] = []  # start, length, place: copies of neighbours are often neighbours
        for home, last in self._last.items():
            start, place = home * size, last.copy.place * size
            if home in at_home:
                continue
            if home in lost:
                found.append(Piece(start, size, MISSING, start))
            elif run and run[0] + run[1] == start and run[2] + run[1] == place:
                run[1] += size
            else:
                if run:
                    found.append(Piece(run[0], run[1], self._parts, run[2]))
                run = [start, size, place]
        if run:
            found.append(Piece(run[0], run[1], self._parts, run[2]))
        magic = MAGIC.to_bytes(4, "big")
        escaped = (home for home, last in self._last.items() if last.copy.tag.flags & ESCAPED and home not in at_home)
        return [*found, *(piece_of(home * size, magic) for home in escaped if home not in lost)]

    def _judged(self) -> tuple[set[int], set[int]]:
        """Return the blocks that are right where they are, and those of which nothing is right."""
        # in the order of the journal, so that neighbours are read together
        homes = sorted(self._last, key=lambda home: self._last[home].copy.place)
        at_home, lost = set[int](), set[int]()
        for start in range(0, len(homes), _AT_ONCE):
            batch = homes[start : start + _AT_ONCE]
            wrong, unread = self._compared(batch, self._parts, [self._last[each].copy.place for each in batch])
            for home in sorted(wrong | unread):
                # 16 bits are too few to prove that two blocks are equal
                if self._journal.checksums == 3 and not any(self._compared([home], self._source, [home])):
                    at_home.add(home)
                else:
                    self.n_lost += 1
                    lost |= {home} - unread  # what can be read of a copy is as good as ever
        return at_home, lost

    def _compared(self, homes: list[int], where: BlockSource, places: list[int]) -> tuple[set[int], set[int]]:
        """Compare the content of blocks at these places of a source with the checksums of their copies.

        Returns:
            Those that are wrong, and those that cannot be read.
        """
        rows, unread_rows = self._rows(where, np.array(places, dtype=np.int64))
        unread = {homes[index] for index in unread_rows}
        if self._journal.checksums < 2:
            return set(), unread
        sums = self._sums(homes, self._escaped(rows) if where is self._source else rows)
        told = np.array([self._last[home].copy.tag.checksum for home in homes], dtype=np.uint32)
        return {homes[index] for index in np.flatnonzero(sums != told)} - unread, unread

    def _rows(self, where: BlockSource, places: NDArray[np.int64]) -> tuple[NDArray[np.uint8], list[int]]:
        """Read blocks of a source, in ascending order; return uint8 (k, size), and which of them cannot be read."""
        size = self._journal.block_size
        first = np.flatnonzero(np.diff(places, prepend=places[0] - _GAP) >= _GAP)  # of each run
        start, stop = places[first], places[np.append(first[1:], len(places)) - 1] + 1
        begin = np.cumsum(stop - start) - (stop - start)
        out = np.zeros(int((stop - start).sum()) * size, dtype=np.uint8)
        lost = where.read_into(np.column_stack((start, stop - start, begin)) * size, out)
        run = np.searchsorted(start, places, side="right") - 1
        index = places - start[run] + begin[run]
        unread = (
            [row for row, at in enumerate(index.tolist()) if lost.overlaps(at * size, (at + 1) * size)] if lost else []
        )
        return out.reshape(-1, size)[index], unread

    def _sums(self, homes: list[int], rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
        """Return the checksums that copies with these contents would have; uint32 (k,)."""
        begun = {
            each: crc32c(self._journal.seed, each.to_bytes(4, "big"))
            for each in {self._last[home].sequence for home in homes}
        }
        sums = crc32c_rows(np.array([begun[self._last[home].sequence] for home in homes], dtype=np.uint32), rows)
        return sums & np.uint32(0xFFFFFFFF if self._journal.checksums == 3 else 0xFFFF)

    @staticmethod
    def _escaped(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return blocks as the journal would hold them."""
        is_magic = (rows[:, :4] == np.frombuffer(MAGIC.to_bytes(4, "big"), dtype=np.uint8)).all(axis=1)
        rows = rows.copy()
        rows[is_magic, :4] = 0
        return rows


def _cleared(base: BlockSource, pieces: list[Piece], told: ExtSuper) -> Piece:
    """Return the superblock, which the journal may have a copy of, of a file system that does not need its journal."""
    stop = SUPER_AT + SUPER_SIZE
    near = overlaid(base, [piece for piece in pieces if piece.start < stop and piece.stop > SUPER_AT])
    raw, lost = read_exact(near, SUPER_AT, SUPER_SIZE)
    now = told if lost or raw[0x38:0x3A] != b"\x53\xef" else ExtSuper(raw, SUPER_AT)
    return piece_of(SUPER_AT, now.replayed())
