"""What lies on an array: partitions, volumes and file systems, each a source over the one below.

Nothing here is written or changed: journals are replayed in memory, over what lies below.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raidfs.block import BlockSource
from raidfs.cli.session import OpenArray
from raidfs.engine.account import extents_with
from raidfs.engine.health import Health
from raidfs.extents import Extents
from raidfs.filesystem.jbd2 import Replay, State, replay
from raidfs.filesystem.kinds import READERS
from raidfs.filesystem.remote import RemoteFileSystem
from raidfs.finding import Finding
from raidfs.linear import window
from raidfs.partition import read_partitions
from raidfs.view.files import FileTree, WorthOf
from raidfs.view.probe import Probe, probe

_TABLES = ("gpt", "mbr")
_WITH_JOURNAL = ("ext3", "ext4")


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


@dataclass(eq=False)
class Contents:
    """What was found on an array.

    Attributes:
        whole: at its start.
        file_systems: those that can be read, in order.
        partitions: by number.
        findings: what is to be told about any of them.
    """

    whole: Probe
    file_systems: list[FileSystem] = field(default_factory=list)
    partitions: dict[int, BlockSource] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def close(self) -> None:
        """End what reads the file systems."""
        for each in self.file_systems:
            each.tree.close()


def contents_of(source: BlockSource, worth_of: WorthOf, *, replay_journals: bool = True) -> Contents:
    """Find out what lies on a source.

    Args:
        source: the bytes of the array, as they are served.
        worth_of: what some of them are worth.
        replay_journals: show file systems as they are once their journal is replayed.
    """
    found = Contents(probe(source))
    if found.whole.kind in _TABLES:
        partitions, findings = read_partitions(source, "array")
        found.findings += findings
        for each in partitions:
            found.partitions.setdefault(each.number, window(source, each.start, each.size))
        for number, part in found.partitions.items():
            _add_file_system(found, str(number), part, worth_of, replay_journals)
    else:
        _add_file_system(found, "", source, worth_of, replay_journals)
    return found


def _add_file_system(found: Contents, name: str, source: BlockSource, worth_of: WorthOf, replay_journals: bool) -> None:
    contents = probe(source) if name else found.whole
    if contents.kind not in READERS:
        return
    journal = replay(source, name or "array") if replay_journals and contents.kind in _WITH_JOURNAL else None
    shown = source
    if journal is not None:
        found.findings += journal.findings
        shown = journal.source
    tree = FileTree(RemoteFileSystem(contents.kind, shown), worth_of)
    found.file_systems.append(FileSystem(name, contents, tree, journal))


def worth_in(array: OpenArray) -> WorthOf:
    """Return what tells the worst health of bytes of an array."""

    def worth_of(_source: BlockSource, extents: Extents) -> str:
        charts = array.charts
        found = Health.GOOD
        for start, stop in extents:
            worse = [each for each in Health if each > found]
            there = [each for each in worse if extents_with(charts, frozenset((each,)), start, stop)]
            found = max(there, default=found)
        return found.word

    return worth_of
