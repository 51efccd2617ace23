"""A Ray cluster of several nodes on this machine: with a token, on loopback alone, each to be killed by its pids."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.cluster.settings import NODE_LABEL

_TRIES = 3


@dataclass(frozen=True)
class Raylet:
    """A node: the process that holds it, the address of its cluster, and its raylet's pid."""

    process: subprocess.Popen[str]
    address: str
    pid: int

    def kill(self) -> None:
        """As a machine that goes away: SIGKILL to the raylet first, then to its workers and all the rest."""
        family = _family(self.process.pid)
        for pid in (self.pid, *family):
            _kill(pid)
        self._see_off()

    def close(self) -> None:
        """Let it end all that it started."""
        self._see_off()

    def _see_off(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()


@dataclass
class Cluster:
    """A head without CPUs, and nodes that join it. `environment` is what a driver needs to come in."""

    folder: Path
    environment: dict[str, str]
    nodes: list[Raylet] = field(default_factory=list)
    head: Raylet | None = None

    def start_head(self) -> Raylet:
        """A head, without a CPU of its own."""
        self.head = self._start(is_head=True, num_cpus=0, temp_dir=str(self.folder))
        return self.head

    def start_node(self, label: str | None = None, cpus: int = 1, gpus: int = 0, **environment: str) -> Raylet:
        """A node of its own, with an environment of its own. Its GPUs are those that it says it has."""
        assert self.head is not None
        labels = {} if label is None else {NODE_LABEL: label}
        address = self.head.address
        return self._start(environment, is_head=False, num_cpus=cpus, num_gpus=gpus, gcs_address=address, labels=labels)

    @property
    def address(self) -> str:
        assert self.head is not None
        return self.head.address

    def close(self) -> None:
        for node in reversed(self.nodes):
            node.close()

    def _start(self, environment: dict[str, str] | None = None, **asked: Any) -> Raylet:
        """Ray gives a node 30 s to come up, which a busy machine may not have: then once more."""
        for _ in range(_TRIES):
            process, line = self._begin(environment or {}, asked)
            if line:
                told = json.loads(line)
                node = Raylet(process, told["address"], told["raylet"])
                self.nodes.append(node)
                return node
            process.communicate()
        raise AssertionError("a node did not start")

    def _begin(self, environment: dict[str, str], asked: dict[str, Any]) -> "tuple[subprocess.Popen[str], str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.raylet", json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[1],
            env=os.environ | self.environment | environment,
        )
        assert process.stdout is not None
        return process, process.stdout.readline()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster with a head; all of it is gone in the end."""
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(24),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback is taken at its word
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # sockets do not bear the long paths of a test
        made = Cluster(Path(folder), environment)
        try:
            made.start_head()
            yield made
        finally:
            made.close()


def _family(root: int) -> list[int]:
    """A process and all that descend from it."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:  # it ended meanwhile
            continue
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
