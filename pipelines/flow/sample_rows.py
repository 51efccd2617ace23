"""The rows of all samples of a release as its figures are asked of them, however select parts hold them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from pipelines.flow.final import selected_schema
from pipelines.flow.verdicts import DecidedPart
from shards.database import quoted
from shards.tables import iter_batches

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint64(): "UBIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
}


_FILES = ("verdicts", "gathered", "judged")


class SampleRows(Protocol):
    """Kept and dropped samples. A field of texts is named as a column is: `texts.list.element.<field>`."""

    def sql(self) -> str:
        """A query that gives all samples; those of it that are not asked for cost nothing."""
        ...

    def kept(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Columns of the kept samples, as far as there are such."""
        ...

    def dropped(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Columns of the others."""
        ...


@dataclass(frozen=True)
class StoredRows:
    """Files of kept and of dropped samples that have all columns."""

    kept_files: Sequence[Path]
    dropped_files: Sequence[Path]

    def sql(self) -> str:
        return f"SELECT * FROM read_parquet({quoted([*self.kept_files, *self.dropped_files])})"

    def kept(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return iter_batches(self.kept_files, columns)

    def dropped(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return iter_batches(self.dropped_files, columns)


@dataclass(frozen=True)
class DecidedRows:
    """Parts whose verdicts lie apart."""

    parts: Sequence[DecidedPart]

    def sql(self) -> str:
        """The files of each part are read in the order of their rows, and joined by it; without structs."""
        first = self.parts[0]
        sides = {getattr(first, name): name for name in _FILES}
        columns = [
            _column(field, sides.get(first.files.get(field.name, Path())))
            for field in selected_schema(first.plan)
            if _sql_type(field.type) is not None
        ]
        files = {name: quoted([getattr(part, name) for part in self.parts]) for name in _FILES}
        joined = " POSITIONAL JOIN ".join(f"read_parquet({listed}) AS {name}" for name, listed in files.items())
        return f"SELECT {', '.join(columns)} FROM {joined}"

    def kept(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return self._batches(columns, are_kept=True)

    def dropped(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return self._batches(columns, are_kept=False)

    def _batches(self, columns: Sequence[str], are_kept: bool) -> Iterator[pa.RecordBatch]:
        for part in self.parts:
            for table in part.tables(columns, are_kept):
                yield from table.combine_chunks().to_batches()


def _column(field: pa.Field, side: str | None) -> str:
    name = f'"{field.name}"'
    value = "NULL" if side is None else f"{side}.{name}"
    return f"CAST({value} AS {_sql_type(field.type)}) AS {name}"


def _sql_type(kind: pa.DataType) -> str | None:
    """None for what no figure is of: structs, and lists of them."""
    return "VARCHAR[]" if kind == pa.list_(pa.string()) else _SQL_TYPES.get(kind)
