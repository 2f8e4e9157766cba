"""Arrays far larger than memory: what the mount needs does not depend on their size."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.labels import Label
from tests.oracle.layouts import Geometry
from tests.oracle.sparse import write_sparse_array
from tests.support.cli import TIMEOUT, mounted

pytestmark = pytest.mark.fuse
MIB, TIB = 1 << 20, 1 << 40
CHUNK = 512 << 10


def peak_memory(mountpoint: Path) -> int:
    """Return the most memory that the mount's process ever had resident [bytes]."""
    pid = os.getxattr(mountpoint, "user.raidfs.pid").decode()
    return peak_of(Path(f"/proc/{pid}/status").read_text())


def peak_of(status: str) -> int:
    """Return the same of a `/proc/PID/status`."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


MEASURED = """
import sys
from pathlib import Path
from raidfs.cli import main
code = main(sys.argv[1:])
print(Path("/proc/self/status").read_text(), file=sys.stderr)
sys.exit(code)
"""


def memory_of(*words: str | Path) -> int:
    """Run raidfs and return the most memory that it had resident [bytes]."""
    command = [sys.executable, "-c", MEASURED, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    return peak_of(done.stderr)


@pytest.mark.parametrize("missing", [(), (1,)])
def test_ten_tebibytes_are_read_at_random_and_at_the_end_in_little_memory(
    missing: tuple[int, ...], tmp_path: Path
) -> None:
    generator = random.Random(len(missing))
    old, new = Geometry(5, 2, 3, CHUNK), Geometry(5, 2, 4, CHUNK)
    component = 5 * TIB
    size = old.capacity(component)
    position = 7 * TIB // new.stripe_size * new.stripe_size
    pieces = {generator.randrange(size // 4096) * 4096: generator.randbytes(4096) for _ in range(30)}
    pieces |= {0: b"first" * 1000, position - 3000: generator.randbytes(6000), size - 4096: generator.randbytes(4096)}
    label = Label("1.2", old, component, (0, 1, 2, 3), new, position)
    (tmp_path / "members").mkdir()
    members = write_sparse_array(tmp_path / "members", label, pieces, data_offset=16 * MIB, new_data_offset=8 * MIB)
    given = [path for role, path in enumerate(members) if role not in missing]
    assert memory_of("examine", *given) < 600 * MIB
    with mounted(given, tmp_path / "mnt") as mountpoint:
        image = os.open(mountpoint / "array.img", os.O_RDONLY)
        try:
            assert os.fstat(image).st_size == size >= 10 * TIB
            for offset, content in pieces.items():
                assert os.pread(image, len(content), offset) == content
            for _ in range(500):
                offset = generator.randrange(size - 128 * 1024)
                assert len(os.pread(image, 128 * 1024, offset)) == 128 * 1024
            assert os.pread(image, MIB, size - 100) == pieces[size - 4096][-100:]
        finally:
            os.close(image)
        assert (mountpoint / "array.map").read_text().count("\n") < 10
        assert (mountpoint / "status.json").stat().st_size < 10000
        assert peak_memory(mountpoint) < 300 * MIB
