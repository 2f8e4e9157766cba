"""What `raidfs verify` found, as findings, as JSON, and as a screenful of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raidfs.array.front import Proof
from raidfs.engine.account import Account
from raidfs.engine.copies import Copies
from raidfs.engine.grade import Grade
from raidfs.engine.odd_copies import OddCopy
from raidfs.engine.seam import Seam
from raidfs.engine.verify import Mismatch, Walked
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.reshape import Section, Side
from raidfs.image.digest import Digest
from raidfs.report import differences, odd_copies
from raidfs.units import SECTOR, format_offset, format_size

_MOST_LISTED = 6
"""Mismatches that the text lists; the JSON has them all."""
_MOST_REASONS = 3
_NAMES = {Side.ONLY: "stripes", Side.BEFORE: "stripes of the old geometry", Side.AFTER: "stripes of the new geometry"}


@dataclass(frozen=True)
class Verified:
    """Everything that was found.

    Attributes:
        sections: of the array.
        walked: the stripes.
        mismatches: what of them disagrees, as far as it is kept.
        copies: the old copies behind a reshape position, or None.
        odd: which of them is wrong where they differ from the new place, as far as that was asked.
        seam: parity ahead of a reshape position, or None.
        before: digest of each image, by path; empty: not taken.
        after: the same at the end.
        paths: of the sources.
    """

    sections: tuple[Section, ...]
    walked: Walked
    mismatches: tuple[Mismatch, ...]
    copies: Copies | None
    odd: tuple[OddCopy, ...]
    seam: Seam | None
    before: Mapping[str, Digest]
    after: Mapping[str, Digest]
    paths: tuple[str, ...]

    @property
    def disagrees(self) -> bool:
        """Whether any stripe does, or any copies."""
        return self.walked.n_runs > 0 or self.walked.n_differences > 0

    @property
    def parity_sections(self) -> tuple[tuple[int, Section, tuple[int, ...]], ...]:
        """(index, section, counts) of the sections whose stripes have parity."""
        return tuple(each for each in self._sections if each[1].zone.table.n_parity)

    @property
    def mirror_sections(self) -> tuple[tuple[int, Section, tuple[int, ...]], ...]:
        """(index, section, counts) of the sections that are held in copies."""
        return tuple(each for each in self._sections if each[1].zone.table.has_copies)

    @property
    def has_redundancy(self) -> bool:
        """Whether there is anything to compare at all."""
        return bool(self.parity_sections or self.mirror_sections)

    @property
    def _sections(self) -> list[tuple[int, Section, tuple[int, ...]]]:
        return [(at, *each) for at, each in enumerate(zip(self.sections, self.walked.counts, strict=True))]

    @property
    def changed(self) -> tuple[str, ...]:
        """Images that are not what they were."""
        return tuple(path for path, digest in self.before.items() if _differs(digest, self.after[path]))


def _differs(before: Digest, after: Digest) -> bool:
    """Tell whether an image changed; one of which less can be read than before cannot be compared by its digest."""
    if (before.size, before.mtime_ns) != (after.size, after.mtime_ns):
        return True
    return before.unreadable == after.unreadable and before.sha256 != after.sha256


def findings_of(verified: Verified) -> list[Finding]:
    """Say in sentences what is not as it should be, and what a reshape's data tell."""
    walked, findings = verified.walked, []
    wrong, stale = (_total(verified.parity_sections, grade) for grade in (Grade.WRONG, Grade.STALE))
    if wrong:
        located = {verified.paths[each.source] for each in verified.mismatches if each.source is not None}
        named = f"; wrong are blocks of {', '.join(sorted(located))}" if located else ""
        text = f"{_stripes(wrong)} with parity, so that some block in each is wrong{named}"
        findings.append(Finding(Severity.ERROR, "array", text))
    if stale:
        text = f"{_stripes(stale)} with parity that was never proven (the array was not shut down cleanly, or its "
        findings.append(Finding(Severity.WARNING, "array", f"{text}first sync was not done): stale parity may be all"))
    wrong, stale = (_total(verified.mirror_sections, grade) for grade in (Grade.WRONG, Grade.STALE))
    findings += differences.findings_about(walked.differences, wrong, stale, verified.paths)
    for path in verified.changed:
        text = f"{path} is not what it was when this run began: something writes to it; stop that, and verify again"
        findings.append(Finding(Severity.ERROR, path, text))
    for path, digest in verified.before.items():
        if digest.unreadable != verified.after[path].unreadable:
            text = f"{path}: less of it could be read at the end than at the beginning; its digests cannot be compared"
            findings.append(Finding(Severity.WARNING, path, text))
    findings += _about_copies(verified.copies)
    findings += odd_copies.findings_about(verified.odd, verified.paths)
    return [*findings, *_about_seam(verified.seam)]


def _total(sections: Iterable[tuple[int, Section, tuple[int, ...]]], grade: Grade) -> int:
    return sum(counts[grade] for _, _, counts in sections)


def _stripes(n: int) -> str:
    return "1 stripe disagrees" if n == 1 else f"{n} stripes disagree"


def _about_copies(copies: Copies | None) -> list[Finding]:
    if copies is None or not copies.differing_bytes:
        return []
    first = copies.differing[0][0]
    text = (
        f"{format_size(copies.differing_bytes)} of {format_size(copies.compared)} that the reshape left at their old "
        f"place too differ from the new one, first at array byte {format_offset(first)}: written since, "
    )
    if copies.overtaken:
        text += "overwritten by a reshape that went on without recording it, or damaged"
    else:
        text += "or damaged"
    return [Finding(Severity.NOTE, "array", text)]


def _about_seam(seam: Seam | None) -> list[Finding]:
    if seam is None:
        return []
    if seam.new_until is None:
        text = "parity ahead of the reshape position cannot be checked: too few members can be used there"
    elif not seam.tells:
        text = "parity cannot tell where the reshape stopped: ahead of its position both geometries agree with it"
    else:
        reached = abs(seam.certain_until - seam.position)
        text = f"new parity holds up to {format_offset(seam.new_until)}"
        if reached:
            text = (
                f"the reshape went on for at least {format_size(reached)} beyond its recorded position, "
                f"up to {format_offset(seam.certain_until)}; {text}"
            )
        elif seam.new_until == seam.position:
            text = "new parity ends exactly at the recorded reshape position"
        if seam.old_from is not None:
            text += f"; from {format_offset(seam.old_from)} on only old parity does"
    if seam.neither:
        text += f"; in {format_size(seam.neither)} of rows neither holds"
    return [Finding(Severity.NOTE, "array", text)]


def as_data(verified: Verified) -> dict[str, Any]:
    """Return what was found as plain dictionaries and lists."""
    walked = verified.walked
    stripes = Extents([(each.array_start, each.array_stop) for each in verified.mismatches])
    return {
        "stripes": [
            {
                "geometry": section.side.value,
                "array_start": section.array_start,
                "array_stop": section.array_stop,
                "agree": counts[Grade.AGREES],
                "agree_with_one_parity": counts[Grade.HALF],
                "unchecked": counts[Grade.UNCHECKED],
                "disagree": counts[Grade.WRONG],
                "disagree_unproven": counts[Grade.STALE],
            }
            for _, section, counts in verified.parity_sections
        ],
        "mirrors": [differences.counts_as_data(section, counts) for _, section, counts in verified.mirror_sections],
        "unchecked": [
            {"geometry": verified.sections[at].side.value, "reason": reason, _unit(verified, at): n}
            for at, reason, n in walked.reasons
        ],
        "n_mismatches": walked.n_runs,
        "mismatches": [_mismatch(each, verified.paths) for each in verified.mismatches],
        "mismatching_stripes": [[start, stop] for start, stop in stripes],
        "n_differences": walked.n_differences,
        "differences": [differences.as_data(each, verified.paths) for each in walked.differences],
        "unreadable": [
            {"path": verified.paths[source], "start": start, "stop": stop} for source, start, stop in walked.unread
        ],
        "copies": None if verified.copies is None else _copies(verified.copies, verified),
        "front": None if verified.seam is None else _seam(verified.seam),
        "originals": [_original(path, digest, verified) for path, digest in verified.before.items()],
    }


def _unit(verified: Verified, section: int) -> str:
    """Name what is counted of a section."""
    return "stripes" if verified.sections[section].zone.table.n_parity else "bytes"


def _mismatch(each: Mismatch, paths: tuple[str, ...]) -> dict[str, Any]:
    return {
        "geometry": each.side,
        "stripe_number": each.stripe_number,
        "array_start": each.array_start,
        "array_stop": each.array_stop,
        "component_offset": each.start,
        "length": each.length,
        "role": each.role,
        "symbol": each.symbol,
        "path": None if each.source is None else paths[each.source],
        "image_offset": each.image_offset,
        "sector": None if each.image_offset is None else each.image_offset // SECTOR,
        "proven": each.proven,
    }


def _copies(copies: Copies, verified: Verified) -> dict[str, Any]:
    return {
        "array_start": copies.start,
        "array_stop": copies.stop,
        "compared": copies.compared,
        "differing": copies.differing_bytes,
        "perhaps_overwritten": copies.overtaken,
        "ranges": [list(each) for each in copies.differing],
        "odd": [odd_copies.as_data(each, verified.paths) for each in verified.odd],
    }


def _seam(seam: Seam) -> dict[str, Any]:
    return {
        "position": seam.position,
        "component_bytes_looked_at": seam.looked_at,
        "parity_tells": seam.tells,
        "new_parity_until": seam.new_until,
        "certainly_new_until": seam.certain_until,
        "only_old_parity_from": seam.old_from,
        "neither": seam.neither,
    }


def _original(path: str, before: Digest, verified: Verified) -> dict[str, Any]:
    return {
        "path": path,
        "size": before.size,
        "sha256_before": before.sha256,
        "sha256_after": verified.after[path].sha256,
        "unreadable": before.unreadable,
        "unchanged": path not in verified.changed,
    }


def render(verified: Verified, title: str, account: Account, proofs: Sequence[Proof] = ()) -> str:
    """Return what was found as at most a screenful of text.

    Args:
        verified: what was found.
        title: which array.
        account: of the array, with what was found.
        proofs: what told how far a reshape came, where that was asked.
    """
    lines = [f"Array     {title}", *_head("Checked", _checked(verified)), *_head("Disagree", _disagreeing(verified))]
    lines += _head("Unchecked", _unchecked(verified))
    if verified.copies is not None:
        equal = verified.copies.compared - verified.copies.differing_bytes
        held = f"{format_size(verified.copies.compared)} also held at their old place, {format_size(equal)} of it equal"
        lines += _head("Copies", [held])
    lines += _head("Front", [each.sentence for each in proofs])
    lines += _head("Account", _account(account))
    lines += _head("Originals", _originals(verified))
    marks = {Severity.ERROR: "!!", Severity.WARNING: "!", Severity.NOTE: "-"}
    lines += _head("Findings", [f"{marks[each.severity]:<3}{each.message}" for each in findings_of(verified)])
    return "\n".join([*lines, f"Result    {_result(verified)}"]) + "\n"


def _account(account: Account) -> list[str]:
    """Say what the array's bytes are worth, now that this is known."""
    parts = [
        f"{format_size(n)} {word}"
        for n, word in (
            (account.good, "good"),
            (account.rebuilt, "rebuilt"),
            (account.unproven, "unproven"),
            (account.doubtful, "doubtful"),
            (account.lost, "lost"),
        )
        if n
    ]
    return [f"{', '.join(parts)}, with what disagrees taken into it (as -o check does)"]


def _head(name: str, lines: list[str]) -> list[str]:
    return [f"{name if not number else '':<10}{line}" for number, line in enumerate(lines)]


def _checked(verified: Verified) -> list[str]:
    if not verified.has_redundancy:
        return ["this array holds every byte once: there is nothing to compare"]
    lines = [differences.counted(section, counts) for _, section, counts in verified.mirror_sections]
    for _, section, counts in verified.parity_sections:
        half = f", {counts[Grade.HALF]} agree by the one parity that is left" if counts[Grade.HALF] else ""
        where = f"array bytes {section.array_start} to {section.array_stop}"
        lines.append(
            f"{sum(counts)} {_NAMES[section.side]}, {where}: {counts[Grade.AGREES]} agree{half}, "
            f"{counts[Grade.WRONG] + counts[Grade.STALE]} disagree, {counts[Grade.UNCHECKED]} not checked"
        )
    return lines


def _disagreeing(verified: Verified) -> list[str]:
    lines = []
    for each in verified.mismatches[:_MOST_LISTED]:
        n_sectors = each.length // SECTOR
        sectors = "1 sector" if n_sectors == 1 else f"{n_sectors} sectors"
        where = f"array bytes {each.array_start} to {each.array_stop}"
        if each.source is None or each.image_offset is None:
            what = f"{sectors} of each member from component byte {each.start}; which is wrong cannot be told"
        else:
            what = f"{verified.paths[each.source]} is wrong at {format_offset(each.image_offset)}, {sectors}"
        lines.append(f"{where}: {what}{'' if each.proven else ' (parity not proven)'}")
    different = verified.walked.differences[: _MOST_LISTED - len(lines)]
    lines += [differences.listed(each, verified.paths) for each in different]
    left = verified.walked.n_runs + verified.walked.n_differences - len(lines)
    return [*lines, f"and {left} more (--json lists them)"] if left else lines


def _unchecked(verified: Verified) -> list[str]:
    reasons: dict[tuple[str, str], int] = {}
    for section, reason, n in verified.walked.reasons:
        key = (_unit(verified, section), reason)
        reasons[key] = reasons.get(key, 0) + n
    listed = [
        f"{_count(n, 'stripe') if unit == 'stripes' else format_size(n)}: {reason}"
        for (unit, reason), n in sorted(reasons.items(), key=lambda each: -each[1])
    ]
    if len(listed) > _MOST_REASONS:
        return [*listed[:_MOST_REASONS], f"and {_count(len(listed) - _MOST_REASONS, 'more reason')} (--json)"]
    return listed


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _originals(verified: Verified) -> list[str]:
    if not verified.before:
        return ["not hashed, as asked; size and modification time did not change"]
    same = len(verified.before) - len(verified.changed)
    return [f"sha256, size and modification time before and after: {same} of {len(verified.before)} images unchanged"]


def _result(verified: Verified) -> str:
    walked = verified.walked
    if verified.changed:
        return "members changed while they were read: nothing of this can be relied on"
    if walked.n_runs:
        return "some stripes DISAGREE: see above"
    if verified.disagrees:
        return "some copies DIFFER: see above"
    if not verified.has_redundancy:
        return "nothing to compare: every byte is held once"
    n_checked = walked.total(Grade.AGREES) + walked.total(Grade.HALF)
    if not n_checked:
        return "nothing could be checked: too few members"
    if walked.total(Grade.UNCHECKED):
        return "everything that could be checked agrees"
    return "every stripe agrees" if verified.parity_sections else "all copies are equal"
