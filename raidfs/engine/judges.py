"""What of an array can be judged at all, and by whom: by its parity, or by its copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.copies_judge import CopiesJudge
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.engine.judge import ParityJudge
from raidfs.engine.judgement import Judge
from raidfs.engine.replacements import judges_of_replacements
from raidfs.engine.undecided_rows import judge_of_undecided
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section, Side, before_section, sections_of, touched_rows


def judges_of(description: ArrayDescription, members: Sequence[Member], *, check: bool) -> list[tuple[Section, Judge]]:
    """Return what can be judged, and by whom: runs of the array in the geometries that hold them.

    A run behind the position of a reshape is there twice: whoever judges the old geometry is asked there, too.

    Args:
        description: the array.
        members: the member of each source.
        check: every row is judged, whatever it holds; see `engine.blame.blame` and `engine.copies_blame.blame_copies`.
    """
    found = [
        (section, judge)
        for section in _serving(description)
        for judge in _judge(description, members, section, (), check=check)
    ]
    found += judge_of_undecided(description, members, check=check)
    gone = _overwritten(description, members)
    for left in copies_left_behind(description):
        found += [(left, judge) for judge in _judge(description, members, left, gone, check=check)]
    return found


def _serving(description: ArrayDescription) -> list[Section]:
    """Return the runs of the array that are judged as one, each in the geometry that serves it.

    Where the old geometry of a reshape has parity it is one run, with what is left of it behind the position: runs of
    filled sectors go on from one side to the other, and the row that the position cuts has one judge.
    """
    sections = list(sections_of(description))
    if description.reshape is None or not before_section(description).zone.table.n_parity:
        return sections
    old = before_section(description)
    whole = replace(old, array_stop=min(old.array_stop, old.zone.array_stop))
    return [*(each for each in sections if each.side is not Side.BEFORE), whole]


def copies_left_behind(description: ArrayDescription) -> list[Section]:
    """Return the runs behind the position of a reshape of mirrors in the geometry that they had before.

    Old copies are worth something only where nothing was written since they were copied. Elsewhere they are not asked:
    the reshape may have overwritten some of them that it did not need any more, and recorded that later.
    """
    if description.reshape is None:
        return []
    old = before_section(description)
    if old.zone.table.n_parity:
        return []
    behind = Extents(
        [(each.array_start, each.array_stop) for each in sections_of(description) if each.side is Side.AFTER]
    )
    quiet = behind.intersection(description.reshape.quiet)
    return [replace(old, array_start=start, array_stop=min(stop, old.zone.array_stop)) for start, stop in quiet]


def _judge(
    description: ArrayDescription, members: Sequence[Member], section: Section, gone: Sequence[Flaw], *, check: bool
) -> list[Judge]:
    """Return who judges a section, in this order; `gone`: what else than the known flaws there is against copies."""
    if section.array_start >= section.array_stop:
        return []
    table = section.zone.table
    if table.n_parity:
        serving = {member.role for member in members if member.state.serves}
        n_missing = len(set(range(section.raid_disks)).difference(serving))
        has_parity = n_missing < table.n_parity
        found: list[Judge] = [ParityJudge(description, members, section, check=check)] if has_parity else []
        return [*found, *judges_of_replacements(description, members, section, has_parity=has_parity, check=check)]
    per_role = Counter(member.role for member in members)
    is_held_twice = table.has_copies or max(per_role.values(), default=0) > 1
    return [CopiesJudge(description, members, section, gone, check=check)] if is_held_twice else []


def _overwritten(description: ArrayDescription, members: Sequence[Member]) -> list[Flaw]:
    """What may hold anything of the new geometry of a reshape is no copy in the old one any more."""
    if description.reshape is None:
        return []
    touched, n_new = touched_rows(description), description.reshape.after.raid_disks
    return [
        Flaw(source, touched.shift(member.new_data_offset), Trust.NONE, "rewritten in the new geometry", Side.BEFORE)
        for source, member in enumerate(members)
        if member.past is None and member.role is not None and member.role < n_new
    ]
