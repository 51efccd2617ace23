"""DuckDB as the stages use it: one thread, a stated memory limit, spilling to a folder that goes away."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

MEMORY_LIMIT = "1GB"


@contextmanager
def scratch_database(spill_beside: Path, memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database for one query or a few; what does not fit is spilled to a temporary folder there."""
    with tempfile.TemporaryDirectory(prefix=".spill-", dir=spill_beside) as spill:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "memory_limit": memory_limit,
            "temp_directory": spill,
        }
        with duckdb.connect(":memory:", config=settings) as connection:
            yield connection


def quoted(paths: list[Path]) -> str:
    """Paths as a DuckDB list literal, for `read_parquet`."""
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"
