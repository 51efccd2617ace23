"""Where tasks run: Ray, started here or already running somewhere. The only file that imports ray."""

import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from shards.errors import CurateError, UsageError

PACKAGES = ("shards", "crawler", "filters", "dedup", "pipelines")


class WorkerDiedError(CurateError):
    """A worker process ended under its task: killed, crashed, or out of memory."""


class TaskFailedError(CurateError):
    """A task raised what nobody foresaw. The message is its last line; `story` is the whole traceback."""

    def __init__(self, story: str) -> None:
        self.story = _COLOURS.sub("", story).strip()
        super().__init__(self.story.splitlines()[-1])


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Pool(Protocol):
    """What the runner asks of whoever runs its tasks."""

    slots: int

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        """Begin a call somewhere, with a share of a CPU to itself, and of a GPU if there are any; return its handle."""
        ...

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        """Handles of calls that have ended, possibly none after `timeout_s`."""
        ...

    def result(self, handle: object) -> Any:
        """What the call returned. Raises what it raised, or `WorkerDiedError`."""
        ...

    def close(self) -> None: ...


class RayPool:
    """Tasks as Ray tasks of a CPU or a share of one.

    Started locally: quiet, no dashboard, token authentication, loopback only.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        _prepare_environment(local=address is None)
        import ray

        self._ray: Any = ray
        if address is None:
            self._ray.init(
                address="local",  # never a cluster that somebody else started on this machine
                num_cpus=workers or os.cpu_count() or 1,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=100 * 1024 * 1024,
                _node_ip_address="127.0.0.1",
            )
        else:
            _connect(ray, address)
        self.slots = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._has_gpus = self._ray.cluster_resources().get("GPU", 0) > 0
        self._call = ray.remote(num_cpus=1, max_retries=0)(_call)

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        # Ray keeps workers by what they ask for; few different shares, few idle workers. So a worker that scores is
        # met again with its model loaded, and Ray shows it the one GPU that it was given.
        asked = {"num_gpus": gpus} if gpus and self._has_gpus else {}
        return self._call.options(num_cpus=cpus, **asked).remote(function, *arguments)

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        done, _ = self._ray.wait(list(handles), num_returns=1, timeout=timeout_s)
        return list(done)

    def result(self, handle: object) -> Any:
        exceptions = self._ray.exceptions
        try:
            value, error = self._ray.get(handle)
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.NodeDiedError) as death:
            raise WorkerDiedError(f"the worker died under its task: {type(death).__name__}") from death
        except exceptions.RayTaskError as failure:
            raise TaskFailedError(str(failure)) from None
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        self._ray.shutdown()


def _call(function: Callable[..., Any], *arguments: object) -> tuple[Any, BaseException | None]:
    """Errors of ours come back as values, so that they keep their class and message."""
    try:
        return function(*arguments), None
    except CurateError as error:
        return None, error


def _prepare_environment(local: bool) -> None:
    """Ray reads these before it starts; nothing of them reaches a released byte."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if local:
        # Without it ray takes 127.0.0.1 for the machine's outward address, and binds that and all interfaces.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


def _connect(ray: Any, address: str) -> None:
    """Join a running cluster and bring this very code to its nodes."""
    modules = [str(Path(__file__).parent.parent / package) for package in PACKAGES]
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"py_modules": modules},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"--address {address}: no Ray cluster answers there ({error}); "
            "start one with `ray start --head`, or leave --address out to run on this machine"
        ) from error
