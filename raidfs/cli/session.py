"""From paths to an open array: images are opened and scanned, the array assembled, its account made.

The one place where all layers meet below the commands; nothing here prints.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from raidfs.array.assemble import Assembly, assemble
from raidfs.array.choose import Claimed
from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.cli.advice import findings_of_array
from raidfs.cli.maps import without_maps
from raidfs.cli.told import Told, hear
from raidfs.engine.account import Account, account_of
from raidfs.engine.chart import SectionChart, chart_sections
from raidfs.engine.damage import Flaw, bytes_by_reason, known_flaws, unread_flaws
from raidfs.engine.health import Policy, Trust
from raidfs.errors import EmptySource, NoSuperblock, SourceError, SourceGone, SourceInUse, SourceSilent, UsageError
from raidfs.evidence.front import bound_front
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.reshape import at_risk_bytes
from raidfs.image import open_image
from raidfs.image.patient import PatientSource, in_time, silent_among
from raidfs.image.raw import RawImage
from raidfs.image.usage import users_of
from raidfs.partition import partitions_of
from raidfs.superblock import claim_of, md0, scan
from raidfs.superblock.bad_blocks import read_bad_blocks
from raidfs.superblock.found import Found
from raidfs.superblock.journal import journal_is_empty
from raidfs.units import format_offset

if TYPE_CHECKING:
    from raidfs.engine.array_source import ArraySource


@dataclass(frozen=True)
class Options:
    """What the user decided.

    Attributes:
        uuid: which array, by uuid or name.
        exclude: paths that are left out.
        force_live: read members that are in use or change.
        ignore_bad_block_log: read what a bad-block log calls bad.
        mapfiles: ddrescue maps, each `MEMBER=FILE`.
        no_mapfiles: do not look for maps beside images.
        learned: folder in which read errors are kept, or None.
        patience: seconds that a member may take to answer before we go on without it.
        policy: what is served.
    """

    uuid: str | None = None
    exclude: tuple[str, ...] = ()
    force_live: bool = False
    ignore_bad_block_log: bool = False
    mapfiles: tuple[str, ...] = ()
    no_mapfiles: bool = False
    learned: str | None = None
    patience: float = 20.0
    policy: Policy = Policy()


class OpenArray:
    """An array with its images open; made by `open_array`, valid until that context ends."""

    def __init__(
        self,
        assembly: Assembly,
        images: dict[str, RawImage],
        superblocks: dict[str, Found],
        findings: Sequence[Finding],
        options: Options,
        told: Told,
    ) -> None:
        """Hold what `open_array` found."""
        self.assembly = assembly
        self.images = images
        self.superblocks = superblocks
        self.options = options
        self._findings = tuple(findings)
        self._told = told
        self._source: ArraySource | None = None
        self._unreached: set[str] = set()

    @property
    def description(self) -> ArrayDescription:
        """The array as decided."""
        return self.assembly.description

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that the user should know, worst first; grows when damage is learned."""
        learned = [finding for flaw in self.learned for finding in self._about(flaw)]
        advice = findings_of_array(self.description, self.account())
        everything = [*self._findings, *advice, *learned, *self._given_up()]
        return tuple(sorted(everything, key=lambda each: -each.severity))

    @cached_property
    def serving(self) -> list[tuple[int, RawImage]]:
        """(role, image) of each member that serves, by role."""
        return [(role, self.images[member.path]) for role, member in sorted(self.description.serving.items())]

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """Everything that speaks against the images, as it is known now: first what was told at opening."""
        return self._flaws_at_open if self._source is None else self._source.sight.flaws

    @property
    def learned(self) -> tuple[Flaw, ...]:
        """What was found out by reading."""
        return self.flaws[len(self._fixed) :]

    @property
    def damage(self) -> dict[str, list[tuple[str, int]]]:
        """What speaks against each image that serves: (reason, bytes), by path."""
        found = {}
        for number, (role, image) in enumerate(self.serving):
            member = self.description.serving[role]
            end = max(member.data_offset, member.new_data_offset) + self.description.component_size
            found[image.path] = bytes_by_reason(self.flaws, number, max(end, image.size))
        return found

    @property
    def given(self) -> list[tuple[str, list[tuple[int, int]]]]:
        """What the maps that were given say of the members that serve, as plain data."""
        return [(each.reason, list(each.extents)) for _, image in self.serving for each in self._told.maps[image.path]]

    @property
    def charts(self) -> tuple[SectionChart, ...]:
        """The sections as they are known now."""
        return self._charts_at_open if self._source is None else self._source.sight.charts

    def account(self) -> Account:
        """What every byte is worth, as it is known now; computed without reading."""
        return account_of(self.charts)

    @property
    def source(self) -> ArraySource:
        """The array's bytes; loads the compiled kernels on first use."""
        if self._source is None:
            from raidfs.engine.array_source import ArraySource

            watch = not self.options.force_live
            told, patience = self._told_flaws, self.options.patience
            self._source = ArraySource(
                self.description, self.serving, self.options.policy, told=told, watch=watch, patience=patience
            )
        return self._source

    def assert_unchanged(self) -> None:
        """Make sure that no member changed since it was opened, unless that was allowed.

        Raises:
            SourceChanged: one did.
            SourceGone: one is gone, and nobody reads the array yet: whoever does rebuilds around it.
            SourceSilent: one does not answer; likewise.
        """
        for path, image in self.images.items():
            if self.options.force_live or path in self._unreached:
                continue
            try:
                in_time(path, self.options.patience, image.assert_unchanged)
            except (SourceGone, SourceSilent):
                if self._source is None:
                    raise
                self._unreached.add(path)

    def save_learned(self) -> None:
        """Keep the read errors that were met, where that was asked for.

        Raises:
            OutputError: that is not possible.
        """
        if self._told.learned is not None:
            self._told.learned.save()

    def close(self) -> None:
        """End what was started; images are closed by `open_array`."""
        if self._source is not None:
            self._source.close()

    def _about(self, flaw: Flaw) -> Iterator[Finding]:
        image = self.serving[flaw.source][1]
        inside = flaw.extents.clip(0, image.size)
        if inside:
            start, stop = int(inside.array[0, 0]), int(inside.array[-1, 1])
            text = f"{image.path}: {inside.total} bytes between {start} and {stop}: {flaw.reason}"
            yield Finding(Severity.WARNING, image.path, text)

    def _given_up(self) -> Iterator[Finding]:
        """Name the members that failed too often to be asked for details."""
        for _, image in self.serving:
            if image.is_budget_used_up:
                text = (
                    f"{image.path} fails too often or for too long: where it fails now, everything that was asked for "
                    "counts as unreadable; copy it with ddrescue and give the copy with its map"
                )
                yield Finding(Severity.WARNING, image.path, text)

    @cached_property
    def _told_flaws(self) -> tuple[Flaw, ...]:
        return tuple(
            Flaw(source, each.extents, Trust.NONE, each.reason)
            for source, (_, image) in enumerate(self.serving)
            for each in self._told.about(image.path)
        )

    @cached_property
    def known(self) -> tuple[Flaw, ...]:
        """What the members themselves say against their bytes, before any map or earlier run is heard."""
        roles = [role for role, _ in self.serving]
        return known_flaws(self.description, roles, [image.size for _, image in self.serving])

    @cached_property
    def _fixed(self) -> tuple[Flaw, ...]:
        return (*self.known, *self._told_flaws)

    @cached_property
    def _flaws_at_open(self) -> tuple[Flaw, ...]:
        return (*self._fixed, *unread_flaws([image for _, image in self.serving], self._fixed))

    @cached_property
    def _charts_at_open(self) -> tuple[SectionChart, ...]:
        return chart_sections(self.description, [role for role, _ in self.serving], self._flaws_at_open)


@contextmanager
def open_array(paths: Sequence[str], options: Options = Options()) -> Iterator[OpenArray]:
    """Open images, assemble the array that they hold, and close them at the end.

    Raises:
        UsageError: an image is given twice, or all are excluded; a map is given for none of them.
        SourceError: an image cannot be opened, or is in use.
        BadMapfile: a ddrescue map cannot be used.
        NoSuperblock: none of them holds a superblock.
        AssemblyError: see `raidfs.array.assemble.assemble`.
    """
    with ExitStack() as stack:
        silent = silent_among(paths, options.patience)
        there = [path for path in paths if path not in silent]
        if silent and not there:
            raise next(iter(silent.values()))
        wanted = _not_excluded(without_maps(there), [path for path in options.exclude if path not in silent])
        images, findings = _open_images(wanted, stack, options)
        findings += [_left_out(path, error) for path, error in silent.items() if path not in options.exclude]
        told = hear(images, there, options.mapfiles, options.learned, look_beside=not options.no_mapfiles)
        findings += told.findings
        claimed: list[Claimed] = []
        superblocks: dict[str, Found] = {}
        unreached: SourceError | None = None
        for path, image in list(images.items()):
            try:
                with PatientSource(path, image, options.patience) as patient:
                    found, said = _scan_image(path, patient, options)
            except SourceError as error:
                unreached = error
                del images[path]
                findings.append(_left_out(path, error))
                continue
            findings += said
            if found is not None:
                superblocks[path] = found[0]
                claimed.append(found[1])
        if not claimed:
            raise unreached or NoSuperblock(_nothing_found(list(paths)))
        assembly = assemble(claimed, options.uuid)
        assembly = replace(assembly, description=_bounded(assembly.description, images, options))
        array = OpenArray(assembly, images, superblocks, [*findings, *assembly.findings], options, told)
        array.assert_unchanged()
        stack.callback(array.close)
        yield array


def _left_out(path: str, error: SourceError) -> Finding:
    return Finding(Severity.WARNING, path, f"{error}; it is left out")


def _bounded(description: ArrayDescription, images: dict[str, RawImage], options: Options) -> ArrayDescription:
    """Let the data bound a reshape whose recorded position is not exact by itself."""
    if not at_risk_bytes(description):
        return description
    from raidfs.engine.array_source import ArraySource

    serving = {role: images[member.path] for role, member in sorted(description.serving.items())}
    array = ArraySource(description, list(serving.items()), watch=False, patience=options.patience)
    patient = {role: PatientSource(image.path, image, options.patience) for role, image in serving.items()}
    try:
        return bound_front(description, patient, array)
    finally:
        array.close()


def _not_excluded(paths: Sequence[str], excluded: Sequence[str]) -> list[str]:
    """Leave out what was excluded, however it is spelled.

    Raises:
        UsageError: what is excluded is none of the members.
    """
    left = list(paths)
    for unwanted in excluded:
        kept = [path for path in left if not _is_same(path, unwanted)]
        if len(kept) == len(left):
            raise UsageError(f"--exclude {unwanted}: this is none of the members")
        left = kept
    return left


def _is_same(path: str, other: str) -> bool:
    """Tell whether two paths name one file."""
    try:
        return path == other or os.path.samefile(path, other)
    except OSError:
        return False


def _open_images(paths: Sequence[str], stack: ExitStack, options: Options) -> tuple[dict[str, RawImage], list[Finding]]:
    """Open every image; empty ones, and those that do not answer, are left out, unless there is no other."""
    if not paths:
        raise UsageError("every MEMBER is excluded; leave at least one")
    images: dict[str, RawImage] = {}
    findings: list[Finding] = []
    seen: dict[tuple[int, int], str] = {}
    reason: SourceError | None = None
    for path in paths:
        try:
            image = in_time(path, options.patience, partial(open_image, path))
        except (EmptySource, SourceSilent) as error:
            reason = error
            findings.append(_left_out(path, error))
            continue
        stack.callback(image.close)
        _refuse(path, image, seen, options)
        images[path] = image
    if reason is not None and not images:
        raise reason
    return images, findings


def _refuse(path: str, image: RawImage, seen: dict[tuple[int, int], str], options: Options) -> None:
    """Refuse an image that is given twice, or in use."""
    inode = image.describe_inode()
    if inode in seen:
        also = "" if seen[inode] == path else f" (also as {seen[inode]})"
        raise UsageError(f"{path} is given twice{also}; name each image once")
    seen[inode] = path
    users = [] if options.force_live else users_of(path)
    if users:
        raise SourceInUse(f"{users[0]}; stop that first, or read it all the same with --force-live")


def _scan_image(path: str, image: BlockSource, options: Options) -> tuple[tuple[Found, Claimed] | None, list[Finding]]:
    """Read what one image says about itself."""
    result = scan(image, path)
    if not result.found:
        message = f"{path} holds no md superblock and is left out"
        return None, [*result.findings, Finding(Severity.WARNING, path, message)]
    found = result.found[0]
    claim = claim_of(found)
    findings = [*result.findings, *found.findings]
    bad_blocks, doubt = Extents(), ""
    if claim.bad_block_log is not None:
        log = read_bad_blocks(image, claim, path)
        bad_blocks = log.extents
        findings += log.findings
        doubt = "" if log.complete or options.ignore_bad_block_log else "has a bad-block log that cannot be read"
        if options.ignore_bad_block_log and bad_blocks:
            message = f"{path}: the bad-block log ({bad_blocks.total} bytes) is ignored as asked"
            findings.append(Finding(Severity.WARNING, path, message))
            bad_blocks = Extents()
    claimed = Claimed(path, image.size, claim, bad_blocks, found.unsupported, doubt or _in_partition(image, found))
    if claim.journal_tail is not None:
        claimed = replace(claimed, journal_empty=journal_is_empty(image, claim))
    return (found, claimed), findings


def _in_partition(image: BlockSource, found: Found) -> str:
    """Say that a superblock without a place of its own lies where one of the image's partitions has its own, or ''."""
    for start, size in partitions_of(image) if found.metadata == "0.90" else ():
        if any(start + at == found.offset for at, _ in md0.offsets(size)):
            where = f"partition that begins at {format_offset(start)}"
            return f"is a whole disk, and its superblock lies in the {where}: raidfs does not read such members yet"
    return ""


def _nothing_found(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return f"{paths[0]} holds no md superblock (0.90, 1.0, 1.1, 1.2); is it a member image of a Linux array?"
    return f"none of the {len(paths)} images holds an md superblock (0.90, 1.0, 1.1, 1.2); the first is {paths[0]}"
