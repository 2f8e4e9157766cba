"""One member of a simulated array: its bytes, and what each of them was last written for."""

from __future__ import annotations

from tests.oracle.labels import Placement
from tests.oracle.ranges import Range, merged

OLD, NEW, STALE = "old", "new", "stale"
"""What a byte of a member was last written for: the old (or only) geometry, the new one, or nothing that holds."""


class SimulatedMember:
    """One member at work: its bytes, and for which geometry each of them was last written.

    Attributes:
        role, device_number: md's. data_offset, new_data_offset: [member bytes]. image: its bytes.
        recovered_to: recovery_offset, None when in sync. bad_blocks: (start, stop) [member bytes].
        written: (start, stop, OLD | NEW | STALE) [member bytes]; bytes in no range were never written.
    """

    def __init__(self, role: int, device_number: int, data_offset: int, image: bytearray) -> None:
        self.role = role
        self.device_number = device_number
        self.data_offset = data_offset
        self.new_data_offset = data_offset
        self.image = image
        self.recovered_to: int | None = None
        self.bad_blocks: list[Range] = []
        self.written: list[tuple[int, int, str]] = []

    def offset(self, side: str) -> int:
        """The data offset of a side [member bytes]."""
        return self.new_data_offset if side == NEW else self.data_offset

    def write(self, side: str, component_offset: int, block: bytes) -> None:
        """Write a block for one geometry."""
        start = self.offset(side) + component_offset
        self.image[start : start + len(block)] = block
        self.mark(start, start + len(block), side)

    def mark(self, start: int, stop: int, owner: str) -> None:
        """Remember what [start, stop) [member bytes] was last written for."""
        kept = [
            piece
            for a, b, other in self.written
            for piece in ((a, min(b, start), other), (max(a, stop), b, other))
            if piece[0] < piece[1]
        ]
        self.written = []
        for a, b, other in sorted([*kept, (start, stop, owner)]):
            touches = self.written and self.written[-1][1:] == (a, other)
            self.written.append((self.written.pop()[0] if touches else a, b, other))

    def owned(self, side: str) -> list[Range]:
        """The component bytes last written for a side."""
        return merged((a - self.offset(side), b - self.offset(side)) for a, b, owner in self.written if owner == side)

    @property
    def placement(self) -> Placement:
        """What its superblock says of it alone."""
        bad = tuple((start, stop - start) for start, stop in self.bad_blocks)
        return Placement(
            self.device_number, self.data_offset, self.new_data_offset, len(self.image), self.recovered_to, bad
        )
