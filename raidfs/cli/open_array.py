"""An open array: what was decided about the members that were found, and what every byte of it is worth.

Where all layers meet below the commands; nothing here prints. `raidfs.cli.session` makes one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from raidfs.array.assemble import Assembly
from raidfs.array.description import ArrayDescription, Member, State
from raidfs.block import BlockSource
from raidfs.cli.advice import findings_of_array
from raidfs.cli.members import MemberSource, images_below, images_of
from raidfs.cli.nested import Nested
from raidfs.cli.opening import Opened, Options
from raidfs.cli.replaying import Replayed
from raidfs.engine.account import Account, account_of
from raidfs.engine.chart import SectionChart, chart_sections
from raidfs.engine.damage import Flaw, bytes_by_reason, known_flaws, unread_flaws, without_healed
from raidfs.engine.health import Trust
from raidfs.errors import SourceGone, SourceSilent
from raidfs.finding import Finding, Severity
from raidfs.image.patient import in_time
from raidfs.image.raw import RawImage
from raidfs.superblock.found import Found

if TYPE_CHECKING:
    from raidfs.engine.array_source import ArraySource

_MOST_RANGES = 8
"""Ranges of an image that one finding names."""


class OpenArray:
    """An array with its images open; made by `open_array`, valid until that context ends.

    Attributes:
        assembly: the array.
        images: all that are open, by path.
        options: what the user decided.
    """

    def __init__(
        self,
        assembly: Assembly,
        opened: Opened,
        options: Options,
        replayed: Replayed,
        recorded: ArrayDescription | None = None,
    ) -> None:
        """Hold what was opened, and what was decided about it.

        Args:
            assembly: the array.
            opened: the members.
            options: what the user decided.
            replayed: the members with what md's logs say laid over them.
            recorded: the array before that; None: there is no difference.
        """
        self.assembly = assembly
        self.images = opened.images
        self.options = options
        self._opened = opened
        self._findings = (*opened.findings, *assembly.findings)
        self._replayed = replayed
        self._recorded = assembly.description if recorded is None else recorded
        self._source: ArraySource | None = None
        self._unreached: set[str] = set()

    @property
    def title(self) -> str:
        """What the array is called, unlike any other."""
        return f"array {self.description.uuid}"

    @property
    def description(self) -> ArrayDescription:
        """The array as decided."""
        return self.assembly.description

    @property
    def recorded(self) -> ArrayDescription:
        """The same without what md's logs say: as it can be kept in a file, beside which the logs still count."""
        return self._recorded

    @property
    def nested(self) -> dict[str, Nested]:
        """Those of its members that are arrays, by path."""
        return {source.path: source for _, source in self.serving if isinstance(source, Nested)}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that the user should know, worst first; grows when damage is learned."""
        in_order = sorted(self.learned, key=lambda flaw: (flaw.source, list(flaw.extents)[:1], flaw.reason))
        learned = [finding for flaw in in_order for finding in self._about(flaw)]  # whatever was learned first
        advice = findings_of_array(self.description, self.account())
        everything = [*self._findings, *self._of_nested(), *advice, *learned, *self._given_up()]
        return tuple(sorted(everything, key=lambda each: -each.severity))

    @cached_property
    def serving(self) -> list[tuple[Member, MemberSource]]:
        """(member, its bytes) of everything that may hold the array's; of one role the preferred first."""
        members = {**self._opened.backups, **self._opened.members}
        return [(member, members[member.path]) for member in self.description.sources]

    @property
    def images_below(self) -> tuple[RawImage, ...]:
        """The images that it lies on, also those of members that are arrays."""
        below = [image for _, source in self.serving for image in images_below(source)]
        return tuple(image for image in dict.fromkeys(below) if image.path in self.images)

    @property
    def members(self) -> dict[str, MemberSource]:
        """Where superblocks were found, also of other arrays, by path."""
        return self._opened.members

    @property
    def superblocks(self) -> dict[str, Found]:
        """Of every member, by its path."""
        return self._opened.superblocks

    @cached_property
    def sources(self) -> list[tuple[Member, BlockSource]]:
        """The same as they are read: with what md's logs say laid over them."""
        return [(member, self._replayed.source_of(member, source)) for member, source in self.serving]

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
        for number, (member, source) in enumerate(self.serving):
            if member.state is State.BACKUP:
                continue
            end = max(member.data_offset, member.new_data_offset) + self.description.component_size
            found[member.path] = bytes_by_reason(self.flaws, number, max(end, source.size))
        return found

    @property
    def given(self) -> list[tuple[str, list[tuple[int, int]]]]:
        """What the maps that were given say of the members that serve, as plain data."""
        maps = self._opened.told.maps
        return [(each.reason, list(each.extents)) for image in self.images_below for each in maps[image.path]]

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
            self._source = self.another_source()
        return self._source

    def another_source(self) -> ArraySource:
        """Return the array's bytes with nothing learned but what could not be read; who asks for it closes it."""
        from raidfs.engine.array_source import ArraySource

        watch = not self.options.force_live
        told, patience = self._told_flaws, self.options.patience
        return ArraySource(
            self.description, self.sources, self.options.policy, told=told, watch=watch, patience=patience
        )

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
        if self._opened.told.learned is not None:
            self._opened.told.learned.save()

    def close(self) -> None:
        """End what was started; images are closed by `open_array`."""
        if self._source is not None:
            self._source.close()

    def _about(self, flaw: Flaw) -> Iterator[Finding]:
        member, source = self.serving[flaw.source]
        inside = flaw.extents.clip(0, source.size)
        if inside:
            told = ", ".join(f"{start}-{stop}" for start, stop in islice(inside, _MOST_RANGES))
            more = len(inside) - _MOST_RANGES
            if more > 0:
                told += f" and in {more} more ranges up to {int(inside.array[-1, 1])}"
            text = f"{member.path}: {inside.total} bytes at {told}: {flaw.reason}"
            yield Finding(Severity.WARNING, member.path, text)

    def _of_nested(self) -> list[Finding]:
        """Return what is to be said of members that are arrays."""
        return [finding for each in self.nested.values() for finding in each.findings()]

    def _given_up(self) -> Iterator[Finding]:
        """Name the members that failed too often to be asked for details."""
        for image in dict.fromkeys(image for _, source in self.serving for image in images_of(source)):
            if image.is_budget_used_up:
                text = (
                    f"{image.path} fails too often or for too long: where it fails now, everything that was asked for "
                    "counts as unreadable; copy it with ddrescue and give the copy with its map"
                )
                yield Finding(Severity.WARNING, image.path, text)

    @cached_property
    def _told_flaws(self) -> tuple[Flaw, ...]:
        told = [
            Flaw(number, each.extents.shift(-source.base).clip(0, source.size), Trust.NONE, each.reason, curable=True)
            for number, (member, source) in enumerate(self.serving)
            if member.state not in (State.JOURNAL, State.BACKUP)  # these are checked by what they hold
            for image in images_of(source)
            for each in self._opened.told.about(image.path)
        ]
        told += [
            flaw
            for number, (_, source) in enumerate(self.serving)
            if isinstance(source, Nested)
            for flaw in source.flaws(number)
        ]
        return (*told, *self._replayed.flaws_of([member for member, _ in self.serving]))

    @cached_property
    def known(self) -> tuple[Flaw, ...]:
        """What the members themselves say against their bytes, before any map or earlier run is heard."""
        members = [member for member, _ in self.serving]
        return known_flaws(self.description, members, [source.size for _, source in self.sources])

    @cached_property
    def _fixed(self) -> tuple[Flaw, ...]:
        return without_healed((*self.known, *self._told_flaws), [source for _, source in self.sources])

    @cached_property
    def _flaws_at_open(self) -> tuple[Flaw, ...]:
        return (*self._fixed, *unread_flaws([source for _, source in self.sources], self._fixed))

    @cached_property
    def _charts_at_open(self) -> tuple[SectionChart, ...]:
        return chart_sections(self.description, [member for member, _ in self.serving], self._flaws_at_open)
