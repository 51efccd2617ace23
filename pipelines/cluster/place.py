"""Where a call may run, beyond its shares of processors: the node, the memory, and what it must stay away from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Place:
    """`node`: the value of the nodes' label; `memory_mb`: what the call may hold at most.

    `away_from` is the handle of a running call, on whose node this one should not be. `needs_gpu`: it waits for a GPU
    where a cluster has none yet, instead of running without.
    """

    node: str | None = None
    memory_mb: int | None = None
    away_from: object | None = None
    needs_gpu: bool = False


ANYWHERE = Place()


@runtime_checkable
class PlacingPool(Protocol):
    """A pool that has places to choose among, and can take a call back."""

    def start_at(
        self, place: Place, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0
    ) -> object:
        """As `Pool.start`, at a place. It waits for one; `Pool.wait` raises `TryAgainError` when it waited in vain."""
        ...

    def has_begun(self, handle: object) -> bool:
        """Whether a call runs already, rather than waiting for room."""
        ...

    def cancel(self, handle: object) -> None:
        """End a call, whatever it is doing; `wait` tells when it is over."""
        ...
