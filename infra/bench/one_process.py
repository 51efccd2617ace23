"""A pool for benches that run the real stages where they stand, without Ray."""

from collections.abc import Callable, Sequence
from typing import Any


class OneProcess:
    """A pool that calls at once, in this process."""

    slots = 1

    def __init__(self) -> None:
        self._results: dict[object, Any] = {}

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        handle = object()
        self._results[handle] = function(*arguments)
        return handle

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        return list(handles)

    def result(self, handle: object) -> Any:
        return self._results.pop(handle)

    def close(self) -> None:
        """Nothing was opened."""
