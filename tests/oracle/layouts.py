"""Where md puts each byte of a RAID4, 5 or 6, one function per layout family, as the kernel computes it.

Source: `raid5.c: raid5_compute_sector` (roles), `raid6_d0` and `raid6_idx_to_slot` (exponents of Q).
Naive on purpose: one stripe at a time, no tables. Bytes everywhere; "row" counts stripes from the start of the members.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

RAID5_NAMES = {
    0: "left-asymmetric",
    1: "right-asymmetric",
    2: "left-symmetric",
    3: "right-symmetric",
    4: "parity-first",
    5: "parity-last",
}
RAID6_NAMES = RAID5_NAMES | {
    8: "ddf-zero-restart",
    9: "ddf-N-restart",
    10: "ddf-N-continue",
    16: "left-asymmetric-6",
    17: "right-asymmetric-6",
    18: "left-symmetric-6",
    19: "right-symmetric-6",
    20: "parity-first-6",
}
LAYOUT_NAMES = {4: {0: "raid4"}, 5: RAID5_NAMES, 6: RAID6_NAMES}
"""mdadm's name of each layout number, by level. RAID4 ignores its layout field."""


@dataclass(frozen=True)
class Geometry:
    """How an array is striped.

    Attributes:
        level: 4, 5 or 6. layout: md's number. raid_disks: number of roles. chunk: [bytes].
    """

    level: int
    layout: int
    raid_disks: int
    chunk: int

    @property
    def data_disks(self) -> int:
        """Data chunks in a stripe."""
        return self.raid_disks - (2 if self.level == 6 else 1)

    @property
    def stripe_size(self) -> int:
        """Array bytes in a stripe."""
        return self.data_disks * self.chunk

    def capacity(self, component_size: int) -> int:
        """Array bytes that members of `component_size` bytes hold: whole chunks only."""
        return component_size // self.chunk * self.stripe_size

    def stripe(self, row: int) -> Stripe:
        """The roles of stripe number `row`."""
        return stripe_of(self.level, self.layout, self.raid_disks, row)


@dataclass(frozen=True)
class Stripe:
    """Who holds what in one stripe.

    Attributes:
        p: role of P. q: role of Q, None below RAID6. data: role of data chunk k, by k.
        exponent: data chunk k enters Q as g^exponent[k]; empty below RAID6.
    """

    p: int
    q: int | None
    data: tuple[int, ...]
    exponent: tuple[int, ...]


def stripe_of(level: int, layout: int, raid_disks: int, row: int) -> Stripe:
    """The roles of stripe `row` of an array of that level, layout and number of roles.

    Raises:
        KeyError: md knows no such layout.
    """
    if level == 4:
        return Stripe(raid_disks - 1, None, tuple(range(raid_disks - 1)), ())
    if level == 5:
        p, data = _RAID5[layout](raid_disks, row)
        return Stripe(p, None, data, ())
    return _raid6(layout, raid_disks, row)


@lru_cache(maxsize=4096)
def _raid6(layout: int, n: int, row: int) -> Stripe:
    if 16 <= layout <= 20:  # RAID5 on the first n - 1 members, Q alone on the last
        p, data = _RAID5[layout - 16](n - 1, row)
        q = n - 1
    else:
        p, q, data = _RAID6[layout](n, row)
    return Stripe(p, q, data, _exponents(p, q, data, n, ddf=layout in (8, 9, 10)))


def _exponents(p: int, q: int, data: tuple[int, ...], n: int, *, ddf: bool) -> tuple[int, ...]:
    """Walk the roles as the kernel fills its list of sources of Q (`raid6_d0`, `raid6_idx_to_slot`)."""
    role = 0 if ddf else (q + 1) % n
    slot = 0
    slots = {}
    for _ in range(n):
        if role in (p, q):
            slot += 1 if ddf else 0  # DDF leaves a zero block in the place of P and of Q
        else:
            slots[role] = slot
            slot += 1
        role = (role + 1) % n
    return tuple(slots[role] for role in data)


# RAID5: (raid_disks, row) -> role of P, roles of data ------------------------------------------------------------


def _left_asymmetric(n: int, row: int) -> tuple[int, tuple[int, ...]]:
    p = n - 1 - row % n
    return p, _skip_one(p, n)


def _right_asymmetric(n: int, row: int) -> tuple[int, tuple[int, ...]]:
    p = row % n
    return p, _skip_one(p, n)


def _left_symmetric(n: int, row: int) -> tuple[int, tuple[int, ...]]:
    p = n - 1 - row % n
    return p, tuple((p + 1 + k) % n for k in range(n - 1))


def _right_symmetric(n: int, row: int) -> tuple[int, tuple[int, ...]]:
    p = row % n
    return p, tuple((p + 1 + k) % n for k in range(n - 1))


def _parity_first(n: int, _row: int) -> tuple[int, tuple[int, ...]]:
    return 0, tuple(k + 1 for k in range(n - 1))


def _parity_last(n: int, _row: int) -> tuple[int, tuple[int, ...]]:
    return n - 1, tuple(range(n - 1))


def _skip_one(p: int, n: int) -> tuple[int, ...]:
    return tuple(k + 1 if k >= p else k for k in range(n - 1))


_RAID5: dict[int, Callable[[int, int], tuple[int, tuple[int, ...]]]] = {
    0: _left_asymmetric,
    1: _right_asymmetric,
    2: _left_symmetric,
    3: _right_symmetric,
    4: _parity_first,
    5: _parity_last,
}

# RAID6: (raid_disks, row) -> role of P, role of Q, roles of data -------------------------------------------------


def _asymmetric_6(p: int, n: int) -> tuple[int, int, tuple[int, ...]]:
    if p == n - 1:  # Q wraps to role 0
        return p, 0, tuple(k + 1 for k in range(n - 2))
    return p, p + 1, tuple(k + 2 if k >= p else k for k in range(n - 2))


def _symmetric_6(p: int, n: int) -> tuple[int, int, tuple[int, ...]]:
    return p, (p + 1) % n, tuple((p + 2 + k) % n for k in range(n - 2))


def _ddf_n_continue(n: int, row: int) -> tuple[int, int, tuple[int, ...]]:
    p = n - 1 - row % n
    return p, (p + n - 1) % n, tuple((p + 1 + k) % n for k in range(n - 2))


_RAID6: dict[int, Callable[[int, int], tuple[int, int, tuple[int, ...]]]] = {
    0: lambda n, row: _asymmetric_6(n - 1 - row % n, n),
    1: lambda n, row: _asymmetric_6(row % n, n),
    2: lambda n, row: _symmetric_6(n - 1 - row % n, n),
    3: lambda n, row: _symmetric_6(row % n, n),
    4: lambda n, row: (0, 1, tuple(k + 2 for k in range(n - 2))),
    5: lambda n, row: (n - 2, n - 1, tuple(range(n - 2))),
    8: lambda n, row: _asymmetric_6(row % n, n),
    9: lambda n, row: _asymmetric_6(n - 1 - (row + 1) % n, n),
    10: _ddf_n_continue,
}

# Addresses -------------------------------------------------------------------------------------------------------


def locate(geometry: Geometry, array_offset: int) -> tuple[int, int]:
    """The role and component offset that hold an array byte."""
    chunk_number, rest = divmod(array_offset, geometry.chunk)
    row, k = divmod(chunk_number, geometry.data_disks)
    return geometry.stripe(row).data[k], row * geometry.chunk + rest


def inverse(geometry: Geometry, role: int, component_offset: int) -> int | str:
    """The array byte that a component byte of a role holds, or "P" or "Q"."""
    row, rest = divmod(component_offset, geometry.chunk)
    stripe = geometry.stripe(row)
    if role == stripe.p:
        return "P"
    if role == stripe.q:
        return "Q"
    return (row * geometry.data_disks + stripe.data.index(role)) * geometry.chunk + rest
