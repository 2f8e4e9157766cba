"""The golden cases: real arrays made by mdadm and a real kernel, with the truth about their bytes.

The repository carries some under `tests/golden`. Where the full set lies beside the checkout, it is used too; this is
the one place that knows where. Images are unpacked when first asked for, once per process, and removed at its end.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tests.oracle.places import Copies

CHECKOUT = Path(__file__).parents[2]
FOLDERS = (CHECKOUT.parent / "shared" / "golden", CHECKOUT / "tests" / "golden")
"""Where cases lie; of two with one name the first counts."""

SECTOR = 512
_BLOCK = 65536
_REDUNDANCY = {"raid4": 1, "raid5": 1, "raid6": 2, "raid0": 0, "linear": 0}


@dataclass(frozen=True)
class Case:
    """One array with its truth.

    Attributes:
        name: of its folder.
        folder: where its files lie.
        data: `case.json`; see `tests/golden/README.md`.
    """

    name: str
    folder: Path
    data: dict[str, Any] = field(repr=False, compare=False)

    @property
    def part(self) -> int | None:
        """The part of the work in which its turn comes; None: later than all that are planned."""
        part = self.data["expected"]["part"]
        return part if isinstance(part, int) else None

    @property
    def is_open(self) -> bool:
        """Whether nothing can prove some of its bytes: they are doubtful, and right all the same."""
        return bool(self.data["expected"]["kind"] == "undecided front")

    @property
    def is_disputed(self) -> bool:
        """Whether good members were thrown out: what the others do not confirm is doubtful, and right all the same."""
        return bool(self.data["expected"]["kind"] == "stale members hold it")

    @property
    def expected_sha256(self) -> str:
        """Digest of the whole array as a perfect reader gives it."""
        return str(self.data["expected"]["sha256"])

    @property
    def array_size(self) -> int:
        """Size of the array before the reshape [bytes]: what the digest covers."""
        return int(self.data["old_array_size"])

    @property
    def level(self) -> str:
        """As sysfs names it: `raid5`."""
        return str(self.data["before_crash"]["level"])

    @property
    def stale(self) -> tuple[int, ...]:
        """Indexes of images that md had thrown out: their contents are old."""
        return tuple(self.data["expect"].get("stale_members", ()))

    @property
    def at_limit(self) -> bool:
        """Whether it lacks members already, so that none can be left out."""
        return bool(self.stale)

    @property
    def is_live(self) -> bool:
        """Whether its file system was mounted when it crashed: its journal is dirty."""
        return any(entry.get("live") for volume in self.volumes for entry in volume["entries"])

    @property
    def leave_outs(self) -> tuple[tuple[int, ...], ...]:
        """Every set of images without which all bytes must still be there."""
        if self.at_limit:
            return ()
        expect, before = self.data["expect"], self.data["before_crash"]
        indexes = [index for index in range(len(self.data["members"])) if index != expect.get("journal_member")]
        if self.level == "raid1":
            return tuple(left for n in range(1, len(indexes)) for left in combinations(indexes, n))
        if self.level == "raid10":
            return tuple(left for n in (1, 2) for left in combinations(indexes, n) if self._copies_survive(left))
        taken = int(before.get("degraded") or 0) + len(self.data.get("dropped_members", ()))
        most = _REDUNDANCY[self.level] - taken - any("bad_blocks_set" in key for key in expect)
        return tuple(left for n in range(1, most + 1) for left in combinations(indexes, n))

    def _copies_survive(self, left: tuple[int, ...]) -> bool:
        """Tell whether a RAID10 still has a copy of everything without some images, in both geometries of a reshape."""
        told = self.data["before_crash"]
        layouts, disks = ([int(word.strip("()")) for word in told[name].split()] for name in ("layout", "raid_disks"))
        return all(Copies(layout, n, 65536, 1 << 24).survives(left) for layout in layouts for n in disks)

    @property
    def uuid(self) -> str | None:
        """Which of several arrays on these images it is; None: there is only one."""
        if not self.data.get("extra_arrays"):
            return None
        found = re.search(r"UUID : (\S+)", (self.folder / "detail.txt").read_text())
        return found[1] if found else None

    @property
    def choice(self) -> list[str]:
        """The words that choose the array on a command line."""
        return ["--uuid", self.uuid] if self.uuid else []

    @property
    def is_partitioned(self) -> bool:
        """Whether the images are whole disks with the members in partitions."""
        return "partition" in str(self.data.get("what", self.data)) and "GPT partitions" in str(self.data)

    @cached_property
    def volumes(self) -> list[dict[str, Any]]:
        """The volumes of `manifest.json`: `volume`, `fs`, and `entries` with path, type, size, sha256."""
        volumes: list[dict[str, Any]] = json.loads((self.folder / "manifest.json").read_text())["volumes"]
        return volumes

    @property
    def examine_text(self) -> str:
        """What `mdadm --examine` printed of every member after the crash."""
        return (self.folder / "examine.txt").read_text()

    def wrong_blocks(self, content: NDArray[np.uint8]) -> str:
        """Say which 64-KiB blocks of the whole array differ from what they were, for messages."""
        listed = subprocess.run(["zstd", "-dc", self.folder / "blocks.zst"], stdout=subprocess.PIPE, check=True).stdout
        wrong = []
        for number, digest in enumerate(listed.decode().split()):
            block = content[number * _BLOCK : (number + 1) * _BLOCK]
            if hashlib.blake2b(block.data, digest_size=8).hexdigest() != digest:
                wrong.append(number)
        return f"{len(wrong)} wrong 64-KiB blocks, the first: {wrong[:8]}"

    def members(self) -> list[Path]:
        """Return the images, unpacked and read-only, in the order of `data["members"]`; shared by all tests."""
        folder = _unpacked(self.folder)
        return [folder / member["file"] for member in self.data["members"]]

    def backup(self) -> Path:
        """Return mdadm's backup file of the reshape; unpacked where the case keeps it packed."""
        packed = self.folder / "backup-file.zst"
        if not packed.exists():
            return self.folder / "backup-file"
        unpacked = _unpacked(self.folder) / "backup-file"
        if not unpacked.exists():
            subprocess.run(["zstd", "-dq", packed, "-o", unpacked], check=True)
        return unpacked

    def copies(self, folder: Path) -> list[Path]:
        """Copy the images into `folder`, sparse and writable, for tests that damage them."""
        copied = []
        for member in self.members():
            subprocess.run(["cp", "--sparse=always", member, folder / member.name], check=True)
            (folder / member.name).chmod(0o644)
            copied.append(folder / member.name)
        return copied


@cache
def golden_cases(part: int | None = None) -> tuple[Case, ...]:
    """Return the cases by name.

    Args:
        part: only those whose turn comes in this part; None: all.
    """
    found: dict[str, Case] = {}
    for path in (path for folder in FOLDERS for path in sorted(folder.glob("*/case.json"))):
        found.setdefault(path.parent.name, Case(path.parent.name, path.parent, json.loads(path.read_text())))
    return tuple(case for _, case in sorted(found.items()) if part is None or case.part == part)


def golden_case(name: str) -> Case:
    """Return the case of that name.

    Raises:
        LookupError: it is not here.
    """
    for case in golden_cases():
        if case.name == name:
            return case
    raise LookupError(f"no golden case {name} here: the repository carries only some, see tests/golden/README.md")


_T = TypeVar("_T")


def where_here(told: Mapping[str, _T]) -> list[tuple[str, _T]]:
    """Return (name, what is told of it) of those cases that are here: a clone by itself carries only some."""
    names = {case.name for case in golden_cases()}
    return [(name, what) for name, what in told.items() if name in names]


def cases_here(*names: str) -> list[Case]:
    """Return those of some cases that are here."""
    return [golden_case(name) for name, _ in where_here(dict.fromkeys(names))]


@dataclass(frozen=True)
class Fingerprint:
    """What must be the same after every command."""

    sha256: str
    size: int
    mtime_ns: int


def fingerprint(path: Path) -> Fingerprint:
    """Take the fingerprint of an image."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Fingerprint(digest, path.stat().st_size, path.stat().st_mtime_ns)


def fingerprints(paths: list[Path]) -> dict[Path, Fingerprint]:
    """Take the fingerprints of images."""
    return {path: fingerprint(path) for path in paths}


@cache
def _unpacked(folder: Path) -> Path:
    target = _session_folder() / folder.name
    target.mkdir()
    archive = ["zstd", "-dc", "--long=28", str(folder / "members.tar.zst")]
    with subprocess.Popen(archive, stdout=subprocess.PIPE) as unpack:
        subprocess.run(["tar", "-xSf", "-", "-C", target], stdin=unpack.stdout, check=True)
    if unpack.returncode != 0:
        raise RuntimeError(f"{folder}: members.tar.zst is damaged")
    for image in target.iterdir():
        image.chmod(0o444)
    return target


@cache
def _session_folder() -> Path:
    """Make a folder for the images of this process; those of processes that were killed are removed: they are large."""
    for left in Path(tempfile.gettempdir()).glob("raidfs-golden-*-*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"raidfs-golden-{os.getpid()}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
