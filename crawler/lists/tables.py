"""URL lists in CSV, TSV, Parquet and JSON: planned as slices, read as raw candidates."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from crawler.input_files import InputFile, compression_of, find_files, open_stream, read_chunk
from crawler.lists.csv_rows import csv_header, csv_rows
from crawler.lists.csv_slices import csv_slices
from crawler.lists.json_rows import LineSlice, json_keys, json_rows, json_slices
from crawler.lists.table_rows import Rows, candidates_of
from crawler.sources import ResolvedTable, TableSource
from shards.errors import BadInputError

SLICE_ROWS = 200_000
SLICE_BYTES = 64 * 2**20
BATCH_ROWS = 16_384
_PEEKED_BYTES = 4096

_FORMATS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet"}
_FORMATS |= {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


@dataclass(frozen=True)
class TableSlice:
    """A run of one file's rows: row groups of Parquet, bytes of lines; all of the file where it is packed, or an array.

    `name` is what `origin` calls the file; `start` and `stop` are row groups or bytes; `first_row` counts from 1, in a
    table of text from `start`.
    """

    path: str
    name: str
    format: str
    compression: str | None
    start: int
    stop: int
    first_row: int
    num_rows: int | None


def plan_table(source: TableSource) -> list[TableSlice]:
    """The slices of all files, in order of path. Raises UsageError for a glob that fits nothing, and
    BadInputError for a file that is missing, empty, cut short, not what its suffix says, or lacks a column."""
    return list(table_slices(source))


def table_slices(source: TableSource) -> Iterator[TableSlice]:
    """As `plan_table`, each file looked at when its first slice is asked for."""
    resolved = source.resolved()
    for file in find_files(source.paths):
        yield from _plan_file(file, resolved)


def read_table_slice(piece: TableSlice, source: TableSource) -> Iterator[pa.RecordBatch]:
    """The slice's rows as RAW_CANDIDATE batches; a bad row is a row with a `drop_reason`."""
    resolved = source.resolved()
    # Of a table of text that was cut nobody has counted the rows before: they are counted from the cut.
    name = f"{piece.name}@{piece.start}" if piece.format != "parquet" and piece.start else piece.name
    for rows in _rows_of(piece, resolved):
        yield candidates_of(rows, name, resolved)


def _plan_file(file: InputFile, resolved: ResolvedTable) -> Iterator[TableSlice]:
    form, compression = _format_of(file)
    if resolved.layout and form != "jsonl":
        raise BadInputError(
            f"{file.path}: layout {resolved.constants['source']} has several texts a record; expected .jsonl or .json"
        )
    if file.num_bytes == 0:
        raise BadInputError(f"{file.path}: empty file (0 bytes); expected {form} with a column {_wanted(resolved)}")
    if form == "parquet":
        yield from _plan_parquet(file, resolved)
        return
    if form == "jsonl":
        keys = json_keys(file.path, compression)
        if keys is not None:
            _check_columns(file.path, keys, resolved, needed=["url"])
        pieces = json_slices(file.path, file.num_bytes, compression, SLICE_BYTES)
    else:
        header = csv_header(file.path, compression, _delimiter(form))
        _check_columns(file.path, header, resolved)
        pieces = csv_slices(file.path, file.num_bytes, compression, _delimiter(form), len(header), SLICE_BYTES)
    for start, stop in pieces:
        yield TableSlice(file.path, file.name, form, compression, start, stop, 1, None)


def _format_of(file: InputFile) -> tuple[str, str | None]:
    """Format and compression by the path's suffixes."""
    stem = file.path.lower()
    compression = compression_of(stem)
    if compression:
        stem = stem.rpartition(".")[0]
    form = next((form for suffix, form in _FORMATS.items() if stem.endswith(suffix)), None)
    if form is None and _is_of_taisu(file, compression):
        raise BadInputError(
            f"{file.path}: TaiSu's list of ID*****text names images of its archives, and has no URLs; write "
            "`kind: shards, layout: taisu` with its tars as `paths:` and this file under `captions:`"
        )
    if form is None or (form == "parquet" and compression):
        raise BadInputError(
            f"{file.path}: unknown kind of file; expected .parquet, or .csv, .tsv, .jsonl with .gz or .zst at will"
        )
    return form, compression


def _is_of_taisu(file: InputFile, compression: str | None) -> bool:
    """Whether a file's first line is one of `ID*****caption*****generated caption`."""
    with open_stream(file.path, compression) as stream:
        return b"*****" in read_chunk(file.path, stream, _PEEKED_BYTES).partition(b"\n")[0]


def _plan_parquet(file: InputFile, resolved: ResolvedTable) -> list[TableSlice]:
    with _open_parquet(file.path) as parquet:
        schema = parquet.schema_arrow
        _check_columns(file.path, schema.names, resolved)
        for column in resolved.columns.values():
            if not _is_text(schema.field(column).type):
                raise BadInputError(
                    f"{file.path}: column {column!r} is {schema.field(column).type}; expected text (string)"
                )
        sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
    slices, start, first_row = [], 0, 1
    for stop in range(1, len(sizes) + 1):
        num_rows = sum(sizes[start:stop])
        if num_rows >= SLICE_ROWS or (stop == len(sizes) and num_rows):
            slices.append(TableSlice(file.path, file.name, "parquet", None, start, stop, first_row, num_rows))
            start, first_row = stop, first_row + num_rows
    return slices


def _open_parquet(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(open_stream(path, None))
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInputError(f"{path}: not a Parquet file, or cut short ({_first_line(error)})") from error


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(test(kind) for test in tests) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _check_columns(
    path: str, present: Sequence[str], resolved: ResolvedTable, needed: Sequence[str] | None = None
) -> None:
    """Raises BadInputError naming the nearest columns where one that the source names is not there just once."""
    for field, column in resolved.columns.items():
        if needed is not None and field not in needed:
            continue
        if present.count(column) > 1:
            raise BadInputError(f"{path}: has {present.count(column)} columns called {column!r}; expected one")
        if column not in present:
            folded = {name.casefold(): name for name in reversed(present)}
            near = difflib.get_close_matches(column.casefold(), list(folded), n=3, cutoff=0.5)
            hint = f"nearest: {', '.join(folded[name] for name in near)}" if near else f"it has: {_listed(present)}"
            raise BadInputError(f"{path}: no column {column!r} (wanted as {field}); {hint}")


def _rows_of(piece: TableSlice, resolved: ResolvedTable) -> Iterator[Rows]:
    if piece.format == "parquet":
        return _parquet_rows(piece, resolved)
    where = LineSlice(piece.start, piece.stop)
    if piece.format == "jsonl":
        return json_rows(piece.path, piece.compression, where, resolved, BATCH_ROWS)
    return csv_rows(piece.path, piece.compression, _delimiter(piece.format), resolved.columns, where)


def _parquet_rows(piece: TableSlice, resolved: ResolvedTable) -> Iterator[Rows]:
    row = piece.first_row
    with _open_parquet(piece.path) as parquet:
        wanted = sorted(set(resolved.columns.values()))
        groups = list(range(piece.start, piece.stop))
        try:
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=groups, columns=wanted, use_threads=False):
                columns = {field: batch.column(name) for field, name in resolved.columns.items()}
                yield Rows(pa.array(range(row, row + batch.num_rows), pa.int64()), columns)
                row += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise BadInputError(f"{piece.path}: broken near row {row} ({_first_line(error)})") from error


def _delimiter(form: str) -> str:
    return "\t" if form == "tsv" else ","


def _wanted(resolved: ResolvedTable) -> str:
    return ", ".join(repr(column) for column in resolved.columns.values())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
