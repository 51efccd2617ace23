"""The funnel on a terminal: how many samples fell where, for which reason, and how many were left."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from filters.rules import PlacedRule
from pipelines.drops import funnel_rows
from pipelines.plan_file import read_plan
from pipelines.stages import STAGES
from shards.catalog import planned_parts
from shards.lease import holder_of
from shards.parts import Record, StepFolder


def print_funnel(run: Path, console: Console | None = None) -> None:
    """The funnel of a run's release as a table."""
    print_stats(json.loads((run / "release" / "stats.json").read_bytes()), read_plan(run).rules, console)


def print_stats(stats: Mapping[str, Any], rules: Sequence[PlacedRule], console: Console | None = None) -> None:
    """A release's funnel as a table, from what its stats.json says."""
    table = Table(box=None, pad_edge=False)
    for column, side in (("stage", "left"), ("dropped for", "left"), ("samples", "right"), ("left", "right")):
        table.add_column(column, justify="right" if side == "right" else "left")
    table.add_row("collect", f"({stats['candidates']} candidates, {stats['merged']} merged)", "", str(stats["samples"]))
    for row in funnel_rows(rules, stats):
        table.add_row(row["stage"], row["reason"], str(row["samples"]), str(row["left"]))
    where = f", in {stats['shards']} shards" if stats["shards"] else ""
    table.add_row("release", f"kept{where}", "", str(stats["kept"]), style="bold")
    (console or Console(highlight=False, markup=False)).print(table)


def print_status(run: Path) -> None:
    """Each step's parts, rows and reasons so far; then the funnel, if the release is there."""
    console = Console(highlight=False, markup=False)
    planned = planned_parts(run)
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "parts", "rows", "standing", "dropped so far"):
        table.add_column(column)
    for stage in STAGES:
        if stage.name in planned:
            table.add_row(stage.name, *_stage_cells(run, stage.name, planned[stage.name]))
    console.print(table)
    holder = holder_of(run)
    state = f"running: process {holder.pid} on {holder.host}" if holder else "not running; `curate run` resumes it"
    done = (run / "release" / "stats.json").is_file() and _is_whole(run, planned)
    console.print("done" if done and not holder else state)
    if done:
        print_funnel(run, console)


def _is_whole(run: Path, planned: dict[str, list[tuple[int, str]]]) -> bool:
    release = planned.get("release", [])
    return bool(release) and {(i, mark[:8]) for i, mark in release} <= StepFolder(run, "release").committed()


def _stage_cells(run: Path, step: str, parts: list[tuple[int, str]]) -> list[str]:
    folder = StepFolder(run, step)
    done = folder.committed()
    records = [folder.record(index, mark) for index, mark in parts if (index, mark[:8]) in done]
    counts = _added(records)
    standing = counts.pop("standing", 0) + counts.pop("kept", 0)
    rows = sum(record.rows for record in records)
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items(), key=_most_first)[:6])
    return [f"{len(records)}/{len(parts)}", str(rows), str(standing), reasons]


def _most_first(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _added(records: list[Record]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for record in records:
        for reason, number in record.counts.items():
            counts[reason] = counts.get(reason, 0) + number
    return counts
