"""The funnel on a terminal: how many samples fell where, for which reason, and how many were left."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from filters.rules import PlacedRule
from pipelines.drops import funnel_rows
from pipelines.part_of_source import STATS_KEY
from pipelines.plan_file import read_plan
from shards.storage import read_current


def print_funnel(run: Path, console: Console | None = None) -> None:
    """The funnel of a run's release as a table."""
    print_stats(json.loads(read_current(run / "release" / "stats.json")), read_plan(run).rules, console)


def print_stats(stats: Mapping[str, Any], rules: Sequence[PlacedRule], console: Console | None = None) -> None:
    """A release's funnel as a table, from what its stats.json says."""
    table = Table(box=None, pad_edge=False)
    for column, side in (("stage", "left"), ("dropped for", "left"), ("samples", "right"), ("left", "right")):
        table.add_column(column, justify="right" if side == "right" else "left")
    if STATS_KEY in stats:
        table.add_row("source", f"({stats[STATS_KEY]})", "", "")
    table.add_row("collect", f"({stats['candidates']} candidates, {stats['merged']} merged)", "", str(stats["samples"]))
    for row in funnel_rows(rules, stats):
        table.add_row(row["stage"], row["reason"], str(row["samples"]), str(row["left"]))
    where = f", in {stats['shards']} shards" if stats["shards"] else ""
    table.add_row("release", f"kept{where}", "", str(stats["kept"]), style="bold")
    (console or Console(highlight=False, markup=False)).print(table)
