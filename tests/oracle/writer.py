"""Writes arrays as md would leave them on their members, crashed in the middle of a reshape or not.

`Simulation` is an array at work, without any I/O: rows are written in the order the kernel writes them, over whatever
lay there before, and every member remembers for which geometry each of its bytes was last written. `write_array` runs
one to a given moment. All unused space holds random bytes, so that nothing is right by luck.

Two contents are kept during a reshape: what the old places hold and what the new places hold. A write of the user goes
to one of them only, so the other one goes stale there, as on a real array.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from tests.oracle.bitmap import Bitmap
from tests.oracle.labels import Label, device_size
from tests.oracle.layouts import Geometry
from tests.oracle.member import NEW, OLD, STALE, SimulatedMember
from tests.oracle.parity import fill
from tests.oracle.ranges import Range, intersection, shifted
from tests.oracle.reader import Array, Member
from tests.oracle.superblock import FAULTY, JOURNAL, JOURNAL_DEVICE, SPARE, ByteOrder

SLICE = 4096
"""Height of what the kernel writes at a time: one page of each member (`raid5.c: struct stripe_head`)."""

Landed = Callable[[int, int], bool]
"""Whether a write reached the medium, by component offset of the slice and role."""


def everything(_component_offset: int, _role: int) -> bool:
    """Every write landed."""
    return True


class Simulation:
    """An md array at work.

    Attributes:
        geometry: the only one, or the old one. after: the new one during a reshape. backwards: its direction.
        component_size: [bytes]. position: of the reshape, as recorded [array bytes]. progress: how far it really is.
        members: every member there ever was, by device number; failed ones keep the image of their last moment.
        roles: the working member of each role. events: update counter. resync_offset: to be recorded, None for clean.
        bitmap: the write-intent bitmap, or None. ppl_size: space of the partial parity logs, 0 for none.
        has_journal: there is a write journal, whose device number is the last one.
    """

    def __init__(
        self,
        geometry: Geometry,
        component_size: int,
        *,
        data_offsets: Sequence[int],
        size_of_device: int,
        metadata: str = "1.2",
        data: bytes | None = None,
        seed: int = 0,
        order: ByteOrder = "<",
    ) -> None:
        self.random = Random(seed)
        self.geometry = geometry
        self.component_size = component_size
        self.metadata = metadata
        self.order: ByteOrder = order
        self.size_of_device = size_of_device
        self.array_uuid = self.random.randbytes(16)
        self.members: list[SimulatedMember] = []
        self.roles: dict[int, SimulatedMember] = {}
        self.events = 1
        self.resync_offset: int | None = None
        self.bitmap: Bitmap | None = None
        self.ppl_size = 0
        self.has_journal = False
        self.after: Geometry | None = None
        self.backwards = False
        self.position = self.progress = 0
        capacity = geometry.capacity(component_size)
        self.content = {OLD: bytearray(self.random.randbytes(capacity) if data is None else data)}
        if len(self.content[OLD]) != capacity:
            raise ValueError(f"the array holds {capacity} bytes, not {len(self.content[OLD])}")
        for role in range(geometry.raid_disks):
            self.add(role, data_offsets[role])
        for row in range(component_size // geometry.chunk):
            self._write_stripe(OLD, row, 0, geometry.chunk)
        self.checkpoint()

    # What it is -----------------------------------------------------------------------------------------------

    @property
    def used_size(self) -> int:
        """Component bytes that hold whole chunks of every geometry."""
        return min(self.component_size // g.chunk * g.chunk for g in (self.geometry, self.after) if g)

    @property
    def size(self) -> int:
        """Array bytes."""
        return min(g.capacity(self.used_size) for g in (self.geometry, self.after) if g)

    @property
    def truth(self) -> bytes:
        """The content of the array."""
        old = self.content[OLD]
        if self.after is None:
            return bytes(old[: self.size])
        new = self.content[NEW]
        if self.backwards:
            return bytes(old[: self.position] + new[self.position : self.size])
        return bytes(new[: min(self.position, self.size)] + old[self.position : self.size])

    @property
    def label(self) -> Label[Geometry]:
        """What the superblocks say alike."""
        numbers = [SPARE] * len(self.members) + [JOURNAL] * self.has_journal
        for member in self.members:
            working = self.roles.get(member.role) is member
            numbers[member.device_number] = member.role if working else FAULTY
        return Label(
            metadata=self.metadata,
            geometry=self.geometry,
            component_size=self.component_size,
            device_roles=tuple(numbers),
            after=self.after,
            position=self.position,
            backwards=self.backwards,
            events=self.events,
            resync_offset=self.resync_offset,
            array_uuid=self.array_uuid,
            order=self.order,
            bitmap=b"" if self.bitmap is None else self.bitmap.build(self.array_uuid, self.events),
            ppl_size=self.ppl_size,
            features=JOURNAL_DEVICE * self.has_journal,
        )

    def array(self, *, without: Collection[int] = ()) -> Array:
        """The array as recorded, for `tests.oracle.reader`, less the members of some roles."""
        members = tuple(
            Member(role, m.image, m.data_offset, m.new_data_offset, m.recovered_to, tuple(m.bad_blocks))
            for role, m in sorted(self.roles.items())
            if role not in without
        )
        return Array(self.geometry, self.component_size, members, self.after, self.position, self.backwards)

    def valid_cells(self, side: str) -> dict[int, list[Range]]:
        """The component bytes of each working member that hold right content of the OLD or the NEW geometry."""
        found = {}
        for role, member in self.roles.items():
            limit = self.used_size
            if member.recovered_to is not None:
                limit = 0 if self.after and side == OLD else member.recovered_to
            found[role] = intersection(member.owned(side), [(0, limit)])
        return found

    def save(self, directory: Path, *, without: Collection[int] = ()) -> list[Path]:
        """Write the image of every member, failed ones too, to `disk<device number>.img`; return the paths.

        Args:
            directory: an existing folder.
            without: device numbers that are gone.
        """
        paths = []
        for member in self.members:
            if member.device_number not in without:
                paths.append(directory / f"disk{member.device_number}.img")
                paths[-1].write_bytes(member.image)
        return paths

    # What happens to it ---------------------------------------------------------------------------------------

    def checkpoint(self, only: Collection[int] | None = None) -> None:
        """Update the superblocks of the working members, or of those in the roles of `only`."""
        self.events += 1
        label = self.label
        for role, member in self.roles.items():
            if only is None or role in only:
                for offset, block in label.blocks(member.placement):
                    member.image[offset : offset + len(block)] = block

    def keep_bitmap(self, chunk: int) -> None:
        """From now on the array has a write-intent bitmap."""
        self.bitmap = Bitmap(chunk, self.component_size, events_cleared=self.events)
        self.checkpoint()

    def settle(self) -> None:
        """All writes come to their end."""
        if self.bitmap is not None:
            self.bitmap.settle(self.events, degraded=len(self.roles) < self.geometry.raid_disks)
        self.checkpoint()

    def add(self, role: int, data_offset: int) -> SimulatedMember:
        """Put a device full of random bytes into a role."""
        image = bytearray(self.random.randbytes(self.size_of_device))
        member = SimulatedMember(role, len(self.members), data_offset, image)
        self.members.append(member)
        self.roles[role] = member
        return member

    def fail(self, role: int) -> None:
        """A member fails: its image stays as it is, the others record it."""
        del self.roles[role]
        self.checkpoint()

    def replace(self, role: int, data_offset: int, recovered_to: int) -> None:
        """Put a new device in the place of a failed one and rebuild it up to a component offset."""
        self.add(role, data_offset).recovered_to = recovered_to
        chunk = self.geometry.chunk
        for row in range(-(-recovered_to // chunk)):
            height = min(chunk, recovered_to - row * chunk)
            self._write_stripe(OLD, row, 0, height, lambda _, other: other == role)
        self.checkpoint()

    def spoil(self, role: int, start: int, stop: int) -> None:
        """Sectors [start, stop) [member bytes] become garbage and enter the member's bad-block log."""
        member = self.roles[role]
        member.image[start:stop] = self.random.randbytes(stop - start)
        member.mark(start, stop, STALE)
        member.bad_blocks.append((start, stop))
        self.checkpoint()

    def start_reshape(
        self,
        after: Geometry,
        new_data_offsets: Sequence[int],
        *,
        backwards: bool | None = None,
        fill: Iterable[int] = (),
    ) -> None:
        """Begin a reshape: new devices take the roles that are new, and those of `fill`, which have no working member.

        Args:
            after: the new geometry.
            new_data_offsets: by role, up to the larger number of roles [member bytes].
            backwards: direction, where the number of roles stays the same.
            fill: roles below the old number of roles that the reshape rebuilds as it goes.
        """
        self.after = after
        self.backwards = after.raid_disks < self.geometry.raid_disks or bool(backwards)
        for role in range(self.geometry.raid_disks, after.raid_disks):
            self.add(role, self.members[0].data_offset)
        for role in fill:
            self.add(role, self.members[0].data_offset).recovered_to = 0
        for role, member in self.roles.items():
            member.new_data_offset = new_data_offsets[role]
        self.content[NEW] = bytearray(after.capacity(self.used_size))
        self.position = self.progress = self.size if self.backwards else 0
        self.checkpoint()

    def advance(self, position: int) -> None:
        """The reshape goes on to `position` and records it."""
        for row in self._new_rows(self.position, position):
            self._write_stripe(NEW, row, 0, self._new.chunk)
        self.position = self.progress = position
        for member in self.roles.values():
            if member.recovered_to is not None:
                member.recovered_to = position // self._new.data_disks
        self.checkpoint()

    def tear(self, progress: int, landed: Landed = everything) -> None:
        """The reshape goes on to `progress` and the machine crashes: nothing recorded, and only some writes landed."""
        for row in self._new_rows(self.position, progress):
            for start in range(0, self._new.chunk, SLICE):
                self._write_stripe(NEW, row, start, min(start + SLICE, self._new.chunk), landed)
        self.progress = progress

    def slices(self, progress: int) -> Iterator[tuple[int, dict[int, bytes]]]:
        """What the reshape writes from its recorded position to `progress`: component offset and cells by role."""
        for row in self._new_rows(self.position, progress):
            starts = range(0, self._new.chunk, SLICE)
            for start in reversed(starts) if self.backwards else starts:
                stop = min(start + SLICE, self._new.chunk)
                yield row * self._new.chunk + start, self._cells(NEW, self._new, row, start, stop)

    def user_write(self, array_offset: int, data: bytes, landed: Landed = everything) -> None:
        """The user writes to where the bytes are at that moment, parity with it.

        Where a data slice did not land, the array keeps its former content; parity that was not updated in step with
        the data (the write hole) is stale.

        Raises:
            ValueError: the kernel would make the user wait, for the reshape is at work there.
        """
        stop = array_offset + len(data)
        side = self._side_of(array_offset, stop)
        geometry = self._new if side == NEW else self.geometry
        while array_offset < stop:
            end = min(stop, (array_offset // geometry.chunk + 1) * geometry.chunk)
            self._update(side, geometry, array_offset, data[: end - array_offset], landed)
            data, array_offset = data[end - array_offset :], end

    # How ------------------------------------------------------------------------------------------------------

    @property
    def _new(self) -> Geometry:
        if self.after is None:
            raise ValueError("no reshape is under way")
        return self.after

    def _new_rows(self, start: int, stop: int) -> Iterable[int]:
        """The new rows between two positions in the order of travel; their data come from the old places."""
        step = max(self.geometry.chunk, self._new.chunk) * self._new.data_disks
        wrong_way = start < stop if self.backwards else start > stop
        if start % step or stop % step or wrong_way:
            raise ValueError(f"a reshape cannot go from {start} to {stop} in steps of {step}")
        low, high = min(start, stop), max(start, stop)
        moved = self.content[OLD][low : min(high, self.geometry.capacity(self.used_size))]
        self.content[NEW][low:high] = moved.ljust(high - low, b"\0")
        rows = range(low // self._new.stripe_size, high // self._new.stripe_size)
        return reversed(rows) if self.backwards else rows

    def _write_stripe(self, side: str, row: int, start: int, stop: int, landed: Landed = everything) -> None:
        """Write [start, stop) of every chunk of a stripe, as far as the writes land."""
        geometry = self._new if side == NEW else self.geometry
        for role, block in self._cells(side, geometry, row, start, stop).items():
            if role in self.roles and landed(row * geometry.chunk + start, role):
                self.roles[role].write(side, row * geometry.chunk + start, block)

    def _cells(self, side: str, geometry: Geometry, row: int, start: int, stop: int) -> dict[int, bytes]:
        first = row * geometry.stripe_size
        chunks = range(first, first + geometry.stripe_size, geometry.chunk)
        content = self.content[side]
        return fill(geometry.stripe(row), [bytes(content[at + start : at + stop]) for at in chunks])

    def _side_of(self, start: int, stop: int) -> str:
        if self.after is None:
            return OLD
        stripe = self.geometry.stripe_size
        if self.backwards:  # a stripe of the old geometry that reaches across the front waits too
            ahead = stop <= self.progress // stripe * stripe
        else:
            ahead = start >= -(-self.progress // stripe) * stripe
        behind = start >= self.position if self.backwards else stop <= self.position
        if not ahead and not behind:
            raise ValueError(f"a write to [{start}, {stop}) waits for the reshape")
        return OLD if ahead else NEW

    def _update(self, side: str, geometry: Geometry, offset: int, data: bytes, landed: Landed) -> None:
        """Write within one chunk, and the parity of the same height."""
        number, start = divmod(offset, geometry.chunk)
        row, k = divmod(number, geometry.data_disks)
        at = row * geometry.chunk + start
        stripe = geometry.stripe(row)
        if self.bitmap is not None:
            self.bitmap.intend(at, at + len(data))
        former = bytes(self.content[side][offset : offset + len(data)])
        self.content[side][offset : offset + len(data)] = data
        cells = self._cells(side, geometry, row, start, start + len(data))
        data_landed = landed(at, stripe.data[k])
        if data_landed and stripe.data[k] in self.roles:
            self.roles[stripe.data[k]].write(side, at, data)
        if not data_landed:
            self.content[side][offset : offset + len(data)] = former
        for role in ({*cells} - {*stripe.data}) & {*self.roles}:
            if landed(at, role):
                self.roles[role].write(side, at, cells[role])
            if data_landed != landed(at, role):
                place = shifted([(at, at + len(data))], self.roles[role].offset(side))[0]
                self.roles[role].mark(*place, STALE)


def write_array(
    geometry: Geometry,
    component_size: int,
    *,
    after: Geometry | None = None,
    position: int = 0,
    progress: int | None = None,
    landed: Landed = everything,
    backwards: bool = False,
    data_offset: int | Sequence[int] = 65536,
    new_data_offset: int | Sequence[int] | None = None,
    metadata: str = "1.2",
    data: bytes | None = None,
    seed: int = 0,
    order: ByteOrder = "<",
) -> Simulation:
    """Write an array, crashed in a reshape or not.

    Args:
        geometry: its only one, or the old one.
        component_size: [bytes].
        after: the new geometry, if a reshape crashed.
        position: as recorded [array bytes].
        progress: how far the reshape really was, if further [array bytes].
        landed: which of the writes beyond position reached the media.
        backwards: direction, where the number of roles stays the same.
        data_offset: for all members or by role [member bytes].
        new_data_offset: the same for the new geometry; by default as the old.
        metadata: format of the superblocks.
        data: content of the array; random by default.
        seed: of all randomness.
        order: byte order of the host (0.90).

    Returns:
        The array at that moment; its methods take it further.
    """
    roles = max(geometry.raid_disks, after.raid_disks if after else 0)
    old = [data_offset] * roles if isinstance(data_offset, int) else list(data_offset)
    new = old if new_data_offset is None else new_data_offset
    new = [new] * roles if isinstance(new, int) else list(new)
    simulation = Simulation(
        geometry,
        component_size,
        data_offsets=old,
        size_of_device=device_size(component_size, *old, *new),
        metadata=metadata,
        data=data,
        seed=seed,
        order=order,
    )
    if after is not None:
        simulation.start_reshape(after, new, backwards=backwards)
        simulation.advance(position)
        if progress is not None:
            simulation.tear(progress, landed)
    return simulation
