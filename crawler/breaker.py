"""When to leave a failing host alone, for how long, and how it proves that it is back."""

from dataclasses import dataclass

MAX_COOL_DOWN_S = 3600.0

Cause = tuple[str, str | None]
"""The drop reason that a host's URLs fall for, and its detail."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Failures in a row that open it, the first cool-down (doubled each time), and how often it is tried again."""

    give_up_after: int
    reopen_s: float
    reopenings: int


@dataclass(slots=True)
class Breaker:
    """One host's: closed, open until a moment (of the caller's clock), or half-open while one probe is out.

    A host that never answers again costs `give_up_after` failures and `reopenings` probes, whatever waits for it.
    """

    limits: BreakerLimits
    failures: int = 0
    num_openings: int = 0
    open_until: float | None = None
    cause: Cause | None = None
    is_probing: bool = False
    is_final: bool = False

    @property
    def is_closed(self) -> bool:
        return self.open_until is None and not self.is_final

    @property
    def verdict(self) -> Cause | None:
        """Why nothing may be sent, or None: it is closed, or its one probe is out."""
        return None if self.is_closed or (self.is_probing and not self.is_final) else self.cause

    def wait(self, now: float) -> float:
        """Seconds until a probe may go; 0.0 where none has to wait."""
        return 0.0 if self.open_until is None else max(0.0, self.open_until - now)

    def note_answer(self) -> None:
        if self.failures or not self.is_closed:
            self.failures = self.num_openings = 0
            self.open_until = self.cause = None
            self.is_probing = self.is_final = False

    def note_failure(self, now: float, reason: str, detail: str | None) -> None:
        """Counts a request that got no answer. Those that were under way when it opened count no more."""
        self.failures += 1
        if self.is_probing or (self.is_closed and self.failures >= self.limits.give_up_after):
            self.open(now, reason, f"host left alone after {self.failures} failures: {detail or reason}")

    def open(self, now: float, reason: str, detail: str | None) -> None:
        """Leaves the host alone: for a cool-down, or for good once its reopenings are spent."""
        if not self.is_closed and not self.is_probing:
            return
        self.cause = (reason, detail)
        self.is_probing = False
        cool_down = min(self.limits.reopen_s * 2.0**self.num_openings, MAX_COOL_DOWN_S)
        self.open_until = now + cool_down
        self.num_openings += 1
        self.is_final = self.num_openings > self.limits.reopenings

    def give_up(self, until: float, reason: str, detail: str | None) -> None:
        """The host asked to be left alone until then: no probe goes before."""
        self.cause = (reason, detail)
        self.open_until = until
        self.is_probing = False
        self.is_final = True

    def begin_probe(self) -> bool:
        """Whether the caller may send the one probe of a cool-down that is over."""
        if self.is_final or self.is_probing or self.open_until is None:
            return False
        self.is_probing = True
        return True

    def end_probe(self) -> None:
        """The probe ended without a word on the host (refused by robots.txt, say): another may go."""
        self.is_probing = False
