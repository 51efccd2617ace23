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
        self._num_in_a_row = 0
        self._hosts_in_a_row: set[str] = set()
        self.num_connected = 0
        """Attempts that found somebody, ever."""

    def note(self, host: str, connected: bool) -> None:
        """Counts an attempt. A name that does not exist connected: a DNS server answered."""
        now = self._clock()
        self._attempts.append((now, host, connected))
        self._num_failed += not connected
        self.num_connected += connected
        self._note_row(host, connected)
        while self._attempts and self._attempts[0][0] < now - WINDOW_S:
            self._num_failed -= not self._attempts.popleft()[2]

    def forget(self) -> None:
        """The network is back: what failed before is not counted against it."""
        self._attempts.clear()
        self._num_failed = 0
        self._note_row("", connected=True)

    def is_suspicious(self) -> bool:
        """Whether somebody should look: it is out, or nothing at all has connected for as many attempts and hosts.

        Where a network goes that was well a moment ago, breakers stop the attempts long before most of a minute's fail.
        """
        is_dry = self._num_in_a_row >= MIN_ATTEMPTS and len(self._hosts_in_a_row) >= MIN_HOSTS
        return is_dry or self.is_out()

    def is_out(self) -> bool:
        """Whether more than 90 % of the last minute's connects failed, over enough hosts to blame the network."""
        if len(self._attempts) < MIN_ATTEMPTS or self._num_failed <= MAX_FAILING_SHARE * len(self._attempts):
            return False
        return len({host for _, host, connected in self._attempts if not connected}) >= MIN_HOSTS

    def _note_row(self, host: str, connected: bool) -> None:
        if connected:
            self._num_in_a_row = 0
            self._hosts_in_a_row.clear()
        else:
            self._num_in_a_row += 1
            if len(self._hosts_in_a_row) < MIN_HOSTS:
                self._hosts_in_a_row.add(host)
