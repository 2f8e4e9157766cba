"""How far a reshape really came, as far as it is proven: a value, made by `raidfs.evidence`, used by the geometry.

    rows of the new geometry, in the order of travel
    |== recorded ==|== written ==|.. likely written ..|?? open ??|.. likely left ..|== left ==|
                   ^ recorded position                                                        ^ the kernel's bound

A row is the same component bytes of every member of the new geometry. It is *written* where it holds the new geometry,
*left* where no cell of it was written. Likely is what nothing tells of itself, between rows that all tell of a clean
edge. What is in none of these sets is open.
"""

from __future__ import annotations

from dataclasses import dataclass

from raidfs.errors import InconsistentDescription
from raidfs.extents import Extents


@dataclass(frozen=True)
class Proof:
    """What one kind of evidence says; kept to be shown.

    Attributes:
        what: what was seen, one clause.
        says: what follows, one clause.
        count: rows (or pages) in which it was seen.
        first: the first of these rows in the order of travel [component bytes of the new geometry].
        last: the last of them.
    """

    what: str
    says: str
    count: int
    first: int
    last: int

    @property
    def sentence(self) -> str:
        """All of it, for people."""
        where = f"from byte {self.first} to {self.last} of each member's data" if self.count > 1 else f"at {self.first}"
        return f"{self.what}: {self.says} ({self.count} of the rows of 4 KiB {where})"


@dataclass(frozen=True)
class Front:
    """What the data say of the rows that the recorded position leaves open; no row is in two of the sets.

    Attributes:
        cut: the best guess where the new geometry ends [array bytes], in units of whole steps of the reshape; used
            only where nothing is proven.
        written: rows proven to hold the new geometry, beyond the recorded ones [component bytes of the new geometry].
        likely_written: rows of which nothing tells, on the new side of a clean edge [the same].
        likely_left: rows of which nothing tells, on the old side of a clean edge [the same].
        left: rows proven not to have been written [the same].
        agreed: array bytes that are proven to be the same at their old and at their new place, so that nothing is
            undecided there.
        likely_agreed: array bytes that are the same at both places, near a clean edge. They hold nothing that tells,
            such as zeros, so what was overwritten too early would leave no trace.
        proofs: the evidence.
        disorder: from the first row that is left to the last that is written, where that lies so far behind it in the
            order of travel that one run of the reshape cannot have written it before [component bytes of the new
            geometry]; empty: it does not.
    """

    cut: int
    written: Extents = Extents()
    likely_written: Extents = Extents()
    likely_left: Extents = Extents()
    left: Extents = Extents()
    agreed: Extents = Extents()
    likely_agreed: Extents = Extents()
    proofs: tuple[Proof, ...] = ()
    disorder: Extents = Extents()

    def __post_init__(self) -> None:
        """Refuse rows that are said to be two things.

        Raises:
            InconsistentDescription: some are.
        """
        rows = (self.written, self.likely_written, self.likely_left, self.left)
        if sum(each.total for each in rows) != Extents().union(*rows).total:
            raise InconsistentDescription("written, likely_written, likely_left and left of a front overlap")
