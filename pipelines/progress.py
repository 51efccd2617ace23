"""Progress for people: a live line per stage with rate, ETA and keep share, or plain lines where nobody watches."""

import os
import sys
import time
from collections import defaultdict
from typing import TextIO

from pipelines.fetch_meter import FetchMeter
from pipelines.tasks import Batch, Task
from shards.parts import Record, StepFolder

_PLAIN_EVERY_S = 10.0
_USUAL_COLUMNS = 120


class Progress:
    """Counts parts and rows of the stage that runs. Clocks are used here for display alone."""

    def __init__(self, stream: TextIO = sys.stderr, live: bool | None = None) -> None:
        self._stream = stream
        self._live = stream.isatty() if live is None else live
        self._stage = ""
        self._listings: dict[str, set[tuple[int, str]]] = {}
        self._reset()

    def _reset(self) -> None:
        self._started = time.monotonic()
        self._shown = self._started
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

    def skip(self, task: Task, record: Record) -> None:
        """A part was committed before."""
        self._skipped += 1
        self._count(task, record)

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
        self._count(task, record)

    def _count(self, task: Task, record: Record) -> None:
        if task.step == self._stage:
            for reason, number in record.counts.items():
                self._counts[reason] += number

    def tick(self) -> None:
        """Show where the stage stands, as often as the reader can use it."""
        now = time.monotonic()
        self._downloads.read(now)
        if now - self._shown >= (0.5 if self._live else _PLAIN_EVERY_S):
            self._shown = now
            self._show(self._line(now))

    def note(self, text: str) -> None:
        """A line that stays, such as a retry."""
        if self._live:
            self._stream.write("\r\x1b[2K")
        self._stream.write(_printable(text) + "\n")
        self._stream.flush()

    def end(self, stage: str) -> None:
        """The stage is complete."""
        if stage != self._stage:
            return
        if self._parts == 0:
            self.note(f"{stage:8} as before, {self._skipped} parts skipped{self._keep_share()}")
        else:
            seconds = time.monotonic() - self._started
            skipped = f", {self._skipped} skipped" if self._skipped else ""
            self.note(
                f"{stage:8} {self._parts} parts{skipped}, {self._rows} rows in {seconds:.1f} s{self._keep_share()}"
            )
            downloads = self._downloads.summary(seconds)
            if downloads is not None:
                self.note(f"{'':8} {downloads}")

    def _line(self, now: float) -> str:
        done, seconds = self._skipped + self._parts, max(now - self._started, 1e-6)
        left = self._planned - done
        eta = f", ETA {left * seconds / self._parts:.0f} s" if self._parts and left else ""
        rate = f", {self._rows / seconds:.0f} rows/s" if self._rows else ""
        downloads = self._downloads.line()
        live = f"; {downloads}" if downloads is not None else ""
        return f"{self._stage:8} {done}/{self._planned} parts{rate}{eta}{self._keep_share()}{live}"

    def _keep_share(self) -> str:
        total = sum(self._counts.values())
        kept = self._counts.get("standing", 0) + self._counts.get("kept", 0)
        return f", {kept / total:.1%} stand" if total else ""

    def _show(self, line: str) -> None:
        line = _printable(line)
        self._stream.write(f"\r\x1b[2K{line[: self._columns() - 1]}" if self._live else line + "\n")
        self._stream.flush()

    def _columns(self) -> int:
        """The terminal's width: a line that wraps could not be written over."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _USUAL_COLUMNS
        except (OSError, ValueError):
            return _USUAL_COLUMNS


def _printable(text: str) -> str:
    """No control characters of a hostile page reach a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)
