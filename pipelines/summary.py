"""What a call of `curate run` came to, for CI: one JSON object, whether it ended well or not."""

import json
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from pipelines.json_log import JsonLog
from pipelines.live_line import LiveLine
from pipelines.part_of_source import STATS_KEY
from shards.errors import CurateError, DiskError, UsageError, is_out_of_room
from shards.storage import put_whole

INTERRUPTED_EXIT = 130
STDOUT = "-"
_STATES = {0: "done", 3: "done", INTERRUPTED_EXIT: "interrupted"}


@dataclass
class Summary:
    """The figures of a call, as far as it came."""

    out: str
    is_printed: bool = False
    """Whether it goes to standard output, which then has nothing else."""

    stats: dict[str, Any] | None = None
    dead_rows: int = 0

    def as_json(self, exit_code: int, error: str | None, seconds: float) -> dict[str, Any]:
        """`state` is done, interrupted or failed; figures are null where there is no release."""
        stats = self.stats or {}
        drops: dict[str, dict[str, int]] = {}
        for entry in stats.get("drops", []):
            drops.setdefault(entry["stage"], {})[entry["reason"]] = entry["samples"]
        return {
            "state": _STATES.get(exit_code, "failed"),
            "exit_code": exit_code,
            "error": error,
            "out": self.out,
            STATS_KEY: stats.get(STATS_KEY),
            "seconds": round(seconds, 1),
            **{name: stats.get(name) for name in ("candidates", "merged", "samples", "kept", "dropped", "shards")},
            "drops": drops,
            "dead_rows": self.dead_rows,
        }


class Summarised:
    """Writes what a block came to to the file `place`, to standard output for `-`, or nowhere for None.

    What the block raised goes on. A log for programs is told of it, and then nobody else need be: only the exit code
    is left.

    Raises:
        UsageError: the folder of `place` is not there, or it is a folder.
    """

    def __init__(self, place: str | None, out: str, log: LiveLine) -> None:
        _check(place)
        self._place, self._log = place, log
        self._summary, self._began = Summary(out, is_printed=place == STDOUT), time.monotonic()

    def __enter__(self) -> Summary:
        return self._summary

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        exit_code, error = _end(fault)
        if error is not None and isinstance(self._log, JsonLog):
            self._log.error(error, exit_code)
        with suppress(DiskError) if error is not None else nullcontext():  # the first fault is the one to be told
            _write(self._place, self._summary.as_json(exit_code, error, time.monotonic() - self._began))
        if isinstance(self._log, JsonLog) and isinstance(fault, (CurateError, KeyboardInterrupt)):
            raise typer.Exit(exit_code) from fault


def _check(place: str | None) -> None:
    if place in (None, STDOUT):
        return
    path = Path(place).absolute()
    if not path.parent.is_dir():
        raise UsageError(f"--summary {place}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise UsageError(f"--summary {place}: is a folder; name a file in it")


def _end(fault: BaseException | None) -> tuple[int, str | None]:
    """The exit code and the message of a block that raised `fault`."""
    match fault:
        case None:
            return 0, None
        case typer.Exit():
            return fault.exit_code, None
        case KeyboardInterrupt():
            return INTERRUPTED_EXIT, "interrupted; run the same command again to go on"
        case CurateError():
            return fault.exit_code, str(fault)
        case _:
            return DiskError.exit_code if is_out_of_room(fault) else 1, f"{type(fault).__name__}: {fault}"


def _write(place: str | None, summary: dict[str, Any]) -> None:
    text = json.dumps(summary, ensure_ascii=False)
    if place == STDOUT:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    elif place is not None:
        put_whole(Path(place).absolute(), text.encode() + b"\n")
