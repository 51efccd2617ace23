"""RUN/health.html: how a run went: its clocks, rates, requests and hosts, which no released byte may show."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.report.page import render_page
from pipelines.retries import read_retries
from pipelines.stages import STAGES
from shards.catalog import committed_files, planned_parts
from shards.database import quoted, scratch_database
from shards.errors import CurateError
from shards.parts import Record, StepFolder
from shards.storage import put_whole

HEALTH_PAGE = "health.html"
_MOST_HOSTS = 20


@dataclass(frozen=True)
class StepHealth:
    """One step of the latest plan: its parts, rows and bytes, and from when to when its records were written.

    The times are those of the records' files, so that a copied run shows when it was copied.
    """

    step: str
    parts: int
    rows: int
    bytes: int
    began: str
    ended: str
    seconds: float


@dataclass(frozen=True)
class Downloads:
    """What fetch parts said of themselves, added up. `seconds` is their sum: parts run side by side."""

    parts: int
    seconds: float
    requests: int
    images: int
    bytes: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def settled(self) -> int:
        return self.images + sum(number for _, number in self.reasons)


def write_health(run: Path) -> Path:
    """Write the page of a finished run from what lies in its folder."""
    path = run / HEALTH_PAGE
    put_whole(path, render_health(run).encode())
    return path


def render_health(run: Path) -> str:
    """The page. What another version wrote, or nobody did, is left out."""
    facts = _facts(run)
    records = {step: _records(run, step, parts) for step, parts in planned_parts(run).items()}
    return render_page(
        "health.html",
        facts=facts,
        started=_clock(facts.get("started")),
        finished=_clock(facts.get("finished")),
        took=_duration(facts.get("started"), facts.get("finished")),
        steps=[_step_health(run, step, found) for step, found in _in_order(records) if found],
        downloads=_downloads(records.get("fetch", [])),
        hosts=_failing_hosts(run),
        retries=_retries(run),
        graves=_graves(run),
    )


def _facts(run: Path) -> dict[str, Any]:
    try:
        facts = json.loads((run / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _records(run: Path, step: str, parts: Sequence[tuple[int, str]]) -> list[Record]:
    folder = StepFolder(run, step)
    done = folder.committed()
    parts = sorted((index, mark) for index, mark in set(parts) if (index, mark[:8]) in done)
    folder.expect(parts)
    return [folder.record(index, mark) for index, mark in parts]


def _in_order(records: Mapping[str, list[Record]]) -> list[tuple[str, list[Record]]]:
    """In the order of the flow; steps of one stage as the plan has them."""
    stages = [stage.name for stage in STAGES]
    places = {step: place for place, step in enumerate(records)}

    def place(step: str) -> tuple[int, int]:
        stage = step.split("-")[0].replace("frontier", "crawl")
        return (stages.index(stage) if stage in stages else len(stages), places[step])

    return sorted(records.items(), key=lambda item: place(item[0]))


def _step_health(run: Path, step: str, records: Sequence[Record]) -> StepHealth:
    done = run / step / "_done"
    times = []
    for record in records:
        path = done / f"{record.index:06d}-{record.fingerprint[:8]}.json"
        times += [path.stat().st_mtime] if path.is_file() else []
    first, last = min(times, default=None), max(times, default=None)
    size = sum(file.bytes for record in records for file in record.files)
    rows = sum(record.rows for record in records)
    seconds = last - first if first is not None and last is not None else 0.0
    return StepHealth(step, len(records), rows, size, _clock(first)[:19], _clock(last)[:19], seconds)


def _downloads(records: Sequence[Record]) -> Downloads | None:
    reports = [report for record in records if isinstance(report := record.meta.get("report"), dict)]
    if not reports:
        return None
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(report["reasons"])
    sums = {name: sum(report[name] for report in reports) for name in ("requests", "images", "bytes")}
    most = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    return Downloads(len(reports), sum(report["seconds"] for report in reports), **sums, reasons=most)


def _failing_hosts(run: Path) -> list[dict[str, Any]]:
    """The hosts that most downloads failed at, with the reason that was most frequent there."""
    files = committed_files(run, "measure", "rows")
    if not files:
        return []
    with scratch_database(run) as database:
        database.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({quoted(files)}, union_by_name = true)")
        columns = {name for name, *_ in database.sql("DESCRIBE rows").fetchall()}
        if not {"host", "sha256", "drop_reason", "dropped_at"} <= columns:
            return []
        hosts: list[dict[str, Any]] = database.sql(_FAILING_HOSTS).to_arrow_table().to_pylist()
    return hosts


_FAILING_HOSTS = f"""
    WITH asked AS (
        SELECT host, sha256 IS NULL AS failed, drop_reason FROM rows
        WHERE dropped_at IS NULL OR dropped_at NOT IN ('crawl', 'collect', 'admit')
    )
    SELECT host, count(*) AS samples, count(*) FILTER (failed) AS failed, mode(drop_reason ORDER BY drop_reason)
        FILTER (failed) AS reason
    FROM asked GROUP BY host HAVING count(*) FILTER (failed) > 0 ORDER BY failed DESC, host LIMIT {_MOST_HOSTS}
"""


def _retries(run: Path) -> list[dict[str, Any]]:
    try:
        return [{"reasons": ", ".join(retry.reasons), "before": retry.before} for retry in read_retries(run)]
    except CurateError:
        return []


def _graves(run: Path) -> list[tuple[str, int]]:
    """Rows that were set aside, by step: their stories stay in `dead/`, since tracebacks may name anything."""
    folder = run / "dead"
    names = [path.name for path in folder.glob("*.json")] if folder.is_dir() else []
    return sorted(Counter(name.rsplit("-", 2)[0] for name in names).items())


def _clock(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(start: object, end: object) -> float | None:
    """Seconds between two clocks, null where either is missing."""
    return end - start if isinstance(start, int | float) and isinstance(end, int | float) else None
