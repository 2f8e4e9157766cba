"""What is known against the images before anything is read: by ddrescue maps, and by earlier runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raidfs.cli.learned import LearnedDamage
from raidfs.cli.maps import ToldLoss, assign_mapfiles, told_by_maps
from raidfs.extents import Extents
from raidfs.finding import Finding
from raidfs.image.raw import RawImage


@dataclass(frozen=True)
class Told:
    """What is known.

    Attributes:
        maps: what ddrescue maps say, by path of the image.
        learned: what earlier runs learned; None: nobody asked to keep it.
        findings: about both.
    """

    maps: dict[str, list[ToldLoss]]
    learned: LearnedDamage | None
    findings: list[Finding]

    def about(self, path: str) -> list[ToldLoss]:
        """Return everything that is told against one image."""
        return [*self.maps[path], *(self.learned.told(path) if self.learned else ())]


def hear(
    images: Mapping[str, RawImage],
    paths: Sequence[str],
    mapfiles: Sequence[str],
    learned: str | None,
    *,
    look_beside: bool,
) -> Told:
    """Gather what is known, and declare it to the images: nobody reads these bytes, not even for superblocks.

    Args:
        images: by path.
        paths: of all members that were named, open or not.
        mapfiles: maps that were named, each `MEMBER=FILE`.
        learned: folder of what earlier runs learned.
        look_beside: use maps that lie beside images.

    Raises:
        UsageError: a map is named for something that is no member; see `LearnedDamage` too.
        BadMapfile: a map cannot be used.
    """
    sizes = {path: image.size for path, image in images.items()}
    maps, findings = told_by_maps(sizes, assign_mapfiles(mapfiles, paths), look_beside=look_beside)
    kept = None if learned is None else LearnedDamage(learned, images)
    told = Told(maps, kept, [*findings, *(kept.findings() if kept else ())])
    for path, image in images.items():
        image.declare_lost(Extents().union(*(each.extents for each in told.about(path))))
    return told
