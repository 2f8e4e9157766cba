"""Which metadata of members cannot be read, and are worth their rescue: with them, bytes come back that are withheld.

A member whose superblock cannot be read is none to us, one whose superblock or bad-block log is damaged serves doubtful
bytes only, and of one that left nothing is proven without a write-intent bitmap. A write journal may hold what is newer
than the members, and a partial parity log proves the parity of what was being written. Whether that costs any byte is
tried out: what would be withheld if that were known, with all of the data that can be read? What gives nothing back
then is not asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

from raidfs.array.assemble import NO_JOURNAL
from raidfs.array.description import ArrayDescription, Member, State
from raidfs.array.shape import Level
from raidfs.cli.nested import Nested
from raidfs.cli.open_array import OpenArray
from raidfs.cli.replaying import NEWER_IS_LOST
from raidfs.cli.searching import windows_of
from raidfs.engine.account import Account, account_of
from raidfs.engine.chart import chart_sections
from raidfs.engine.damage import Flaw, flaws_of_past, known_flaws
from raidfs.engine.health import Trust
from raidfs.extents import Extents
from raidfs.image.raw import RawImage
from raidfs.image.window import Window
from raidfs.partition import read_partitions
from raidfs.superblock import bad_blocks, bitmap, claim_of, length_of, offsets_of, places
from raidfs.superblock.claim import MemberClaim
from raidfs.superblock.journal import missed_blocks
from raidfs.superblock.ppl import read_ppl
from raidfs.units import SECTOR, align_down, align_up

_MOST_TRIALS = 64
"""Choices of missing roles that are tried for members of which nobody knows the role."""


_TABLE = 34 * SECTOR
"""Where a disk has its partition table, MBR or GPT [image bytes]."""


@dataclass(frozen=True)
class Unread:
    """Metadata of one member that cannot be read.

    Attributes:
        path: of the member; of an image where it is not known to be one.
        image: on which it lies.
        what: of its metadata, by name.
        extents: what of it cannot be read, in whole sectors [image bytes].
    """

    path: str
    image: RawImage
    what: str
    extents: Extents


def unread_metadata(array: OpenArray) -> list[Unread]:
    """Return the metadata whose rescue may, alone or with others of these, give back bytes that are withheld now."""
    trial = _Trial(array)
    if array.options.array is not None:
        return []  # what a file says needs no superblock
    if not trial.withheld:
        return _of_partial_parity(array, trial)  # what is unproven is served, but may be wrong
    return [
        *_of_hidden(array, trial),
        *_of_damaged(array, trial),
        *_of_bitmaps(array, trial),
        *_of_journal(array, trial),
        *_of_partial_parity(array, trial),
    ]


def unread_superblocks(images: Iterable[RawImage]) -> list[Unread]:
    """Return where images on which no superblock is to be seen may have one that cannot be read.

    Of each the first sector: with it the rest can be told, if there is one.
    """
    found: list[Unread] = []
    for image in images:
        sources: list[RawImage | Window] = [image, *windows_of(image, read_partitions(image, image.path)[0])]
        if len(sources) == 1 and _unread(image, 0, 2 * SECTOR):  # what says that there is a table
            found.append(Unread(image.path, image, "the partition table", _unread(image, 0, _TABLE)))
        for source in sources:
            lost = Extents().union(*(_unread(source, at, SECTOR) for at in places(source.size)))
            if lost:
                found.append(Unread(source.path, image, "where superblocks may lie", lost))
    return found


class _Trial:
    """What would be withheld of an array if more were known of its members.

    Attributes:
        withheld: what is withheld now [bytes].
        unsure: the same with what is unproven.
    """

    def __init__(self, array: OpenArray) -> None:
        self._description = array.description
        self._members = [member for member, _ in array.serving]
        account = array.account()
        self.withheld = account.lost + account.doubtful
        self.unsure = self.withheld + account.unproven

    def of(self, more: Sequence[tuple[Member, RawImage | Window]], flaws: Sequence[Flaw]) -> int:
        """Return how many bytes would be withheld with more members, and these flaws of those that are there."""
        account = self._account(self._description, more, flaws)
        return account.lost + account.doubtful

    def unsure_with_proven_parity(self, flaws: Sequence[Flaw]) -> int:
        """Return how many bytes would be unproven, or withheld, if parity were right everywhere."""
        account = self._account(replace(self._description, unsynced=Extents()), (), flaws)
        return account.lost + account.doubtful + account.unproven

    def _account(
        self,
        description: ArrayDescription,
        more: Sequence[tuple[Member, RawImage | Window]],
        flaws: Sequence[Flaw],
    ) -> Account:
        members = [member for member, _ in more]
        found = [*known_flaws(description, members, [source.size for _, source in more])]
        for number, (_, source) in enumerate(more):
            found.append(Flaw(number, source.known_losses(0, source.size), Trust.NONE, "cannot be read"))
        found += [replace(flaw, source=flaw.source + len(more)) for flaw in flaws]
        return account_of(chart_sections(description, [*members, *self._members], found))


def _unread(source: RawImage | Window, start: int, length: int) -> Extents:
    """Return what of [start, start + length) [member bytes] cannot be read, in whole sectors [image bytes]."""
    lost = source.known_losses(max(0, start), max(0, min(start + length, source.size))).shift(source.base)
    return Extents([(align_down(low, SECTOR), align_up(high, SECTOR)) for low, high in lost])


def _known(array: OpenArray) -> Iterator[tuple[RawImage | Window, MemberClaim]]:
    """Yield the members whose superblocks are intact."""
    for path, found in array.superblocks.items():
        source = array.members.get(path)
        if found.intact and source is not None and not isinstance(source, Nested):
            yield source, claim_of(found)


def _length(array: OpenArray) -> int:
    """Return how long superblocks of this array are [bytes]."""
    return max((length_of(claim) for _, claim in _known(array)), default=SECTOR)


# Superblocks that were not found ----------------------------------------------------------------------------------


def _of_hidden(array: OpenArray, trial: _Trial) -> list[Unread]:
    """Return superblocks that were not found, where one more member would help."""
    hidden = [(source, unread) for source in _nobodys(array) if (unread := _what_hides(array, source))]
    alike = next((member for member in array.description.sources if member.role is not None), None)
    missing = array.description.missing_roles
    if alike is None:
        return []
    if trial.of((), _without(array.flaws, NO_JOURNAL)) < trial.withheld:
        return [each for _, unread in hidden for each in unread]  # any of them may be the journal
    for n in range(1, min(len(hidden), len(missing)) + 1):
        for roles in islice(combinations(missing, n), _MOST_TRIALS):
            more = [
                (_as_whole(alike, source.path, role), source) for role, (source, _) in zip(roles, hidden, strict=False)
            ]
            if trial.of(more, array.flaws) < trial.withheld:
                return [each for _, unread in hidden for each in unread]  # nobody knows which of them has which role
    return []


def _nobodys(array: OpenArray) -> Iterator[RawImage | Window]:
    """Yield the images, or their partitions, that may be members by where others lie, and are none so far."""
    serving = {source.path for _, source in array.serving}
    theirs = {path for path, found in array.superblocks.items() if found.intact} | serving
    theirs |= array.members.keys() - array.superblocks.keys()  # of other arrays
    others = [source for source, _ in _known(array)]
    for image in array.images.values():
        sources: list[RawImage | Window] = []
        if any(isinstance(source, RawImage) for source in others):
            sources.append(image)
        if any(isinstance(source, Window) for source in others):
            sources += _partitions(image, others)
        yield from (source for source in sources if source.path not in theirs)


def _partitions(image: RawImage, others: Sequence[RawImage | Window]) -> list[Window]:
    """Return the partitions of an image; where its table cannot be read, those that other disks of the array have."""
    found = windows_of(image, read_partitions(image, image.path)[0])
    if found or not image.known_losses(0, _TABLE):
        return found
    alike = {(each.base, each.size, each.names[0]) for each in others if isinstance(each, Window)}
    return [Window(image, name, base, size) for base, size, name in sorted(alike) if base + size <= image.size]


def _what_hides(array: OpenArray, source: RawImage | Window) -> list[Unread]:
    """Return what cannot be read where an image has the superblock of this array, and what says where that is."""
    image, metadata, found = _image(source), array.description.metadata, []
    if isinstance(source, Window) and not read_partitions(image, image.path)[0]:
        found.append(Unread(source.path, image, "the partition table", _unread(image, 0, _TABLE)))
    lost = Extents().union(*(_unread(source, at, _length(array)) for at in offsets_of(metadata, source.size)))
    return [*found, Unread(source.path, image, f"the superblock {metadata}", lost)] if lost else found


def _as_whole(alike: Member, path: str, role: int) -> Member:
    """Return a member of which nothing is known but that it is there, and like another one."""
    return Member(
        path,
        role,
        State.IN_SYNC,
        alike.data_offset,
        alike.new_data_offset,
        component_size=alike.component_size,
    )


def _image(source: RawImage | Window) -> RawImage:
    return source.image if isinstance(source, Window) else source


# What is damaged of members that serve ----------------------------------------------------------------------------


def _of_damaged(array: OpenArray, trial: _Trial) -> list[Unread]:
    """Return what cannot be read of superblocks and bad-block logs, where the member would be sure with it."""
    damaged: dict[int, list[Unread]] = {}
    for number, (member, source) in enumerate(array.serving):
        if member.state is State.DAMAGED and not isinstance(source, Nested):
            unread = [*_of_member(array, member.path, source)]
            damaged |= {number: unread} if unread else {}

    def withheld(sure: set[int]) -> int:
        notes = {(number, array.serving[number][0].note) for number in sure}
        flaws = [each for each in array.flaws if (each.source, each.reason) not in notes]
        return trial.of((), flaws)

    everything = {*damaged}
    helps = [
        number
        for number in damaged
        if withheld({number}) < trial.withheld or withheld(everything) < withheld(everything - {number})
    ]
    return [each for number in helps for each in damaged[number]]


def _of_member(array: OpenArray, path: str, source: RawImage | Window) -> Iterator[Unread]:
    """Yield what cannot be read of the superblock and the bad-block log of a member."""
    found = array.superblocks[path]
    log = claim_of(found).bad_block_log if found.intact else None
    parts = [] if found.intact else [(f"the superblock {found.metadata}", found.offset, _length(array))]
    parts += [] if log is None else [("the bad-block log", log.offset, min(log.size, bad_blocks.MAX_SIZE))]
    for what, start, length in parts:
        lost = _unread(source, start, length)
        if lost:
            yield Unread(path, _image(source), what, lost)


# Bitmaps ----------------------------------------------------------------------------------------------------------


def _of_bitmaps(array: OpenArray, trial: _Trial) -> list[Unread]:
    """Return what cannot be read of write-intent bitmaps, where they may prove that who left missed nothing."""
    serving = {member.path for member in array.description.serving.values()}
    found = []
    length = max((bitmap.length_of(source, claim) for source, claim in _known(array)), default=0)
    for source, claim in _known(array):
        if claim.bitmap_offset is not None and source.path in serving:
            lost = _unread(source, claim.bitmap_offset, length)
            found.append(Unread(source.path, _image(source), "the write-intent bitmap", lost))
    if not found or not all(each.extents for each in found) or array.description.reshape is not None:
        return []  # one that is whole tells everything
    flaws = list(array.flaws)
    for number, (member, _) in enumerate(array.serving):
        if member.past is not None and member.state in (State.STALE, State.FAULTY):
            told = [*flaws_of_past(array.description, member, number)]
            proven = replace(member, past=replace(member.past, proven=member.past.held))
            flaws = [each for each in flaws if each not in told]
            flaws += flaws_of_past(array.description, proven, number)
    return found if trial.of((), flaws) < trial.withheld else []


# Write journals, partial parity logs ---------------------------------------------------------------------------------


def _of_journal(array: OpenArray, trial: _Trial) -> list[Unread]:
    """Return what cannot be read of a write journal, where the replay needs it and something is doubtful without."""
    journal = next((each for each in array.description.members if each.state is State.JOURNAL), None)
    source = None if journal is None else array.members.get(journal.path)
    if journal is None or source is None or isinstance(source, Nested) or journal.path not in array.superblocks:
        return []
    missed = missed_blocks(source, claim_of(array.superblocks[journal.path]))
    lost = Extents().union(*(_unread(source, start, stop - start) for start, stop in missed))
    reasons = {NEWER_IS_LOST}
    if array.description.withheld != array.recorded.withheld:
        reasons.add(array.description.withheld)  # it cannot be replayed to its end
    if not lost or trial.of((), _without(array.flaws, *reasons)) >= trial.withheld:
        return []
    return [Unread(journal.path, _image(source), "the write journal", lost)]


def _of_partial_parity(array: OpenArray, trial: _Trial) -> list[Unread]:
    """Return what cannot be read of partial parity logs, where nothing else keeps them from settling the parity."""
    description, found = array.description, []
    if description.clean or description.reshape is not None or description.shape.level is not Level.RAID5:
        return []
    if not description.unsynced.contains(0, description.component_size):
        return []
    known = {source.path: (source, claim) for source, claim in _known(array)}
    for member in description.serving.values():
        source, claim = known.get(member.path, (None, None))
        log = None if source is None or claim is None else read_ppl(source, claim)
        if source is None or claim is None or log is None or claim.ppl is None:
            return []
        damaged = [(each.offset, each.pp_size) for each in log.entries if not each.intact]
        damaged = [(claim.ppl.offset, claim.ppl.size)] if log.problem else damaged
        lost = [_unread(source, start, length) for start, length in damaged]
        if not all(lost):
            return []  # damaged, and not for want of sectors
        if lost:
            found.append(Unread(source.path, _image(source), "the partial parity log", Extents().union(*lost)))
    return found if found and trial.unsure_with_proven_parity(array.flaws) < trial.unsure else []


def _without(flaws: Sequence[Flaw], *reasons: str) -> list[Flaw]:
    """Return the flaws that have other reasons."""
    return [flaw for flaw in flaws if flaw.reason not in reasons]
