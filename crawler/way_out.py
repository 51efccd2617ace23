"""How long a request is on its way out: from the moment that it wakes for until its bytes are with the kernel."""

import math

_ENOUGH = 32
"""Requests seen before their way counts."""

_SHARE = 0.6
_MOST_S = 0.001
_GROWTH = 1.001
"""The least way so far is forgotten by this much a request: a machine gets busier, too."""


class WayOut:
    """A request that wakes when its gap is over goes out later, by at least what the quickest of them took.

    By most of that it may wake sooner, and still goes out when its gap is over, not before.
    """

    def __init__(self) -> None:
        self._num_seen = 0
        self._least_s = math.inf

    @property
    def head_start_s(self) -> float:
        """Seconds before its moment at which the next request may wake."""
        return min(_SHARE * self._least_s, _MOST_S) if self._num_seen >= _ENOUGH else 0.0

    def note(self, seconds: float) -> None:
        """A request went out so long after the moment that it was to wake at."""
        self._num_seen += 1
        self._least_s = min(self._least_s * _GROWTH, max(0.0, seconds))
