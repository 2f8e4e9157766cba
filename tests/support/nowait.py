"""Whether reads that never wait can be had where the tests' files lie (tmpfs and some overlays refuse them)."""

from __future__ import annotations

import os
from pathlib import Path


def answers_at_once(path: Path) -> bool:
    """Tell whether what was just written to a file can be read without waiting."""
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(512)], 0, os.RWF_NOWAIT) == 512
        except OSError:
            return False
