"""raidfs: a Linux md array, even one that crashed in mid-reshape, as a read-only file system in user space."""

from __future__ import annotations

__version__ = "0.1.0"
