"""What a call's fault means: whether another try can heal it, what it is counted as, and how its story is told."""

import traceback

from pipelines.cluster.call import NodeLostError, WorkerDiedError
from pipelines.tasks import Task
from pipelines.tries import Cause
from pipelines.workers import TaskFailedError
from shards.errors import BadInputError, CurateError, DiskError, TryAgainError, UsageError

_FINAL = (UsageError, BadInputError, DiskError, TryAgainError)
"""Faults that another try cannot heal: they end the run, resumable."""

QUIET_S = 5.0
"""How long a lane rests after its worker died: Ray may tell of a death while that worker's last requests still run."""


def stop_for_good(fault: Exception) -> None:
    """Raises what another try cannot heal."""
    if isinstance(fault, _FINAL):
        raise fault


def rest_s(task: Task, fault: Exception) -> float:
    """How long nobody may ask the lane's hosts: their last requests may still run where the worker died."""
    return QUIET_S if isinstance(fault, WorkerDiedError) and task.lane is not None else 0.0


def cause_of(fault: Exception) -> Cause:
    """What an attempt ended of, as it is counted."""
    if isinstance(fault, NodeLostError):
        return "node_lost"
    return "worker_died" if isinstance(fault, WorkerDiedError) else "failed"


def story_of(fault: BaseException) -> tuple[str, str]:
    """Drop reason and traceback of a row that is set aside."""
    if isinstance(fault, WorkerDiedError):
        return "worker_oom", str(fault)
    if isinstance(fault, TaskFailedError):
        return "bad_row", fault.story
    if isinstance(fault, CurateError):
        return "bad_row", f"{type(fault).__name__}: {fault}"
    return "bad_row", "".join(traceback.format_exception(fault))
