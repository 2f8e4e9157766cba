"""Which roles are enough to run an array: so many that every byte can be had."""

from __future__ import annotations

from collections.abc import Collection

from raidfs.array.shape import Level, Shape


def is_enough(shape: Shape, roles: Collection[int]) -> bool:
    """Tell whether members of these roles run an array by themselves (`raid5.c: has_failed`, `raid10.c: _enough`)."""
    n = shape.raid_disks
    there = {role for role in roles if 0 <= role < n}
    if shape.level is Level.RAID1:
        return bool(there)
    if shape.level is not Level.RAID10:
        return len(there) >= n - shape.n_parity
    near = shape.copies.near  # copies lie on as many neighbours as there are, sets begin where copies of one chunk do
    return all(there & {(first + k) % n for k in range(shape.n_copies)} for first in range(0, n * near, near))
