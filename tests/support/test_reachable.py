"""Two definitions, written apart, of what a sector is worth: one geometry at a time, and both as one code."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from tests.oracle import reach
from tests.support.crashes import Damaged, arrays, damages
from tests.support.reachable import whole_situation
from tests.support.worth import DOUBTFUL, SECTOR, UNPROVEN, healths


@settings(max_examples=150)
@given(arrays().flatmap(damages))
def test_both_definitions_agree_but_for_what_a_reshape_left_behind(damaged: Damaged) -> None:
    alone = healths(damaged.situation)
    situation = whole_situation(damaged.situation)
    together = reach.healths(situation)
    ahead = np.ones(len(alone), dtype=np.bool_)
    low, high = situation.behind
    ahead[low // SECTOR : high // SECTOR] = False
    array = damaged.array
    if array.after is not None:  # of an old stripe that the position cuts, new copies give what lies ahead, too
        low = array.position // array.geometry.stripe_size * array.geometry.stripe_size
        ahead[low // SECTOR : (low + array.geometry.stripe_size) // SECTOR] = False
    # where a component is no multiple of the chunk, one of the two takes what is left over for overwritten, too
    assert ((together == alone) | (alone == DOUBTFUL))[ahead].all()
    assert (together <= alone).all()
    assert np.array_equal(together[alone <= UNPROVEN], alone[alone <= UNPROVEN])
