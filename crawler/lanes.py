"""Lanes: which hosts share a queue of parts, so that no two workers ever ask one host at the same time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

LANE_ROWS = 2_500
"""Rows for which a run gets one more lane: 10,000 URLs keep several workers busy."""

MIN_GIANT_ROWS = 1_000
"""A host with fewer is never a giant: it is done in minutes wherever it lies."""

MAX_GIANTS = 2_048
"""Lanes of their own at most, whatever the number of hash lanes."""


@dataclass(frozen=True)
class LanePlan:
    """Hash lanes 0 to lanes - 1, then a lane of its own for each giant, in the order in which they are named."""

    lanes: int
    giants: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return self.lanes + len(self.giants)

    def lane_of(self, host: str) -> int:
        """The lane of a host (an A-label): the same in every process and on every machine."""
        own = self._own_lanes.get(host)
        if own is not None:
            return own
        digest = hashlib.blake2b(host.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.lanes

    @cached_property
    def _own_lanes(self) -> dict[str, int]:
        return {host: self.lanes + place for place, host in enumerate(self.giants)}


def plan_lanes(counts: Mapping[str, int], num_rows: int, max_lanes: int) -> LanePlan:
    """The lanes for `num_rows` samples, from the counts of (at least) the hosts that hold most of them.

    By counts alone: were politeness settings to decide here, changing them would change parts that are committed.
    """
    lanes = num_lanes(num_rows, max_lanes)
    giants = [(count, host) for host, count in counts.items() if is_giant(count, num_rows, lanes)]
    return LanePlan(
        lanes, tuple(host for _, host in sorted(giants, key=lambda giant: (-giant[0], giant[1]))[:MAX_GIANTS])
    )


def num_lanes(num_rows: int, max_lanes: int) -> int:
    """Hash lanes of a run of so many samples."""
    return min(max_lanes, max(1, -(-num_rows // LANE_ROWS)))


def is_giant(count: int, num_rows: int, lanes: int) -> bool:
    """Whether a host holds at least half of a fair lane: at most 2 x lanes hosts ever do."""
    return lanes > 1 and count >= MIN_GIANT_ROWS and 2 * lanes * count >= num_rows
