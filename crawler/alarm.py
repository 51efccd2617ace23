"""Sleeping until a moment, to a tenth of a millisecond: an event loop's own timers are up to two milliseconds late."""

import asyncio
import ctypes
import heapq
import itertools
import os
import struct
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME of timerfd_settime(2)
_MOMENT = struct.Struct("@llll")  # struct itimerspec: no interval; seconds and nanoseconds


class Alarm:
    """Wakes tasks of one event loop. Where the system has no timerfd(2), the loop's own timers have to do."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._system = ctypes.CDLL(None)
        has_timers = sys.platform == "linux" and hasattr(self._system, "timerfd_create")
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._timer = self._system.timerfd_create(_CLOCK_MONOTONIC, flags) if has_timers else -1
        if self._timer >= 0:
            self._loop.add_reader(self._timer, self._ring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer >= 0:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)

    async def sleep(self, seconds: float) -> None:
        """Like asyncio.sleep, but on time."""
        if self._timer < 0:
            await asyncio.sleep(seconds)
            return
        woken = self._loop.create_future()
        call = (time.monotonic() + seconds, next(self._numbers), woken)
        heapq.heappush(self._waiting, call)
        if self._waiting[0] is call:
            self._set(call[0])
        await woken

    def _set(self, moment: float) -> None:
        """A moment that is past rings at once."""
        seconds, nanoseconds = divmod(max(1, round(moment * 1e9)), 10**9)
        self._system.timerfd_settime(self._timer, _ABSOLUTE, _MOMENT.pack(0, 0, seconds, nanoseconds), None)

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._timer, 8)
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, woken = heapq.heappop(self._waiting)
            if not woken.done():  # nor cancelled
                woken.set_result(None)
        if self._waiting:
            self._set(self._waiting[0][0])
