"""Indexes of WARC records as tables: Common Crawl's columnar index in Parquet, and CDX or CDXJ files."""

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crawler.archives.listing import ArchiveFile, fault_of_path
from crawler.archives.opening import Opener
from crawler.input_files import read_chunk
from shards.errors import BadInputError

INDEX_COLUMNS = pa.schema(
    [
        ("url", pa.string()),
        ("url_host_name", pa.string()),
        ("url_host_tld", pa.string()),
        ("url_host_registered_domain", pa.string()),
        ("url_path", pa.string()),
        ("fetch_status", pa.int32()),
        ("content_mime_type", pa.string()),  # as served
        ("content_mime_detected", pa.string()),
        ("content_charset", pa.string()),
        ("content_languages", pa.string()),  # ISO-639-3 codes, the most frequent first: zho,eng
        ("content_truncated", pa.string()),
        ("crawl", pa.string()),
        ("subset", pa.string()),  # warc | crawldiagnostics | robotstxt
    ]
)
"""What a condition may name: columns of commoncrawl/cc-index-table's flat schema. A CDX has some of them."""

PLACES = pa.schema(
    [
        ("warc_filename", pa.string()),
        ("warc_record_offset", pa.int64()),
        ("warc_record_length", pa.int64()),
        ("origin", pa.string()),  # index file:row
        ("fault", pa.string()),  # what keeps the row from leading to any record
    ]
)
"""Where a record lies, and what is wrong with a row that does not say."""

MAX_RECORD_BYTES = 256 * 2**20
_BATCH_ROWS = 65_536
_CHUNK = 2**20
_MAX_LINE_BYTES = 2**20
_FILE, _OFFSET, _LENGTH = PLACES.names[:3]
_OF_CDXJ = {
    "url": "url",
    "status": "fetch_status",
    "mime": "content_mime_type",
    "mime-detected": "content_mime_detected",
    "charset": "content_charset",
    "languages": "content_languages",
    "truncated": "content_truncated",
    "filename": _FILE,
    "offset": _OFFSET,
    "length": _LENGTH,
}
_OF_CDX = {"a": "url", "s": "status", "m": "mime", "g": "filename", "V": "offset", "S": "length"}
"""Letters of a CDX header, as keys of CDXJ."""

Named = dict[str, Any]


def read_index(file: ArchiveFile, columns: Collection[str], opener: Opener) -> Iterator[pa.Table]:
    """The rows of an index file as tables of `columns` (of INDEX_COLUMNS) and PLACES, in the file's order.

    Raises BadInputError for a file that is no index, or that lacks one of the columns.
    """
    if file.path.lower().endswith((".parquet", ".pq")):
        return _parquet_rows(file, columns, opener)
    return _cdx_rows(file, columns, opener)


def _parquet_rows(file: ArchiveFile, columns: Collection[str], opener: Opener) -> Iterator[pa.Table]:
    row = 1
    try:
        with opener.by_place(file.path) as stream, pq.ParquetFile(stream) as parquet:
            in_path = _said_by_path(file.path)
            there = parquet.schema_arrow.names
            _check_columns(file.path, [*there, *in_path], columns)
            wanted = [name for name in (*columns, _FILE, _OFFSET, _LENGTH) if name in there]
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=wanted, use_threads=False):
                table = pa.Table.from_batches([batch])
                for name in set(columns) - set(wanted):
                    table = table.append_column(name, pa.repeat(pa.scalar(in_path[name]), len(table)))
                yield _checked(table, columns, file.name, row)
                row += len(table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        told = (str(error).splitlines() or [""])[0][:200]
        raise BadInputError(f"{file.path}: no index in Parquet, or broken near row {row} ({told})") from error


def _said_by_path(path: str) -> dict[str, str]:
    """Columns that a partitioned table keeps in its folders' names: `crawl=CC-MAIN-2026-30/subset=warc/`."""
    parts = (part.split("=", 1) for part in path.split("/") if part.count("=") == 1)
    return {name: value for name, value in parts if name in INDEX_COLUMNS.names}


def _check_columns(path: str, there: Collection[str], columns: Collection[str]) -> None:
    missing = [name for name in (_FILE, _OFFSET, _LENGTH, *columns) if name not in there]
    if missing:
        raise BadInputError(
            f"{path}: has no column {', '.join(missing)}; expected Common Crawl's columnar index (content_languages is "
            "there since CC-MAIN-2018-39), or a CDXJ"
        )


def _cdx_rows(file: ArchiveFile, columns: Collection[str], opener: Opener) -> Iterator[pa.Table]:
    _check_columns(file.path, [*_OF_CDXJ.values(), "url_host_name", "url_host_tld", "url_path"], columns)
    read: Callable[[bytes], Named | str] = _cdxj_line
    rows: list[Named] = []
    number = first = 1
    for number, line in enumerate(_lines(file.path, opener), start=1):
        if line is None:
            rows.append(_row(f"a line of more than {_MAX_LINE_BYTES} bytes"))
        elif number == 1 and line.lstrip().startswith(b"CDX "):
            read = _reader_of_cdx(line)
            rows.append({})
        else:
            rows.append(_row(read(line)) if line.strip() and not line.startswith(b"!") else {})
        if len(rows) == _BATCH_ROWS:
            yield _gathered(rows, columns, file.name, first)
            rows, first = [], number + 1
    if rows:
        yield _gathered(rows, columns, file.name, first)


def _gathered(rows: list[Named], columns: Collection[str], name: str, first: int) -> pa.Table:
    """Rows as a table; lines that say nothing (blank, or a header) are left out, and count."""
    schema = pa.schema([*(INDEX_COLUMNS.field(column) for column in columns), *PLACES])
    numbered = [row | {"origin": f"{name}:{first + place}"} for place, row in enumerate(rows) if row]
    return _judged(pa.Table.from_pylist(numbered, schema=schema))


def _row(line: Named | str) -> Named:
    """A line's values under the names of columns; a line that cannot be read has a fault alone."""
    if isinstance(line, str):
        return {"fault": line, _FILE: ""}
    row: Named = {"fault": None}
    for key, column in _OF_CDXJ.items():
        value = line.get(key)
        if column in (_OFFSET, _LENGTH, "fetch_status"):
            row[column] = _number(str(value), most_digits=9 if column == "fetch_status" else 18)
        else:
            row[column] = value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
    try:
        parts = urlsplit(row["url"] or "")
        host, path = parts.hostname, parts.path
    except ValueError:
        host, path = None, None
    tld = host.rpartition(".")[2] if host else None
    return row | {"url_host_name": host, "url_host_tld": tld, "url_path": path}


def _number(digits: str, most_digits: int) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= most_digits else None


def _cdxj_line(line: bytes) -> Named | str:
    """`urlkey timestamp {…}`."""
    start = line.find(b"{")
    try:
        told = json.loads(line[start:].decode("utf-8", "replace")) if start >= 0 else None
    except (ValueError, RecursionError) as error:
        return f"not CDXJ: {error}"[:200]
    return told if isinstance(told, dict) else "not CDXJ: no object behind its key and time"


def _reader_of_cdx(header: bytes) -> Callable[[bytes], Named | str]:
    """Reads lines with fields in the order of a header such as ` CDX N b a m s k r M S V g`."""
    letters = header.split()[1:]
    names = [_OF_CDX.get(letter.decode("latin-1")) for letter in letters]

    def read(line: bytes) -> Named | str:
        fields = line.split()
        if len(fields) != len(names):
            return f"{len(fields)} fields, expected {len(names)}"
        return {name: field.decode("utf-8", "replace") for name, field in zip(names, fields, strict=True) if name}

    return read


def _lines(path: str, opener: Opener) -> Iterator[bytes | None]:
    """Lines without their ends; None for one that is too long for a line of an index. Blocks of a zipnum index are
    members of one gzip file, and read as such."""
    tail, is_long = b"", False
    with opener.unpacked(path) as stream:
        while chunk := read_chunk(path, stream, _CHUNK):
            pieces = (tail + chunk).split(b"\n")
            tail = pieces.pop()
            for piece in pieces:
                yield None if is_long or len(piece) > _MAX_LINE_BYTES else piece
                is_long = False
            if len(tail) > _MAX_LINE_BYTES:
                tail, is_long = b"", True
    if tail or is_long:
        yield None if is_long else tail


def _checked(table: pa.Table, columns: Collection[str], name: str, first_row: int) -> pa.Table:
    """Rows of a Parquet file with the types of INDEX_COLUMNS and PLACES."""
    arrays: dict[str, Any] = {}
    for field in (*(INDEX_COLUMNS.field(column) for column in columns), *list(PLACES)[:3]):
        column = table[field.name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        arrays[field.name] = column.cast(field.type)
    numbers = pa.array(range(first_row, first_row + len(table)), pa.int64()).cast(pa.string())
    arrays["origin"] = pc.binary_join_element_wise(pa.scalar(name), numbers, ":")
    arrays["fault"] = pa.nulls(len(table), pa.string())
    return _judged(pa.table(arrays))


def _judged(table: pa.Table) -> pa.Table:
    """Rows that do not say where a record lies get their fault; those that had one keep it."""
    offset, length = table[_OFFSET], table[_LENGTH]
    faults = [
        (_not(pc.greater_equal(offset, 0)), "no offset of a record"),
        (_not(pc.greater(length, 0)), "no length of a record"),
        (_not(pc.less_equal(length, MAX_RECORD_BYTES)), f"a record of more than {MAX_RECORD_BYTES} bytes"),
    ]
    names = table[_FILE].combine_chunks().dictionary_encode()
    told = pa.array([fault_of_path(name or "") for name in names.dictionary.to_pylist()], pa.string())
    nothing = pa.scalar(None, pa.string())
    unnamed = pc.if_else(pc.is_null(names), pa.scalar("names no file"), nothing)
    fault = pc.coalesce(table["fault"].combine_chunks(), told.take(names.indices), unnamed)
    for mask, words in faults:
        fault = pc.coalesce(fault, pc.if_else(mask.combine_chunks(), pa.scalar(words), nothing))
    return table.set_column(table.schema.get_field_index("fault"), "fault", fault)


def _not(mask: Any) -> Any:
    """Where something is not known to hold."""
    return pc.invert(pc.fill_null(mask, False))
