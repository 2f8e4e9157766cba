"""Which array, and whose word counts: claims are grouped by array, one group is chosen, its freshest member found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raidfs.array.shape import level_title
from raidfs.errors import AmbiguousArray, AssemblyError
from raidfs.extents import Extents
from raidfs.superblock.claim import FAULTY, JOURNAL, SPARE, BitmapClaim, MemberClaim
from raidfs.units import format_size

_NO_ROLE = {SPARE: "a spare", FAULTY: "faulty", JOURNAL: "the journal"}


@dataclass(frozen=True, eq=False)
class Claimed:
    """A claim and the image that it was found on.

    Attributes:
        path: of the image.
        size: of the image [bytes].
        claim: what its superblock says.
        bad_blocks: what its bad-block log says [member bytes].
        unsupported: features that raidfs refuses to guess about, one sentence each.
        doubt: why nothing on this member is sure, one clause; empty: nothing speaks against it.
        bitmap: what its write-intent bitmap says; None: it has none.
    """

    path: str
    size: int
    claim: MemberClaim
    bad_blocks: Extents = Extents()
    unsupported: tuple[str, ...] = ()
    doubt: str = ""
    bitmap: BitmapClaim | None = None


def choose_array(claimed: Sequence[Claimed], wanted: str | None) -> list[Claimed]:
    """Return the claims of one array, in the given order.

    A damaged superblock founds no array of its own while intact ones exist: its uuid may be what is damaged, so it is
    judged with the members of the chosen array.

    Raises:
        AmbiguousArray: several arrays and none wanted.
        AssemblyError: the wanted one is not there, or several fit.
    """
    arrays = arrays_in(claimed)
    if wanted is not None:
        arrays = {
            uuid: group
            for uuid, group in arrays.items()
            if is_called(group[0].claim.array_uuid, group[0].claim.array_name, wanted)
        }
        if not arrays:
            there = ", ".join(sorted({_called(each.claim) for each in claimed}))
            raise AssemblyError(f"no array here has the uuid or name {wanted!r}; there are: {there}")
    if len(arrays) > 1:
        choices = tuple(_choice(group) for group in arrays.values())
        raise AmbiguousArray(
            f"the images hold members of {len(arrays)} arrays; choose one with --uuid, or all with `mount --all`",
            choices,
        )
    (group,) = arrays.values()
    members = {id(each) for each in group}
    homes = arrays_in(claimed)
    homeless = {id(each) for each in claimed if not each.claim.intact and each.claim.array_uuid not in homes}
    return [each for each in claimed if id(each) in members | homeless]


def arrays_in(claimed: Sequence[Claimed]) -> dict[str, list[Claimed]]:
    """Return the arrays that claims tell of, by uuid, in the order of their first members."""
    groups: dict[str, list[Claimed]] = {}
    for each in claimed:
        groups.setdefault(each.claim.array_uuid, []).append(each)
    whole = {uuid: group for uuid, group in groups.items() if any(each.claim.intact for each in group)}
    return whole or groups


def freshest(group: Sequence[Claimed]) -> Claimed:
    """Return the claim that counts: intact, no spare or journal, most events; among equals the last updated.

    Raises:
        AssemblyError: there is no member but spares and journals.
    """
    able = [each for each in group if each.claim.role >= 0 and each.claim.journal_tail is None]
    able = [each for each in able if each.claim.intact] or able
    if not able:
        roles = ", ".join(f"{each.path} is {_NO_ROLE.get(each.claim.role, 'the journal')}" for each in group)
        raise AssemblyError(f"none of the members holds data of the array {group[0].claim.array_uuid}: {roles}")
    return max(able, key=_freshness)


def _freshness(each: Claimed) -> tuple[int, int, int, int]:
    """Order of trust (`md.c: analyze_sbs`); a further position was recorded later, a larger copy is whole."""
    reshape = each.claim.reshape
    travelled = 0 if reshape is None else -reshape.position if reshape.backwards else reshape.position
    return each.claim.events, each.claim.updated, travelled, each.size


def is_called(uuid: str, name: str | None, wanted: str) -> bool:
    """Compare with the uuid, in any grouping and by its beginning, or with the name, with or without the host."""
    digits = wanted.replace(":", "").replace("-", "").lower()
    return (len(digits) >= 4 and uuid.replace(":", "").startswith(digits)) or (
        name is not None and wanted in (name, name.partition(":")[2])
    )


def _choice(group: Sequence[Claimed]) -> str:
    """Describe one array in one line."""
    claim = group[0].claim
    size = f", {format_size(claim.component_size)} each" if claim.component_size else ""
    paths = ", ".join(each.path for each in group)
    return f"{_called(claim)}: {level_title(claim.level)} of {claim.raid_disks} members{size}: {paths}"


def _called(claim: MemberClaim) -> str:
    """Return uuid and name of an array, as far as it has one."""
    return f"{claim.array_uuid} {claim.array_name}" if claim.array_name else claim.array_uuid
