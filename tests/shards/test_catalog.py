"""The catalog: views over committed parts of the latest plan, in a connection that reaches nothing else."""

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from shards.catalog import PLAN_FILE, committed_files, open_catalog, planned_parts
from shards.errors import UsageError
from shards.parts import Attempt, Record, StepFolder, fingerprint
from shards.tables import write_table

OLD, NEW = fingerprint("old"), fingerprint("new")


def commit(run: Path, step: str, index: int, mark: str, table: pa.Table, role: str = "rows") -> None:
    folder = StepFolder(run, step)
    attempt = Attempt(folder, index)
    write_table(attempt.path(role, "parquet"), table)
    folder.commit(Record(step, index, mark, attempt.publish(), table.num_rows), may_commit=lambda: True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two samples of the latest plan, one of an earlier recipe, and a released manifest."""
    folder = tmp_path / "it's a run"
    folder.mkdir()
    commit(folder, "admit", 0, NEW, pa.table({"uid": ["a"]}))
    commit(folder, "admit", 1, NEW, pa.table({"uid": ["b"], "extra": [1]}))
    commit(folder, "admit", 0, OLD, pa.table({"uid": ["old"]}))
    manifest = pa.table({"uid": ["a", "b"], "dropped_at": [None, "fetch"], "drop_reason": [None, "timeout"]})
    commit(folder, "release", 0, NEW, manifest, "manifest")
    plan = {"admit": [[1, NEW], [0, NEW], [2, NEW]], "release": [[0, NEW]]}
    (folder / PLAN_FILE).write_text(json.dumps(plan))
    return folder


def test_only_committed_parts_of_the_latest_plan_count(run: Path) -> None:
    assert len(committed_files(run, "admit", "rows")) == 2
    assert committed_files(run, "admit", "tar") == []
    assert committed_files(run, "fetch", "rows") == []
    assert planned_parts(run)["release"] == [(0, NEW)]


def test_views_hold_what_is_there_and_parts_may_differ_in_columns(run: Path) -> None:
    with open_catalog(run) as catalog:
        assert catalog.sql("SELECT uid, extra FROM samples ORDER BY uid").fetchall() == [("a", None), ("b", 1)]
        assert catalog.sql("SELECT count(*) FROM manifest").fetchall() == [(2,)]
        views = {name for (name,) in catalog.sql("SHOW TABLES").fetchall()}
    assert views == {"samples", "manifest", "funnel"}


def test_the_funnel_counts_every_sample_once(run: Path) -> None:
    with open_catalog(run) as catalog:
        found = catalog.sql("SELECT * FROM funnel ORDER BY stage").fetchall()
    assert found == [("fetch", "timeout", 1), ("release", "kept", 1)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM read_text('{run}/../outside.csv')",
        "COPY (SELECT 1) TO '{outside}'",
        "SELECT * FROM read_parquet('http://127.0.0.1:9/a.parquet')",
        "ATTACH '{outside}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "SET allowed_directories = ['/']",
        "RESET lock_configuration",
    ],
)
def test_a_query_gets_out_of_nowhere(run: Path, query: str) -> None:
    outside = run.parent / "outside.csv"
    outside.write_text("a\n1\n")
    text = query.format(outside=outside, run=str(run).replace("'", "''"))
    with open_catalog(run) as catalog, pytest.raises(duckdb.Error):
        catalog.execute(text).fetchall()
    assert outside.read_text() == "a\n1\n"


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"is no run of curate: parts\.json is not there"):
        open_catalog(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        open_catalog(tmp_path / "file")
