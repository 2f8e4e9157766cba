"""Findings that follow from the array as a whole: what is missing, what is unproven, what is doubtful, and why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raidfs.array.description import ArrayDescription, Member, State
from raidfs.array.front import Front
from raidfs.array.shape import Shape
from raidfs.engine.account import Account
from raidfs.engine.joint import is_too_large
from raidfs.finding import Finding, Severity
from raidfs.geometry.doubts import Doubt, doubts_of, name_among, open_shapes
from raidfs.geometry.geometry import zones_of
from raidfs.geometry.reshape import likely_by_front, undecided_by_front
from raidfs.geometry.zone import Zone
from raidfs.units import format_numbers, format_size


def findings_of_array(description: ArrayDescription, account: Account) -> list[Finding]:
    """Explain the account of an array in sentences."""
    return [*_about_members(description), *_about_reshape(description), *_about_account(description, account)]


def _about_members(description: ArrayDescription) -> list[Finding]:
    findings = []
    missing = description.missing_roles
    if missing:
        roles, redundancy = format_numbers(missing), description.shape.redundancy
        told = f"rebuilt where {redundancy} allow{'s' if redundancy == 'parity' else ''}" if redundancy else "lost"
        if _hold_no_data(description, missing):
            told = "it holds nothing but parity, and a RAID0 that is reshaped, as a RAID4, has none at all"
        word = "role" if len(missing) == 1 else "roles"
        findings.append(Finding(Severity.WARNING, "array", f"no image serves {word} {roles}: {told}"))
        if description.shape.has_parity and len(missing) > description.shape.n_parity:
            text = (
                "so few members are here that nothing tells whether they are the latest: if they left the array before "
            )
            text += "the others, what they hold is out of date"
            findings.append(Finding(Severity.WARNING, "array", text))
    for member in description.members:
        if member.state is State.RECOVERING and member.recovered_to is not None:
            held = format_size(member.recovered_to)
            text = f"{member.path} was being rebuilt: it holds the first {held} of its component"
            findings.append(Finding(Severity.NOTE, member.path, text))
            findings += _about_progress(description, member)
        if member.state.serves and member.bad_blocks:
            text = f"{member.path} lists {member.bad_blocks.total} bytes in its bad-block log; they are not read"
            findings.append(Finding(Severity.WARNING, member.path, text))
    if any(zone.table.has_copies_on_one_role for shape in description.shapes for zone in _zones(description, shape)):
        text = f"the layout {description.shape.layout} puts two copies of some chunks on one member: without it both go"
        findings.append(Finding(Severity.WARNING, "array", text))
    return findings


def _hold_no_data(description: ArrayDescription, roles: Sequence[int]) -> bool:
    """Tell whether some roles hold no data in any shape of an array with one parity: the parity disk of a RAID4."""
    if not all(shape.has_parity and shape.n_parity == 1 for shape in description.shapes):
        return False
    tables = [zone.table for shape in description.shapes for zone in _zones(description, shape)]
    holding = {int(role) for table in tables for role in np.unique(table.role[table.symbol < table.n_data])}
    return holding.isdisjoint(roles)


def _about_progress(description: ArrayDescription, member: Member) -> list[Finding]:
    """Say that a member was filled further by a reshape than its recorded position is (`md.c: super_1_sync`)."""
    reshape = description.reshape
    if reshape is None or not reshape.direction.is_forward or member.recovered_to is None:
        return []
    chunk = max(reshape.before.chunk_size, reshape.after.chunk_size)
    if member.recovered_to <= reshape.position // reshape.after.n_data + chunk:
        return []
    text = f"{member.path} holds the first {member.recovered_to} bytes of its component, which a reshape at position "
    text += f"{reshape.position} has not filled: an earlier run came further and it was begun anew, or the recorded "
    text += "position is wrong; check files before you trust them"
    return [Finding(Severity.ERROR, member.path, text)]


def _zones(description: ArrayDescription, shape: Shape) -> tuple[Zone, ...]:
    return zones_of(shape, description.component_sizes[: shape.raid_disks])


def _about_reshape(description: ArrayDescription) -> list[Finding]:
    reshape = description.reshape
    if reshape is None:
        return []
    findings = []
    undecided, likely = undecided_by_front(description), likely_by_front(description)
    seen = "" if reshape.front is None else "\n".join(each.sentence for each in reshape.front.proofs)
    if undecided:
        (first, _), last = next(iter(undecided)), int(undecided.array[-1, 1])
        text = (
            f"the reshape may be further than its recorded position says: {format_size(undecided.total)} between the "
            f"array bytes {first} and {last} may have been overwritten; they are doubtful, "
            "and --doubtful guesses how far it came"
        )
        findings.append(Finding(Severity.ERROR, "array", text))
    if likely:
        text = (
            f"{format_size(likely.total)} near the front of the reshape hold nothing that proves to which geometry "
            "they belong; they are what the proven rows around them are, and unproven"
        )
        findings.append(Finding(Severity.WARNING, "array", text))
    if reshape.front is not None:
        text = f"how far the reshape came beyond its recorded position is told by the data: {_reached(reshape.front)}"
        if not (undecided or likely or reshape.front.written):
            text = "what lies ahead of the recorded position proves that the reshape went no further"
        findings.append(Finding(Severity.NOTE, "array", text, seen))
    return findings


def _reached(front: Front) -> str:
    """Say what is proven."""
    written, left = front.written.total, front.left.total
    return (
        f"of each member, {format_size(written)} are proven to be written in the new geometry, and {format_size(left)} "
        "proven not to be"
    )


def _about_places(description: ArrayDescription, doubt: Doubt) -> Finding:
    (first, _), last = next(iter(doubt.where)), int(doubt.where.array[-1, 1])
    worth = "unproven" if doubt.likely else "doubtful"
    text = f"{doubt.reason}; {format_size(doubt.where.total)} between the array bytes {first} and {last} are {worth}"
    if doubt.reason in [each.reason for each in description.alternatives]:
        shapes = open_shapes(description)
        text += f", unless {' or '.join(f'--layout {name_among(shape, shapes)}' for shape in shapes)} tells"
    return Finding(Severity.WARNING if doubt.likely else Severity.ERROR, "array", text)


def _about_account(description: ArrayDescription, account: Account) -> list[Finding]:
    doubts = doubts_of(description)
    findings = [_about_places(description, doubt) for doubt in doubts]
    if description.withheld:
        findings.append(Finding(Severity.ERROR, "array", f"{description.withheld}; every byte is doubtful"))
    if description.dispute is not None:
        rest = description.size - description.dispute.agreed.total
        if rest > 0:
            findings.append(Finding(Severity.ERROR, "array", f"{description.dispute.told}: {format_size(rest)}"))
    unproven = account.unproven - likely_by_front(description).total  # of which it is told otherwise
    if unproven > 0 and not any(doubt.likely for doubt in doubts):  # which told it
        text = f"{format_size(unproven)} ({unproven} bytes) are "
        text += (
            f"rebuilt but unproven: the array was not shut down cleanly, so its {description.shape.redundancy} may be "
            "stale"
            if description.unsynced
            else "unproven: they come from mdadm's backup, or their rows disagree with their parity"
            if any(member.state is State.BACKUP for member in description.members)
            else "unproven: the superblock of a member that they come from contradicts the others"
            if any(member.contested for member in description.members) or description.dispute is not None
            else "unproven: their copies differ, and nothing tells which is right"
            if description.shape.redundancy == "copies"
            else "unproven: another image claims to be the same member, and differs"
            if any(member.state is State.DUPLICATE for member in description.members)
            else "unproven: their rows disagree with their parity, and what is wrong with them is not proven"
        )
        findings.append(Finding(Severity.WARNING, "array", text))
    if account.lost and is_too_large(description):
        text = (
            "what the reshape left at its old places is not used to rebuild what lies behind its position, nor new "
            "copies to rebuild what lies ahead: the old and the new geometry repeat together only after too many chunks"
        )
        findings.append(Finding(Severity.WARNING, "array", text))
    if account.lost:
        text = f"{format_size(account.lost)} ({account.lost} bytes) are lost: too many members lack the same stripes"
        findings.append(Finding(Severity.ERROR, "array", text))
    return findings
