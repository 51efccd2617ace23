"""How a process of ours comes to Ray: the environment that Ray reads, and a cluster that is joined."""

import logging
import os
import socket
from pathlib import Path
from typing import Any

from shards.errors import UsageError

PACKAGES = ("shards", "crawler", "filters", "dedup", "pipelines")
_OTHER_VERSION = "Version mismatch"
_MOST_SAID = 300
_CONNECT_S = 10.0


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


def join_cluster(ray: Any, address: str) -> None:
    """Join a running cluster and bring this very code to its nodes. Raises `UsageError`."""
    _check_address(address)
    modules = [str(Path(__file__).parents[2] / package) for package in PACKAGES]
    try:
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
