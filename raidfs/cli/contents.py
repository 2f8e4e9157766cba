"""What lies on an array: partitions, volumes and file systems, each a source over the one below.

    array -> partitions -> LUKS -> LVM -> LUKS -> file systems

Nothing here is written or changed: journals are replayed in memory, over what lies below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from raidfs.block import BlockSource
from raidfs.cli.session import OpenArray
from raidfs.engine.account import extents_with
from raidfs.engine.health import Health
from raidfs.errors import ViewError
from raidfs.extents import Extents
from raidfs.filesystem.jbd2 import Replay, State, replay
from raidfs.filesystem.kinds import missing_library
from raidfs.filesystem.remote import RemoteFileSystem
from raidfs.finding import Finding, Severity
from raidfs.view.files import FileTree, WorthOf
from raidfs.view.probe import Probe, probe
from raidfs.view.secondary import Start, probe_start
from raidfs.view.writable import Writing
from raidfs.volume import luks, lvm, partitions
from raidfs.volume.luks_header import Luks

_TABLES = ("gpt", "mbr")
_WITH_JOURNAL = ("ext3", "ext4")
_WITH_LOG = ("xfs", "btrfs")
_DEEPEST = 4
"""Partitions in a volume in a partition ...: more than that is no disk but a trap."""

ShownAs = Callable[[BlockSource], BlockSource]
"""Returns what a source is shown as."""

KeyOf = Callable[[str], bytes | None]
"""Returns the passphrase of an encrypted volume, by what it is called; None: nobody gives one."""


@dataclass(frozen=True, eq=False)
class FileSystem:
    """A file system that can be read.

    Attributes:
        name: of its folder where there are several: `1` for a partition, `VG-LV` for a volume; '' for the whole array.
        contents: what was found there.
        tree: its files.
        journal: what became of its journal; None: it has none, or it was not to be replayed.
    """

    name: str
    contents: Probe
    tree: FileTree
    journal: Replay | None

    @property
    def meaning(self) -> str:
        """One sentence for the user."""
        if self.journal is None or self.journal.state in (State.NONE, State.CLEAN):
            return self.contents.meaning
        return f"{self.contents.kind} file system; {self.journal.summary}"

    @property
    def is_behind(self) -> bool:
        """Whether what was written last may be missing: a journal or log should have been replayed, and was not."""
        if self.journal is None:
            return self.contents.kind in (*_WITH_JOURNAL, *_WITH_LOG) and bool(self.contents.dirty)
        return self.journal.state in (State.EXTERNAL, State.UNUSABLE) or not self.journal.is_sure

    @property
    def note(self) -> str:
        """What else the user has to know of it, one clause, or ''."""
        return "data were not compared with their checksums" if self.contents.kind == "btrfs" else ""

    @property
    def has_dirty_log(self) -> bool:
        """Whether it has a log that only the kernel replays, and should."""
        return self.contents.kind in _WITH_LOG and bool(self.contents.dirty)


@dataclass(eq=False)
class Contents:
    """What was found on an array.

    Attributes:
        whole: at its start.
        file_systems: those that can be read, in order.
        partitions: by number.
        volumes: logical volumes by group and name, `vg/lv`.
        findings: what is to be told about any of them.
    """

    whole: Probe
    file_systems: list[FileSystem] = field(default_factory=list)
    partitions: dict[str, BlockSource] = field(default_factory=dict)
    volumes: dict[str, BlockSource] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def close(self) -> None:
        """End what reads the file systems."""
        for each in self.file_systems:
            each.tree.close()


def nobody(_subject: str) -> bytes | None:
    """Give no passphrase."""
    return None


def contents_of(
    source: BlockSource,
    worth_of: WorthOf,
    *,
    replay_journals: bool = True,
    key_of: KeyOf = nobody,
    writing: Writing | None = None,
    shown_as: ShownAs | None = None,
) -> Contents:
    """Find out what lies on a source.

    Args:
        source: the bytes of the array, as they are served.
        worth_of: what some of them are worth.
        replay_journals: show file systems as they are once their journal is replayed.
        key_of: asked for the passphrase of what is encrypted.
        writing: the layer that takes writes, where that is what `source` is.
        shown_as: what the bytes of files are shown as; metadata are always read as they are.
    """
    how = How(worth_of, replay_journals, key_of, writing, shown_as)
    return contents_of_each([("array", source)], how)[0]


@dataclass(frozen=True)
class How:
    """How sources are looked at; see `contents_of`."""

    worth_of: WorthOf
    replay_journals: bool = True
    key_of: KeyOf = nobody
    writing: Writing | None = None
    shown_as: ShownAs | None = None


def contents_of_each(sources: Sequence[tuple[str, BlockSource]], how: How) -> list[Contents]:
    """Find out what lies on several arrays, by name; volume groups may lie on more than one of them."""
    each = [_Exploring(name, probe_start(source), how) for name, source in sources]
    for one in each:
        one.divide()
    devices = [list(one.physical) for one in each]
    for number, one in enumerate(each):
        one.join(list(chain(*devices[:number])), list(chain(*devices[number + 1 :])))
    return [one.found for one in each]


class _Exploring:
    """The search for what lies on one source."""

    def __init__(self, name: str, start: Start, how: How) -> None:
        """Read nothing yet."""
        self.found = Contents(start.contents)
        self.physical: list[lvm.Device] = []
        self._name, self._start, self._how = name, start, how

    def divide(self) -> None:
        """Look at everything but groups of physical volumes: these are gathered."""
        self._look("", self._start, self._name, 0)

    def join(self, before: Sequence[lvm.Device], behind: Sequence[lvm.Device]) -> None:
        """Join physical volumes, with those of other arrays, and look at what lies on them."""
        looked_at = 0
        while looked_at < len(self.physical):
            looked_at = len(self.physical)
            groups = lvm.recognise(self.physical, before, behind)
            self._tell(groups.findings)
            self._tell(Finding(Severity.WARNING, name, f"{name}: {why}") for name, why in groups.refused)
            for volume in groups.volumes:
                if volume.name not in self.found.volumes:
                    self.found.volumes[volume.name] = volume.source
                    self._look(volume.name.replace("/", "-"), probe_start(volume.source), volume.name, 1)

    def _tell(self, findings: Iterable[Finding]) -> None:
        self.found.findings += [each for each in findings if each not in self.found.findings]

    def _look(self, name: str, start: Start, subject: str, depth: int) -> None:
        """Look at one source, and at what lies on it."""
        contents, source = start.contents, start.source
        if start.note:
            self._tell([Finding(Severity.WARNING, subject, f"{subject}: {start.note}")])
        if contents.kind in _TABLES and depth < _DEEPEST:
            self._partitions(name, source, subject, depth)
        elif contents.kind == "lvm2":
            self.physical.append(lvm.Device(subject, source))
        elif contents.kind == "luks" and depth < _DEEPEST:
            self._encrypted(name, source, subject, depth)
        else:
            self._file_system(name, source, contents, subject)

    def _partitions(self, name: str, source: BlockSource, subject: str, depth: int) -> None:
        table = partitions.recognise(source, subject, _is_known)
        self._tell(table.findings)
        for each in table.volumes:
            inner = f"{name}-{each.name}" if name else each.name
            self.found.partitions[inner] = each.source
            self._look(inner, probe_start(each.source), f"{subject}, partition {each.name}", depth + 1)

    def _encrypted(self, name: str, source: BlockSource, subject: str, depth: int) -> None:
        try:
            told: Luks | None = luks.recognise(source, subject)
            if told is None:
                return
            key = self._how.key_of(subject)
            if key is None:
                text = f"{subject} is encrypted (LUKS{told.version}): open it with --passphrase or --key-file FILE"
                self._tell([Finding(Severity.WARNING, subject, text)])
                return
            opened = luks.unlock(source, told, key, subject)
        except ViewError as error:
            self._tell([Finding(Severity.WARNING, subject, str(error))])
            return
        self._look(name, probe_start(opened), subject, depth + 1)

    def _file_system(self, name: str, source: BlockSource, contents: Probe, subject: str) -> None:
        missing = missing_library(contents.kind)
        if missing is None:
            return
        if missing:
            text = f"{subject}: {contents.kind} is read with {missing}, which is not installed"
            self._tell([Finding(Severity.WARNING, subject, text)])
            return
        wanted = self._how.replay_journals and contents.kind in _WITH_JOURNAL
        journal = replay(source, subject) if wanted else None
        shown = source
        if journal is not None:
            self._tell(journal.findings)
            shown = journal.source
        how = self._how
        tree = FileTree(RemoteFileSystem(contents.kind, shown), how.worth_of, how.writing, how.shown_as)
        self.found.file_systems.append(FileSystem(name, contents, tree, journal))


def _is_known(source: BlockSource) -> bool:
    return probe(source).kind not in ("unknown", "unreadable")


def worth_in(array: OpenArray, shown: BlockSource) -> WorthOf:
    """Return what tells the worst health of bytes of an array, as they are shown; see `worth_in_each`."""
    return worth_in_each([(array, shown)])


def worth_in_each(arrays: Sequence[tuple[OpenArray, BlockSource]]) -> WorthOf:
    """Return what tells the worst health of bytes of arrays, each with what it is shown as.

    Of what lies on a volume that changes bytes, such as an encrypted one, no more is known than what is lost; the rest
    is worth as much as the worst of the arrays that is served.
    """

    def worth_of(source: BlockSource, extents: Extents) -> str:
        for array, shown in arrays:
            if source is shown:
                return max((_worst(array, *each) for each in extents), default=Health.GOOD).word
        if any(source.known_losses(*each) for each in extents):
            return Health.LOST.word
        return max(min(array.account().worst, array.options.policy.limit) for array, _ in arrays).word

    return worth_of


def _worst(array: OpenArray, start: int, stop: int) -> Health:
    there = partial(extents_with, array.charts, start=start, stop=stop)
    return max((each for each in Health if there(frozenset((each,)))), default=Health.GOOD)
