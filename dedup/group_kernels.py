"""The one loop of grouping that cannot be cut up, compiled: a turn depends on the turns before it."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Ints = npt.NDArray[np.int64]


@compiled
def take_turns(later: Ints, earlier: Ints, leader: Ints) -> None:
    """Each hash in its turn joins the first of those before it that leads; `leader` [n] is set in place."""
    for turn in range(len(later)):
        one, other = later[turn], earlier[turn]
        if leader[one] == one and leader[other] == other:
            leader[one] = other
