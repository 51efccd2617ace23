"""The seal of a release: what it holds in numbers, its report, and the digest of every file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.report import render_card, render_report
from pipelines.tasks import Job, Outcome
from shards.catalog import RELEASE_VIEWS
from shards.database import quoted, scratch_database
from shards.storage import sha256_of
from shards.tables import iter_batches


def seal(job: Job) -> Outcome:
    """Write stats.json, uids.npy, views.sql, report.html, README.md and, over all files, SHA256SUMS."""
    stats = release_stats(job)
    texts = {
        "stats.json": json.dumps(stats, ensure_ascii=False, indent=1) + "\n",
        "views.sql": RELEASE_VIEWS,
        "report.html": render_report(job.recipe, job.plan.rules, stats),
        "README.md": render_card(job.recipe, job.plan.rules, stats),
    }
    sums = [(file.sha256, file.name) for record in _file_records(job) for file in record.files]
    for name, text in texts.items():
        path = job.attempt.path(name, "", name)
        path.write_text(text, encoding="utf-8")
        sums.append((sha256_of(path), name))
    path = job.attempt.path("uids.npy", "", "uids.npy")
    _write_uids(path, job.paths("selected", "kept"))
    sums.append((sha256_of(path), "uids.npy"))
    lines = [f"{digest}  {name}\n" for digest, name in sorted(sums, key=lambda pair: pair[1])]
    job.attempt.path("SHA256SUMS", "", "SHA256SUMS").write_text("".join(lines))
    return Outcome(stats["samples"], {"kept": stats["kept"]})


def _file_records(job: Job) -> Iterable[Any]:
    return (job.context.record(ref) for ref in job.task.inputs["files"])


def release_stats(job: Job) -> dict[str, Any]:
    """Everything that the report and the card say in numbers, from records and one pass over the select parts."""
    candidates = sum(job.context.record(ref).meta["candidates"] for ref in job.task.inputs["admit"])
    kept, dropped = job.paths("selected", "kept"), job.paths("selected", "dropped")
    with scratch_database(job.attempt.folder) as database:
        database.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({quoted(kept + dropped)})")
        rows = _query(database, "SELECT status, count(*) AS n FROM rows GROUP BY ALL ORDER BY ALL")
        by_status = {row["status"]: row["n"] for row in rows}
        samples = sum(by_status.values())
        return {
            "name": job.recipe.name,
            "candidates": candidates,
            "merged": candidates - samples,
            "samples": samples,
            "kept": by_status.get("kept", 0),
            "dropped": by_status.get("dropped", 0),
            "shards": sum(name.startswith("shard-") for record in _file_records(job) for name in _roles(record)),
            "drops": _query(database, _DROPS),
            "text_kinds": _query(database, _TEXT_KINDS),
            "hosts": _query(database, _HOSTS),
            "measures": {name: _spread(database, name) for name in _numbers(database)},
        }


_DROPS = """
    SELECT dropped_at AS stage, drop_reason AS reason, count(*) AS samples
    FROM rows WHERE status = 'dropped' GROUP BY ALL ORDER BY samples DESC, stage, reason
"""
_TEXT_KINDS = """
    SELECT t.kind AS kind, count(*) AS texts, count(*) FILTER (t.drop_reason IS NULL) AS standing
    FROM (SELECT unnest(texts) AS t FROM rows WHERE status = 'kept') GROUP BY ALL ORDER BY texts DESC, kind
"""
_HOSTS = """
    SELECT host, count(*) AS samples, count(*) FILTER (status = 'kept') AS kept
    FROM rows GROUP BY ALL ORDER BY samples DESC, host LIMIT 20
"""


def _roles(record: Any) -> list[str]:
    return [file.role for file in record.files]


def _query(database: Any, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = database.sql(sql).to_arrow_table().to_pylist()
    return rows


def _numbers(database: Any) -> list[str]:
    """Measures that a histogram can show."""
    columns = database.sql("DESCRIBE rows").fetchall()
    shown = ("INTEGER", "BIGINT", "DOUBLE")
    hidden = ("tar_offset", "tar_bytes", "fetch_index", "http_status")
    return [name for name, kind, *_ in columns if kind in shown and name not in hidden]


def _spread(database: Any, name: str) -> dict[str, Any] | None:
    """Least, quartiles and greatest of a measure over the samples that have it, and a histogram of 20 bins."""
    (row,) = _query(
        database,
        f"""
        SELECT count({name}) AS n, min({name})::DOUBLE AS least, max({name})::DOUBLE AS greatest,
            quantile_disc({name}, [0.25, 0.5, 0.75])::DOUBLE[] AS quartiles FROM rows
        """,
    )
    if not row["n"]:
        return None
    width = (row["greatest"] - row["least"]) / 20 or 1.0
    bins = _query(
        database,
        f"""
        SELECT least(19, floor(({name} - {row["least"]!r}) / {width!r}))::INTEGER AS bin, status, count(*) AS n
        FROM rows WHERE {name} IS NOT NULL GROUP BY ALL ORDER BY ALL
        """,
    )
    return {**row, "histogram": [[entry["bin"], entry["status"], entry["n"]] for entry in bins]}


def _write_uids(path: Path, kept: list[Path]) -> None:
    """Kept uids as DataComp writes subsets: sorted, each split in two unsigned 64-bit halves, dtype `u8,u8`."""
    halves = [_halves(batch.column("uid")) for batch in iter_batches(kept, ["uid"])]
    with path.open("wb") as file:
        np.save(file, np.concatenate(halves) if halves else np.zeros(0, np.dtype("u8,u8")))


def _halves(uids: pa.Array) -> npt.NDArray[np.void]:
    pairs = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids.to_pylist()]
    return np.array(pairs, np.dtype("u8,u8"))
