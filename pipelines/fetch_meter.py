"""How the downloads get on: what running fetch parts report of themselves, added up for whoever watches."""

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.tasks import Task

_EVERY_S = 2.0
_FILES_PER_S = 200
_WINDOW_S = 30.0
_MAX_BYTES = 65_536
_TOP_REASONS = 3
_SLOWEST = 3


@dataclass
class _Counts:
    requests: int = 0
    images: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)

    def add(self, other: "_Counts") -> None:
        self.requests += other.requests
        self.images += other.images
        self.bytes += other.bytes
        self.reasons.update(other.reasons)
        self.waiting.update(other.waiting)

    @property
    def num_settled(self) -> int:
        return self.images + self.reasons.total()


class FetchMeter:
    """Adds up the reports of parts: those that ended, by their records, and those that run, by the files they leave."""

    def __init__(self) -> None:
        self._ended = _Counts()
        self._files: dict[tuple[int, str], Path] = {}
        self._live: dict[tuple[int, str], _Counts] = {}
        self._read_at = float("-inf")
        self._window: deque[tuple[float, int, int]] = deque()

    def start(self, task: Task, folder: Path) -> None:
        """A part begins: what a dead attempt at it said is forgotten."""
        path = live_report_path(folder, task)
        path.unlink(missing_ok=True)
        self._files[task.index, task.fingerprint] = path

    def stop(self, task: Task) -> None:
        """An attempt ended without a record."""
        self._files.pop((task.index, task.fingerprint), None)
        self._live.pop((task.index, task.fingerprint), None)

    def end(self, task: Task, report: object) -> None:
        """A part is committed; `report` is what its record says."""
        self.stop(task)
        counts = _counts_of(report)
        if counts is not None:
            counts.waiting.clear()
            self._ended.add(counts)

    def read(self, now: float) -> None:
        """Look at the running parts' reports, every two seconds (less often where many parts run)."""
        if now - self._read_at < max(_EVERY_S, len(self._files) / _FILES_PER_S):
            return
        self._read_at = now
        for key, path in self._files.items():
            counts = _read(path)
            if counts is not None:
                self._live[key] = counts
        total = self._total()
        self._window.append((now, total.images, total.bytes))
        while len(self._window) > 2 and self._window[0][0] < now - _WINDOW_S:
            self._window.popleft()

    def line(self) -> str | None:
        """Rates of the last half minute, the share that was stored, why the rest fell, and where most is waiting."""
        total = self._total()
        if len(self._window) < 2 or not total.num_settled:
            return None
        (first, images, size), (last, images_now, size_now) = self._window[0], self._window[-1]
        seconds = max(last - first, 1e-6)
        # A part that begins again takes back what its dead attempt had counted.
        rates = _rates(max(0, images_now - images) / seconds, max(0, size_now - size) / seconds)
        return ", ".join([rates, *_fates(total), *_slowest(total)])

    def summary(self, seconds: float) -> str | None:
        """The whole stage, from the records of the parts that it made."""
        total = self._ended
        if not total.num_settled or seconds <= 0:
            return None
        rates = _rates(total.images / seconds, total.bytes / seconds)
        return ", ".join([f"{total.images} images stored", f"{total.requests} requests", rates, *_fates(total)])

    def _total(self) -> _Counts:
        total = _Counts()
        for counts in (self._ended, *self._live.values()):
            total.add(counts)
        return total


def live_report_path(folder: Path, task: Task) -> Path:
    """Where a running fetch part says how it gets on."""
    return folder / f".part-{task.index:06d}-{task.fingerprint[:8]}.live.json"


def _read(path: Path) -> _Counts | None:
    try:
        with path.open("rb") as file:
            return _counts_of(json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError):  # not there yet, or being written: the next look will do
        return None


def _counts_of(report: object) -> _Counts | None:
    """A report as counts, or None for what is none: it comes from a file that another version may have written."""
    if not isinstance(report, Mapping):
        return None
    try:
        return _Counts(
            requests=int(report["requests"]),
            images=int(report["images"]),
            bytes=int(report["bytes"]),
            reasons=Counter({str(reason): int(count) for reason, count in _pairs(report["reasons"])}),
            waiting=Counter({str(host): int(count) for host, count in report["slowest"]}),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _pairs(reasons: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(reasons.items()) if isinstance(reasons, Mapping) else []


def _rates(images_per_s: float, bytes_per_s: float) -> str:
    return f"{images_per_s:.1f} images/s, {bytes_per_s / 1e6:.2f} MB/s"


def _fates(total: _Counts) -> list[str]:
    most = sorted(total.reasons.items(), key=lambda item: (-item[1], item[0]))[:_TOP_REASONS]
    fallen = [f"{reason} {count / total.num_settled:.1%}" for reason, count in most]
    return [f"{total.images / total.num_settled:.1%} stored", *fallen]


def _slowest(total: _Counts) -> list[str]:
    most = sorted(total.waiting.items(), key=lambda item: (-item[1], item[0]))[:_SLOWEST]
    return ["waiting: " + ", ".join(f"{host} {count}" for host, count in most)] if most else []
