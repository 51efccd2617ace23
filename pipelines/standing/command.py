"""`curate status`: a run's standing in the form that is asked for."""

import json
import sys
from pathlib import Path

from pipelines.standing.metrics import as_metrics
from pipelines.standing.read import StandingReader
from pipelines.standing.show import show, watch
from shards.errors import UsageError

FORMATS = ("table", "json", "prometheus")


def tell_standing(run: Path, form: str, watch_every_s: float | None) -> None:
    """Print it once, or as a table that is drawn again. Raises `UsageError` for another form."""
    if form not in FORMATS:
        raise UsageError(f"--format {form}: expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if watch_every_s is not None and form != "table":
        raise UsageError(f"--watch draws tables; leave out --format {form}, or ask for it again and again")
    if watch_every_s is not None:
        watch(run, watch_every_s)
    elif form == "table":
        show(run)
    elif form == "json":
        sys.stdout.write(json.dumps(StandingReader(run).read().as_json(), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(as_metrics(run.name, StandingReader(run).read()))
