"""Members with fills that no map tells of, and what is to be believed then, by the rule: one sector of a row at a time.

Nothing here is raidfs's; healths and trusts are numbers as in `tests.support.worth`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tests.oracle.layouts import Geometry, Stripe
from tests.oracle.parity import checks, combine, solve
from tests.support.worth import (
    DOUBTFUL,
    LOST,
    NOT_PROVEN,
    NOT_SURE,
    NOTHING,
    SECTOR,
    SURE,
    UNPROVEN,
    Situation,
    health,
    trusts,
)

PATTERNS = (b"\0", b"\xff", b"\xee\x01", b"BaDbLoCk", b"never copied\n", bytes(range(1, 64)), bytes(range(64)))
"""What tools leave where they could not copy."""
_CLASS = {UNPROVEN: NOT_PROVEN, DOUBTFUL: NOT_SURE}


def filled(pattern: bytes, length: int, phase: int = 0) -> bytes:
    """A pattern repeated over so many bytes, from a place in it on."""
    return (pattern * (length // len(pattern) + 2))[phase % len(pattern) :][:length]


def is_filled(block: bytes) -> bool:
    """Whether a block repeats one pattern of at most 64 bytes."""
    return any(block[period:] == block[:-period] for period in range(1, 65))


def blamed(stripe: Stripe, cells: Mapping[int, bytes], *, is_proven: bool, check: bool) -> dict[int, int]:
    """Say what is left of the trust in the cells of one sector of a row; those that keep it are not in it.

    Args:
        stripe: the stripe.
        cells: content of each role's cell, of those that are trusted.
        is_proven: whether its parity was ever proven.
        check: whether every row is compared, or only what looks filled is asked about.
    """
    equations = checks(stripe)
    roles = {role for equation in equations for role in equation}
    spare = len(equations) - len(roles - cells.keys())
    if spare < 1 or _explains(stripe, cells, ()):
        return {}
    fills = {role for role, block in cells.items() if is_filled(block)}
    if not is_proven:
        return dict.fromkeys(cells if check else fills, NOT_PROVEN)
    wrong = [role for role in cells if spare == 2 and _explains(stripe, cells, (role,))]
    if wrong and (cells[wrong[0]] == bytes(SECTOR) or not _has_rival(stripe, wrong[0], fills - {wrong[0]})):
        return {wrong[0]: NOTHING}
    if not wrong and len(fills) == spare:
        return dict.fromkeys(fills, NOTHING)
    rest = NOT_SURE if check else NOT_PROVEN
    found = dict.fromkeys(cells, rest) if check or len(fills) < spare else {}
    found |= dict.fromkeys(wrong, rest)
    parity = {stripe.p, stripe.q} & cells.keys() if fills else set()
    return found | dict.fromkeys(fills | parity, NOT_SURE)


def _explains(stripe: Stripe, cells: Mapping[int, bytes], wrong: Collection[int]) -> bool:
    """Whether all equations hold with these cells recomputed from the others."""
    whole = solve(stripe, {role: block for role, block in cells.items() if role not in wrong})
    return not any(any(combine(equation, whole, SECTOR)) for equation in checks(stripe))


def _has_rival(stripe: Stripe, wrong: int, fills: Collection[int]) -> bool:
    """Whether two filled cells that are wrong by the same amount would look like this one."""
    data, p, q = {*stripe.data}, stripe.p, stripe.q
    looks_like = {q: lambda pair: pair <= data | {p}, p: lambda pair: q in pair and bool(pair & data)}
    fits = looks_like.get(wrong, lambda pair: pair == {p, q})
    return any(fits(set(pair)) for pair in combinations(fills, 2))


def believed(
    situation: Situation, images: Mapping[int, bytes], *, check: bool = False
) -> tuple[NDArray[np.uint8], list[bytes]]:
    """What each sector of an array is worth, and what it holds then, once every row was judged.

    Args:
        situation: the array with all damage that is known.
        images: by role.
        check: see `blamed`.

    Returns:
        uint8 (sectors,): health. By sector: its content; zeros where it is lost.
    """
    array = situation.array
    worth = np.zeros(array.size // SECTOR, dtype=np.uint8)
    content: list[bytes] = []
    members = {member.role: member for member in array.members}
    for low, high, geometry, new in array.sections(0, array.size):
        trust = trusts(situation, new=new)
        offsets = {role: each.new_data_offset if new else each.data_offset for role, each in members.items()}
        rows: dict[int, tuple[dict[int, int], dict[int, bytes], int]] = {}
        for sector in range(low // SECTOR, high // SECTOR):
            number, inside = divmod(sector * SECTOR, geometry.chunk)
            row, k = divmod(number, geometry.data_disks)
            height = row * geometry.chunk + inside
            if height not in rows:
                rows[height] = _row(situation, geometry, images, offsets, trust, height, check=check)
            cells, blocks, redundancy = rows[height]
            stripe = geometry.stripe(row)
            told = tuple(cells.get(role, NOTHING) for role in range(geometry.raid_disks))
            worth[sector] = health(stripe, told, redundancy, stripe.data[k])
            content.append(_content(stripe, cells, blocks, int(worth[sector]), stripe.data[k]))
    return worth, content


def _row(
    situation: Situation,
    geometry: Geometry,
    images: Mapping[int, bytes],
    offsets: Mapping[int, int],
    trust: Mapping[int, list[int]],
    height: int,
    *,
    check: bool,
) -> tuple[dict[int, int], dict[int, bytes], int]:
    """Trust and content of each cell of a sector of a row, and the trust in its redundancy."""
    there = {role: cells[height // SECTOR] for role, cells in trust.items() if role < geometry.raid_disks}
    there = {role: value for role, value in there.items() if value != NOTHING}
    blocks = {role: bytes(images[role][offsets[role] + height : offsets[role] + height + SECTOR]) for role in there}
    sure = {role: block for role, block in blocks.items() if there[role] == SURE}
    is_proven = situation.resync_offset is None or height < situation.resync_offset
    stripe = geometry.stripe(height // geometry.chunk)
    there |= blamed(stripe, sure, is_proven=is_proven, check=check)
    return there, blocks, SURE if is_proven else NOT_PROVEN


def _content(stripe: Stripe, cells: Mapping[int, int], blocks: Mapping[int, bytes], worth: int, role: int) -> bytes:
    """The content of a cell that is worth so much."""
    if worth == LOST:
        return bytes(SECTOR)
    limit = _CLASS.get(worth, SURE)
    return solve(stripe, {other: block for other, block in blocks.items() if cells[other] <= limit})[role]
