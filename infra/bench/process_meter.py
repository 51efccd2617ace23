"""What a process and its descendants use while something runs: CPU seconds and memory, read from /proc."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_EVERY_S = 0.5
_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
_ROLES = ("driver", "workers", "daemons")


@dataclass
class Usage:
    """CPU seconds by role, and peaks of memory in MiB.

    `peak_mib` is of driver and workers together and proportional (PSS: pages that several share are counted once);
    `peak_of_one_worker_mib` is resident memory.
    """

    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0
    peak_anonymous_mib: float = 0.0
    peak_of_one_worker_mib: float = 0.0
    foreign_cpu_s: float = 0.0


class ProcessMeter:
    """Samples this process (the driver), its Ray workers and Ray's daemons twice a second.

    A process's CPU seconds are those it had when last seen less those when first seen; Ray's daemons are
    metered for CPU alone. `foreign_cpu_s` is what the machine spent on everybody else meanwhile.
    """

    def __init__(self) -> None:
        self.usage = Usage()
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._roles: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._busy_s = _machine_busy_s()
        self._sample(is_first=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()
        for role in _ROLES:
            mine = [pid for pid, its_role in self._roles.items() if its_role == role]
            self.usage.cpu_s[role] = round(sum(self._last[pid] - self._first[pid] for pid in mine), 2)
        busy_s = _machine_busy_s() - self._busy_s
        self.usage.foreign_cpu_s = round(max(0.0, busy_s - sum(self.usage.cpu_s.values())), 2)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._sample()

    def _sample(self, is_first: bool = False) -> None:
        total = anonymous = 0.0
        for pid, role, cpu_s in _family(os.getpid()):
            self._roles[pid] = role
            self._last[pid] = cpu_s
            # Who was born after the start has used nothing before it.
            self._first.setdefault(pid, cpu_s if is_first else 0.0)
            if role != "daemons":
                whole, private = _memory_mib(pid)
                total, anonymous = total + whole, anonymous + private
            if role == "workers":
                self.usage.peak_of_one_worker_mib = max(self.usage.peak_of_one_worker_mib, _highest_mib(pid))
        self.usage.peak_mib = max(self.usage.peak_mib, round(total, 1))
        self.usage.peak_anonymous_mib = max(self.usage.peak_anonymous_mib, round(anonymous, 1))


def _family(root: int) -> Iterator[tuple[int, str, float]]:
    """(pid, role, CPU seconds) of a process and all below it."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(entry)) is not None:
            stats[int(entry.name)] = stat
    known = {root}
    yield root, "driver", stats[root][1]
    while found := {pid for pid, (parent, _) in stats.items() if parent in known and pid not in known}:
        for pid in sorted(found):
            yield pid, _role(pid), stats[pid][1]
        known |= found


def _stat(process: Path) -> tuple[int, float] | None:
    """Parent and CPU seconds, or None where the process is gone."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) * _TICKS_S


def _role(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return "daemons"
    return "workers" if command.startswith(b"ray::") or b"default_worker.py" in command else "daemons"


def _memory_mib(pid: int) -> tuple[float, float]:
    """Proportional memory of a process, all of it and what no file backs."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines[1:]}
    return sizes.get("Pss", 0.0), sizes.get("Pss_Anon", 0.0)


def _highest_mib(pid: int) -> float:
    """The most memory that a process ever had resident, by the kernel's own account, so that no peak is missed."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM")), 0.0)


def _machine_busy_s() -> float:
    """CPU seconds that all processes of the machine have used: user, nice, system and interrupts."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(value) for value in fields[:7])
    return (user + nice + system + irq + softirq) * _TICKS_S
