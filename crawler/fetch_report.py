"""How a part's downloads are getting on: counts for whoever watches, taken while they run."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

NUM_SLOWEST = 5


@dataclass(frozen=True)
class FetchReport:
    """Where a part stands after `seconds`: requests sent, images stored, bytes received, drops by reason, and the hosts
    with most URLs still waiting."""

    seconds: float
    requests: int
    images: int
    bytes: int
    reasons: dict[str, int]
    slowest: list[tuple[str, int]]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class FetchTally:
    """Counts as they grow; `clock` is in seconds."""

    clock: Callable[[], float] = time.monotonic
    requests: int = 0
    images: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def note_row(self, drop_reason: object) -> None:
        if drop_reason is None:
            self.images += 1
        else:
            self.reasons[str(drop_reason)] += 1

    def report(self, waiting: dict[str, int]) -> FetchReport:
        """`waiting`: URLs that wait, by host."""
        most = sorted(((host, count) for host, count in waiting.items() if count), key=lambda item: (-item[1], item[0]))
        return FetchReport(
            seconds=round(self.clock() - self._started, 3),
            requests=self.requests,
            images=self.images,
            bytes=self.bytes,
            reasons=dict(sorted(self.reasons.items())),
            slowest=most[:NUM_SLOWEST],
        )
