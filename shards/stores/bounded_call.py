"""A call that ends in time: a network library that waits for one byte after another may take for ever."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def within(longest_s: float, call: Callable[[], T]) -> T:
    """What the call gives or raises. Raises `TimeoutError` where it has not ended in time.

    Such a call is left to itself, in a thread that keeps no process alive: it may still take effect.
    """
    ended: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    threading.Thread(target=copy_context().run, args=(_make, call, ended), daemon=True).start()
    try:
        value, fault = ended.get(timeout=longest_s)
    except Empty:
        raise TimeoutError(f"not done after {longest_s:g} s") from None
    if fault is not None:
        raise fault
    return value  # type: ignore[return-value]  # None is what the call gave, too


def _make(call: Callable[[], T], ended: "SimpleQueue[tuple[T | None, BaseException | None]]") -> None:
    try:
        ended.put((call(), None))
    except BaseException as fault:  # noqa: BLE001 - it is raised where the call was made
        ended.put((None, fault))
