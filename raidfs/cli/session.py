"""From paths to an open array: images are opened and scanned, the array assembled, its account made.

The one place where all layers meet below the commands; nothing here prints.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from raidfs.array.assemble import Assembly, assemble
from raidfs.array.choose import Claimed
from raidfs.array.description import ArrayDescription
from raidfs.cli.advice import findings_of_array
from raidfs.engine.account import Account, account_of
from raidfs.engine.chart import SectionChart, chart_sections
from raidfs.engine.damage import Flaw, known_flaws
from raidfs.engine.health import Policy
from raidfs.errors import EmptySource, NoSuperblock, SourceInUse, UsageError
from raidfs.evidence.front import bound_front
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.reshape import at_risk_bytes
from raidfs.image import open_image
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
        policy: what is served.
    """

    uuid: str | None = None
    exclude: tuple[str, ...] = ()
    force_live: bool = False
    ignore_bad_block_log: bool = False
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
    ) -> None:
        """Hold what `open_array` found."""
        self.assembly = assembly
        self.images = images
        self.superblocks = superblocks
        self.options = options
        self._findings = tuple(findings)
        self._source: ArraySource | None = None

    @property
    def description(self) -> ArrayDescription:
        """The array as decided."""
        return self.assembly.description

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that the user should know, worst first; grows when damage is learned."""
        learned = [self._about(flaw) for flaw in self.flaws[len(self._known) :]]
        advice = findings_of_array(self.description, self.account())
        everything = [*self._findings, *advice, *learned]
        return tuple(sorted(everything, key=lambda each: -each.severity))

    @cached_property
    def serving(self) -> list[tuple[int, RawImage]]:
        """(role, image) of each member that serves, by role."""
        return [(role, self.images[member.path]) for role, member in sorted(self.description.serving.items())]

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """Everything that speaks against the images, as it is known now: first what was known at opening."""
        return self._known if self._source is None else self._source.sight.flaws

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
            self._source = ArraySource(self.description, self.serving, self.options.policy, watch=watch)
        return self._source

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when a member changed since it was opened, unless that was allowed."""
        if not self.options.force_live:
            for image in self.images.values():
                image.assert_unchanged()

    def close(self) -> None:
        """End what was started; images are closed by `open_array`."""
        if self._source is not None:
            self._source.close()

    def _about(self, flaw: Flaw) -> Finding:
        path = self.serving[flaw.source][1].path
        start, stop = next(iter(flaw.extents))[0], int(flaw.extents.array[-1, 1])
        end = min(stop, self.serving[flaw.source][1].size)
        return Finding(Severity.WARNING, path, f"{path}: bytes {start} to {end}: {flaw.reason}")

    @cached_property
    def _known(self) -> tuple[Flaw, ...]:
        roles = [role for role, _ in self.serving]
        return known_flaws(self.description, roles, [image.size for _, image in self.serving])

    @cached_property
    def _charts_at_open(self) -> tuple[SectionChart, ...]:
        return chart_sections(self.description, [role for role, _ in self.serving], self._known)


@contextmanager
def open_array(paths: Sequence[str], options: Options = Options()) -> Iterator[OpenArray]:
    """Open images, assemble the array that they hold, and close them at the end.

    Raises:
        UsageError: an image is given twice, or all are excluded.
        SourceError: an image cannot be opened, or is in use.
        NoSuperblock: none of them holds a superblock.
        AssemblyError: see `raidfs.array.assemble.assemble`.
    """
    with ExitStack() as stack:
        images, findings = _open_images(_not_excluded(paths, options.exclude), stack, options)
        claimed: list[Claimed] = []
        superblocks: dict[str, Found] = {}
        for path, image in images.items():
            found, told = _scan_image(path, image, options)
            findings += told
            if found is not None:
                superblocks[path] = found[0]
                claimed.append(found[1])
        if not claimed:
            raise NoSuperblock(_nothing_found(list(paths)))
        assembly = assemble(claimed, options.uuid)
        assembly = replace(assembly, description=_bounded(assembly.description, images))
        array = OpenArray(assembly, images, superblocks, [*findings, *assembly.findings], options)
        array.assert_unchanged()
        stack.callback(array.close)
        yield array


def _bounded(description: ArrayDescription, images: dict[str, RawImage]) -> ArrayDescription:
    """Let the data bound a reshape whose recorded position is not exact by itself."""
    if not at_risk_bytes(description):
        return description
    from raidfs.engine.array_source import ArraySource

    serving = {role: images[member.path] for role, member in sorted(description.serving.items())}
    array = ArraySource(description, list(serving.items()), watch=False)
    try:
        return bound_front(description, serving, array)
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
    """Open every image; empty ones are left out with a finding, unless there is no other."""
    if not paths:
        raise UsageError("every MEMBER is excluded; leave at least one")
    images: dict[str, RawImage] = {}
    findings: list[Finding] = []
    seen: dict[tuple[int, int], str] = {}
    for path in paths:
        try:
            image = open_image(path)
        except EmptySource as error:
            if len(paths) == 1:
                raise
            findings.append(Finding(Severity.WARNING, path, f"{error}; it is left out"))
            continue
        stack.callback(image.close)
        _refuse(path, image, seen, options)
        images[path] = image
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


def _scan_image(path: str, image: RawImage, options: Options) -> tuple[tuple[Found, Claimed] | None, list[Finding]]:
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


def _in_partition(image: RawImage, found: Found) -> str:
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
