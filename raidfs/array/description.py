"""What we decided that the array is: frozen, complete, in bytes. The narrow waist of raidfs.

Made by `raidfs.array.assemble` (and by anyone else who knows better); used by geometry, engine and reports, which do
not know where it came from. Refuses to exist when it contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from raidfs.array.dispute import Dispute
from raidfs.array.front import Front
from raidfs.array.shape import Shape
from raidfs.array.strays import Strays
from raidfs.errors import InconsistentDescription
from raidfs.extents import Extents
from raidfs.units import SECTOR

LARGEST = 1 << 60
"""No quantity of an array reaches this [bytes]."""


class State(Enum):
    """What a member is to its array; the value is its name in reports."""

    IN_SYNC = "in-sync"
    RECOVERING = "recovering"
    DAMAGED = "damaged"  # its superblock or its bad-block log is: its data serve only as doubtful bytes
    STALE = "stale"
    FAULTY = "faulty"
    REPLACEMENT = "replacement"  # of a member that still serves; what it has got already is a further source
    DUPLICATE = "duplicate"
    SPARE = "spare"
    JOURNAL = "journal"
    BACKUP = "backup"  # mdadm's, of what a reshape in place overwrites
    FOREIGN = "foreign"
    INCOMPATIBLE = "incompatible"

    @property
    def serves(self) -> bool:
        """Whether bytes of such a member enter the array."""
        return self in (State.IN_SYNC, State.RECOVERING, State.DAMAGED)


@dataclass(frozen=True)
class Past:
    """What a member that left the array still holds of it: as it was when it left.

    Attributes:
        held: of the array's only geometry, or the new one in a reshape [component bytes of it].
        held_before: of the old geometry in a reshape [component bytes of it].
        proven: what of `held` was not written since, so that it is current.
        likely: what of `held` nothing speaks against.
        likely_before: what of `held_before` nothing speaks against.
    """

    held: Extents
    held_before: Extents = Extents()
    proven: Extents = Extents()
    likely: Extents = Extents()
    likely_before: Extents = Extents()

    def __bool__(self) -> bool:
        """Tell whether it holds anything at all."""
        return bool(self.held or self.held_before)


@dataclass(frozen=True)
class Member:
    """One image as the array sees it.

    Attributes:
        path: of the image.
        role: place in the array; None for what has none (spare, journal, foreign).
        state: see `State`.
        data_offset: start of the component [member bytes]; during a reshape in the old geometry.
        new_data_offset: the same in the new geometry; equal to data_offset outside a reshape.
        recovered_to: valid below this [component bytes of the geometry in force: during a reshape of the new one
            only]; None: everywhere.
        bad_blocks: what its bad-block log declares unreadable [member bytes].
        device_number: md's permanent number.
        device_uuid: or None (0.90).
        events: update counter of its superblock.
        updated: time of its last superblock update [microseconds since 1970].
        note: why it is set apart, one clause; empty for members that serve.
        write_mostly: of copies, read last: it may lag behind the others, or is less to be trusted.
        past: what a stale or faulty member still holds; None for all others.
        component_size: what this member gives where each gives all that it has (linear, RAID0) [bytes]; else None.
        contested: why nothing of a member that serves is proven, one clause; empty: nothing speaks against it.
    """

    path: str
    role: int | None
    state: State
    data_offset: int
    new_data_offset: int
    recovered_to: int | None = None
    bad_blocks: Extents = Extents()
    device_number: int = -1
    device_uuid: str | None = None
    events: int = 0
    updated: int = 0
    note: str = ""
    write_mostly: bool = False
    past: Past | None = None
    component_size: int | None = None
    contested: str = ""


class Direction(Enum):
    """Which way the reshape position moves; the value is its name in reports."""

    FORWARD = "forward"
    BACKWARD = "backward"

    @property
    def is_forward(self) -> bool:
        """Whether the position grows."""
        return self is Direction.FORWARD


@dataclass(frozen=True)
class Reshape:
    """Two shapes of one array, cut at the position.

    Attributes:
        before: the old shape.
        after: the new shape.
        position: [array bytes]. Forward: below it the new shape holds, from it on the old one. Backward: the reverse.
        direction: which way the position moves.
        position_source: where it came from, one clause.
        front: what the data say of how far it really came; None: they were not asked.
        quiet: behind the position, where nothing can have been written since it was copied [array bytes].
        backup: mdadm's backup file, which is read and judged again each time; None: none was named.
        disputed: between two positions, which members of equal events record, or one of which the data tell, where the
            old and the new geometry do not hold the same: nobody knows which of them counts [array bytes].
    """

    before: Shape
    after: Shape
    position: int
    direction: Direction
    position_source: str = "superblock"
    front: Front | None = None
    quiet: Extents = Extents()
    backup: str | None = None
    disputed: Extents = Extents()

    @property
    def step(self) -> int:
        """What positions are multiples of: whole new stripes (`raid5.c: setup_conf`), sectors (`raid10.c`) [bytes]."""
        if not self.after.has_parity:
            return SECTOR
        return max(self.before.chunk_size, self.after.chunk_size) * self.after.n_data


@dataclass(frozen=True)
class Alternative:
    """Another shape that the array may have.

    Attributes:
        shape: it.
        reason: why it cannot be ruled out, one sentence.
    """

    shape: Shape
    reason: str


@dataclass(frozen=True)
class ArrayDescription:
    """The array as decided.

    Attributes:
        uuid: as mdadm prints it.
        name: or None.
        metadata: `0.90`, `1.0`, `1.1`, `1.2`.
        shape: the shape to which the array belongs: outside a reshape its only one, during a reshape the new one.
        component_size: used bytes of each member; linear and RAID0: of the largest.
        size: array bytes.
        members: all images, those that serve (at most one per role) and those set apart.
        reshape: or None.
        clean: md had nothing in the middle of being written when it was stopped.
        unsynced: where redundancy is not proven to agree with the data [component bytes]: after an unclean shutdown
            what lies behind `resync_offset`, or those parts of it that a write-intent bitmap names.
        alternatives: other shapes that it may have; where they put bytes elsewhere, nothing is sure.
        withheld: why no byte of the array may be served as sure, one sentence; empty: nothing speaks against it.
        strays: what a reshape of a RAID10 may have put at wrong places; None: nothing.
        dispute: what members disagree on; None: on nothing.
        events: of the freshest superblock.
        updated: time of the freshest superblock [microseconds since 1970].
    """

    uuid: str
    name: str | None
    metadata: str
    shape: Shape
    component_size: int
    size: int
    members: tuple[Member, ...]
    reshape: Reshape | None = None
    clean: bool = True
    unsynced: Extents = Extents()
    alternatives: tuple[Alternative, ...] = ()
    withheld: str = ""
    strays: Strays | None = None
    dispute: Dispute | None = None
    events: int = 0
    updated: int = 0

    def __post_init__(self) -> None:
        """Refuse a description that contradicts itself.

        Raises:
            InconsistentDescription: says what contradicts what.
        """
        self._check_numbers()
        roles = [member.role for member in self.members if member.state.serves]
        if len(set(roles)) != len(roles):
            raise InconsistentDescription("two members serve the same role")
        for member in self.members:
            if member.state.serves and not (member.role is not None and 0 <= member.role < self.n_roles):
                raise InconsistentDescription(
                    f"{member.path} has role {member.role} in an array of {self.n_roles} roles"
                )
        if self.component_size <= 0:
            raise InconsistentDescription(f"a component size of {self.component_size} bytes cannot be")
        if not self.usable_size:
            chunks = " or ".join(f"{shape.chunk_size} bytes" for shape in self.shapes)
            raise InconsistentDescription(
                f"a component size of {self.component_size} bytes does not hold one chunk of {chunks}"
            )
        if self.reshape is not None:
            self._check_reshape(self.reshape)
        if self.size != self.usable_size:
            raise InconsistentDescription(f"a size of {self.size} bytes; its shape holds {self.usable_size}")

    def _check_numbers(self) -> None:
        """Refuse what no array has and 64-bit arithmetic would stumble over."""
        told = [("component size", self.component_size)]
        told += [("an offset of unsynced", offset) for offset in self.unsynced.boundaries().tolist()]
        if self.reshape is not None:
            told.append(("reshape position", self.reshape.position))
        for member in self.members:
            if member.state.serves:
                offsets = (member.data_offset, member.new_data_offset, member.recovered_to or 0)
                told += [(f"an offset of {member.path}", offset) for offset in offsets]
                told.append((f"the component size of {member.path}", member.component_size or 0))
        for name, value in told:
            if not 0 <= value < LARGEST:
                raise InconsistentDescription(f"{name} is {value} bytes, which cannot be")

    def _check_reshape(self, reshape: Reshape) -> None:
        if reshape.after != self.shape:
            raise InconsistentDescription("the new shape of the reshape is not the shape of the array")
        obstacle = reshape.before.obstacle_to(reshape.after)
        if obstacle:
            raise InconsistentDescription(obstacle)
        odd = odd_position(reshape, self.component_sizes)
        if odd:
            raise InconsistentDescription(odd)

    def taken_as(self, shape: Shape) -> ArrayDescription:
        """Return the array in another shape, decided: there are no alternatives any more.

        Raises:
            InconsistentDescription: it cannot have that shape.
        """
        if self.reshape is not None:
            raise InconsistentDescription("an array in the middle of a reshape has two shapes")
        size = usable_size([shape], self.component_sizes)
        return replace(self, shape=shape, size=size, alternatives=())

    @property
    def n_roles(self) -> int:
        """Number of roles that members can have, in either shape."""
        return max(self.shape.raid_disks, self.reshape.before.raid_disks if self.reshape else 0)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The one or two shapes in force."""
        return (self.reshape.before, self.reshape.after) if self.reshape else (self.shape,)

    @property
    def usable_size(self) -> int:
        """Array bytes that the shapes hold; see `usable_size`."""
        return usable_size(self.shapes, self.component_sizes)

    @property
    def component_sizes(self) -> tuple[int, ...]:
        """What the member of each role gives; of one that is missing, as much as the largest."""
        serving = self.serving
        sizes = (serving[role].component_size if role in serving else None for role in range(self.n_roles))
        return tuple(self.component_size if size is None else size for size in sizes)

    @property
    def serving(self) -> dict[int, Member]:
        """Members that serve, by role."""
        return {member.role: member for member in self.members if member.state.serves and member.role is not None}

    @property
    def sources(self) -> tuple[Member, ...]:
        """Members whose bytes may enter the array: those that serve, by role, then what else holds some of them.

        Of one role the preferred first: replacements before members that left.
        """
        serving = [member for _, member in sorted(self.serving.items())]
        replacements = [member for member in self.members if member.state is State.REPLACEMENT]
        return (
            *serving,
            *replacements,
            *(member for member in self.members if member.past and member.role is not None),
        )

    def of_roles(self, roles: Iterable[int]) -> tuple[Member, ...]:
        """Return the members that serve these roles."""
        return tuple(self.serving[role] for role in roles)

    @property
    def missing_roles(self) -> tuple[int, ...]:
        """Roles, of either shape, that no image serves."""
        return tuple(role for role in range(self.n_roles) if role not in self.serving)


def odd_position(reshape: Reshape, component_sizes: Sequence[int]) -> str:
    """Say why no reshape can stand at its position, one clause; empty: one can.

    Args:
        reshape: with the position.
        component_sizes: by role, of as many roles as either shape has [bytes].
    """
    before, after, unit = reshape.before, reshape.after, reshape.step
    if reshape.position < 0 or reshape.position % unit:
        return f"the reshape position {reshape.position} is no multiple of a whole new stripe ({unit} bytes)"
    end = max(shape.array_size(component_sizes[: shape.raid_disks]) for shape in (before, after))
    if reshape.position >= end + unit:
        return f"the reshape position is {reshape.position} bytes, beyond the end of the array ({end} bytes)"
    return ""


def usable_size(shapes: Sequence[Shape], component_sizes: Sequence[int]) -> int:
    """Return the array bytes that one or two shapes hold (`raid5.c: raid5_size`): the least, all chunks being whole.

    Args:
        shapes: the only one, or the old and the new one.
        component_sizes: by role [bytes].
    """
    sizes = list(component_sizes)
    for shape in reversed(shapes):
        if shape.has_parity:
            sizes = [size - size % shape.chunk_size for size in sizes]
    return min(shape.array_size(sizes[: shape.raid_disks]) for shape in shapes)
