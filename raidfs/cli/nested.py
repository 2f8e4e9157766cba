"""Arrays that are themselves members of other arrays (md on md): a RAID0 of RAID1s, a RAID1 of RAID5s.

What an inner array is not sure of is unsure to the outer one: nothing gets better by lying deeper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, Requests, read_exact
from raidfs.engine.account import class_runs, extents_with
from raidfs.engine.chart import SectionChart
from raidfs.engine.damage import Flaw
from raidfs.engine.explain import explain_byte
from raidfs.engine.health import Health, Policy, Trust
from raidfs.erasure.gf256 import multiply
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.image.raw import RawImage
from raidfs.superblock import MAGICS, places

_MOST_RUNS = 100_000
"""Runs of bytes of different worth that are looked at one by one."""

_TRUST = {Health.UNPROVEN: Trust.UNPROVEN, Health.DOUBTFUL: Trust.DOUBTFUL}


class InnerSource(BlockSource, Protocol):
    """The bytes of an array, which serves doubtful ones."""

    @property
    def generation(self) -> int:
        """How often damage was learned."""


class InnerArray(Protocol):
    """What is wanted of an open array that is a member."""

    @property
    def title(self) -> str:
        """What it is called, unlike any other."""

    @property
    def description(self) -> ArrayDescription:
        """What it is."""

    @property
    def recorded(self) -> ArrayDescription:
        """The same without what md's logs say."""

    @property
    def nested(self) -> Mapping[str, Nested]:
        """Those of its members that are arrays, by path."""

    @property
    def source(self) -> InnerSource:
        """Its bytes."""

    @property
    def charts(self) -> tuple[SectionChart, ...]:
        """What they are worth, as it is known now."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the user should know about it."""

    @property
    def images_below(self) -> tuple[RawImage, ...]:
        """The images that it lies on."""


class Nested:
    """A `BlockSource` over an array; keeps its threading rules.

    Attributes:
        path: how it is called.
        base: 0, as of an image.
        array: what it is.
    """

    def __init__(self, array: InnerArray, policy: Policy, path: str | None = None) -> None:
        """Look at an array.

        Args:
            array: stays open as long as this is used; it serves doubtful bytes, too, as its superblock may be one.
            policy: of the outer array.
            path: how it is called; None: by its title.
        """
        self.path = array.title if path is None else path
        self.base = 0
        self.array = array
        self._policy = policy
        self._generation = array.source.generation
        self._unsure = {health: self._extents_with(health) for health in _TRUST}

    @property
    def size(self) -> int:
        """Size [bytes]."""
        return self.array.source.size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`. What has become doubtful since it was opened is lost."""
        lost = self.array.source.read_into(requests, out)
        if self.array.source.generation == self._generation or self._policy.doubtful:
            return lost
        for offset, length, position in requests.tolist():
            doubtful = extents_with(self.array.charts, frozenset((Health.DOUBTFUL,)), offset, offset + length)
            withheld = doubtful.difference(self._unsure[Health.DOUBTFUL]).shift(position - offset)
            for start, stop in withheld:
                out[start:stop] = 0
            lost = lost.union(withheld)
        return lost

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop); what is doubtful is told by `flaws`."""
        return extents_with(self.array.charts, frozenset((Health.LOST,)), start, stop)

    def flaws(self, number: int) -> list[Flaw]:
        """Return what is unproven and doubtful of it, as flaws of a source with that number."""
        return [
            Flaw(number, extents, trust, f"{health.word} in {self.path}")
            for health, trust in _TRUST.items()
            if (extents := self._unsure[health])
        ]

    def findings(self) -> list[Finding]:
        """Return what the user should know about it, as about a member."""
        uuid, shape = self.array.description.uuid, self.array.description.shape
        itself = f"is an array itself, {shape.level.title} of {shape.raid_disks} members: --uuid {uuid} reads it alone"
        return [
            Finding(Severity.NOTE, self.path, f"{self.path} {itself}"),
            *(Finding(each.severity, self.path, f"{self.path}: {each.message}") for each in self.array.findings),
        ]

    def _extents_with(self, health: Health) -> Extents:
        """Return the bytes of one health; where they are in too many pieces, all from the first one on."""
        classes = [int(each is health) for each in Health]
        runs = class_runs(self.array.charts, 0, self.size, classes)
        found = [(start, stop) for start, stop, inside in islice(runs, 2 * _MOST_RUNS) if inside]
        return Extents(found if len(found) < _MOST_RUNS else [(found[0][0], self.size)])


def is_too_torn(array: InnerArray) -> bool:
    """Tell whether what is lost or doubtful of an array is in too many pieces for it to serve as a member."""
    classes = [int(health >= Health.DOUBTFUL) for health in Health]
    runs = class_runs(array.charts, 0, array.source.size, classes)
    return len(list(islice(runs, 2 * _MOST_RUNS))) == 2 * _MOST_RUNS


def may_hold_superblock(charts: Sequence[SectionChart], sources: Sequence[BlockSource], size: int) -> bool:
    """Tell whether an array may be a member of another one, from a few bytes and without the compiled kernels.

    Args:
        charts: of the array.
        sources: of its members, as the charts number them.
        size: of the array [bytes].

    Raises:
        SourceError: a source is gone.
    """
    return any(_may_begin_superblock(charts, sources, at) for at in places(size))


def _may_begin_superblock(charts: Sequence[SectionChart], sources: Sequence[BlockSource], at: int) -> bool:
    """Look at the first bytes of a place of the array; what cannot be read here may be had with more effort."""
    explained = explain_byte(charts, (), at)
    if explained.health is Health.LOST:
        return False
    value = bytearray(4)
    for place in explained.used:
        if place.source is None or place.image_offset is None:
            continue
        data, lost = read_exact(sources[place.source], place.image_offset, 4)
        if lost:
            return True
        for index, byte in enumerate(data):
            value[index] ^= multiply(place.coefficient, byte)
    return bytes(value) in MAGICS
