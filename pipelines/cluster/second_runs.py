"""Parts that run much longer than their like: which of them are worth starting a second time."""

import statistics
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from pipelines.cluster.settings import ResourceSettings

_FEWEST_ENDED = 3
"""How many parts of a step must have ended before any other can be called late."""

_MOST_REMEMBERED = 1000


@dataclass
class SecondRuns:
    """Watches the calls of one step. Clocks decide here who is tried again, and reach no result."""

    settings: ResourceSettings
    clock: Callable[[], float] = time.monotonic
    _began: dict[object, float] = field(default_factory=dict)
    _took: list[float] = field(default_factory=list)

    def begin_step(self) -> None:
        """Another step's parts may take another time."""
        self._took.clear()

    def started(self, handle: object) -> None:
        """A call was started."""
        self._began[handle] = self.clock()

    def ended(self, handle: object, is_committed: bool) -> None:
        """A call is over, and committed its part or not."""
        began = self._began.pop(handle)
        if is_committed and len(self._took) < _MOST_REMEMBERED:
            self._took.append(self.clock() - began)

    def late(self, handles: Collection[object]) -> list[object]:
        """Those that have run too long beside the median of those that ended, the longest first."""
        if self.settings.second_run_after is None or len(self._took) < _FEWEST_ENDED:
            return []
        most = max(self.settings.second_run_least_s, self.settings.second_run_after * statistics.median(self._took))
        before = self.clock() - most
        found = [handle for handle in handles if self._began[handle] < before]
        return sorted(found, key=lambda handle: self._began[handle])
