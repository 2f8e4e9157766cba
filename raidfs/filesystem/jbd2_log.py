"""Walking the log of a jbd2 journal: which transactions are complete, what they hold, and why the log ends.

    | super |  ... | descriptor copy copy copy | revocation | commit | descriptor copy ... | commit | what is older ...
                     sequence number n ----------------------------->  n + 1 ------------------->

The log is a ring. It ends where a block does not carry the number that is expected next; a transaction without its
commit never happened. As far as nothing is damaged this is what the kernel does (`fs/jbd2/recovery.c: do_one_pass`),
which refuses a journal with a block that cannot be read or a checksum that is wrong. Here what such a block held is
worked out from what follows it, where that is possible; else it ends the log, and that is told.

Every walk ends, because it goes over no block twice; it looks ahead from damaged blocks only, and only so far.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raidfs.block import read_exact
from raidfs.filesystem.jbd2_format import (
    COMMIT,
    DESCRIPTOR,
    MAGIC,
    REVOKE,
    JournalSuper,
    Tag,
    committed_ns,
    is_after,
    is_block_right,
    is_commit_right,
    revoked_by,
    sum_on,
    tags_of,
)
from raidfs.linear import LinearMap

_LOOK_AHEAD = 8192
"""Blocks behind the end of the log that are searched for more of it."""
_AT_ONCE = 256
"""Blocks that are read at once there."""
_HEADER = 60
"""Bytes of a commit that mean something, and more than other blocks need to be told apart."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a transaction wrote to one block.

    Attributes:
        tag: where it belongs.
        place: where it lies in the journal [blocks].
    """

    tag: Tag
    place: int


@dataclass
class Transaction:
    """What was written together.

    Attributes:
        sequence: its number.
        copies: in the order of the log.
        revoked: blocks of which older copies do not count any more, int64 (k,) each.
        committed_ns: when it was complete [ns since 1970]; 0: its commit cannot be read.
    """

    sequence: int
    copies: list[Copy] = field(default_factory=list)
    revoked: list[NDArray[np.int64]] = field(default_factory=list)
    committed_ns: int = 0


@dataclass
class Log:
    """What a journal holds.

    Attributes:
        transactions: complete ones, in order.
        following: the number that would come next.
        end: why the log ends there, a clause.
        notes: what could not be read and does not matter, clauses.
        doubts: what is not as it should be: something that was written may be missing; clauses.
    """

    transactions: list[Transaction]
    following: int
    end: str = ""
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


class _Ring:
    """The blocks of the log, from its start on, each once."""

    def __init__(self, journal: LinearMap, told: JournalSuper) -> None:
        self._journal, self._told = journal, told
        self.length = told.last - told.first

    def place(self, step: int) -> int:
        """Return which block of the journal lies `step` blocks behind the start of the log."""
        return self._told.first + (self._told.start - self._told.first + step) % self.length

    def block(self, step: int) -> tuple[bytes, int]:
        """Return a block, and how many bytes of it from its start on could be read."""
        size = self._told.block_size
        raw, lost = read_exact(self._journal, self.place(step) * size, size)
        return raw, size if not lost else int(lost.array[0, 0])

    def marked(self, step: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (step, block) of those that begin with the magic, and whose start can be read."""
        size = self._told.block_size
        while step < stop:
            first = self.place(step)
            count = min(_AT_ONCE, stop - step, self._told.last - first)
            raw, lost = read_exact(self._journal, first * size, count * size)
            words = np.frombuffer(raw, dtype=">u4").reshape(count, -1)[:, 0]
            for number in np.flatnonzero(words == MAGIC).tolist():
                if not lost.overlaps(number * size, number * size + _HEADER):
                    yield step + number, raw[number * size : (number + 1) * size]
            step += count


@dataclass(frozen=True, slots=True)
class _Header:
    kind: int
    sequence: int


def _header(raw: bytes) -> _Header | None:
    magic, kind, sequence = struct.unpack_from(">III", raw)
    return _Header(kind, sequence) if magic == MAGIC else None


def read_log(journal: LinearMap, told: JournalSuper) -> Log:
    """Walk the log of a journal that has something to replay.

    Raises:
        SourceError: the source is gone.
    """
    return _Walk(_Ring(journal, told), told).run()


class _Walk:
    """One walk over the log."""

    def __init__(self, ring: _Ring, told: JournalSuper) -> None:
        self._ring, self._told = ring, told
        self._log = Log([], told.sequence)
        self._open = Transaction(told.sequence)
        self._sum = 0xFFFFFFFF
        self._step = 0
        self._suspect = ""
        """A checksum that was wrong in the open transaction: damage, or what an older log left."""

    def run(self) -> Log:
        """Walk until the log ends."""
        while not self._log.end and self._step < self._ring.length:
            raw, n_read = self._ring.block(self._step)
            header = _header(raw) if n_read >= _HEADER else None
            whole = n_read == len(raw) or (header is not None and header.kind == COMMIT)
            if not whole:
                self._guess()
                continue
            self._step += 1
            if header is None or header.sequence != self._open.sequence:
                self._end("no further transaction follows" if self._is_fresh() else "the last one is not complete")
            elif header.kind == DESCRIPTOR:
                if not self._is_passed_over(raw):
                    self._describe(raw)
            elif header.kind == REVOKE:
                self._check(raw, "revocation")
                self._open.revoked.append(revoked_by(raw, self._told))
            elif header.kind == COMMIT:
                self._commit(raw)
            else:
                self._end("no further transaction follows")
        if not self._log.end:
            self._end("it fills the whole journal")
        self._log.following = self._open.sequence
        return self._log

    def _is_fresh(self) -> bool:
        return not self._open.copies and not self._open.revoked

    def _last_ns(self) -> int:
        return max((each.committed_ns for each in self._log.transactions), default=0)

    def _check(self, raw: bytes, what: str) -> None:
        if not is_block_right(raw, self._told):
            where = self._ring.place(self._step - 1)
            self._suspect = self._suspect or f"the checksum of a {what} of it is wrong (block {where} of the journal)"

    def _describe(self, raw: bytes) -> None:
        """Take what a descriptor says of the copies behind it."""
        self._check(raw, "descriptor")
        if self._told.checksums == 1:
            self._sum = sum_on(self._sum, raw)
        for tag in tags_of(raw, self._told):
            if self._step == self._ring.length:
                return
            self._open.copies.append(Copy(tag, self._ring.place(self._step)))
            if self._told.checksums == 1:
                copy, n_read = self._ring.block(self._step)
                self._sum = sum_on(self._sum, copy)
                if n_read < len(copy):
                    self._suspect = (
                        f"a block of it cannot be read (block {self._ring.place(self._step)} of the journal)"
                    )
            self._step += 1

    def _commit(self, raw: bytes) -> None:
        """Close a transaction, if that is what the commit proves."""
        number, when = self._open.sequence, committed_ns(raw)
        is_right = is_commit_right(raw, self._told, self._sum)
        lost = self._told.checksums == 1 and self._suspect
        if lost:
            # the sum cannot be had, but the commit is there: what cannot be read stays lost, all else is as written
            self._log.notes.append(f"transaction {number} cannot be checked: {self._suspect}")
        elif not self._suspect and not is_right and self._is_followed():
            self._log.notes.append(
                f"the commit of transaction {number} is damaged: it was one, as the next one follows"
            )
            when = 0
        elif self._suspect or not is_right:
            if when >= self._last_ns():
                problem = self._suspect or "the checksum of its commit is wrong"
                self._log.doubts.append(f"transaction {number} is damaged: {problem}")
            self._log.end = f"transaction {number} is damaged, or was left by an older log"
            return
        self._open.committed_ns = when
        self._close()

    def _is_followed(self) -> bool:
        """Tell whether the next block begins the next transaction, and proves that by its checksum."""
        if self._told.checksums < 2 or self._step == self._ring.length:
            return False
        raw, n_read = self._ring.block(self._step)
        header = _header(raw)
        if header is None or n_read < len(raw) or header.kind not in (DESCRIPTOR, REVOKE):
            return False
        return header.sequence == (self._open.sequence + 1) % (1 << 32) and is_block_right(raw, self._told)

    def _is_passed_over(self, raw: bytes) -> bool:
        """Pass over a descriptor with a wrong checksum, where what follows proves that it is of this log."""
        number = self._open.sequence
        if self._told.checksums < 2 or is_block_right(raw, self._told):
            return False
        for at, header, other in self._headers(self._step):
            if header.sequence != number:
                continue
            is_right = is_commit_right(other, self._told, 0) and committed_ns(other) >= self._last_ns()
            if is_right if header.kind == COMMIT else is_block_right(other, self._told):
                where = self._ring.place(self._step - 1)
                self._log.doubts.append(
                    f"the checksum of a descriptor of transaction {number} is wrong (block {where} of the journal):"
                    " which blocks it wrote is not known"
                )
                self._step = at
                return True
        return False

    def _close(self) -> None:
        self._log.transactions.append(self._open)
        self._open = Transaction((self._open.sequence + 1) % (1 << 32))
        self._sum, self._suspect = 0xFFFFFFFF, ""

    def _end(self, reason: str) -> None:
        """End the log; and see whether there is more of it, which would mean that it broke off too early."""
        self._log.end = reason
        expected = self._open.sequence
        for step, header, raw in self._headers(self._step):
            if header.kind != COMMIT or is_after(expected, header.sequence):
                continue
            is_near = (header.sequence - expected) % (1 << 32) <= self._ring.length
            # without checksums only its time tells that it is not of an older log
            proven = is_commit_right(raw, self._told, 0) if self._told.checksums >= 2 else bool(self._last_ns())
            if is_near and proven and committed_ns(raw) >= self._last_ns():
                self._log.doubts.append(
                    f"it breaks off before transaction {expected}, but block {self._ring.place(step)} of the journal"
                    f" commits transaction {header.sequence}: what lies between was overwritten or never copied"
                )
                return

    def _headers(self, step: int) -> Iterator[tuple[int, _Header, bytes]]:
        """Yield the headers that can be read, a while from `step` on."""
        for at, raw in self._ring.marked(step, min(self._ring.length, step + _LOOK_AHEAD)):
            header = _header(raw)
            if header is not None:
                yield at, header, raw

    def _guess(self) -> None:
        """Work out from what follows what a block held that cannot be read."""
        number, step = self._open.sequence, self._step
        where = f"block {self._ring.place(step)} of the journal cannot be read"
        following = (number + 1) % (1 << 32)
        for at, header, _ in self._headers(step + 1):
            if header.sequence == following and at == step + 1:
                self._log.notes.append(f"{where}: it was the commit of transaction {number}, as the next one follows")
                self._step = at
                self._close()
                return
            if header.sequence == number and header.kind in (DESCRIPTOR, REVOKE, COMMIT):
                what = "which blocks it wrote is not known" if at > step + 1 else "what it revoked is not known"
                self._log.doubts.append(f"{where}, it belonged to transaction {number}: {what}")
                self._step = at
                return
            if header.sequence == following:
                break
        self._log.doubts.append(f"{where}: whether transaction {number} was complete is not known, it is left out")
        self._log.end = "what follows cannot be read"
