"""From paths to claims: images are opened, searched for members, and what these say is collected.

Here a member is told from its image: it may be a partition of it. Nothing here decides what to believe.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial

from raidfs.array.choose import Claimed, choose_array
from raidfs.cli.maps import without_maps
from raidfs.cli.members import FoundMember, MemberSource, Searched, images_below, images_of
from raidfs.cli.members_within import of_today
from raidfs.cli.nested import Nested
from raidfs.cli.searching import Seen, members_on
from raidfs.cli.told import Told, hear
from raidfs.engine.health import Policy
from raidfs.errors import EmptySource, NoSuperblock, OutputError, SourceError, SourceInUse, SourceSilent, UsageError
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.image import open_image
from raidfs.image.patient import in_time, silent_among
from raidfs.image.raw import RawImage
from raidfs.image.usage import users_of
from raidfs.image.window import Window
from raidfs.superblock import claim_of, scan
from raidfs.superblock.areas import misplaced_data
from raidfs.superblock.bad_blocks import read_bad_blocks
from raidfs.superblock.bitmap import read_bitmap_file, read_member_bitmap
from raidfs.superblock.claim import BitmapClaim
from raidfs.superblock.found import Found
from raidfs.superblock.reshape_backup import is_backup_file

_ALL_EXCLUDED = "every MEMBER is excluded; leave at least one"


@dataclass(frozen=True)
class Options:
    """What the user decided.

    Attributes:
        array: a file that says what the array is, in place of superblocks.
        uuid: which array, by uuid or name.
        layout: which of the shapes that the superblocks leave open; see `raidfs.cli.shapes`.
        backup_file: mdadm's backup of a reshape, or None.
        exclude: paths that are left out.
        force_live: read members that are in use or change.
        ignore_bad_block_log: read what a bad-block log calls bad.
        mapfiles: ddrescue maps, each `MEMBER=FILE`.
        no_mapfiles: do not look for maps beside images.
        learned: folder in which read errors are kept, or None.
        patience: seconds that a member may take to answer before we go on without it.
        policy: what is served.
    """

    array: str | None = None
    uuid: str | None = None
    layout: str | None = None
    backup_file: str | None = None
    exclude: tuple[str, ...] = ()
    force_live: bool = False
    ignore_bad_block_log: bool = False
    mapfiles: tuple[str, ...] = ()
    no_mapfiles: bool = False
    learned: str | None = None
    patience: float = 20.0
    policy: Policy = Policy()


def as_member(options: Options) -> Options:
    """Return what counts for an array that is a member: it serves doubtful bytes, whose worth the outer one knows."""
    return replace(options, layout=None, backup_file=None, policy=replace(options.policy, doubtful=True, strict=False))


@dataclass
class Opened:
    """Images with the members that were found on them.

    Attributes:
        images: all that are open, by path.
        members: where a superblock was found, by the path of the member.
        superblocks: of each member, by its path.
        claimed: what these say, in the order in which the user named the images.
        bitmaps: (path, bitmap) of files that hold a write-intent bitmap.
        backups: files with mdadm's backup of a reshape, by path; they are no images of the array.
        told: what is known against the images before anything is read.
        findings: in the order in which they were made.
    """

    images: dict[str, RawImage]
    told: Told
    members: dict[str, MemberSource] = field(default_factory=dict)
    superblocks: dict[str, Found] = field(default_factory=dict)
    claimed: list[Claimed] = field(default_factory=list)
    bitmaps: list[tuple[str, BitmapClaim]] = field(default_factory=list)
    backups: dict[str, RawImage] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, searched: Searched) -> None:
        """Take what was found on an image."""
        self.findings += searched.findings
        self.bitmaps += [searched.bitmap] if searched.bitmap is not None else []
        self.backups |= {searched.backup.path: searched.backup} if searched.backup is not None else {}
        for each in searched.members:
            self.members[each.source.path] = each.source
            self.superblocks[each.source.path] = each.superblock
            self.claimed.append(each.claimed)
            self.findings += each.findings


def only(opened: Opened, wanted: str | None) -> Opened:
    """Leave out what belongs to other arrays: those that share images with the wanted one, or lie on arrays.

    What is on images of its own stays: the user gave it, and is told.

    Raises:
        AmbiguousArray: several arrays and none wanted.
        AssemblyError: the wanted one is not there, or several fit.
    """
    mine = {each.path for each in choose_array(opened.claimed, wanted)}
    used = {image.path for path in mine for image in images_below(opened.members[path])}
    others = {
        path
        for path, source in opened.members.items()
        if path not in mine
        and (isinstance(source, Nested) or used.issuperset({image.path for image in images_of(source)}))
    }
    return replace(
        opened,
        superblocks={path: found for path, found in opened.superblocks.items() if path not in others},
        claimed=[each for each in opened.claimed if each.path not in others],
        findings=[finding for finding in opened.findings if finding.subject not in others],
    )


def add_nested(opened: Opened, nested: Nested, options: Options) -> str | None:
    """Take an array among the members if it is one of another array; returns that one's uuid."""
    for superblock in scan(nested, nested.path).found[:1]:
        outer = claim_of(superblock).array_uuid
        if outer != nested.array.description.uuid:  # else a copy of a member was put on the array
            opened.add(Searched((_member(nested, superblock, options),)))
            return outer
    return None


def add_member(opened: Opened, source: MemberSource, options: Options) -> None:
    """Take a source among the members if it holds a superblock."""
    result = scan(source, source.path)
    opened.add(Searched(tuple(_member(source, superblock, options) for superblock in result.found[:1])))


def open_members(paths: Sequence[str], options: Options, stack: ExitStack) -> Opened:
    """Open images and find the members on them; `stack` closes the images.

    Raises:
        UsageError: an image is given twice, or all are excluded; a map is given for none of them.
        SourceError: an image cannot be opened, or is in use.
        BadMapfile: a ddrescue map cannot be used.
        NoSuperblock: none of them holds a superblock.
    """
    if not paths:
        raise UsageError("name at least one MEMBER, or say with --array ARRAY.toml what the array is")
    opened = open_images(paths, options, stack)
    unreached: SourceError | None = None
    found: list[Searched] = []
    for path, image in list(opened.images.items()):
        try:
            searched = in_time(path, options.patience, partial(_search, image, options))
        except SourceError as error:
            unreached = error
            del opened.images[path]
            opened.findings.append(_left_out(path, error))
        else:
            found.append(searched)
    for searched in of_today(found):
        opened.add(searched)
    _leave_out(opened, [word for word in options.exclude if _image_named(word, paths)])
    if not opened.claimed:
        raise unreached or NoSuperblock(_nothing_found(list(paths)))
    return opened


def open_images(paths: Sequence[str], options: Options, stack: ExitStack) -> Opened:
    """Open images, and hear what is known against them; no member is looked for. `stack` closes them.

    Args:
        paths: all that were named; those that the options exclude are left out.
        options: what the user decided.
        stack: closes the images.

    Raises:
        UsageError, SourceError, BadMapfile: as in `open_members`.
    """
    silent = silent_among(paths, options.patience)
    if silent and len(silent) == len(paths):
        raise next(iter(silent.values()))
    there = [path for path in paths if path not in silent]
    left = not_excluded(without_maps(there), [path for path in options.exclude if path not in silent])
    images, findings = _open_images(left, stack, options)
    findings += [_left_out(path, error) for path, error in silent.items() if path not in options.exclude]
    told = hear(images, there, options.mapfiles, options.learned, look_beside=not options.no_mapfiles)
    return Opened(images, told, findings=[*findings, *told.findings])


def refuse_member(target: str) -> None:
    """Refuse to replace a file that is a member of any array: an original, forgotten on the command line.

    Raises:
        OutputError: it is one.
    """
    if os.path.getsize(target) == 0:
        return
    with closing(open_image(target)) as image:
        if scan(image, target).found:
            raise OutputError(f"{target} holds an md superblock: it is a member of an array and is never written")


def _search(image: RawImage, options: Options) -> Searched:
    """Find the members on an image: the whole of it, or its partitions."""
    bitmap = read_bitmap_file(image)
    if bitmap is not None:
        told = Finding(Severity.NOTE, image.path, f"{image.path} is a file with a write-intent bitmap")
        return Searched((), (told,), (image.path, bitmap))
    if is_backup_file(image):
        told = Finding(Severity.NOTE, image.path, f"{image.path} is mdadm's backup of a reshape")
        return Searched((), (told,), backup=image)
    seen, findings = members_on(image)
    if not seen:
        text = f"{image.path} holds no md superblock and is left out"
        findings.append(Finding(Severity.WARNING, image.path, text))
    return Searched(tuple(_with_inner(each, options) for each in seen), tuple(findings))


def _with_inner(seen: Seen, options: Options) -> FoundMember:
    member = _member(seen.source, seen.found, options)
    return member if seen.within is None else replace(member, within=_member(seen.source, seen.within, options))


def _leave_out(opened: Opened, words: Sequence[str]) -> None:
    """Leave out partitions, named `IMAGE#NUMBER`.

    Raises:
        UsageError: there is no such member, or no other one.
    """
    for word in words:
        image, _, name = word.rpartition("#")
        paths = {
            path
            for path, source in opened.members.items()
            if isinstance(source, Window) and name in source.names and is_same(source.image.path, image)
        }
        if not paths:
            raise UsageError(f"--exclude {word}: no member lies in such a partition")
        opened.claimed = [each for each in opened.claimed if each.path not in paths]
        opened.findings = [each for each in opened.findings if each.subject not in paths]
        if not opened.claimed:
            raise UsageError(_ALL_EXCLUDED)


def _member(source: MemberSource, found: Found, options: Options) -> FoundMember:
    """Read what one member says about itself."""
    path, claim = source.path, claim_of(found)
    findings = [*found.findings]
    bad_blocks, doubt = Extents(), ""
    if claim.bad_block_log is not None:
        log = read_bad_blocks(source, claim, path)
        bad_blocks = log.extents
        findings += log.findings
        doubt = "" if log.complete or options.ignore_bad_block_log else "has a bad-block log that cannot be read"
        if options.ignore_bad_block_log and bad_blocks:
            message = f"{path}: the bad-block log ({bad_blocks.total} bytes) is ignored as asked"
            findings.append(Finding(Severity.WARNING, path, message))
            bad_blocks = Extents()
    bitmap = read_member_bitmap(source, claim)
    doubt = misplaced_data(claim) or doubt
    claimed = Claimed(path, source.size, claim, bad_blocks, found.unsupported, doubt, bitmap=bitmap)
    return FoundMember(source, found, claimed, tuple(findings))


def not_excluded(paths: Sequence[str], excluded: Sequence[str]) -> list[str]:
    """Leave out the images that were excluded, however they are spelled; partitions are left out later.

    Raises:
        UsageError: what is excluded is none of the members.
    """
    left = list(paths)
    for unwanted in excluded:
        kept = [path for path in left if not is_same(path, unwanted)]
        if len(kept) == len(left) and not _image_named(unwanted, paths):
            raise UsageError(f"--exclude {unwanted}: this is none of the members")
        left = kept
    return left


def _image_named(word: str, paths: Sequence[str]) -> bool:
    """Tell whether a word names a partition of one of the images."""
    image, mark, _ = word.rpartition("#")
    return bool(mark) and not any(is_same(path, word) for path in paths) and any(is_same(path, image) for path in paths)


def is_same(path: str, other: str) -> bool:
    """Tell whether two paths name one file."""
    try:
        return path == other or os.path.samefile(path, other)
    except OSError:
        return False


def _open_images(paths: Sequence[str], stack: ExitStack, options: Options) -> tuple[dict[str, RawImage], list[Finding]]:
    """Open every image; empty ones, and those that do not answer, are left out, unless there is no other."""
    if not paths:
        raise UsageError(_ALL_EXCLUDED)
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


def _left_out(path: str, error: SourceError) -> Finding:
    return Finding(Severity.WARNING, path, f"{error}; it is left out")


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


def _nothing_found(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return f"{paths[0]} holds no md superblock (0.90, 1.0, 1.1, 1.2); is it a member image of a Linux array?"
    return f"none of the {len(paths)} images holds an md superblock (0.90, 1.0, 1.1, 1.2); the first is {paths[0]}"
