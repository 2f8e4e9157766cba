"""`python -m raidfs`."""

from __future__ import annotations

import sys

from raidfs.cli import main

if __name__ == "__main__":
    sys.exit(main())
