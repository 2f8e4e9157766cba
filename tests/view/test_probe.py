"""What a source contains, by its start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.errors import SourceError
from raidfs.extents import Extents
from raidfs.view.probe import Probe, probe
from tests.view import disks
from tests.view.disks import UUID_TEXT, Image

KNOWN: list[tuple[str, Image, tuple[str, str, str | None, bool | None]]] = [
    ("ext4", disks.ext(), ("ext4", "data", UUID_TEXT, False)),
    ("ext4 by ro_compat", disks.ext(incompat=0x2, ro_compat=0x10), ("ext4", "data", UUID_TEXT, False)),
    ("ext4 in use", disks.ext(incompat=0x44), ("ext4", "data", UUID_TEXT, True)),
    ("ext3", disks.ext(incompat=0x2, ro_compat=0x3), ("ext3", "data", UUID_TEXT, False)),
    ("ext3 in use", disks.ext(incompat=0x6), ("ext3", "data", UUID_TEXT, True)),
    ("ext2", disks.ext(compat=0, incompat=0x2), ("ext2", "data", UUID_TEXT, False)),
    ("ext2 in use", disks.ext(compat=0, incompat=0x2, state=0), ("ext2", "data", UUID_TEXT, True)),
    ("btrfs", disks.btrfs(), ("btrfs", "pool", UUID_TEXT, False)),
    ("btrfs with a log", disks.btrfs(log_root=1 << 20), ("btrfs", "pool", UUID_TEXT, True)),
    ("xfs without a log of its own", disks.xfs(log_start=0), ("xfs", "scratch", UUID_TEXT, None)),
    ("xfs with a nonsensical log", disks.xfs(log_start=1 << 60), ("xfs", "scratch", UUID_TEXT, None)),
    ("xfs with an empty log", disks.xfs(), ("xfs", "scratch", UUID_TEXT, False)),
    ("ntfs", disks.ntfs(), ("ntfs", "", "0123456789ABCDEF", None)),
    ("exfat", disks.exfat(), ("exfat", "", "1234-ABCD", False)),
    ("exfat in use", disks.exfat(flags=2), ("exfat", "", "1234-ABCD", True)),
    ("fat32", disks.fat(), ("vfat", "STICK", "1234-ABCD", False)),
    ("fat16 in use", disks.fat(b"FAT16   ", dirty=1), ("vfat", "STICK", "1234-ABCD", True)),
    ("fat12", disks.fat(b"FAT12   "), ("vfat", "STICK", "1234-ABCD", False)),
    ("luks1", disks.luks(1), ("luks", "", UUID_TEXT, None)),
    ("luks2", disks.luks(2), ("luks", "secret", UUID_TEXT, None)),
    ("lvm", disks.lvm(), ("lvm2", "", "abcdef-ghij-klmn-opqr-stuv-wxyz-012345", None)),
    ("lvm in sector 3", disks.lvm(3), ("lvm2", "", "abcdef-ghij-klmn-opqr-stuv-wxyz-012345", None)),
    ("gpt", disks.gpt(), ("gpt", "", UUID_TEXT, None)),
    ("gpt in units of 4096", disks.gpt(4096), ("gpt", "", UUID_TEXT, None)),
    ("mbr", disks.mbr([(0x80, 0x83, 63, 100), (0, 0, 0, 0)]), ("mbr", "", "deadbeef", None)),
    ("swap", disks.swap(), ("swap", "sw", UUID_TEXT, None)),
    ("swap of large pages", disks.swap(65536), ("swap", "sw", UUID_TEXT, None)),
]


@pytest.mark.parametrize(("image", "expected"), [row[1:] for row in KNOWN], ids=[row[0] for row in KNOWN])
def test_known_starts(image: Image, expected: tuple[str, str, str | None, bool | None]) -> None:
    found = probe(MemorySource(image))
    assert (found.kind, found.label, found.uuid, found.dirty) == expected
    assert found.meaning
    assert not found.meaning.endswith(".")


def test_the_sector_size_of_a_partition_table() -> None:
    assert probe(MemorySource(disks.gpt())).sector_size == 512
    assert probe(MemorySource(disks.gpt(4096))).sector_size == 4096


def test_a_journal_to_replay_is_explained() -> None:
    assert probe(MemorySource(disks.ext())).meaning == "ext4 file system, unmounted cleanly"
    in_use = probe(MemorySource(disks.ext(incompat=0x44))).meaning
    assert in_use.startswith("ext4 file system that was in use when it stopped: its journal was not replayed")
    assert "may be missing, old or inconsistent, everything else is as it was" in in_use
    assert "recorded errors in itself" in probe(MemorySource(disks.ext(state=3))).meaning


@pytest.mark.parametrize(
    "image",
    [
        disks.gpt(checksum_error=1).put(510, b"\0\0"),
        disks.mbr([]),
        disks.mbr([(0x17, 0x83, 63, 100)]),
        disks.mbr([(0, 0x83, 0, 100)]),
        disks.mbr([(0, 0x83, disks.SIZE, 100)]),
        disks.fat().pack(11, "<H", 500),
        disks.fat().pack(13, "<B", 3),
        disks.btrfs().pack(0x10030, "<Q", 0x4000000),
        disks.lvm(4),
    ],
)
def test_what_only_resembles_is_not_recognised(image: Image) -> None:
    assert probe(MemorySource(image)).kind == "unknown"


def test_new_marks_win_over_old_ones_further_in() -> None:
    image = disks.ext()
    image[0x10000:0x11000] = disks.btrfs()[0x10000:0x11000]
    assert probe(MemorySource(image)).kind == "ext4"
    image[:4096] = disks.luks(2)[:1024] + image[1024:4096]
    assert probe(MemorySource(image)).kind == "luks"


def test_nothing_known() -> None:
    assert probe(MemorySource(disks.blank())) == Probe(
        "unknown", "the array starts with zeros; no file system or partition table is known to do so"
    )
    assert "that raidfs knows" in probe(MemorySource(b"x" * 5000)).meaning
    assert probe(MemorySource(b"")).kind == "unknown"


def test_a_start_that_cannot_be_read_is_said_so() -> None:
    found = probe(MemorySource(disks.ext(), Extents.span(0, 4096)))
    assert found.kind == "unreadable"
    assert found.meaning.startswith("4096 of the first 131072 bytes cannot be served")
    # what decides is there
    assert probe(MemorySource(disks.ext(), Extents.span(4096, 8192))).kind == "ext4"


def test_a_source_that_has_gone_is_not_taken_for_an_empty_one() -> None:
    class Gone(MemorySource):
        def read_into(self, *_: object) -> Extents:
            raise SourceError("gone")

    with pytest.raises(SourceError, match="gone"):
        probe(Gone(bytes(4096)))


@given(
    st.binary(max_size=3000),
    st.sampled_from([row[1] for row in KNOWN]),
    st.lists(st.tuples(st.integers(0, 0x11000), st.binary(min_size=1, max_size=8)), max_size=6),
    st.integers(0, disks.SIZE),
)
def test_any_bytes_give_an_answer(noise: bytes, image: Image, patches: list[tuple[int, bytes]], size: int) -> None:
    assert probe(MemorySource(noise)).kind
    damaged = Image(image)
    for offset, patch in patches:
        damaged.put(offset, patch)
    found = probe(MemorySource(bytes(damaged[:size]), Extents.span(0, len(noise)).clip(0, size)))
    assert found.kind
    assert found.meaning.isprintable()
    assert found.label.isprintable()


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_what_mke2fs_makes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    options = ["-q", "-t", kind, "-L", "label", "-U", UUID_TEXT]
    subprocess.run(["mke2fs", *options, path, "8M"], check=True)
    found = probe(MemorySource(path.read_bytes()))
    assert (found.kind, found.label, found.uuid, found.dirty) == (kind, "label", UUID_TEXT, False)
