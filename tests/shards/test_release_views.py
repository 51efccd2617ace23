"""views.sql: it works wherever the release lies, and says what every column means."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from shards.columns import MANIFEST_COLUMNS
from shards.release_views import release_views
from shards.tables import write_table

TEXTS = pa.list_(pa.struct([("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string())]))
ROWS: dict[str, dict[str, Any]] = {
    "kept": {"uid": "a", "status": "kept", "texts": [("alt", "塔", None), ("title", "x", "no_chinese")]},
    "dropped": {"uid": "b", "status": "dropped", "drop_reason": "timeout", "dropped_at": "fetch", "texts": []},
}
SCHEMA = pa.schema(
    [*((name, pa.string()) for name in ("uid", "host", "status", "drop_reason", "dropped_at")), ("texts", TEXTS)]
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "it's a release"
    (folder / "manifest").mkdir(parents=True)
    for kind, row in ROWS.items():
        texts = [dict(zip(("kind", "text", "drop_reason"), text, strict=True)) for text in row["texts"]]
        table = pa.Table.from_pylist([row | {"host": "a.cn", "texts": texts}], schema=SCHEMA)
        write_table(folder / "manifest" / f"{kind}-000000.parquet", table)
    (folder / "views.sql").write_text(release_views(SCHEMA.names, MANIFEST_COLUMNS), encoding="utf-8")
    return folder


def asked(release: Path, query: str, name: str | None) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        if name is not None:
            database.execute("SET VARIABLE release = ?", [name])
        database.execute((release / "views.sql").read_text(encoding="utf-8"))
        return database.sql(query).fetchall()


def test_in_its_own_folder_nothing_has_to_be_said(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(release)
    query = "FROM funnel ORDER BY stage"
    assert asked(release, query, None) == [("fetch", "timeout", 1), ("release", "kept", 1)]


def test_elsewhere_a_variable_says_where_it_lies(release: Path) -> None:
    query = "SELECT uid, kind, text, drop_reason FROM texts ORDER BY kind"
    assert asked(release, query, str(release)) == [("a", "alt", "塔", None), ("a", "title", "x", "no_chinese")]


def test_every_column_has_its_comment(release: Path) -> None:
    query = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'manifest'"
    assert dict(asked(release, query, str(release))) == {name: MANIFEST_COLUMNS[name] for name in SCHEMA.names}


def test_a_comment_with_a_quote_is_a_comment(release: Path) -> None:
    (release / "views.sql").write_text(release_views(["uid"], {"uid": "one's own; DROP VIEW manifest"}))
    query = "SELECT comment FROM duckdb_columns() WHERE column_name = 'uid' AND table_name = 'manifest'"
    assert asked(release, query, str(release)) == [("one's own; DROP VIEW manifest",)]


def test_a_release_without_a_row_has_a_script_that_runs() -> None:
    with duckdb.connect() as database:
        database.execute(release_views([], {}))
