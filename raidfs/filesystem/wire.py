"""What the mount and the worker of a file system say to each other: frames of JSON and bytes, one at a time.

    u32 length of the JSON | u32 length of the bytes | JSON | bytes

Nothing that comes from the worker is executed or trusted: what it reads may make it say anything. Bytes within the JSON
(names, values) are text of code points below 256.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from raidfs.filesystem.entry import Attributes, Contents, Packed, Record, Run, Twin

_HEAD = struct.Struct("<II")
_LONGEST = 64 << 20
"""Bytes of a frame; what is longer is refused."""

LARGEST_INODE = (1 << 55) - 1
"""Numbers above are for the mount's own purposes; no file system that can be read has them."""

Message = dict[str, Any]


class Garbled(Exception):
    """What came is no frame, or does not say what it should."""


def send(channel: socket.socket, message: Message, data: bytes | memoryview = b"") -> None:
    """Send one frame; blocks."""
    text = json.dumps(message, separators=(",", ":")).encode("ascii")
    head = _HEAD.pack(len(text), len(data)) + text
    if len(data) < 1 << 16:
        channel.sendall(head + bytes(data))
    else:
        channel.sendall(head)
        channel.sendall(data)


def receive(channel: socket.socket) -> tuple[Message, bytes]:
    """Wait for one frame.

    Raises:
        EOFError: the other side has gone.
        Garbled: see there.
        TimeoutError: as set for the socket.
    """
    n_text, n_data = _HEAD.unpack(_exactly(channel, _HEAD.size))
    if n_text + n_data > _LONGEST:
        raise Garbled("a frame is too long")
    raw = _exactly(channel, n_text + n_data)
    try:
        message = json.loads(raw[:n_text])
    except (ValueError, RecursionError) as error:
        raise Garbled("a frame is no JSON") from error
    if not isinstance(message, dict):
        raise Garbled("a frame is no object")
    return message, bytes(raw[n_text:])


def _exactly(channel: socket.socket, length: int) -> bytearray:
    """Return so many bytes."""
    whole = bytearray(length)
    view, got = memoryview(whole), 0
    while got < length:
        n = channel.recv_into(view[got:])
        if n == 0:
            raise EOFError
        got += n
    return whole


def text_of(raw: bytes) -> str:
    """Return bytes as text for JSON."""
    return raw.decode("latin-1")


def bytes_of(text: str) -> bytes:
    """Return the bytes again."""
    return text.encode("latin-1")


def pack_record(record: Record) -> list[Any]:
    """Return a record for JSON."""
    told = record.attributes
    fields = None
    if told is not None:
        owner = (told.inode, told.mode, told.n_links, told.uid, told.gid, *told.device)
        fields = [*owner, told.size, told.allocated, told.atime_ns, told.mtime_ns, told.ctime_ns]
    xattrs = record.xattrs
    return [
        fields,
        None if record.contents is None else pack_contents(record.contents),
        None if xattrs is None else {text_of(name): text_of(value) for name, value in xattrs.items()},
        None if record.target is None else text_of(record.target),
        record.why,
    ]


def unpack_record(packed: Any) -> Record:
    """Return the record again.

    Raises:
        Garbled: it is none.
    """
    try:
        fields, contents, xattrs, target, why = packed
        attributes = None
        if fields is not None:
            inode, mode, n_links, uid, gid, major, minor, size, *rest = map(int, fields)
            attributes = Attributes(inode, mode, n_links, uid, gid, (major, minor), size, *rest)
            if not (0 <= size < 1 << 63 and 0 <= mode < 1 << 16 and 0 <= inode <= LARGEST_INODE):
                raise Garbled("attributes are out of their range")
        return Record(
            attributes,
            None if contents is None else unpack_contents(contents),
            None if xattrs is None else {bytes_of(name): bytes_of(value) for name, value in xattrs.items()},
            None if target is None else bytes_of(target),
            str(why),
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Garbled("a record makes no sense") from error


def pack_contents(contents: Contents) -> list[Any]:
    """Return contents for JSON."""
    flat = [number for run in contents.runs for number in run]
    packed = [number for each in contents.packed for number in each]
    twins = [number for each in contents.twins for number in each]
    return [flat, None if contents.inline is None else text_of(contents.inline), contents.through, packed, twins]


def unpack_contents(packed: Any) -> Contents:
    """Return the contents again.

    Raises:
        Garbled: they are none.
    """
    try:
        flat, inline, through, made, double = packed
        # most files have one run, and many of them are listed at once
        runs = tuple(Run(*map(int, flat[at : at + 3])) for at in range(0, len(flat), 3))
        parts = tuple(Packed(*map(int, made[at : at + 4])) for at in range(0, len(made), 4)) if made else ()
        twins = tuple(Twin(*map(int, double[at : at + 3])) for at in range(0, len(double), 3)) if double else ()
        return Contents(runs, None if inline is None else bytes_of(inline), bool(through), parts, twins)
    except (TypeError, ValueError, AttributeError) as error:
        raise Garbled("contents make no sense") from error
