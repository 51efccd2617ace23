"""The one loop of grouping that cannot be cut up, compiled: whom each hash in its turn joins, as far as it is known."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

WAITS = 0
LEADS = 1
JOINED = 2

Ints = npt.NDArray[np.int64]
Verdicts = npt.NDArray[np.int8]


@compiled
def take_turns(starts: Ints, places: Ints, told: Verdicts, verdicts: Verdicts, chosen: Ints) -> None:
    """Hash i [n] looks at those before it in turn, at `starts[i]` to `starts[i + 1]`, and joins the first that leads.

    One of them that takes its turn here has its `places` among the n, less than i; of others (-1) the verdict was
    `told`. Sets `verdicts` [n], and `chosen` [n] to what it joined, by place in `places`; left alone for others.
    """
    for one in range(len(starts) - 1):
        verdicts[one] = LEADS
        for near in range(starts[one], starts[one + 1]):
            place = places[near]
            verdict = verdicts[place] if place >= 0 else told[near]
            if verdict == LEADS:
                chosen[one] = near
                verdicts[one] = JOINED
                break
            if verdict == WAITS:
                verdicts[one] = WAITS
                break
