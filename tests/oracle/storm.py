"""One array in a reshape, and all the crashes that can happen to it beyond its recorded position.

What the reshape would write is computed once; a crash is then a choice: how many rows were begun, and which of the
writes of the last of them reached the media. A row is a page of every member (`raid5.c: struct stripe_head`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.oracle.writer import SLICE, Simulation


@dataclass(frozen=True)
class Write:
    """A page that the reshape writes to one member.

    Attributes:
        role: of the member. offset: [member bytes]. content: the page.
    """

    role: int
    offset: int
    content: NDArray[np.uint8]


class Storm:
    """An array at its recorded position, with everything that the reshape would do next.

    Attributes:
        array: the array as recorded. rows: what is written in each row ahead of the position, in the order of travel.
        truth: the content of the array; no crash changes it.
    """

    def __init__(self, array: Simulation, furthest: int) -> None:
        """Compute what the reshape writes from the recorded position up to `furthest` [array bytes]."""
        self.array = array
        self.truth = np.frombuffer(array.truth, dtype=np.uint8)
        self.rows = [self._row(at, cells) for at, cells in array.slices(furthest)]
        self._images = {role: np.frombuffer(bytes(each.image), np.uint8) for role, each in array.roles.items()}

    def _row(self, at: int, cells: dict[int, bytes]) -> list[Write]:
        roles = self.array.roles
        return [
            Write(role, roles[role].new_data_offset + at, np.frombuffer(content, np.uint8))
            for role, content in sorted(cells.items())
            if role in roles
        ]

    def crash(self, begun: int, landed: NDArray[np.bool_]) -> dict[int, NDArray[np.uint8]]:
        """Return the members' images after a crash, by role.

        Args:
            begun: rows that the reshape had begun.
            landed: bool (k, roles): which writes of the last k of them reached the media; all before them are complete.
        """
        images = {role: image.copy() for role, image in self._images.items()}
        complete = begun - len(landed)
        for number, row in enumerate(self.rows[:begun]):
            for write in row:
                if number < complete or landed[number - complete, write.role]:
                    images[write.role][write.offset : write.offset + SLICE] = write.content
        return images
