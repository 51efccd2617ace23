"""Progress for people: a live line per stage with rate, ETA and keep share, or plain lines where nobody watches."""

import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import TextIO

from pipelines.fetch_meter import FetchMeter
from pipelines.live_line import LiveLine
from pipelines.tasks import Batch, Task
from shards.parts import Record, StepFolder


class Progress:
    """Counts parts and rows of the stage that runs. Clocks are used here for display alone."""

    def __init__(self, stream: TextIO = sys.stderr, live: bool | None = None, line: LiveLine | None = None) -> None:
        self._line = line or LiveLine(stream, live)
        self._stage = ""
        self._listings: dict[str, set[tuple[int, str]]] = {}
        self._reset()

    def _reset(self) -> None:
        self._started = time.monotonic()
        self._line.rest()
        self._planned = self._skipped = self._parts = self._rows = 0
        self._counts: dict[str, int] = defaultdict(int)
        self._downloads = FetchMeter()

    def begin(self, stage: str, batch: Batch) -> None:
        """A batch of a stage is about to run; batches of one stage add up."""
        if stage != self._stage:
            self._stage = stage
            self._reset()
        self._planned += len(batch.tasks)
        self._listings.pop(batch.step, None)

    def committed(self, folder: StepFolder) -> set[tuple[int, str]]:
        """The folder's records, listed once a batch."""
        if folder.step not in self._listings:
            self._listings[folder.step] = folder.committed()
        return self._listings[folder.step]

    def skip(self, task: Task, counts: Mapping[str, int]) -> None:
        """A part was committed before."""
        self._skipped += 1
        self._count(task, counts)

    def start(self, task: Task, folder: StepFolder) -> None:
        """An attempt at a part begins."""
        if task.step == "fetch":
            self._downloads.start(task, folder.path)

    def failed(self, task: Task) -> None:
        """An attempt at a part ended without a record."""
        self._downloads.stop(task)

    def done(self, task: Task, record: Record) -> None:
        """A part was committed now."""
        self._parts += 1
        self._rows += record.rows
        self._downloads.end(task, record.meta.get("report"))
        self._count(task, record.counts)

    def _count(self, task: Task, counts: Mapping[str, int]) -> None:
        if task.step == self._stage:
            for reason, number in counts.items():
                self._counts[reason] += number

    def tick(self) -> None:
        """Show where the stage stands, as often as the reader can use it."""
        now = time.monotonic()
        self._downloads.read(now)
        if self._line.is_due():
            self._line.show(self._state(now), self._figures(now))

    def note(self, text: str) -> None:
        """A line that stays, such as a retry."""
        self._line.note(text)

    def end(self, stage: str) -> None:
        """The stage is complete."""
        if stage != self._stage:
            return
        now = time.monotonic()
        if self._parts == 0:
            told = f"{stage:8} as before, {self._skipped} parts skipped{self._keep_share()}"
            self._line.note(told, self._figures(now))
        else:
            seconds = now - self._started
            skipped = f", {self._skipped} skipped" if self._skipped else ""
            told = f"{stage:8} {self._parts} parts{skipped}, {self._rows} rows in {seconds:.1f} s{self._keep_share()}"
            self._line.note(told, self._figures(now))
            downloads = self._downloads.summary(seconds)
            if downloads is not None:
                self.note(f"{'':8} {downloads}")

    def _state(self, now: float) -> str:
        done, seconds = self._skipped + self._parts, max(now - self._started, 1e-6)
        left = self._planned - done
        eta = f", ETA {left * seconds / self._parts:.0f} s" if self._parts and left else ""
        rate = f", {self._rows / seconds:.0f} rows/s" if self._rows else ""
        downloads = self._downloads.line()
        live = f"; {downloads}" if downloads is not None else ""
        return f"{self._stage:8} {done}/{self._planned} parts{rate}{eta}{self._keep_share()}{live}"

    def _figures(self, now: float) -> dict[str, object]:
        """What the line says, for programs: parts, rows and seconds are of this call, reasons of all parts."""
        return {
            "stage": self._stage,
            "parts": self._parts,
            "skipped": self._skipped,
            "planned": self._planned,
            "rows": self._rows,
            "seconds": round(now - self._started, 1),
            "counts": dict(sorted(self._counts.items())),
        }

    def _keep_share(self) -> str:
        total = sum(self._counts.values())
        kept = self._counts.get("standing", 0) + self._counts.get("kept", 0)
        return f", {kept / total:.1%} stand" if total else ""
