"""A call that ends in time: a network library that waits for one byte after another may take for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def within(longest_s: float, call: Callable[[], T]) -> T:
    """What the call gives or raises. Raises `TimeoutError` where it has not ended in time.

    Such a call is left to itself, in a thread that keeps no process alive: it may still take effect.
    """
    answer: Future[T] = Future()
    threading.Thread(target=copy_context().run, args=(_make, call, answer), daemon=True).start()
    if not wait([answer], longest_s).done:
        raise TimeoutError(f"not done after {longest_s:g} s")
    return answer.result()


def _make(call: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(call())
    except BaseException as fault:  # noqa: BLE001 - it is raised where the call was made
        answer.set_exception(fault)
