"""DuckDB views over a run's folder: what analysts see as pages, candidates, samples, images, measures and scores."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from shards.database import quoted
from shards.errors import UsageError
from shards.parts import StepFolder
from shards.stores.mirrors import mirror_at

PLAN_FILE = "parts.json"
"""Which parts the latest recipe planned, step by step: the runner writes it, readers find current records by it."""

KEPT = "-kept"
"""Behind a step's name: its parts of earlier plans that the latest one still uses, for rows that it has not anew."""

VIEWS = {
    "pages": ("crawl", "pages"),
    "queries": ("search", "rows"),
    "candidates": ("collect", "rows"),
    "samples": ("admit", "rows"),
    "images": ("fetch", "rows"),
    "measures": ("measure", "rows"),
    "scores": ("score", "rows"),
}
"""View -> the step and the role of the files it reads. `manifest` and `funnel` come beside them."""


def planned_parts(run: Path) -> dict[str, list[tuple[int, str]]]:
    """Step -> (index, fingerprint) of each part of the latest plan. Raises `UsageError` if this is no run."""
    try:
        steps: dict[str, list[list[Any]]] = json.loads((run / PLAN_FILE).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{run} is no run of curate: {PLAN_FILE} is not there") from None
    except NotADirectoryError:
        raise UsageError(f"{run} is a file; expected the folder of a run") from None
    return {step: [(int(index), str(mark)) for index, mark in parts] for step, parts in steps.items()}


def committed_files(run: Path, step: str, role: str) -> list[Path]:
    """Files of the latest plan's parts of one step that are committed and have a file of that role, by index."""
    parts = sorted(set(planned_parts(run).get(step, [])))
    folder = StepFolder(run, step.removesuffix(KEPT))
    done = folder.committed()
    parts = [(index, mark) for index, mark in parts if (index, mark[:8]) in done]
    folder.expect(parts)
    records = [folder.record(index, mark) for index, mark in parts]
    return [folder.bring(file) for record in records for file in record.files if file.role == role]


def open_catalog(run: Path, query: str | None = None) -> duckdb.DuckDBPyConnection:
    """A connection with a view for everything that the run has come to so far, and no way out of the run's folder.

    Of a run on a store, only the files of views that the `query` names are brought, and only these have a view.
    """
    connection = duckdb.connect(":memory:")
    named = VIEWS if query is None or mirror_at(run) is None else [view for view in VIEWS if view in query.lower()]
    for view in named:
        step, role = VIEWS[view]
        _create_view(connection, view, committed_files(run, step, role), committed_files(run, step + KEPT, role))
    release = committed_files(run, "release", "manifest")
    _create_view(connection, "manifest", release)
    if release:
        connection.execute(_FUNNEL)
    connection.execute(f"SET allowed_directories = ['{_escaped(run)}']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


_FUNNEL = """
    CREATE VIEW funnel AS
    SELECT coalesce(dropped_at, 'release') AS stage, coalesce(drop_reason, 'kept') AS reason, count(*) AS samples
    FROM manifest GROUP BY ALL ORDER BY samples DESC, stage, reason
"""


def _create_view(
    connection: duckdb.DuckDBPyConnection, view: str, files: list[Path], kept: Sequence[Path] = ()
) -> None:
    """A view of all rows; where parts of earlier plans are among them, of the last row of each uid."""
    if kept:
        connection.execute(
            f"CREATE VIEW {view} AS SELECT * EXCLUDE (filename) FROM "
            f"read_parquet({quoted([*kept, *files])}, union_by_name = true, filename = true) "
            "QUALIFY row_number() OVER (PARTITION BY uid ORDER BY filename DESC) = 1"
        )
    elif files:
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM read_parquet({quoted(files)}, union_by_name = true)")


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
