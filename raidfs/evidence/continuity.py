"""Where a reshape most likely stands, by how well its rows read in either geometry: a guess, and no proof.

- Files are longer than chunks. So what is read in the right geometry is more often alike on both sides of a border than
  what is read in the other one.
- In the other one parity is read as data in places that are known, and a sum is mixed otherwise than pages of files.

One step of the reshape tells little: files end, and were written in turns; sums of texts look like texts. All steps
together have one place up to which the new geometry reads better, and from which on the old one does:

    better in the new one  + + + - + + + + + - - + - - - - -  in the old one
                                           ^ most likely

It is only used to say what doubtful bytes are read as, where the user asks for these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from raidfs.array.description import ArrayDescription, Reshape
from raidfs.block import BlockSource
from raidfs.evidence.contents import pages_at
from raidfs.evidence.moves import Side
from raidfs.evidence.unlikeness import Bits, counts_of, unlike, unlike_each_other
from raidfs.evidence.window import PAGE, Numbers
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import undecided_by_front
from raidfs.units import align_down, align_up

_AT_ONCE = 512
"""Steps of the reshape that are looked at together; of more only so many, and then those around the likeliest."""
_IN_A_ROW = 32
"""Steps that are read together."""
_UNITS = 16
"""Chunks of a step that are looked at, at most."""
_IN_UNIT = 4
"""Pages of a chunk whose mixture is looked at."""
_LEAST = 0.002
"""How unlike other pages sums and pages of files may be without telling anything [bits per byte]."""
_MOST = 3.0
"""More than so many times twice as unlike is as good as this."""
_ALIKE = PAGE // 16
"""Bytes that are equal on both sides of a border, from which on files may go on there."""
_BETTER = 2.0
"""By so many steps a guess must be better than the one that there was."""
_SHARE = 0.8
"""So much of all that speaks for one geometry or the other must speak for what the guess says."""
_SPREADS = 2.0
"""By so many times what chance does, sums are more unlike other pages, or they tell nothing."""
_SEVERAL = 2
"""Pages of files that sums are compared with, at least."""


def with_likely_cut(
    description: ArrayDescription, images: Mapping[int, BlockSource], *, wanted: bool
) -> ArrayDescription:
    """Guess where the new geometry ends, where nothing proves it.

    Args:
        description: the array, with the front of its reshape.
        images: by role, of the members that serve.
        wanted: doubtful bytes will be read; else only a short way is looked at, as of terabytes it takes minutes.

    Returns:
        The array with another `Front.cut`, if that is better by much.

    Raises:
        SourceError: a member is gone.
    """
    reshape = description.reshape
    if reshape is None or reshape.front is None or not _is_comparable(description):
        return description
    undecided = undecided_by_front(description)
    if not undecided:
        return description
    readings = _readings(description, reshape, images)
    low = align_down(int(undecided.array[0, 0]), readings.step)
    high = align_up(int(undecided.array[-1, 1]), readings.step)
    first, last = low // readings.step, min(high, align_down(description.size, readings.step)) // readings.step
    stride = max(1, -(-(last - first) // _AT_ONCE))
    if stride > 1 and not wanted:
        return description
    cut = reshape.front.cut
    while first < last:
        steps = np.arange(first, last, stride, dtype=np.int64)
        better = readings.gains(steps)
        gain = np.concatenate(([0.0], np.cumsum(better)))
        if not reshape.direction.is_forward:
            gain = gain[-1] - gain
        best = int(gain.argmax())
        now = int(np.searchsorted(steps, cut // readings.step))
        is_new = (np.arange(len(steps)) < best) == reshape.direction.is_forward
        said = float(np.abs(better[(better > 0) == is_new]).sum())
        if gain[best] - gain[now] >= _BETTER and said >= _SHARE * float(np.abs(better).sum()):
            cut = int(steps[best]) * readings.step if best < len(steps) else last * readings.step
        if stride == 1:
            break
        around = cut // readings.step
        first, last = max(first, around - 2 * stride), min(last, around + 2 * stride)
        stride = max(1, -(-(last - first) // _AT_ONCE))
    cut = max(cut, reshape.position) if reshape.direction.is_forward else min(cut, reshape.position)
    return replace(description, reshape=replace(reshape, front=replace(reshape.front, cut=cut)))


@dataclass(frozen=True, eq=False)
class _Readings:
    """The array, as it is read in both geometries.

    Attributes:
        step: in what the reshape proceeds [array bytes]. unit: how far borders are apart [the same].
        old, new: the geometries.
        images: by role.
    """

    step: int
    unit: int
    old: Side
    new: Side
    images: Mapping[int, BlockSource]

    def gains(self, steps: Numbers) -> Bits:
        """Return how much better each step reads in the new geometry than in the old one, from -2 to 2."""
        parts = [self._gains(steps[start : start + _IN_A_ROW]) for start in range(0, len(steps), _IN_A_ROW)]
        return np.concatenate((np.zeros(0), *parts))

    def _gains(self, steps: Numbers) -> Bits:
        n = self.step // self.unit
        chosen = np.unique(np.arange(min(n, _UNITS)) * n // min(n, _UNITS)) * self.unit
        at = steps[:, None] * self.step + chosen
        borders = at.reshape(-1)[at.reshape(-1) > 0]
        alike = [self._alike(side, borders) for side in (self.new, self.old)]
        better = np.sign(alike[0] - alike[1]) * (np.maximum(*alike) >= _ALIKE)
        of = np.searchsorted(steps, borders // self.step)
        going_on = np.bincount(of, weights=better, minlength=len(steps)) / len(chosen)
        found: Bits = going_on + np.array([self._mixture(each) for each in at])
        return found

    def _mixture(self, units: Numbers) -> float:
        """Return how much more one step looks as if sums were read in the old geometry, from -1 to 1."""
        pages = np.unique(units[:, None] + np.arange(_IN_UNIT) * (self.unit // _IN_UNIT) // PAGE * PAGE)
        old, new = self._sums_read(pages, self.old, self.new), self._sums_read(pages, self.new, self.old)
        return float(np.clip(np.log2((old + _LEAST) / (new + _LEAST)) / _MOST, -1.0, 1.0))

    def _sums_read(self, pages: Numbers, side: Side, other: Side) -> float:
        """Return how unlike the others those pages are that lie where the other geometry has sums [bits per byte]."""
        role, offset = (each[:, 0] for each in side.places(pages))
        content, is_known = pages_at(self.images, role, offset)
        busy = is_known & content.any(axis=1)
        is_sum = (other.holds(role, offset) < 0)[busy]
        counts = counts_of(content[busy])
        files, sums = counts[~is_sum], counts[is_sum]
        if not len(sums) or len(files) < _SEVERAL:
            return 0.0
        mine, others = unlike(sums, files.sum(axis=0)[None]), unlike_each_other(files)
        spread = float(others.std()) / math.sqrt(len(mine))
        return max(0.0, float(mine.mean() - others.mean()) - _SPREADS * spread)

    def _alike(self, side: Side, borders: Numbers) -> Numbers:
        """Count the bytes that are equal in the pages on both sides of borders, but zeros."""
        (before, is_before), (behind, is_behind) = (
            pages_at(self.images, *(each[:, 0] for each in side.places(pages))) for pages in (borders - PAGE, borders)
        )
        equal = ((before == behind) & (before != 0)).sum(axis=1)
        return np.where(is_before & is_behind, equal, 0)


def _readings(description: ArrayDescription, reshape: Reshape, images: Mapping[int, BlockSource]) -> _Readings:
    serving = description.serving
    zones = [zone_of(shape, description.component_size) for shape in (reshape.before, reshape.after)]
    return _Readings(
        step=reshape.step,
        unit=math.gcd(reshape.before.chunk_size, reshape.after.chunk_size),
        old=Side(zones[0], {role: member.data_offset for role, member in serving.items()}),
        new=Side(zones[1], {role: member.new_data_offset for role, member in serving.items()}),
        images=images,
    )


def _is_comparable(description: ArrayDescription) -> bool:
    return all(shape.has_parity and shape.chunk_size % PAGE == 0 for shape in description.shapes)
