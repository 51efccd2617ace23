"""Manifest files read with mistrust: a fault of any kind is told, and what can be read is read in small batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

KEPT, DROPPED = r"manifest/kept-\d{6,}\.parquet", r"manifest/dropped-\d{6,}\.parquet"

_BATCH_ROWS = 1024
_MOST_FOOTER_BYTES = 1 << 26
_FAULTS = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, NotImplementedError)
_TEXTS = ("uid", "status", "drop_reason", "dropped_at", "shard")
_TEXTS_OF_KEPT = ("text", "stored_format", "stored_sha256")


class UnreadableError(Exception):
    """Bytes that are no Parquet file, or none of a manifest."""


def manifest_batches(path: Path, kind: str, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of a `kept` or `dropped` manifest file, a page of a column at a time. Raises `UnreadableError`."""
    try:
        with pq.ParquetFile(
            path,
            buffer_size=1 << 20,
            thrift_string_size_limit=_MOST_FOOTER_BYTES,
            thrift_container_size_limit=_MOST_FOOTER_BYTES,
            page_checksum_verification=True,
        ) as file:
            _check_schema(file.schema_arrow, kind)
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
                batch.validate(full=True)
                yield batch
    except _FAULTS as error:
        raise _unreadable(error) from None


def column_names(path: Path) -> set[str]:
    """The columns of text that a Parquet file has. Raises `UnreadableError`."""
    try:
        return {field.name for field in pq.read_schema(path) if field.type == pa.string()}
    except _FAULTS as error:
        raise _unreadable(error) from None


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch. Raises `UnreadableError` if they take more memory than there may be."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except _FAULTS as error:
        raise _unreadable(error) from None


def num_rows_of(path: Path) -> int:
    """The rows that a Parquet file's footer states. Raises `UnreadableError`."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except _FAULTS as error:
        raise _unreadable(error) from None


def _check_schema(schema: pa.Schema, kind: str) -> None:
    for name in (*_TEXTS, *(_TEXTS_OF_KEPT if kind == "kept" else ())):
        if schema.get_field_index(name) < 0 or schema.field(name).type != pa.string():
            raise UnreadableError(f"has not one column {name} of type string, as a manifest has")


def _unreadable(error: BaseException) -> UnreadableError:
    return UnreadableError(f"cannot be read as a manifest: {str(error) or type(error).__name__}")


def wrong_rows(batch: pa.RecordBatch, kind: str) -> Iterator[str]:
    """What is wrong with rows in a file of `kept` or `dropped` samples: each kind of fault once a batch."""
    checks = {
        "no uid of 32 hex digits": pc.match_substring_regex(batch["uid"], r"^[0-9a-f]{32}$"),
        f"another status than {kind}": pc.equal(batch["status"], kind),
        "a drop_reason" if kind == "kept" else "no drop_reason": _is_null(batch["drop_reason"], kind == "kept"),
    }
    if kind == "dropped":
        checks["a shard"] = _is_null(batch["shard"], True)
    for fault, is_right in checks.items():
        wrong = pc.invert(pc.fill_null(is_right, False))
        count = pc.sum(wrong).as_py() or 0
        if count:
            yield f"{_example(batch, wrong)} has {fault}" + (f", and {count - 1} beside it" if count > 1 else "")


def _is_null(column: pa.Array, wanted: bool) -> pa.Array:
    return pc.is_null(column) if wanted else pc.is_valid(column)


def _example(batch: pa.RecordBatch, wrong: pa.Array) -> str:
    uid = batch["uid"].filter(wrong)[0].as_py()
    return f"sample {uid[:40]!r}" if uid is not None else "a sample"
