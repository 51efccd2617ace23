"""What a call of `curate run` came to, for CI: one JSON object, whether it ended well or not."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
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


@contextmanager
def summarised(place: str | None, out: str, log: LiveLine) -> Iterator[Summary]:
    """Write what the block came to to the file `place`, to standard output for `-`, or nowhere for None.

    What the block raised goes on. A log for programs is told of it, and then nobody else need be: only the exit code
    is left.
    """
    _check(place)
    summary, began = Summary(out, is_printed=place == STDOUT), time.monotonic()
    error: str | None = None
    exit_code = 1
    try:
        yield summary
        exit_code = 0
    except typer.Exit as end:
        exit_code = end.exit_code
        raise
    except (CurateError, KeyboardInterrupt) as fault:
        exit_code, error = _told(fault)
        if isinstance(log, JsonLog):
            raise typer.Exit(exit_code) from fault
        raise
    except BaseException as fault:
        exit_code = DiskError.exit_code if is_out_of_room(fault) else 1
        error = f"{type(fault).__name__}: {fault}"
        raise
    finally:
        if error is not None and isinstance(log, JsonLog):
            log.error(error, exit_code)
        with suppress(DiskError) if error is not None else nullcontext():  # the first fault is the one to be told
            _write(place, summary.as_json(exit_code, error, time.monotonic() - began))


def _check(place: str | None) -> None:
    if place in (None, STDOUT):
        return
    path = Path(place).absolute()
    if not path.parent.is_dir():
        raise UsageError(f"--summary {place}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise UsageError(f"--summary {place}: is a folder; name a file in it")


def _told(fault: CurateError | KeyboardInterrupt) -> tuple[int, str]:
    """The exit code, and the words."""
    if isinstance(fault, CurateError):
        return fault.exit_code, str(fault)
    return INTERRUPTED_EXIT, "interrupted; run the same command again to go on"


def _write(place: str | None, summary: dict[str, Any]) -> None:
    text = json.dumps(summary, ensure_ascii=False)
    if place == STDOUT:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    elif place is not None:
        put_whole(Path(place).absolute(), text.encode() + b"\n")
