"""From the words of a command line to open arrays: members found, arrays on arrays, one chosen or all of them.

Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from raidfs.array.assemble import assemble
from raidfs.array.choose import arrays_in, choose_array
from raidfs.cli.backups import open_backup
from raidfs.cli.deciding import Decided, decide, decide_declared
from raidfs.cli.nested import Nested, is_too_torn, may_hold_superblock
from raidfs.cli.open_array import OpenArray
from raidfs.cli.opening import Opened, Options, add_nested, as_member, only, open_members
from raidfs.cli.replaying import Replayed
from raidfs.errors import RaidfsError
from raidfs.finding import Finding, Severity
from raidfs.image.patient import TimedSource

__all__ = ["ANOTHER", "OpenArray", "open_array", "open_every_array"]

ANOTHER = "another array"
"""Subject of findings about an array beside this one."""


@contextmanager
def open_array(paths: Sequence[str], options: Options = Options()) -> Iterator[OpenArray]:
    """Open images, assemble the array that they hold, and close them at the end.

    Where arrays are members of others, that is the outermost one, unless another is wanted.

    Raises:
        AssemblyError: see `raidfs.array.assemble.assemble`.
        RaidfsError: see `raidfs.cli.opening.open_members`.
    """
    with ExitStack() as stack:
        if options.array is None:
            opened = open_members(paths, options, stack)
            if options.backup_file is not None:
                open_backup(options.backup_file, opened, options, stack)
            outer = _with_nested(opened, options, stack)
            wanted = options.uuid or (outer[0] if len(outer) == 1 else None)
            array = _open(decide(only(opened, wanted), wanted, options))
        else:
            array = _open_declared(options.array, paths, options, stack)
        array.assert_unchanged()
        stack.callback(array.close)
        yield array


@contextmanager
def open_every_array(paths: Sequence[str], options: Options = Options()) -> Iterator[list[OpenArray]]:
    """Open images and assemble every array that they hold and that is no member of another one.

    Those that cannot be assembled are left out, if there is any other, and named in the findings.

    Raises:
        AssemblyError: none of them can be assembled; see `raidfs.array.assemble.assemble`.
        RaidfsError: see `raidfs.cli.opening.open_members`.
    """
    if options.array is not None:
        with open_array(paths, options) as declared:
            yield [declared]
        return
    with ExitStack() as stack:
        opened = open_members(paths, options, stack)
        if options.backup_file is not None:
            open_backup(options.backup_file, opened, options, stack)
        decided: list[Decided] = []
        refused: list[RaidfsError] = []
        for uuid in _with_nested(opened, options, stack):
            try:
                decided.append(decide(only(opened, uuid), uuid, options))
            except RaidfsError as error:
                refused.append(error)
        if not decided:
            raise refused[0]
        left_out = [Finding(Severity.WARNING, ANOTHER, f"another array is left out: {error}") for error in refused]
        arrays = [_open(each, left_out) for each in decided]
        for array in arrays:
            array.assert_unchanged()
            stack.callback(array.close)
        yield arrays


def _with_nested(opened: Opened, options: Options, stack: ExitStack) -> list[str]:
    """Find members that lie on other arrays among these (md on md), and add them.

    Returns:
        The arrays that are no members of others, by uuid; all of them where each is one of another.
    """
    inner: set[str] = set()
    looked_at: set[str] = set()
    while left := [uuid for uuid in arrays_in(opened.claimed) if uuid not in looked_at]:
        for uuid in left:
            looked_at.add(uuid)
            try:
                outer = _nest(opened, uuid, options, stack)
            except RaidfsError:
                continue  # said when it is the one that is wanted
            if outer is not None:
                inner.add(uuid)
                looked_at -= {outer} - inner  # there is more of it now
    arrays = [*arrays_in(opened.claimed)]
    return [uuid for uuid in arrays if uuid not in inner] or arrays


def _nest(opened: Opened, uuid: str, options: Options, stack: ExitStack) -> str | None:
    """Add an array to the members if it is one; returns the uuid of the array that it is a member of."""
    mine = only(opened, uuid)
    mine = replace(mine, claimed=choose_array(mine.claimed, uuid))  # others are told of once, with the outermost
    assembly = assemble(mine.claimed, uuid, mine.bitmaps)
    simple = OpenArray(assembly, mine, options, Replayed(assembly.description))
    with ExitStack() as reading:
        sources = [
            reading.enter_context(TimedSource(member.path, source, options.patience))
            for member, source in simple.sources
        ]
        if not may_hold_superblock(simple.charts, sources, simple.description.size):
            return None
    array = _open(decide(mine, uuid, as_member(options)))
    stack.callback(array.close)
    if is_too_torn(array):
        opened.findings.append(_too_torn(array.title))
        return None
    return add_nested(opened, Nested(array, options.policy), options)


def _open_declared(file: str, paths: Sequence[str], options: Options, stack: ExitStack) -> OpenArray:
    """Open an array that a file declares, with those that are its members."""
    torn: list[Finding] = []

    def nest(decided: Decided, name: str) -> Nested | None:
        array = _open(decided)
        stack.callback(array.close)
        if is_too_torn(array):
            torn.append(_too_torn(name))
            return None
        return Nested(array, options.policy, name)

    decided = decide_declared(file, paths, options, stack, nest)
    return _open(decided, torn)


def _too_torn(name: str) -> Finding:
    text = (
        f"{name} may be a member of another array, but what is lost of it is in too many pieces: "
        "export it, and give the image with its map"
    )
    return Finding(Severity.WARNING, "array", text)


def _open(decided: Decided, beside: Sequence[Finding] = ()) -> OpenArray:
    """Open an array that was decided; `beside`: what else is to be told about it."""
    opened = replace(decided.opened, findings=[*decided.opened.findings, *beside])
    return OpenArray(decided.assembly, opened, decided.options, decided.replayed, decided.recorded)
