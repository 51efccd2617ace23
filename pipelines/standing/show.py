"""A run's standing on a terminal: one table, or one that is drawn again until the run has ended."""

import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.funnel import print_funnel
from pipelines.standing.read import RunStanding, StageStanding, StandingReader

_MOST_REASONS = 6


def show(run: Path) -> None:
    """Each stage's parts, rows and reasons so far; then the funnel, if the release is there."""
    _tell_end(run, _console(), StandingReader(run).read())


def watch(run: Path, seconds: float) -> None:
    """The same, drawn again every so many seconds, until nobody works on the run any more."""
    console, reader = _console(), StandingReader(run)
    standing = reader.read()
    with Live(_drawn(standing), console=console, auto_refresh=False, transient=True) as live:
        while standing.state == "running":
            time.sleep(seconds)
            standing = reader.read()
            live.update(_drawn(standing), refresh=True)
    _tell_end(run, console, standing)


def _tell_end(run: Path, console: Console, standing: RunStanding) -> None:
    console.print(_drawn(standing))
    if standing.state == "done":
        print_funnel(run, console)


def _console() -> Console:
    return Console(highlight=False, markup=False)


def _drawn(standing: RunStanding) -> Group:
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "parts", "rows", "standing", "dropped so far"):
        table.add_column(column)
    for stage in standing.stages:
        parts = f"{stage.committed}/{stage.planned}"
        table.add_row(stage.name, parts, str(stage.rows), str(stage.standing), _reasons(stage))
    return Group(table, Text(_state(standing)))


def _reasons(stage: StageStanding) -> str:
    most = sorted(stage.dropped.items(), key=lambda entry: (-entry[1], entry[0]))[:_MOST_REASONS]
    return ", ".join(f"{reason} {number}" for reason, number in most)


def _state(standing: RunStanding) -> str:
    if standing.holder is not None:
        return f"running: process {standing.holder.pid} on {standing.holder.host}"
    return "done" if standing.state == "done" else "not running; `curate run` resumes it"
