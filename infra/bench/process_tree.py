"""What a process and all below it used: CPU by the kernel's account, ended children included, and peak memory."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY_S = 1.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_RAY_AGENTS = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")
"""Daemons of each node that name themselves as if they were tasks."""


@dataclass(frozen=True)
class TreeProcess:
    """One process of a tree. `reaped_cpu_s` is that of its children that ended and of theirs."""

    pid: int
    role: str
    cpu_s: float
    reaped_cpu_s: float


@dataclass
class TreeUsage:
    """CPU seconds and, in MiB, peaks of proportional memory (PSS), of the whole tree and of each role.

    `peak_of_one_mib`: by role, the most that a single process of it ever had resident, by the kernel's own account.
    `foreign_cpu_s` is what the machine spent meanwhile on everybody else, the meter included, the image server not.
    """

    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)
    peak_of_one_mib: dict[str, float] = field(default_factory=dict)
    foreign_cpu_s: float = 0.0
    server_cpu_s: float = 0.0


class TreeMeter:
    """Meters the tree below `root` from enter to exit, which must come before the root ends.

    CPU that a role's ended children used counts for the role that `reaped_as` names (their own, if it names none).
    """

    def __init__(
        self,
        root: int,
        server: int | None = None,
        role_of: Callable[[str, bytes], str] = lambda parent_role, command: parent_role,
        reaped_as: dict[str, str] | None = None,
        every_s: float = EVERY_S,
    ) -> None:
        self.usage = TreeUsage()
        self._root, self._server = root, server
        self._role_of, self._reaped_as = role_of, reaped_as or {}
        self._every_s = every_s
        self._metering_cpu_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._first = self._cpu_by_role()
        self._server_first, self._busy_first = self._server_cpu_s(), _machine_busy_s()
        self._sample_memory()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample_memory()
        last = self._cpu_by_role()
        if self._root == os.getpid():  # looking at twelve processes takes 45 ms of CPU
            last["root"] -= self._metering_cpu_s
        self.usage.cpu_s = {role: round(cpu - self._first.get(role, 0.0), 2) for role, cpu in sorted(last.items())}
        self.usage.server_cpu_s = round(self._server_cpu_s() - self._server_first, 2)
        foreign = _machine_busy_s() - self._busy_first - sum(self.usage.cpu_s.values()) - self.usage.server_cpu_s
        self.usage.foreign_cpu_s = round(max(0.0, foreign), 2)

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            self._sample_memory()
        self._metering_cpu_s = time.thread_time()

    def _sample_memory(self) -> None:
        sizes: dict[str, float] = {"all": 0.0}
        peaks, highest = self.usage.peak_mib, self.usage.peak_of_one_mib
        for process in tree_of(self._root, self._role_of):
            size = _memory_mib(process.pid, "smaps_rollup", "Pss")
            sizes["all"] += size
            sizes[process.role] = sizes.get(process.role, 0.0) + size
            highest[process.role] = max(highest.get(process.role, 0.0), _memory_mib(process.pid, "status", "VmHWM"))
        for role, size in sizes.items():
            peaks[role] = max(peaks.get(role, 0.0), round(size, 1))

    def _cpu_by_role(self) -> dict[str, float]:
        used: dict[str, float] = {}
        for process in tree_of(self._root, self._role_of):
            used[process.role] = used.get(process.role, 0.0) + process.cpu_s
            reaped_role = self._reaped_as.get(process.role, process.role)
            used[reaped_role] = used.get(reaped_role, 0.0) + process.reaped_cpu_s
        return used

    def _server_cpu_s(self) -> float:
        if self._server is None:
            return 0.0
        return sum(process.cpu_s + process.reaped_cpu_s for process in tree_of(self._server))


def tree_of(root: int, role_of: Callable[[str, bytes], str] = lambda parent, _: parent) -> Iterator[TreeProcess]:
    """The root, whose role is `root`, and all below it; a child's role is made of its parent's and its command."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(entry)) is not None:
            stats[int(entry.name)] = stat
    if root not in stats:
        return
    roles = {root: "root"}
    yield TreeProcess(root, "root", *stats[root][1:])
    while found := [pid for pid, stat in stats.items() if stat[0] in roles and pid not in roles]:
        for pid in found:
            roles[pid] = role_of(roles[stats[pid][0]], _command(pid))
            yield TreeProcess(pid, roles[pid], *stats[pid][1:])


def ray_role(parent_role: str, command: bytes) -> str:
    """The root drives; what Ray runs tasks in, and what these start, are workers; the rest are Ray's daemons."""
    is_task = command.startswith(b"ray::") and not command.startswith(_RAY_AGENTS)
    is_worker = any(argument.endswith(b"/default_worker.py") for argument in command.split(b"\0"))
    return "workers" if parent_role == "workers" or is_task or is_worker else "daemons"


RAY_REAPED = {"daemons": "workers"}
"""What Ray's daemons reaped were workers."""

RAY_PRIORITY = {"RAY_worker_niceness": "0"}
"""For the environment before Ray starts: by its own 15, whoever else is busy on the machine goes before our workers."""


def _stat(process: Path) -> tuple[int, float, float] | None:
    """Parent, CPU seconds, CPU seconds of reaped children; None where the process is gone."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    user, system, children_user, children_system = (int(value) for value in fields[11:15])
    return int(fields[1]), (user + system) * _TICK_S, (children_user + children_system) * _TICK_S


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _memory_mib(pid: int, file: str, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith(f"{name}:")), 0.0)


def _machine_busy_s() -> float:
    """CPU seconds that all processes of the machine have used: user, nice, system and interrupts."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(value) for value in fields[:7])
    return (user + nice + system + irq + softirq) * _TICK_S
