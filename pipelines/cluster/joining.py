"""How a process of ours comes to Ray: the environment that it reads, one of our own, and a cluster that is joined."""

import logging
import os
import re
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from shards.errors import TryAgainError, UsageError

PACKAGES = ("shards", "crawler", "filters", "dedup", "pipelines")
_OTHER_VERSION = "Version mismatch"
_MOST_SAID = 300
_CONNECT_S = 10.0
_OBJECT_STORE_BYTES = 100 * 1024 * 1024
_TOO_LATE = re.compile(r"timed[ -]?out|time ?out|deadline|overloaded|no node info found|failed to get node info", re.I)
"""Ray has no class for a start that took too long: it raises `Exception` and `RuntimeError` in these words."""


def prepare_environment(local: bool) -> None:
    """Ray reads these before it starts; nothing of them reaches a released byte."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")
    if local:
        # Without it ray takes 127.0.0.1 for the machine's outward address, and binds that and all interfaces.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


def start_alone(ray: Any, num_cpus: int) -> None:
    """Start Ray for this process alone. Raises `TryAgainError` where it does not come up in its time."""
    with _InTime("Ray did not start on this machine in its time"):
        ray.init(
            address="local",  # never a cluster that somebody else started on this machine
            num_cpus=num_cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
        )


class _InTime:
    """Inside, Ray starts or is joined; that it takes too long becomes a `TryAgainError`, which begins with `what`."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(fault, Exception) and (isinstance(fault, TimeoutError) or _TOO_LATE.search(str(fault))):
            raise TryAgainError(
                f"{self._what} ({_one_line(fault)[:_MOST_SAID]}); the machine may be overloaded or short of memory: "
                "let other work end, then run the same command again: it resumes"
            ) from fault


def join_cluster(ray: Any, address: str) -> None:
    """Join a running cluster and bring this very code to its nodes. Raises `UsageError`, or `TryAgainError`."""
    _check_address(address)
    modules = [str(Path(__file__).parents[2] / package) for package in PACKAGES]
    try:
        with _InTime(f"--address {address}: the Ray cluster did not let this process join in its time"):
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"py_modules": modules},
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        if _OTHER_VERSION in str(error):
            raise UsageError(
                f"--address {address}: the cluster has another Python or Ray than this process: {_one_line(error)}; "
                "use one image, or install the same wheel and Python on both"
            ) from error
        raise UsageError(
            f"--address {address}: no Ray cluster answers there, or it asks for another token "
            f"({_one_line(error)[:_MOST_SAID]}); start one by `ray start --head`, give its token in RAY_AUTH_TOKEN or "
            "in a file that RAY_AUTH_TOKEN_PATH names, or leave --address out to run on this machine"
        ) from error


def _check_address(address: str) -> None:
    """Ray waits for minutes where nobody listens."""
    host, colon, port = address.rpartition(":")
    if not colon or "://" in address or not port.isdigit():
        return  # `auto`, which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--address {address}: no Ray cluster answers there ({error}); "
            "start one with `ray start --head`, or leave --address out to run on this machine"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
