"""Fast commits of ext4: what `fsync` wrote instead of a whole transaction, in the last blocks of the journal.

They tell in few words what was done to which inode since the last transaction, and only the kernel knows to do it. They
are recognised here and counted, not done.
Source: `fast_commit.h`, `fast_commit.c: ext4_fc_replay_scan`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from raidfs.block import read_exact
from raidfs.filesystem.jbd2_format import JournalSuper
from raidfs.linear import LinearMap

_ADD_RANGE, _DEL_RANGE, _CREAT, _LINK, _UNLINK, _INODE, _PAD, _TAIL, _HEAD = range(1, 10)
_NAMES = (_CREAT, _LINK, _UNLINK)


@dataclass(frozen=True)
class FastCommits:
    """What complete fast commits concern.

    Attributes:
        n_commits: how many there are.
        inodes: whose contents, size or times they change.
        n_names: names that they add or take away.
        is_cut: a block cannot be read that may hold more of them.
    """

    n_commits: int = 0
    inodes: frozenset[int] = frozenset()
    n_names: int = 0
    is_cut: bool = False


NO_FAST_COMMITS = FastCommits()


def read_fast_commits(journal: LinearMap, told: JournalSuper, sequence: int) -> FastCommits:
    """Look for fast commits that follow the last transaction.

    Args:
        journal: its bytes.
        told: its superblock.
        sequence: of the transaction that they belong to: the one after the last one that is complete.
    """
    found = NO_FAST_COMMITS
    n_commits, n_names, inodes = 0, 0, set[int]()
    for block in range(told.last + 1, told.n_blocks):
        raw, lost = read_exact(journal, block * told.block_size, told.block_size)
        at = 0
        while not lost and at + 4 <= len(raw):
            tag, length = struct.unpack_from("<HH", raw, at)
            value = raw[at + 4 : at + 4 + length]
            at += 4 + length
            if not _HEAD >= tag >= _ADD_RANGE or len(value) < min(length, 8) or at > len(raw):
                return found
            if tag in (_HEAD, _TAIL) and (len(value) < 8 or _sequence(tag, value) != sequence):
                return found
            if tag == _TAIL:
                n_commits += 1
                found = FastCommits(n_commits, frozenset(inodes), n_names)
                break  # the next one begins with a block
            if tag in _NAMES:
                n_names += 1
            elif tag in (_ADD_RANGE, _DEL_RANGE, _INODE) and len(value) >= 4:
                inodes.add(struct.unpack_from("<I", value)[0])
        else:
            if lost:
                return replace(found, is_cut=True)
            if not (n_commits or n_names or inodes):
                return found
    return found


def _sequence(tag: int, value: bytes) -> int:
    """Return the sequence number in a head (after its features) or a tail (before its checksum)."""
    return int(struct.unpack_from("<I", value, 4 if tag == _HEAD else 0)[0])
