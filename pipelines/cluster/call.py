"""What a worker does around a call: see that it is of the driver's versions, keep to its memory, bring errors home."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from pipelines.cluster.memory_limit import memory_limit
from pipelines.cluster.out_folder import unseen
from pipelines.cluster.versions import expected_versions, mismatch_here
from shards.errors import CurateError, UsageError


class WorkerDiedError(CurateError):
    """A worker process ended under its task: killed, crashed, or out of memory."""


class NodeLostError(WorkerDiedError):
    """The machine under a task went away, which says nothing about the task."""


@dataclass(frozen=True)
class Around:
    """The driver's versions, where nodes may have others; the most that a call may hold; a folder that it must see."""

    versions: tuple[tuple[str, str], ...] = ()
    needed: frozenset[str] = frozenset()
    memory_mb: int | None = None
    shared_run: str | None = None

    @classmethod
    def of_driver(cls, shared_run: str | None = None) -> "Around":
        """For calls on other machines."""
        versions, needed = expected_versions()
        return cls(tuple(sorted(versions.items())), needed, shared_run=shared_run)


def make_call(
    around: Around, where: str, function: Callable[..., Any], *arguments: object
) -> tuple[Any, CurateError | None]:
    """The function's result. Errors of ours come back as values, so that they keep their class and message."""
    wrong = _unfit(around)
    if wrong is not None:
        return None, UsageError(f"node {where} {wrong}")
    try:
        with memory_limit(around.memory_mb) if around.memory_mb else nullcontext():
            return function(*arguments), None
    except CurateError as error:
        return None, error
    except MemoryError as error:
        return None, WorkerDiedError(f"out of memory: {error or 'an allocation failed'}")


def _unfit(around: Around) -> str | None:
    """Why this machine cannot work for the driver, or None."""
    if around.versions and (wrong := mismatch_here(around.versions, around.needed)):
        return (
            f"has other packages than the driver: {wrong}; "
            "install the same wheel with infra/constraints.txt on both, or use one image"
        )
    return unseen(around.shared_run) if around.shared_run else None
