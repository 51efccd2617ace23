"""Tasks run by threads of this process: for work of seconds, for which a start of Ray would be much of the wait."""

import os
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import pyarrow as pa

from pipelines.workers import TaskFailedError
from shards.errors import CurateError

_KEPT_MS = 10_000
"""How long Arrow keeps memory that was freed: the next table takes it, where fresh pages would be cleared for it."""


class ThreadPool:
    """A pool of `workers` threads, for tasks that spend their time in Arrow, DuckDB and numpy, outside the interpreter.

    A task that dies takes the process with it: what it committed is found by the next call. One that runs is ended,
    not broken off, when the process is told to end.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.slots = workers or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self.slots)
        _keep_freed_memory()

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        return self._threads.submit(function, *arguments)

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        return list(wait(map(_as_call, handles), timeout_s, FIRST_COMPLETED).done)

    def result(self, handle: object) -> Any:
        fault = _as_call(handle).exception()
        if fault is not None and not isinstance(fault, CurateError):
            raise TaskFailedError("".join(traceback.format_exception(fault))) from None
        return _as_call(handle).result()

    def close(self) -> None:
        """What waits is not begun; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait for what still runs in a pool that was closed."""
        self._threads.shutdown(wait=True)


def _keep_freed_memory() -> None:
    """For the whole process, where Arrow has jemalloc; other allocators give tables' memory back as it is freed."""
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(_KEPT_MS)


def _as_call(handle: object) -> Future[Any]:
    if not isinstance(handle, Future):
        raise TypeError(f"expected a handle of `start` (got {handle!r})")
    return handle
