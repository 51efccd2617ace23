"""How long a model had work: by the GPU's own clock where it is on one, by this machine's elsewhere."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Busy(Protocol):
    """Adds up the seconds in which a model had work."""

    def working(self) -> Any:
        """A context: inside, the model is given work."""
        ...

    def seconds(self) -> float:
        """All so far."""
        ...


class BusyHere:
    """Of a model that does its work before it answers."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._seconds = clock, 0.0

    @contextmanager
    def working(self) -> Iterator[None]:
        began = self._clock()
        try:
            yield
        finally:
            self._seconds += self._clock() - began

    def seconds(self) -> float:
        return self._seconds


class BusyGpu:
    """Of a model on a GPU, which takes work and does it later: events among that work tell from when to when.

    `cuda` is torch's.
    """

    def __init__(self, device: str, cuda: Any) -> None:
        self._device, self._cuda, self._seconds = device, cuda, 0.0
        self._under_way: deque[tuple[Any, Any]] = deque()

    @contextmanager
    def working(self) -> Iterator[None]:
        began = self._event()
        try:
            yield
        finally:
            self._under_way.append((began, self._event()))
            while self._under_way and self._under_way[0][1].query():
                self._add_first()

    def seconds(self) -> float:
        """Waits for the work that was given."""
        while self._under_way:
            self._under_way[0][1].synchronize()
            self._add_first()
        return self._seconds

    def _add_first(self) -> None:
        began, ended = self._under_way.popleft()
        self._seconds += began.elapsed_time(ended) / 1000

    def _event(self) -> Any:
        event = self._cuda.Event(enable_timing=True)
        event.record(self._cuda.current_stream(self._device))
        return event


def busy_on(device: str) -> Busy:
    """What tells of a model on this device."""
    if not device.startswith("cuda"):
        return BusyHere()
    from filters.clip.torch_towers import cuda_of_torch

    return BusyGpu(device, cuda_of_torch())
