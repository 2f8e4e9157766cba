"""Extended attributes of ext2/3/4, in the inode and in a block of their own; ACLs in the form of `getxattr(2)`.

Source: `xattr.h: struct ext4_xattr_entry`, `acl.c: ext4_acl_from_disk`, `posix_acl_xattr.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from raidfs.errors import Damaged

_MAGIC = 0xEA020000
_ENTRY = struct.Struct("<BBHIII")
_PREFIXES = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
    7: b"system.",
    8: b"system.richacl",
}
_ACLS = (2, 3)
_WITH_ID = (0x02, 0x08)
"""Tags of named users and groups; all others have no id."""

ValueOf = Callable[[int, int], bytes]
"""Returns the bytes of a value that has an inode of its own: its number, its length."""


def in_inode(extra: bytes, value_of: ValueOf) -> dict[bytes, bytes]:
    """Read what lies behind the fields of an inode."""
    if len(extra) < 4 or struct.unpack_from("<I", extra)[0] != _MAGIC:
        return {}
    return _entries(extra[4:], 0, 0, value_of)


def in_block(block: bytes, value_of: ValueOf) -> dict[bytes, bytes]:
    """Read a block of extended attributes."""
    if struct.unpack_from("<I", block)[0] != _MAGIC:
        raise Damaged("a block of extended attributes has no magic number")
    return _entries(block, 32, 0, value_of)


def _entries(raw: bytes, at: int, base: int, value_of: ValueOf) -> dict[bytes, bytes]:
    """Read entries from `at` on; their values lie relative to `base`."""
    found: dict[bytes, bytes] = {}
    while at + 4 <= len(raw) and raw[at : at + 4] != bytes(4):
        if at + 16 > len(raw):
            raise Damaged("an extended attribute reaches out of its block")
        n, kind, offset, inode, size, _ = _ENTRY.unpack_from(raw, at)
        name = raw[at + 16 : at + 16 + n]
        if inode:
            value = value_of(inode, size)
        elif base + offset + size <= len(raw):
            value = raw[base + offset : base + offset + size]
        else:
            raise Damaged("the value of an extended attribute reaches out of its block")
        prefix = _PREFIXES.get(kind)
        if prefix is not None:
            found[prefix + name] = _acl(value) if kind in _ACLS else value
        at += 16 + (n + 3) // 4 * 4
    return found


def _acl(stored: bytes) -> bytes:
    """Return an ACL as programs get it: version 2, each entry with an id."""
    if len(stored) < 4 or struct.unpack_from("<I", stored)[0] != 1:
        raise Damaged("an ACL has an unknown version")
    told = [struct.pack("<I", 2)]
    at = 4
    while at + 4 <= len(stored):
        tag, permissions = struct.unpack_from("<HH", stored, at)
        at += 4
        number = 0xFFFFFFFF
        if tag in _WITH_ID:
            if at + 4 > len(stored):
                raise Damaged("an ACL is cut off")
            number = struct.unpack_from("<I", stored, at)[0]
            at += 4
        told.append(struct.pack("<HHI", tag, permissions, number))
    return b"".join(told)
