"""What reading taught us about members, kept in a folder from one run to the next: one ddrescue map for each.

Only what our own reads met is in it. What other maps say is theirs to say, so that a sector that ddrescue rescues later
is used then. `-` was isolated, `*` was not (the budget of the member was used up), `+` is all the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from raidfs.cli.maps import ToldLoss, load_mapfile
from raidfs.errors import BadMapfile, UsageError
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.image.ddrescue import Status, blocks_of, mapfile_lines
from raidfs.image.isolate import Losses
from raidfs.image.raw import RawImage
from raidfs.output import make_folder, replace_text
from raidfs.units import format_size

_MARK = "Read errors met by raidfs: - could not be read, * not asked for in detail, + all the rest"


class LearnedDamage:
    """The folder of one array."""

    def __init__(self, folder: str, images: Mapping[str, RawImage]) -> None:
        """Read what was learned before.

        Args:
            folder: may not exist yet.
            images: by path.

        Raises:
            UsageError: two members have the same name.
            BadMapfile: a file there is damaged, or is not ours.
        """
        self._folder = os.path.abspath(folder)
        self._images = images
        self._names = {path: os.path.join(self._folder, f"{os.path.basename(path)}.map") for path in images}
        whose: dict[str, str] = {}
        for path, name in self._names.items():
            if whose.setdefault(name, path) != path:
                text = f"{whose[name]} and {path} would share {name}; name them through links of different names"
                raise UsageError(f"--learned {folder}: {text}")
        self._known = {path: self._read(path) for path in images}
        self._saved = dict(self._known)

    def told(self, path: str) -> list[ToldLoss]:
        """Return what was learned about an image in earlier runs."""
        known, name = self._known[path], self._names[path]
        pairs = ((known.bad, Status.BAD), (known.unsplit, Status.NOT_TRIMMED))
        return [ToldLoss(extents, f"{status.words} in the map {name}") for extents, status in pairs if extents]

    def findings(self) -> list[Finding]:
        """Say what is used."""
        findings = []
        for path, known in self._known.items():
            if known:
                text = (
                    f"{path}: {format_size(known.all.total)} could not be read in earlier runs and are not read again"
                )
                text += f": {self._names[path]} says so; delete it to have them tried once more"
                findings.append(Finding(Severity.WARNING, path, text))
        return findings

    def save(self) -> None:
        """Write the maps of those members about which something new was learned; makes the folder.

        Raises:
            OutputError: that is not possible.
        """
        make_folder(self._folder)
        for path, image in self._images.items():
            now = self._known[path].union(Losses(image.found.bad, image.found.unsplit))
            if now != self._saved[path]:
                marked = [(now.bad, Status.BAD), (now.unsplit, Status.NOT_TRIMMED)]
                blocks = blocks_of(image.size, marked, Status.FINISHED)
                replace_text(self._names[path], mapfile_lines((_MARK, f"Member: {path!a}"), blocks))
                self._saved[path] = now

    def _read(self, path: str) -> Losses:
        name, size = self._names[path], self._images[path].size
        if not os.path.lexists(name):
            return Losses()
        found = load_mapfile(name)
        if _MARK not in found.comments:
            raise BadMapfile(f"{name} was not written by raidfs and is left alone; name another folder with --learned")
        unreadable = found.unreadable(size)
        bad = unreadable.pop(Status.BAD, Extents())
        return Losses(bad, Extents().union(*unreadable.values()))
