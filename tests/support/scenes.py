"""Members in every state that a disaster leaves them in: as raidfs opens them, and as the oracle sees them.

A scene is a set of images, whole, cut short, gone or long thrown out of the array, with sectors that a ddrescue map
calls lost, and others of which only reading shows it. The oracle reads the superblocks by itself; all that it is told
is what fails.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from raidfs.array.description import ArrayDescription, Member
from raidfs.block import BlockSource
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from raidfs.image.raw import RawImage
from tests.oracle.at_risk import Reshape
from tests.oracle.cells import Situation
from tests.oracle.layouts import Geometry
from tests.oracle.ranges import Range
from tests.oracle.sources import situation_of
from tests.support.damaged import ByReading, write_map
from tests.support.reshapes import furthest

_BEYOND_ALL = 1 << 60
_PATIENCE = 3600.0
"""Seconds: what is lost must not hang on how busy the machine is."""
STATUSES = "-*/?"
"""What a ddrescue map may say of what was not copied."""


@dataclass(frozen=True)
class Damage:
    """What happened to the members, by their index.

    Attributes:
        missing: those that are gone.
        told: what maps call bad [image bytes].
        failing: what turns out to be bad when it is read [image bytes].
        cut: what is left of an image [bytes].
    """

    missing: frozenset[int] = frozenset()
    told: Mapping[int, Extents] = field(default_factory=dict)
    failing: Mapping[int, Extents] = field(default_factory=dict)
    cut: Mapping[int, int] = field(default_factory=dict)

    def bad(self, index: int) -> Extents:
        """Everything that cannot be read of a member [image bytes]."""
        return self.told.get(index, Extents()).union(self.failing.get(index, Extents()))

    def with_more(self, more: Damage) -> Damage:
        """Both together."""
        indexes = {*self.told, *self.failing, *more.told, *more.failing}
        return Damage(
            self.missing | more.missing,
            {index: self.told.get(index, Extents()).union(more.told.get(index, Extents())) for index in indexes},
            {index: self.failing.get(index, Extents()).union(more.failing.get(index, Extents())) for index in indexes},
            {
                index: min(size for size in (self.cut.get(index), more.cut.get(index)) if size is not None)
                for index in {*self.cut, *more.cut}
            },
        )


class DamagedReads:
    """Reads like `os.preadv`, but fails where reading finds out, and gives garbage where a map warned."""

    def __init__(self, failing: Extents, garbage: Extents) -> None:
        self._failing = failing
        self._garbage = garbage

    def __call__(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        """Read into one buffer."""
        stop = offset + len(buffers[0])
        if self._failing.overlaps(offset, stop):
            raise OSError(5, "Input/output error")
        n_read = os.preadv(fd, buffers, offset)
        for low, high in self._garbage.clip(offset, offset + n_read).shift(-offset):
            buffers[0][low:high] = bytes(each ^ 0xFF for each in buffers[0][low:high])
        return n_read


class Scene:
    """The members of an array after the damage.

    Attributes:
        damage: what happened to them. images: those that are there, by index.
        quiet: behind the reshape position, what is known not to have been written since [array bytes].
    """

    def __init__(self, members: Sequence[Path], damage: Damage, folder: Path, quiet: Sequence[Range] = ()) -> None:
        self.damage = damage
        self.quiet = Extents(quiet)
        self.images: dict[int, Path] = {}
        self._maps: list[str] = []
        folder = Path(tempfile.mkdtemp(dir=folder))
        for index, member in enumerate(members):
            if index in damage.missing:
                continue
            cut = damage.cut.get(index)
            image = member if cut is None else _cut_short(member, folder, cut)
            self.images[index] = image
            if damage.told.get(index):
                name = folder / f"{member.name}.map"
                write_map(name, image.stat().st_size, damage.told[index].clip(0, image.stat().st_size), STATUSES)
                self._maps.append(f"{image}={name}")

    @contextmanager
    def opened(self, policy: Policy = Policy(), *, asks_data: bool = False) -> Iterator[ArraySource]:
        """Open the array; where reads are to fail, its members are no plain files any more.

        Args:
            policy: what is served.
            asks_data: about the front of a reshape; the oracle knows only what is recorded, and the kernel's rule.
        """
        with ExitStack() as stack:
            paths = [str(image) for image in self.images.values()]
            options = Options(mapfiles=tuple(self._maps), policy=policy, patience=_PATIENCE)
            array = stack.enter_context(open_array(paths, options))
            description = array.description if asks_data else as_recorded(array.description, self.quiet)
            sources: list[tuple[Member, BlockSource]] = [*array.serving]
            if any(self.damage.failing.values()):
                sources = [
                    (member, self._failing(source, stack))
                    for member, source in array.serving
                    if isinstance(source, RawImage)
                ]
            source = ArraySource(description, sources, policy, patience=_PATIENCE)
            stack.callback(source.close)
            yield source

    def _failing(self, image: RawImage, stack: ExitStack) -> ByReading:
        """The same image, with what is wrong with it."""
        index = next(index for index, path in self.images.items() if str(path) == image.path)
        reads = DamagedReads(
            self.damage.failing.get(index, Extents()).clip(0, image.size), self.damage.told.get(index, Extents())
        )
        again = stack.enter_context(RawImage(image.path, reads))
        again.declare_lost(image.known_losses(0, image.size))
        return ByReading(again)

    def situation(self) -> Situation:
        """What the oracle makes of the same, by itself."""
        failing = {
            image: [
                *self.damage.bad(index),
                *([(self.damage.cut[index], _BEYOND_ALL)] if index in self.damage.cut else []),
            ]
            for index, image in self.images.items()
        }
        found = situation_of(list(self.images.values()), failing, quiet=list(self.quiet))
        if found.after is None:
            return found
        offsets = {each.role: (each.data_offset, each.new_data_offset) for each in found.sources if each.held is None}
        reshape = Reshape(found.geometry, found.after, found.component_size, found.position, found.backwards, offsets)
        low, high = sorted(end // found.after.data_disks for end in (found.position, furthest(reshape)))
        return replace(found, at_risk=(low, high))


def as_recorded(description: ArrayDescription, quiet: Extents = Extents()) -> ArrayDescription:
    """What superblocks and the kernel's rule say of a reshape, whatever the data do; quiet: what nobody wrote to."""
    reshape = description.reshape
    if reshape is None:
        return description
    return replace(description, reshape=replace(reshape, front=None, quiet=quiet or reshape.quiet))


def _cut_short(member: Path, folder: Path, size: int) -> Path:
    """Copy the beginning of an image, sparse."""
    image = folder / f"cut-{member.name}"
    subprocess.run(["cp", "--sparse=always", member, image], check=True)
    image.chmod(0o644)
    os.truncate(image, size)
    return image


def spoil(members: Sequence[Path], damage: Damage) -> None:
    """Fill what maps call bad with something else, as a copy that was never finished may be."""
    for index, extents in damage.told.items():
        with members[index].open("r+b") as file:
            for start, stop in extents:
                file.seek(start)
                before = file.read(stop - start)
                file.seek(start)
                file.write(bytes(each ^ 0xFF for each in before))


def cut_stripe(
    before: Geometry, after: Geometry, position: int, size: int, *, backwards: bool
) -> tuple[Range, Range] | None:
    """Where the old stripe lies that the position of a reshape cuts; None: it cuts none.

    Args:
        before, after: the geometries.
        position: of the reshape [array bytes].
        size: of the array [bytes].
        backwards: its direction.

    Returns:
        The old cells [component bytes of the old geometry], and the new rows of what of it lies behind the position
        [component bytes of the new geometry].
    """
    row, inside = divmod(position, before.stripe_size)
    if not inside or position >= size:
        return None
    start, stop = row * before.stripe_size, (row + 1) * before.stripe_size
    low, high = (position, stop) if backwards else (start, position)
    rows = (low // after.stripe_size * after.chunk, -(-high // after.stripe_size) * after.chunk)
    return (row * before.chunk, (row + 1) * before.chunk), rows
