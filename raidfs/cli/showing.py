"""What a mount shows of an open array, and what is told once it is up."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.cli.contents import Contents, ShownAs
from raidfs.cli.session import OpenArray
from raidfs.engine.account import extents_with
from raidfs.engine.health import Health
from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.fuse.options import MountOptions
from raidfs.overlay import Overlay
from raidfs.report.facts import gather
from raidfs.report.json import as_data
from raidfs.report.map import map_lines, unknown_map
from raidfs.units import format_size
from raidfs.view.build import ArrayView
from raidfs.view.filled import ZeroFilled
from raidfs.view.howto import Reader, guide
from raidfs.view.node import Directory, FileNode, KeptWhileUnchanged, Node, TreeNode
from raidfs.view.writable import Writing, writable

_MOST_MAP_LINES = 250_000
"""A longer array.map is not made: it would cost the mount more memory than everything else."""


def folder_names(arrays: Sequence[ArrayDescription]) -> list[str]:
    """Return a name for each array that a folder can have: its own without the host, where that tells it from others.

    Names come from the members, so anything unusual in them becomes `_`; where it does not suffice, the uuid is added.
    """
    plain = [(array.name or "").rpartition(":")[2] for array in arrays]
    safe = [re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".") for name in plain]
    longer = [f"{name or 'array'}-{array.uuid.replace(':', '')}" for name, array in zip(safe, arrays, strict=True)]
    unlike = [bool(name) and safe.count(name) == 1 and name not in longer for name in safe]
    return [name if alone else more for name, more, alone in zip(safe, longer, unlike, strict=True)]


def view_of(
    array: OpenArray,
    shown: BlockSource,
    contents: Contents,
    writing: Writing | None = None,
    shown_as: ShownAs | None = None,
) -> ArrayView:
    """Return what the mount shows of an open array: its bytes, and what was found on them."""
    source = array.source
    account = KeptWhileUnchanged(array.account, lambda: source.generation)

    def health() -> Mapping[str, bytes]:
        now = account()
        return {"user.raidfs.health": now.worst.word.encode(), "user.raidfs.lost_bytes": str(now.lost).encode()}

    mtime_ns = array.description.updated * 1000
    return ArrayView(
        title=title_of(array),
        source=shown,
        contents=contents.whole,
        mtime_ns=mtime_ns,
        status=KeptWhileUnchanged(lambda: _status(array, contents), lambda: source.generation),
        map=KeptWhileUnchanged(lambda: _map(array), lambda: source.generation),
        xattrs=health,
        layers=_layers(contents, mtime_ns, writing, shown_as),
        writer=writable(shown, writing),
        lines=tuple(lines_about(contents, can_write=writing is not None)),
    )


def _layers(contents: Contents, mtime_ns: int, writing: Writing | None, shown_as: ShownAs | None) -> dict[str, Node]:
    """Return the folders of what lies on the array: partitions, volumes and files."""
    shown: dict[str, Node] = {}

    def image(source: BlockSource) -> FileNode:
        seen = shown_as(source) if shown_as else source
        return FileNode(seen, mtime_ns, writer=writable(source, writing), is_part=True)

    if contents.partitions:
        images = {f"{name}.img": image(source) for name, source in contents.partitions.items()}
        shown["partitions"] = Directory(images, mtime_ns)
    groups: dict[str, dict[str, Node]] = {}
    for name, source in contents.volumes.items():
        group, _, volume = name.partition("/")
        groups.setdefault(group, {})[f"{volume}.img"] = image(source)
    if groups:
        shown["volumes"] = Directory({name: Directory(each, mtime_ns) for name, each in groups.items()}, mtime_ns)
    trees: dict[str, Node] = {each.name: TreeNode(each.tree, mtime_ns) for each in contents.file_systems}
    if trees:
        shown["files"] = next(iter(trees.values())) if len(trees) == 1 else Directory(trees, mtime_ns)
    return shown


def lines_about(contents: Contents, *, can_write: bool) -> Iterator[str]:
    """Yield what lies in `files/`, and what could not be shown there."""
    several = len(contents.file_systems) > 1
    for each in contents.file_systems:
        yield f"files/{each.name if several else '':<6} {each.meaning}."
        if each.note:
            yield f"             Its {each.note}."
        if each.has_dirty_log:
            yield f"             Its log was not replayed; {_ON_OVERLAY if can_write else _WITHOUT}"
    yield from (finding.message for finding in contents.findings if finding.severity > Severity.NOTE)


_ON_OVERLAY = "the kernel does that when it mounts the image."
_WITHOUT = "the kernel does that on a writable overlay: mount with -o overlay=FILE."


def shown_of(array: OpenArray, options: MountOptions) -> BlockSource:
    """Return the array's bytes, with zeros for what is lost where that was asked for."""
    source = array.source
    if not options.zero:
        return source

    def lost_in(start: int, stop: int) -> Extents:
        return extents_with(source.sight.charts, frozenset((Health.LOST,)), start, stop)

    return ZeroFilled(source, lost_in)


def overlay_of(array: OpenArray, options: MountOptions) -> Overlay | None:
    """Open the layer that takes writes, where one was asked for.

    Raises:
        OutputError: the file cannot be used for that.
    """
    if options.overlay is None:
        return None
    told = array.description
    protected = [image.describe_inode() for image in array.images.values()]
    return Overlay(array.source, options.overlay, f"{told.uuid} at {told.events}", protected)


def _status(array: OpenArray, contents: Contents) -> bytes:
    findings = (*array.findings, *contents.findings)
    data = as_data(gather(array.description, array.account(), findings, array.damage))
    data["file_systems"] = [
        {
            "name": each.name,
            "kind": each.contents.kind,
            "label": each.contents.label,
            "uuid": each.contents.uuid,
            "meaning": each.meaning,
            "journal": None if each.journal is None else each.journal.state.name.lower(),
        }
        for each in contents.file_systems
    ]
    return f"{json.dumps(data, indent=2)}\n".encode()


def _map(array: OpenArray) -> bytes:
    size = array.description.size
    lines = list(
        islice(map_lines(array.charts, size, title_of(array), array.options.policy.limit), _MOST_MAP_LINES + 1)
    )
    if len(lines) > _MOST_MAP_LINES:
        lines = unknown_map(size, f"more than {_MOST_MAP_LINES} ranges: `raidfs export --map FILE` writes them all")
    return "".join(f"{line}\n" for line in lines).encode()


def title_of(array: OpenArray) -> str:
    """Return what the array is, in a few words."""
    shape = array.description.shape
    name = f" ({array.description.name})" if array.description.name else ""
    return f"{shape.level.title} array of {shape.raid_disks} members{name}"


def ready_text(
    array: OpenArray, view: ArrayView, contents: Contents, folder: str, reader: Reader, mountpoint: str | None = None
) -> str:
    """Return what is told once the tree can be read."""
    size = format_size(view.source.size)
    lines = [f"{title_of(array)}, {size}, is at {folder}/array.img: {view.contents.meaning}."]
    lines += _damage_lines(array)
    lines += view.lines
    if contents.file_systems:
        lines += ["To copy the files out:", f"    cp -a {shlex.quote(folder)}/files /safe/place"]
    lines += guide(view.contents, folder, reader, mountpoint).lines(has_files=bool(contents.file_systems))
    return "\n".join(lines)


def _damage_lines(array: OpenArray) -> list[str]:
    account, redundancy = array.account(), array.description.shape.redundancy
    withheld = [(n, word) for n, word in ((account.doubtful, "doubtful"), (account.lost, "lost")) if n]
    lines = []
    if account.unproven:
        served = "withheld (-o strict)" if array.options.policy.strict else "served"
        told = f"rebuilt from {redundancy} that may be stale" if redundancy else "unproven"
        lines.append(f"{format_size(account.unproven)} are {told}: {served}.")
    if withheld:
        told = " and ".join(f"{format_size(n)} {word}" for n, word in withheld)
        lines.append(f"{told}: see array.map; what is withheld fails with an input/output error.")
    return lines
