"""Whether the head of a cluster still answers: Ray would end this process without a word of ours."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable

from shards.errors import TryAgainError

PATIENCE_S = 20.0
"""Ray itself gives up after 60 s, and then ends the process that asked."""

LAST_WORD_S = 40.0
"""A call of Ray's may wait for the head meanwhile and hear of nothing: then the process is ended from beside it."""

_ASK_EVERY_S = 2.0
_CONNECT_S = 2.0


class HeadWatch:
    """Asks the head's port now and then. `address` is `host:port`."""

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        host, _, port = address.rpartition(":")
        self._address, self._clock = address, clock
        self._place = (host.strip("[]"), int(port))
        self._asked = self._answered = clock()
        self._is_there = True
        self._closed = threading.Event()

    def guard(self, end: Callable[[int], object] = os._exit, ask_every_s: float = _ASK_EVERY_S) -> None:
        """From a thread: end this process with a word and its exit code, if nobody else did in time."""
        threading.Thread(target=self._guard, args=(end, ask_every_s), daemon=True).start()

    def close(self) -> None:
        """Guard no more."""
        self._closed.set()

    def is_there(self) -> bool:
        """Whether the head answered when it was last asked. Raises `TryAgainError` once it is gone for good."""
        now = self._clock()
        if now - self._asked >= _ASK_EVERY_S:
            self._asked = now
            self._is_there = self._answers()
            if self._is_there:
                self._answered = now
        if now - self._answered > PATIENCE_S:
            raise TryAgainError(self._told())
        return self._is_there

    @property
    def is_lost(self) -> bool:
        """Whether it did not answer when it was last asked, so that nothing more should be asked of it."""
        return not self._is_there

    def _guard(self, end: Callable[[int], object], ask_every_s: float) -> None:
        answered = self._clock()
        while not self._closed.wait(ask_every_s):
            now = self._clock()
            if self._answers():
                answered = now
            elif now - answered > LAST_WORD_S:
                sys.stderr.write(f"curate: {self._told()}\n")
                sys.stderr.flush()
                end(TryAgainError.exit_code)
                return

    def _told(self) -> str:
        return (
            f"the head of the Ray cluster at {self._address} has not answered for {PATIENCE_S:.0f} s; "
            "start it again, then run the same command again: it resumes"
        )

    def _answers(self) -> bool:
        try:
            socket.create_connection(self._place, _CONNECT_S).close()
        except OSError:
            return False
        return True
