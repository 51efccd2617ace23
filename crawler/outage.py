"""Tells a dead network from dead hosts: when hardly anything connects any more, nothing is to be blamed on a host."""

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0
MIN_ATTEMPTS = 20
MIN_HOSTS = 8
MAX_FAILING_SHARE = 0.9


class OutageWatch:
    """The connects of the last minute over all hosts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: deque[tuple[float, str, bool]] = deque()
        self._num_failed = 0

    def note(self, host: str, connected: bool) -> None:
        """Counts an attempt. A name that does not exist connected: a DNS server answered."""
        now = self._clock()
        self._attempts.append((now, host, connected))
        self._num_failed += not connected
        while self._attempts and self._attempts[0][0] < now - WINDOW_S:
            self._num_failed -= not self._attempts.popleft()[2]

    def is_out(self) -> bool:
        """Whether more than 90 % of the last minute's connects failed, over enough hosts to blame the network."""
        if len(self._attempts) < MIN_ATTEMPTS or self._num_failed <= MAX_FAILING_SHARE * len(self._attempts):
            return False
        return len({host for _, host, connected in self._attempts if not connected}) >= MIN_HOSTS
