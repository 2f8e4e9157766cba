"""What of an array a judge has to be asked about once a walk has read it.

So an account tells what `Policy.check` would find, and little is read twice: a judge says nothing of rows that agree
and hold no fills, and nothing of copies that are equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from raidfs.array.description import ArrayDescription, Member, State
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.engine.judge import is_worth_a_hearing
from raidfs.engine.judges import copies_left_behind
from raidfs.engine.mirrors import Mirrors
from raidfs.engine.rows import Judged, Rows, rows_of
from raidfs.engine.undecided_rows import judge_of_undecided
from raidfs.extents import Extents
from raidfs.geometry.reshape import Side, before_section, sections_of
from raidfs.kernels.syndrome import UNCHECKABLE


def in_rows(rows: Rows, judged: Judged) -> Extents:
    """Return what is to be judged of a batch of rows that were looked at [array bytes]."""
    if not judged.unread and not is_worth_a_hearing([judged]):
        return Extents()
    return _stripes(rows, judged.start, judged.stop)


def in_copies(mirrors: Mirrors, start: int, stop: int) -> Extents:
    """Return the codewords [array bytes] that some symbol bytes belong to."""
    own = mirrors.codewords
    first, last = start // own.symbol_size, -(-stop // own.symbol_size)
    return Extents.span(own.array_origin + first * own.size, own.array_origin + last * own.size)


def beside_walk(description: ArrayDescription, members: Sequence[Member], flaws: Sequence[Flaw]) -> Extents:
    """Return what is held twice besides what a walk over the geometries in force compares [array bytes].

    That is what the old geometry of a reshape still holds behind the position, rows of which nobody knows what they
    hold, and members that are held twice.

    Args:
        description: the array.
        members: the member of each source.
        flaws: everything known against the sources.
    """
    everything = Extents.span(0, description.size)
    if any(member.state is State.REPLACEMENT for member in members):
        return everything
    per_role = Counter(member.role for member in members if member.role is not None)
    sections = sections_of(description)
    found = [Extents.span(each.array_start, each.array_stop) for each in copies_left_behind(description)]
    if max(per_role.values(), default=0) > 1:
        tables = [(each, each.zone.table) for each in sections]
        found += [
            Extents.span(section.array_start, section.array_stop)
            for section, table in tables
            if not (table.n_parity or table.has_copies)
        ]
    if description.reshape is not None and before_section(description).zone.table.n_parity:
        ahead = [(each.array_start, each.array_stop) for each in sections if each.side is Side.BEFORE]
        old = rows_of(members, flaws, before_section(description))
        found.append(_checkable(old).difference(Extents(ahead)))
    undecided = judge_of_undecided(description, members, check=True)
    found += [Extents.span(section.array_start, section.array_stop) for section, _ in undecided]
    return Extents().union(*found).intersection(everything)


def _checkable(rows: Rows) -> Extents:
    """Return the stripes of which anything can be checked [array bytes]."""
    start, stop = rows.bounds
    cuts = np.unique(np.concatenate([each.start for each in rows.trust]))
    cuts = np.concatenate(([start], cuts[(cuts > start) & (cuts < stop)], [stop]))
    trust = np.stack([each.at(cuts[:-1]) for each in rows.trust])
    can = rows.absent_of(trust, Trust.SURE) != UNCHECKABLE
    runs = np.stack((cuts[:-1], cuts[1:]), axis=1)[can]
    return Extents().union(*(_stripes(rows, low, high) for low, high in Extents(runs)))


def _stripes(rows: Rows, start: int, stop: int) -> Extents:
    """Return the stripes that component bytes belong to [array bytes]."""
    zone = rows.zone
    first, last = start // zone.chunk_size, -(-stop // zone.chunk_size)
    return Extents.span(zone.array_start + first * zone.stripe_size, zone.array_start + last * zone.stripe_size)
