"""Extended attributes of XFS: short lists in the inode, others in leaves of a tree, large values in their own blocks.

Source: `xfs_da_format.h: struct xfs_attr_sf_hdr, xfs_attr3_leafblock, xfs_attr_leaf_name_remote, xfs_attr3_rmt_hdr`;
`xfs_acl.c: xfs_acl_from_disk`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from raidfs.errors import Damaged
from raidfs.filesystem.xfs_super import Super, checked

_LEAF, _NODE = {4: 0xFBEE, 5: 0x3BEE}, {4: 0xFEBE, 5: 0x3EBE}
_LEAF_HEAD, _NODE_HEAD, _LEAF_COUNT = {4: 32, 5: 80}, {4: 16, 5: 64}, {4: 12, 5: 56}
_VALUE_HEAD = 56
_IN_LEAF, _ROOT, _SECURE, _PARENT, _INCOMPLETE = 0x1, 0x2, 0x4, 0x8, 0x80
_ACLS = {
    b"trusted.SGI_ACL_FILE": b"system.posix_acl_access",
    b"trusted.SGI_ACL_DEFAULT": b"system.posix_acl_default",
}
_WITH_ID = (0x02, 0x08)
_MOST_LEAVES = 4096
_LARGEST = 1 << 16

BlockRead = Callable[[int], bytes]
"""Reads a block of the attribute fork by its number in it; raises `Unreadable`."""


def short_xattrs(fork: bytes) -> dict[bytes, bytes]:
    """Read a list that lies in its inode.

    Raises:
        Damaged: it makes no sense.
    """
    found: dict[bytes, bytes] = {}
    at = 4
    for _ in range(fork[2]):
        if at + 3 > len(fork):
            raise Damaged("a short list of extended attributes is cut off")
        n, length, flags = fork[at : at + 3]
        at += 3
        if at + n + length > len(fork):
            raise Damaged("a short list of extended attributes is cut off")
        _add(found, flags, fork[at : at + n], fork[at + n : at + n + length])
        at += n + length
    return found


def tree_xattrs(told: Super, read: BlockRead) -> dict[bytes, bytes]:
    """Read the leaves, from the first on; raises `Unreadable`."""
    found: dict[bytes, bytes] = {}
    for raw in _leaves(told, read):
        head, version = _LEAF_HEAD[told.version], told.version
        (count,) = struct.unpack_from(">H", raw, _LEAF_COUNT[version])
        if head + 8 * count > len(raw):
            raise Damaged("a leaf of extended attributes makes no sense")
        for number in range(count):
            at, flags = struct.unpack_from(">HB", raw, head + 8 * number + 4)
            # the shortest of those with their value here is shorter than the head of one with its value elsewhere
            if at + (3 if flags & _IN_LEAF else 9) > len(raw):
                raise Damaged("a leaf of extended attributes makes no sense")
            if flags & _IN_LEAF:
                length, n = struct.unpack_from(">HB", raw, at)
                name, value = raw[at + 3 : at + 3 + n], raw[at + 3 + n : at + 3 + n + length]
                if at + 3 + n + length > len(raw):
                    raise Damaged("a leaf of extended attributes makes no sense")
            else:
                block, length, n = struct.unpack_from(">IIB", raw, at)
                name = raw[at + 9 : at + 9 + n]
                value = b"" if flags & _INCOMPLETE else _remote(told, read, block, length)
            _add(found, flags, name, value)
    return found


def _leaves(told: Super, read: BlockRead) -> Iterator[bytes]:
    """Yield the leaves: down to the first one, and from each to the next."""
    number = 0
    raw = _block(told, read, number)
    for _ in range(16):
        if _magic(raw) != _NODE[told.version]:
            break
        number = struct.unpack_from(">I", raw, _NODE_HEAD[told.version] + 4)[0]
        raw = _block(told, read, number)
    for _ in range(_MOST_LEAVES):
        if _magic(raw) != _LEAF[told.version]:
            raise Damaged("a block of extended attributes is none")
        yield raw
        number = struct.unpack_from(">I", raw)[0]
        if number == 0:
            return
        raw = _block(told, read, number)
    raise Damaged("the leaves of extended attributes have no end")


def _magic(raw: bytes) -> int:
    return int(struct.unpack_from(">H", raw, 8)[0])


def _block(told: Super, read: BlockRead, number: int) -> bytes:
    raw = read(number)
    return checked(raw, 12, "a block of extended attributes") if told.version == 5 else raw


def _remote(told: Super, read: BlockRead, block: int, length: int) -> bytes:
    """Return a value that lies in blocks of its own."""
    if length > _LARGEST:
        raise Damaged("the value of an extended attribute is too large")
    value = b""
    while len(value) < length:
        raw = read(block)
        if told.version == 5:
            if raw[:4] != b"XARM":
                raise Damaged("the value of an extended attribute is not where it should be")
            raw = checked(raw, 12, "the value of an extended attribute")[_VALUE_HEAD:]
        value += raw[: length - len(value)]
        block += 1
    return value


def _add(found: dict[bytes, bytes], flags: int, name: bytes, value: bytes) -> None:
    if flags & (_PARENT | _INCOMPLETE):
        return
    prefix = b"trusted." if flags & _ROOT else b"security." if flags & _SECURE else b"user."
    whole = prefix + name
    acl = _ACLS.get(whole)
    if acl is None:
        found[whole] = value
    else:
        found[acl] = _acl(value)


def _acl(stored: bytes) -> bytes:
    """Return an ACL as programs get it (`posix_acl_xattr.h`)."""
    count = struct.unpack_from(">I", stored)[0] if len(stored) >= 4 else 0
    if 4 + 12 * count > len(stored):
        raise Damaged("an ACL is cut off")
    told = [struct.pack("<I", 2)]
    for number in range(count):
        tag, who, permissions = struct.unpack_from(">IIH", stored, 4 + 12 * number)
        told.append(struct.pack("<HHI", tag & 0xFFFF, permissions, who if tag in _WITH_ID else 0xFFFFFFFF))
    return b"".join(told)
