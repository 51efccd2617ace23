"""DuckDB, pandas, polars and Ray Data read the manifest of a release: the same counts, and one question of each."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from consumer import Consumer, run


def _checked(release: Path, counts: dict[str, int], widest: Any) -> int:
    """Samples by status are those of stats.json, and the widest stored copy the same whoever asks."""
    stats = json.loads((release / "stats.json").read_bytes())
    wanted = {status: stats[status] for status in ("kept", "dropped") if stats[status]}
    if counts != wanted or widest != int(stats["measures"]["width"]["greatest"]):
        raise ValueError(f"found {counts} and {widest} px, expected {wanted} and {stats['measures']['width']}")
    return sum(counts.values())


def _duckdb(release: Path) -> int:
    """Through views.sql, from another folder than the release's."""
    import duckdb

    with duckdb.connect() as database:
        database.execute("SET VARIABLE release = ?", [str(release)])
        database.execute((release / "views.sql").read_text(encoding="utf-8"))
        counts = dict(database.sql("SELECT status, count(*) FROM manifest GROUP BY ALL").fetchall())
        (widest,) = database.sql("SELECT max(width) FROM manifest").fetchall()[0]
        columns = "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'manifest' AND comment IS NULL"
        if database.sql(columns).fetchall() != [(0,)]:
            raise ValueError("a column of the view has no comment")
    return _checked(release, counts, widest)


def _pandas(release: Path) -> int:
    import pandas

    table: Any = pandas.concat(pandas.read_parquet(path) for path in sorted((release / "manifest").glob("*.parquet")))
    return _checked(release, table["status"].value_counts().to_dict(), int(table["width"].max()))


def _polars(release: Path) -> int:
    import polars

    table = polars.scan_parquet(release / "manifest" / "*.parquet", missing_columns="insert")
    counts = dict(table.group_by("status").len().collect().iter_rows())
    return _checked(release, counts, table.select(polars.max("width")).collect().item())


def _ray(release: Path) -> int:
    import ray

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        table = ray.data.read_parquet([str(path) for path in sorted((release / "manifest").glob("*.parquet"))])
        counts, widest = Counter[str](), 0
        for read in table.iter_batches(batch_format="pyarrow"):
            batch: Any = read  # a pyarrow.Table, as asked for
            counts.update(batch["status"].to_pylist())
            widest = max(widest, *(width or 0 for width in batch["width"].to_pylist()))
        return _checked(release, dict(counts), widest)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    run(
        [
            Consumer("duckdb", "duckdb", ["duckdb==2.0.0", "pyarrow==26.0.1"], _duckdb),
            Consumer("pandas", "pandas", ["pandas==3.1.1", "pyarrow==26.0.1"], _pandas),
            Consumer("polars", "polars", ["polars"], _polars),
            Consumer("ray", "ray", ["ray[data]==2.60.0", "pyarrow==26.0.1", "aiohttp"], _ray),
        ]
    )
