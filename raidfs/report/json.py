"""Facts as JSON: stable keys, lower_snake_case, all sizes in bytes, no dates of today."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raidfs.array.description import Member, Reshape
from raidfs.array.shape import Shape
from raidfs.extents import Extents
from raidfs.geometry.reshape import Side, sections_of
from raidfs.report.facts import Facts

SCHEMA_VERSION = 1


def render_json(facts: Facts) -> str:
    """Return the facts as one JSON document, ending in a newline."""
    return json.dumps(as_data(facts), indent=2) + "\n"


def as_data(facts: Facts) -> dict[str, Any]:
    """Return the facts as plain dictionaries and lists; see `interface` in the documentation for the keys."""
    description, account = facts.description, facts.account
    return {
        "schema_version": SCHEMA_VERSION,
        "array": {
            "uuid": description.uuid,
            "name": description.name,
            "metadata": description.metadata,
            **_shape(description.shape),
            "component_size": description.component_size,
            "size": description.size,
            "events": description.events,
            "clean": description.clean,
            "missing_roles": list(description.missing_roles),
        },
        "reshape": None if description.reshape is None else _reshape(facts, description.reshape),
        "members": [_member(member, facts.damage.get(member.path, ())) for member in description.members],
        "findings": [
            {"severity": each.severity.word, "subject": each.subject, "message": each.message}
            for each in facts.findings
        ],
        "account": {
            "good": account.good,
            "rebuilt": account.rebuilt,
            "unproven": account.unproven,
            "doubtful": account.doubtful,
            "lost": account.lost,
        },
    }


def _shape(shape: Shape) -> dict[str, Any]:
    return {
        "level": shape.level.title,
        "layout": shape.layout,
        "chunk_size": shape.chunk_size,
        "raid_disks": shape.raid_disks,
    }


def _reshape(facts: Facts, reshape: Reshape) -> dict[str, Any]:
    sections = sections_of(facts.description)
    open_ = facts.undecided.union(facts.likely)
    new, old = (
        Extents([(each.array_start, each.array_stop) for each in sections if each.side is side]).difference(open_)
        for side in (Side.AFTER, Side.BEFORE)
    )
    proofs = () if reshape.front is None else reshape.front.proofs
    return {
        "position": reshape.position,
        "position_source": reshape.position_source,
        "direction": reshape.direction.value,
        "before": _shape(reshape.before),
        "after": _shape(reshape.after),
        "front": {
            "proven_new": _ranges(new),
            "likely": _ranges(facts.likely),
            "undecided": _ranges(facts.undecided),
            "proven_old": _ranges(old),
            "evidence": [
                {
                    "seen": proof.what,
                    "says": proof.says,
                    "rows": proof.count,
                    "first_component_byte": proof.first,
                    "last_component_byte": proof.last,
                }
                for proof in proofs
            ],
        },
    }


def _ranges(extents: Extents) -> list[list[int]]:
    return [[start, stop] for start, stop in extents]


def _member(member: Member, damage: Sequence[tuple[str, int]]) -> dict[str, Any]:
    return {
        "path": member.path,
        "role": member.role,
        "state": member.state.value,
        "data_offset": member.data_offset,
        "new_data_offset": member.new_data_offset,
        "recovery_offset": member.recovered_to,
        "events": member.events,
        "device_number": member.device_number,
        "device_uuid": member.device_uuid,
        "write_mostly": member.write_mostly,
        "bad_block_bytes": member.bad_blocks.total,
        "damage": [{"reason": reason, "bytes": n_bytes} for reason, n_bytes in damage],
        "note": member.note,
    }
