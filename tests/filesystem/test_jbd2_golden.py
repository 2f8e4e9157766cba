"""Arrays that stopped while their file system was written: with the journal replayed every file is there, and right."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from raidfs.block import BlockSource, read_exact
from raidfs.cli.session import open_array
from raidfs.filesystem.jbd2 import replay
from tests.support.golden import Case, golden_cases
from tests.support.jbd2_writer import tool

LIVE = [case for case in golden_cases() if case.is_live and case.data["created"]["fs"] == "ext4"]

pytestmark = pytest.mark.golden


def wrong_files(case: Case, source: BlockSource, folder: Path) -> list[str]:
    """Unpack a file system; return the files of the manifest that are missing or not what they were."""
    data, lost = read_exact(source, 0, source.size)
    assert not lost
    (folder / "image").write_bytes(data)
    (folder / "files").mkdir()
    # owners cannot be kept by everybody, which it only remarks
    subprocess.run(
        [tool("debugfs"), "-R", f"rdump / {folder / 'files'}", folder / "image"], check=True, capture_output=True
    )
    wrong = []
    for entry in (entry for told in case.volumes for entry in told["entries"] if entry["type"] == "file"):
        path = folder / "files" / entry["path"]
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        if digest not in (entry["sha256"], entry.get("or_sha256")):
            wrong.append(entry["path"])
    return wrong


@pytest.mark.parametrize("case", LIVE, ids=lambda case: case.name)
def test_every_file_is_there(case: Case, tmp_path: Path) -> None:
    with open_array([str(path) for path in case.members()]) as array:
        found = replay(array.source, "array")
        assert found is not None
        assert found.is_sure
        assert not found.findings
        assert found.transactions
        assert wrong_files(case, found.source, tmp_path) == []


@pytest.mark.parametrize("case", LIVE, ids=lambda case: case.name)
def test_without_it_they_are_not(case: Case, tmp_path: Path) -> None:
    with open_array([str(path) for path in case.members()]) as array:
        assert len(wrong_files(case, array.source, tmp_path)) > 80
