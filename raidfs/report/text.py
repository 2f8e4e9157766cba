"""Facts for a tired administrator at 3 a.m.: at most 20 lines, every number with its unit, the next command last."""

from __future__ import annotations

from collections.abc import Sequence

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape, State
from raidfs.array.shape import Shape
from raidfs.engine.account import Account
from raidfs.finding import Finding, Severity
from raidfs.report.facts import Facts
from raidfs.units import SECTOR, format_numbers, format_size

MOST_LINES = 20
_MARKS = {Severity.ERROR: "!!", Severity.WARNING: "!", Severity.NOTE: "-"}


def render_text(facts: Facts, next_command: str, *, verbose: bool = False) -> str:
    """Return the report; unless `verbose` it has at most 20 lines.

    Args:
        facts: what to tell.
        next_command: what the user would run next.
        verbose: tell every member and finding, however many lines that takes.
    """
    description = facts.description
    head = [_title(description), *_shapes(description, facts)]
    tail = [*_readable(facts.account, facts.description.shape.redundancy), f"Next      {next_command}"]
    room = 1000 if verbose else MOST_LINES - len(head) - len(tail)
    for_findings = min(len(facts.findings), max(3, room - len(description.members)))
    members = _members(description.members, room - for_findings)
    if verbose:
        members += _damage(facts)
    findings = _findings(facts.findings, room - len(members), with_evidence=verbose)
    return "\n".join(printable(line.rstrip()) for line in (*head, *members, *tail[:-1], *findings, tail[-1])) + "\n"


def printable(line: str) -> str:
    """Escape what a name may bring into a line: control characters, and bytes that are no UTF-8."""
    escaped = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in line)
    return escaped.encode("utf-8", "backslashreplace").decode()


def _title(description: ArrayDescription) -> str:
    name = description.name or "(no name)"
    size = f"{format_size(description.size)} ({description.size} bytes)"
    level, metadata = description.shape.level.title, description.metadata
    return f"Array     {name}, {level}, {size}, metadata {metadata}, uuid {description.uuid}"


def _shapes(description: ArrayDescription, facts: Facts) -> list[str]:
    reshape = description.reshape
    if reshape is None:
        return [f"Shape     {_shape(description.shape)}; no reshape; {_cleanness(description)}"]
    return [
        f"Reshape   from {_shape(reshape.before)}",
        f"          to   {_shape(reshape.after)}",
        f"Position  {_position(facts, reshape)}",
    ]


def _cleanness(description: ArrayDescription) -> str:
    if description.clean:
        return "clean"
    unsynced = description.unsynced.total
    if not unsynced:
        return "not clean, but nothing was being written"
    where = f" in {format_size(unsynced)} of each member" if unsynced < description.component_size else ""
    return f"NOT CLEAN: {description.shape.redundancy or 'what was written last'} may be stale{where}"


def _shape(shape: Shape) -> str:
    return f"{shape.raid_disks} members, {shape.layout}, chunk {format_size(shape.chunk_size)}"


def _position(facts: Facts, reshape: Reshape) -> str:
    size, front = facts.description.size, reshape.front
    percent = 100 * min(reshape.position, size) / size
    where = "below" if reshape.direction is Direction.FORWARD else "from there on"
    surety = "exact"
    if facts.undecided:
        surety = "NOT exact: see below"
    elif facts.likely or (front is not None and front.written):
        surety = "the data tell how far it really came: see below"
    told = f"{reshape.position} bytes (sector {reshape.position // SECTOR}, {format_size(reshape.position)})"
    return f"{told}, {percent:.1f} % of the array, {reshape.direction.value}: new shape {where}; {surety}"


def _members(members: Sequence[Member], room: int) -> list[str]:
    """One line per member; where that is too much, what is as it should be goes first."""
    members = [member for member in members if member.state is not State.BACKUP]  # of which findings tell
    lines = [_member(member) for member in sorted(members, key=_by_role)]
    if len(lines) > room:
        usual = [each for each in members if each.state.serves and not each.write_mostly]
        healthy = [each for each in usual if not (each.note or each.contested) and each.recovered_to is None]
        others = [each for each in members if each not in healthy]
        roles = format_numbers(each.role for each in sorted(healthy, key=_by_role) if each.role is not None)
        lines = [f"in sync: roles {roles}"] if healthy else []
        lines += [_member(each) for each in sorted(others, key=_by_role)]
        room = max(room, 2)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"and {len(lines) - room + 1} more that are set apart (-v shows them)"]
    return [f"{'Members' if not number else '':<10}{line}" for number, line in enumerate(lines)]


def _by_role(member: Member) -> tuple[bool, bool, int, str]:
    return not member.state.serves, member.role is None, member.role or 0, member.path


def _member(member: Member) -> str:
    role = "role -" if member.role is None else f"role {member.role}"
    offset = f"data at sector {member.data_offset // SECTOR}"
    if member.new_data_offset != member.data_offset:
        offset += f", new at {member.new_data_offset // SECTOR}"
    if not member.state.serves:
        offset = "set apart"
    if member.write_mostly:
        offset += ", write-mostly"
    return f"{role:<8}{member.state.value:<13}{offset}, events {member.events}: {member.path}"


def _damage(facts: Facts) -> list[str]:
    lines = [
        f"{n_bytes} bytes of {path}: {reason}" for path, damage in facts.damage.items() for reason, n_bytes in damage
    ]
    return [f"{'Damage' if not number else '':<10}{line}" for number, line in enumerate(lines)]


def _readable(account: Account, redundancy: str) -> list[str]:
    served = account.good + account.rebuilt + account.unproven
    parts = [f"{format_size(account.good)} good"]
    for value, word in ((account.rebuilt, f"rebuilt from {redundancy}"), (account.unproven, "unproven")):
        if value:
            parts.append(f"{format_size(value)} {word}")
    whole = "everything" if served == account.total else f"{_percent(served, account.total)} % of the array"
    lines = [f"Readable  {whole}: {', '.join(parts)}"]
    if served < account.total:
        lost = [f"{format_size(n)} {word}" for n, word in ((account.doubtful, "doubtful"), (account.lost, "lost")) if n]
        lines.append(f"Withheld  {', '.join(lost)}: reading these bytes fails (EIO)")
    return lines


def _percent(part: int, whole: int) -> str:
    """Never round up to 100 what is not whole, nor down to 0 what is not nothing."""
    return f"{min(99.99, max(0.01, 100 * part / whole)) if part else 0:.2f}".rstrip("0").rstrip(".")


def sentence(finding: Finding) -> str:
    """Return the message, with its subject where it does not name it."""
    named = finding.subject == "array" or finding.subject in finding.message
    return finding.message if named else f"{finding.subject}: {finding.message}"


def _findings(findings: Sequence[Finding], room: int, *, with_evidence: bool) -> list[str]:
    lines: list[str] = []
    for each in findings:
        lines.append(f"{_MARKS[each.severity]:<3}{sentence(each)}")
        if with_evidence and each.evidence:
            lines += [f"     {line}" for line in each.evidence.split("\n")]
    if len(lines) > room:
        lines = [*lines[: room - 1], f"-  and {len(lines) - room + 1} more findings (-v shows them)"]
    return [f"{'Findings' if not number else '':<10}{line}" for number, line in enumerate(lines)]
