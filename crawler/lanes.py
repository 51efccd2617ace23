"""Lanes: which hosts share a queue of parts, so that no two workers ever ask one host at the same time."""

import hashlib
import heapq
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

LANE_ROWS = 2_500
"""Rows for which a run gets one more lane: 10,000 URLs keep several workers busy."""

MIN_GIANT_ROWS = 1_000
"""A host with fewer is never a giant: it is done in minutes wherever it lies."""

MAX_GIANTS = 2_048
"""Lanes of their own at most, whatever the number of shared lanes."""

LARGE_PARTS = 64
"""Into how many parts a fair lane is cut to say who is large: were all others just below, lanes would differ by 12 %
(one standard deviation), and on the web by much less."""

MAX_LARGE = 4_096
"""Hosts that are dealt to shared lanes by their counts, whatever the number of lanes; a hash deals the others."""


@dataclass(frozen=True)
class LanePlan:
    """Shared lanes 0 to lanes - 1, then a lane of its own for each giant, in the order in which they are named.

    `dealt` are hosts and the shared lanes that they were dealt to. `room` is what each shared lane takes of all other
    hosts, in rows; empty, each takes as much as the next.
    """

    lanes: int
    giants: tuple[str, ...] = ()
    dealt: tuple[tuple[str, int], ...] = ()
    room: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.lanes + len(self.giants)

    def lane_of(self, host: str) -> int:
        """The lane of a host (an A-label): the same in every process and on every machine."""
        named = self._named.get(host)
        if named is not None:
            return named
        digest = hashlib.blake2b(host.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        drawn = int.from_bytes(digest, "big")
        return bisect_right(self._ends, drawn % self._ends[-1]) if self.room else drawn % self.lanes

    @cached_property
    def _named(self) -> dict[str, int]:
        return dict(self.dealt) | {host: self.lanes + place for place, host in enumerate(self.giants)}

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(self.room))


def plan_lanes(counts: Mapping[str, int], num_rows: int, max_lanes: int) -> LanePlan:
    """The lanes for `num_rows` samples, from the counts of (at least) the hosts that hold most of them.

    By counts alone: were politeness settings to decide here, changing them would change parts that are committed.
    """
    lanes = num_lanes(num_rows, max_lanes)
    if lanes == 1:
        return LanePlan(lanes)
    hosts = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    giants = [pair for pair in hosts[:MAX_GIANTS] if is_giant(pair[1], num_rows, lanes)]
    smaller = hosts[len(giants) : len(giants) + MAX_LARGE]
    dealt, filled = _dealt([pair for pair in smaller if is_large(pair[1], num_rows, lanes)], lanes)
    others = num_rows - sum(count for _, count in giants) - sum(filled)
    return LanePlan(lanes, tuple(host for host, _ in giants), dealt, _room(filled, others) if dealt else ())


def num_lanes(num_rows: int, max_lanes: int) -> int:
    """Shared lanes of a run of so many samples."""
    return min(max_lanes, max(1, -(-num_rows // LANE_ROWS)))


def is_giant(count: int, num_rows: int, lanes: int) -> bool:
    """Whether a host holds at least half of a fair lane: at most 2 x lanes hosts ever do."""
    return lanes > 1 and count >= MIN_GIANT_ROWS and 2 * lanes * count >= num_rows


def is_large(count: int, num_rows: int, lanes: int) -> bool:
    """Whether a host holds so much of a fair lane that its count decides where it goes, and not a hash."""
    return LARGE_PARTS * lanes * count >= num_rows


def _dealt(hosts: Iterable[tuple[str, int]], lanes: int) -> tuple[tuple[tuple[str, int], ...], list[int]]:
    """Each host, most rows first, to the lane with the fewest rows so far (Graham 1969); and the rows of each lane."""
    filled = [(0, lane) for lane in range(lanes)]
    dealt = []
    for host, count in hosts:
        rows, lane = filled[0]
        heapq.heapreplace(filled, (rows + count, lane))
        dealt.append((host, lane))
    return tuple(dealt), [rows for rows, _ in sorted(filled, key=lambda pair: pair[1])]


def _room(filled: Sequence[int], num_rows: int) -> tuple[int, ...]:
    """How many of `num_rows` more each lane takes for all to end level: as water finds its level. Empty for none."""
    if num_rows <= 0:
        return ()
    levels = (-(-(num_rows + rows) // number) for number, rows in enumerate(accumulate(sorted(filled)), start=1))
    level = min(levels)
    return tuple(max(0, level - rows) for rows in filled)
