"""What rows of the new geometry would hold if they were written: pages of the old one, and their parity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raidfs.erasure.gf256 import power
from raidfs.evidence.cells import N_SAMPLES, SECTORS, Flags
from raidfs.evidence.looks import multiply
from raidfs.evidence.window import Layout, Numbers

Samples = NDArray[np.uint8]


def would_be(after: Layout, rows: Numbers, pages: Samples, have: Flags) -> tuple[Samples, Flags]:
    """Return what rows would hold if they were written, as samples.

    Args:
        after: the new geometry.
        rows: int64 (k,), of it.
        pages: uint8 (k, n, 256): what the old places of the new pages hold.
        have: bool (k, n): there is such a place, and it could be read.

    Returns:
        Samples uint8 (k, n, 256), parity included, and bool (k, n): they are known.
    """
    table, found, known = after.zone.table, pages.copy(), have.copy()
    places = rows // after.chunk % table.period
    for place in np.unique(places).tolist():
        here = np.flatnonzero(places == place)
        role_of = {int(symbol): int(role) for symbol, role in zip(table.symbol[place], table.role[place], strict=True)}
        data = [role_of[symbol] for symbol in range(table.n_data)]
        for parity in role_of.keys() - set(range(table.n_data)):
            exponents = [0] * table.n_data if parity == table.n_data else table.exponent[place].tolist()
            total = np.zeros((len(here), N_SAMPLES), dtype=np.uint8)
            for role, exponent in zip(data, exponents, strict=True):
                total ^= multiply(power(exponent), pages[here, role])
            found[here, role_of[parity]] = total
            known[here, role_of[parity]] = have[here][:, data].all(axis=1)
    return found, known


def are_unlike(cells: Samples, others: Samples) -> Flags:
    """Tell which pages differ in each of their sectors; uint8 (..., 256) each."""
    differ = (cells != others).reshape(*cells.shape[:-1], SECTORS, -1)
    found: Flags = differ.any(axis=-1).all(axis=-1)
    return found
