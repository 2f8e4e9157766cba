"""What an array is: the word of its members, then that of their data and of md's logs, laid over each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace

from raidfs.array.assemble import Assembly, assemble
from raidfs.array.description import ArrayDescription
from raidfs.cli.backups import open_backup, with_backups
from raidfs.cli.declared import Declared, open_declared
from raidfs.cli.disputed import settled, with_positions_compared
from raidfs.cli.duplicates import differing_duplicates
from raidfs.cli.ended import with_end_tested
from raidfs.cli.listed import without_disproven
from raidfs.cli.members import MemberSource
from raidfs.cli.nested import Nested
from raidfs.cli.offsets import with_offsets_tested
from raidfs.cli.opening import Opened, Options, as_member
from raidfs.cli.outrun import may_be_outrun
from raidfs.cli.positions import with_position_tested
from raidfs.cli.replaying import Replayed, replay_logs
from raidfs.cli.shapes import decided_by_data, with_layout
from raidfs.engine.health import Policy
from raidfs.errors import SourceError
from raidfs.evidence.belonging import NONE, Belonging, belonging
from raidfs.evidence.continuity import with_likely_cut
from raidfs.evidence.front import find_front
from raidfs.evidence.misplaced import misplaced
from raidfs.evidence.moved_twice import moved_twice
from raidfs.evidence.read_sums import sums_taken
from raidfs.evidence.restarted import out_of_order, written_too_far
from raidfs.finding import Finding, Severity
from raidfs.geometry.reshape import lag_limit, likely_by_front, undecided_by_front
from raidfs.image.patient import TimedSource
from raidfs.superblock import claim_of


@dataclass(frozen=True)
class Decided:
    """An array that can be opened.

    Attributes:
        assembly: the array.
        opened: its members.
        options: what the user decided.
        replayed: the members with what md's logs say laid over them.
        recorded: the array before that.
    """

    assembly: Assembly
    opened: Opened
    options: Options
    replayed: Replayed
    recorded: ArrayDescription


def decide(opened: Opened, wanted: str | None, options: Options) -> Decided:
    """Decide what an array is by the superblocks of its members.

    Args:
        opened: the members.
        wanted: uuid or name of the array; needed only where there are several.
        options: what the user decided.

    Raises:
        RaidfsError: see `raidfs.array.assemble.assemble`; a member is gone.
    """
    return _examined(assemble(opened.claimed, wanted, opened.bitmaps), opened, options)


def decide_declared(
    file: str,
    paths: Sequence[str],
    options: Options,
    stack: ExitStack,
    nest: Callable[[Decided, str], Nested | None],
) -> Decided:
    """Decide what an array is by a file that declares it.

    Args:
        file: the file.
        paths: images that take the place of its paths.
        options: what the user decided.
        stack: closes the images.
        nest: makes a source of an array that is a member and is called so there; None: it cannot serve.

    Raises:
        RaidfsError: see `raidfs.cli.declared.open_declared`.
    """

    def examined(found: Declared, options: Options) -> Decided:
        named = options.backup_file or (found.description.reshape and found.description.reshape.backup)
        if named:
            open_backup(named, found.opened, options, stack)
        return _examined(Assembly(found.description, None, ()), found.opened, options, front_given=found.front_given)

    def nested(found: Declared, name: str) -> Nested | None:
        return nest(examined(found, as_member(options)), name)

    return examined(open_declared(file, paths, options, stack, nested), options)


def _examined(assembly: Assembly, opened: Opened, options: Options, *, front_given: bool = False) -> Decided:
    """Let the data speak, and lay md's logs over them; `front_given`: the user said what they would say of a front."""
    if options.layout is not None:
        assembly = with_layout(assembly, options.layout)
    elif assembly.description.alternatives:
        assembly = decided_by_data(assembly, opened.members, options.patience)
    assembly = with_end_tested(assembly, opened.members, options.patience)
    assembly = settled(assembly, opened.members, options.patience)
    if assembly.reference is not None:  # else the user said where data begin
        assembly = with_offsets_tested(assembly, opened.members, _starts_by_end(opened), options.patience)
    if not front_given:
        description, said = _asked(assembly.description, opened.members, options)
        assembly = replace(assembly, description=description, findings=(*assembly.findings, *said))
    compared = with_positions_compared(assembly.description, opened.members, options.patience)
    assembly = replace(assembly, description=compared)
    description, told = without_disproven(assembly.description, opened.members)
    if description.reshape is not None and opened.backups:
        description = replace(description, reshape=replace(description.reshape, backup=next(iter(opened.backups))))
    claims = {path: claim_of(found) for path, found in opened.superblocks.items()}
    replayed = with_backups(replay_logs(description, claims, opened.members), opened, options.patience)
    unsure, different = differing_duplicates(replayed.description, opened.members, options.patience)
    # where a file declares the array, what superblocks might say does not count
    outrun, left = may_be_outrun(replayed.description, opened) if assembly.reference is not None else ((), ())
    replayed = replace(replayed, unsure=(*replayed.unsure, *unsure, *outrun))
    findings = (*assembly.findings, *told, *different, *left, *replayed.findings)
    assembly = replace(assembly, description=replayed.description, findings=findings)
    return Decided(assembly, opened, options, replayed, description)


def _starts_by_end(opened: Opened) -> dict[str, int]:
    """Return where data begin if they end with the image, as mdadm has it, by path [member bytes]."""
    claims = {path: claim_of(found) for path, found in opened.superblocks.items()}
    return {
        path: opened.members[path].size - claim.data_size
        for path, claim in claims.items()
        if claim.data_size is not None and claim.metadata != "1.0"  # whose superblock lies behind the data
    }


def _asked(
    description: ArrayDescription, members: Mapping[str, MemberSource], options: Options
) -> tuple[ArrayDescription, list[Finding]]:
    """Ask the data whether the recorded position of a reshape can be right, and how far it came beyond that."""

    def patient() -> dict[int, TimedSource]:
        serving = description.serving.items()
        return {role: TimedSource(member.path, members[member.path], options.patience) for role, member in serving}

    too_far = description.withheld
    with suppress(SourceError):  # a member that is gone tells nothing here, and is missed where it is needed
        too_far = too_far or written_too_far(description, patient())
    description = replace(description, withheld=too_far)
    found = find_front(description, patient())
    structures = _structures(description, found, members, options)
    description = find_front(description, patient(), structures=structures) if structures else found
    description = replace(description, withheld=description.withheld or out_of_order(found))
    with suppress(SourceError):  # a guess, without which the proofs are asked for all the same
        description = with_likely_cut(description, patient(), wanted=options.policy.doubtful)
    try:
        twice = description.withheld or moved_twice(description, patient()) or sums_taken(description, patient())
        twice = twice or _misplaced(description, members, options)
        description = replace(description, withheld=twice)
        return with_position_tested(description, patient())
    except SourceError as error:
        text = f"whether an earlier run of the reshape went over the array before is not known: {error}"
        return description, [Finding(Severity.WARNING, "array", text)]


def _misplaced(description: ArrayDescription, members: Mapping[str, MemberSource], options: Options) -> str:
    """Ask file systems whether the array is read as it was written, see `raidfs.evidence.misplaced`."""
    if description.reshape is None:
        return ""
    from raidfs.engine.array_source import ArraySource

    sources = [(member, members[member.path]) for member in description.sources]
    policy = Policy(doubtful=True)
    with closing(ArraySource(description, sources, policy, watch=False, patience=options.patience)) as served:
        return misplaced(description, served)


def _structures(
    recorded: ArrayDescription, found: ArrayDescription, members: Mapping[str, MemberSource], options: Options
) -> Belonging:
    """Look for structures of file systems where the rows leave open how far the reshape came.

    Args:
        recorded: the array as its superblocks have it.
        found: what its rows say.
        members: by path.
        options: what the user wants.
    """
    where = undecided_by_front(found).union(likely_by_front(found))
    if recorded.reshape is None or not where:
        return NONE
    from raidfs.engine.array_source import ArraySource

    sources = [(member, members[member.path]) for member in recorded.sources]
    furthest = replace(recorded, reshape=replace(recorded.reshape, position=lag_limit(recorded)))
    policy = Policy(doubtful=True)
    with ExitStack() as stack, suppress(SourceError):
        new, old = (
            stack.enter_context(closing(ArraySource(each, sources, policy, watch=False, patience=options.patience)))
            for each in (furthest, recorded)
        )
        return belonging(new, old, where)
    return NONE
