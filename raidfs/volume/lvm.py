"""LVM2: volume groups on physical volumes, linear and striped logical volumes on these.

Every physical volume says what the whole group is, so the newest text from any of them counts. What lies on one that is
not there is lost. What is more than stripes (thin, snapshot, raid, mirror, cache, vdo, ...) is named and not shown.
Source: LVM2, `lib/format_text/import_vsn1.c`, `lib/striped/striped.c`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from raidfs.block import BlockSource
from raidfs.finding import Finding, Severity
from raidfs.linear import MISSING, ZEROS, LinearMap, Piece, window
from raidfs.units import SECTOR
from raidfs.volume.lvm_label import Label, Text, read_label
from raidfs.volume.lvm_text import BadText, Section, Value
from raidfs.volume.striped import Striped
from raidfs.volume.volume import Volume, Volumes

_NAME = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9+_.-]{1,127}\Z")
_MOST_SEGMENTS = 1 << 16
_PLAIN = ("striped", "linear", "zero", "error")


@dataclass(frozen=True, eq=False)
class Device:
    """What may be a physical volume.

    Attributes:
        name: for findings: `array`, `array, partition 2`.
        source: its bytes.
    """

    name: str
    source: BlockSource


@dataclass(eq=False)
class _Physical:
    """A device that is a physical volume."""

    device: Device
    label: Label


@dataclass(eq=False)
class _Group:
    """One volume group: the text that counts, and what of it is there."""

    text: Text
    name: str
    extent_size: int
    sources: dict[str, BlockSource] = field(default_factory=dict)
    """By the name of the physical volume in the text; `MISSING` for those that are not there."""
    starts: dict[str, int] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def recognise(devices: Sequence[Device], before: Sequence[Device] = (), behind: Sequence[Device] = ()) -> Volumes:
    """Return the logical volumes on some devices, which may be parts of several groups.

    Args:
        devices: what may be physical volumes.
        before: devices of other arrays, to which a group is left that lies on one of them too: each is shown once.
        behind: devices of further arrays, on which groups may lie in part.

    Raises:
        SourceError: a source is gone.
    """
    findings: list[Finding] = []
    physical: list[_Physical] = []
    for device in (*devices, *before, *behind):
        label = read_label(device.source)
        if label is None:
            continue
        if device not in devices:
            physical.append(_Physical(device, label))
            continue
        twin = next((each for each in physical if label.uuid and each.label.uuid == label.uuid), None)
        if twin is not None:
            _warn(findings, device.name, f"the same physical volume as {twin.device.name} ({label.uuid}); left out")
            continue
        for note in label.notes:
            _warn(findings, device.name, f"LVM physical volume {label.uuid or '(unknown)'}: {note}")
        if not label.texts and label.uuid:
            findings.append(
                Finding(
                    Severity.NOTE,
                    device.name,
                    f"{device.name}: LVM physical volume {label.uuid}; what it is part of, others must tell",
                )
            )
        physical.append(_Physical(device, label))
    volumes: list[Volume] = []
    refused: list[tuple[str, str]] = []
    mine = [each for each in physical if each.device in devices]
    for text, name in _groups(physical, mine):
        other = next((each.device for each in physical if each.device in before and _is_part(each, text)), None)
        if other is not None:
            shown = f"volume group {name} lies in part on {other.name}, and is shown there"
            findings.append(Finding(Severity.NOTE, name, shown))
            continue
        try:
            group = _placed(text, name, physical, findings)
        except BadText as reason:
            _warn(findings, name, f"the metadata of volume group {name} make no sense: {reason}")
            continue
        _collect(group, volumes, refused, findings)
    return Volumes(tuple(volumes), tuple(refused), tuple(findings))


def _warn(findings: list[Finding], subject: str, message: str) -> None:
    findings.append(Finding(Severity.WARNING, subject, f"{subject}: {message}"))


def _groups(physical: Iterable[_Physical], mine: Sequence[_Physical]) -> Iterator[tuple[Text, str]]:
    """Yield the newest text of each group of which a part lies on one of `mine`, and how the group is called here."""
    newest: dict[str, Text] = {}
    for text in _credible(physical):
        known = newest.setdefault(text.group.text("id"), text)
        if text.sequence > known.sequence:
            newest[text.group.text("id")] = text
    here = {identity: text for identity, text in newest.items() if any(_is_part(each, text) for each in mine)}
    names = [text.name for text in here.values()]
    for identity, text in here.items():
        yield text, text.name if names.count(text.name) == 1 else f"{text.name}-{identity[:6]}"


def _credible(physical: Iterable[_Physical]) -> list[Text]:
    """Return the texts that count: proven ones, and of each volume that these know nothing of the newest other one."""
    texts = [text for each in physical for text in each.label.texts if text.is_proven]
    names = {text.name for text in texts}
    uuids = {told.text("id") for text in texts for told in text.group.section("physical_volumes").sections.values()}
    for each in physical:
        other = [text for text in each.label.texts if text.name not in names]
        if other and each.label.uuid not in uuids and not any(text.is_proven for text in each.label.texts):
            texts.append(max(other, key=lambda text: text.sequence))
    return texts


def _placed(text: Text, name: str, physical: Sequence[_Physical], findings: list[Finding]) -> _Group:
    """Find the physical volumes of a group."""
    if not _NAME.match(name):
        raise BadText("its name is none")
    if not text.is_proven:
        _warn(findings, name, "the newest metadata that could be found may not be the last ones")
    group = _Group(text, name, text.group.number("extent_size") * SECTOR)
    if not group.extent_size:
        raise BadText("its extents have no size")
    told = text.group.section("physical_volumes").sections
    identities = {each.text("id") for each in told.values()}
    present = {each.label.uuid: each.device for each in physical if each.label.uuid in identities}
    unknown = [each.device for each in physical if not each.label.uuid and _is_about(each, text)]
    for local, each in told.items():
        group.starts[local] = each.number("pe_start") * SECTOR
        device = present.get(each.text("id"))
        if device is None:
            device = next((one for one in unknown if _fits(one, each, told, present)), None)
        if device is None:
            what = f"physical volume {local} ({each.text('id')}, last seen as {each.text('device') or '?'})"
            group.absent[local] = what
            hint = "if it lies on another array of these members, --all finds it"
            _warn(findings, name, f"volume group {name}: {what} is missing; what lies on it is lost ({hint})")
        group.sources[local] = MISSING if device is None else device.source
    return group


def _is_part(physical: _Physical, text: Text) -> bool:
    """Tell whether a device is a physical volume of the group that a text is about."""
    told = text.group.section("physical_volumes").sections.values()
    return _is_about(physical, text) or any(each.text("id") == physical.label.uuid for each in told)


def _is_about(physical: _Physical, text: Text) -> bool:
    return any(each.group.text("id") == text.group.text("id") for each in physical.label.texts)


def _fits(device: Device, told: Section, all_told: dict[str, Section], present: dict[str, Device]) -> bool:
    """Tell whether a device without label must be that volume: the only one absent, or the only one of its size."""
    absent = [each for each in all_told.values() if each.text("id") not in present]
    size = device.source.size // SECTOR
    alike = [each for each in absent if each.values.get("dev_size") == size]
    return told is absent[0] if len(absent) == 1 else len(alike) == 1 and told is alike[0]


def _collect(group: _Group, volumes: list[Volume], refused: list[tuple[str, str]], findings: list[Finding]) -> None:
    """Build the logical volumes of a group."""
    logical = group.text.group.section("logical_volumes").sections
    stores = {
        segment.text("cow_store"): segment.text("origin")
        for each in logical.values()
        for segment in each.sections.values()
        if segment.text("type").split("+")[0] == "snapshot"
    }
    for local, told in logical.items():
        if "VISIBLE" not in told.texts("status"):
            continue
        name = f"{group.name}/{local}"
        if not _NAME.match(local):
            _warn(findings, group.name, f"volume group {group.name}: a logical volume has no proper name; left out")
            continue
        kinds = {segment.text("type").split("+")[0] for segment in told.sections.values()}
        other = sorted(kinds - set(_PLAIN))
        if local in stores:
            refused.append((name, f"{name} is a snapshot of {stores[local]}; raidfs cannot read snapshots"))
        elif other:
            what = " and ".join(each or "?" for each in other)
            refused.append((name, f"{name} is a logical volume of type {what}, which raidfs cannot read"))
        else:
            _add(group, name, told, volumes, findings)


def _add(group: _Group, name: str, told: Section, volumes: list[Volume], findings: list[Finding]) -> None:
    try:
        source, used = _joined(group, told)
    except BadText as reason:
        _warn(findings, name, f"logical volume {name} cannot be built: {reason}")
        return
    gone = [group.absent[each] for each in sorted(used & set(group.absent))]
    if gone:
        message = f"logical volume {name}: what lies on {' and '.join(gone)} is lost, the rest can be read"
        findings.append(Finding(Severity.ERROR, name, message))
    volumes.append(Volume(name, source, f"logical volume {name.split('/')[1]} of volume group {group.name}"))


def _joined(group: _Group, told: Section) -> tuple[LinearMap, set[str]]:
    """Return a logical volume, and the physical volumes that it lies on."""
    pieces: list[Piece] = []
    used: set[str] = set()
    segments = list(told.sections.values())
    if len(segments) > _MOST_SEGMENTS:
        raise BadText("it has too many segments")
    for segment in segments:
        kind = segment.text("type").split("+")[0]
        start, length = (segment.number(each) * group.extent_size for each in ("start_extent", "extent_count"))
        if start + length >= 1 << 62:
            raise BadText("it is larger than anything")
        if kind in ("zero", "error"):
            pieces.append(Piece(start, length, ZEROS if kind == "zero" else MISSING, 0))
            continue
        areas = list(_areas(group, segment.items("stripes")))
        used |= {name for name, _ in areas}
        source = _striped(group, segment, length, areas)
        pieces.append(Piece(start, length, source, 0))
    covered = sum(piece.length for piece in pieces)
    size = max((piece.stop for piece in pieces), default=0)
    if covered != size or not size:
        raise BadText("its segments do not join")
    return LinearMap(size, pieces), used


def _areas(group: _Group, told: list[Value]) -> Iterator[tuple[str, int]]:
    """Yield (physical volume, place on it [bytes])."""
    for name, extent in zip(told[::2], told[1::2], strict=False):
        if not isinstance(name, str) or not isinstance(extent, int) or not 0 <= extent < 1 << 40:
            raise BadText("a stripe makes no sense")
        if name not in group.sources:
            raise BadText(f"it lies on {name}, which is no physical volume")
        yield name, group.starts[name] + extent * group.extent_size


def _striped(group: _Group, segment: Section, length: int, areas: list[tuple[str, int]]) -> BlockSource:
    """Return the bytes of a segment."""
    if not areas or len(areas) != segment.number("stripe_count"):
        raise BadText("stripes are missing")
    each = length // len(areas)
    columns = [window(group.sources[name], place, each) for name, place in areas]
    if len(columns) == 1:
        return columns[0]
    stripe_size = segment.number("stripe_size") * SECTOR
    if not stripe_size or each % stripe_size or each * len(areas) != length:
        raise BadText("its stripes do not fill it")
    return Striped(columns, stripe_size)
