"""CSV and TSV: rows at Arrow's speed, and a bounded reader of our own where a quote never ends."""

import csv
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as arrow_csv

from crawler.input_files import open_stream, read_chunk, whole
from crawler.lists.json_rows import LineSlice
from crawler.lists.paced_blocks import PacedBlocks
from crawler.lists.table_rows import Rows
from shards.errors import BadInputError

BLOCK_BYTES = 16 * 2**20
"""Arrow's block: a field must fit into it, so captions of 10 MB pass. Arrow holds some ten blocks at the peak (those
read ahead, the one that is parsed, and the rows made of it), however long the file."""

MAX_RECORD_BYTES = 16 * 2**20
MAX_RECORD_LINES = 1000
_SLOW_BATCH_ROWS = 4096
_MAX_HEADER_BYTES = 2**20


def csv_header(path: str, compression: str | None, delimiter: str) -> list[str]:
    """The column names. Raises BadInputError where the first record is no header."""
    for record in _records(_Table(path, compression, delimiter, None)):
        if isinstance(record, list):
            return record
        break
    raise BadInputError(f"{path}: its first line is no CSV header; expected column names, separated by {delimiter!r}")


def csv_rows(
    path: str, compression: str | None, delimiter: str, columns: dict[str, str], where: LineSlice | None = None
) -> Iterator[Rows]:
    """All rows, or those of a slice; `columns` maps candidate columns to column names. Row numbers count from 1, below
    the header or from the slice's beginning."""
    num_done = 0
    last: Rows | None = None
    table = _Table(path, compression, delimiter, where)
    try:
        for rows in _fast_rows(table, columns):
            if last is not None:
                yield last
                num_done += len(last.numbers) + len(last.broken)
            last = rows
    except pa.ArrowInvalid:
        # A record that Arrow cannot place: a quote that never ends, or a field larger than its block.
        if last is not None:
            yield last
            num_done += len(last.numbers) + len(last.broken)
    else:
        if last is None or not _may_be_open(last):
            yield from [last] if last is not None else []
            return
    yield from _slow_rows(table, columns, num_done)


def _may_be_open(rows: Rows) -> bool:
    """Whether the last row of a file may be an open quote that swallowed the rows behind it, as Arrow allows."""
    if not len(rows.numbers):
        return False
    return any(b"\n" in (column[-1].as_py() or b"") for column in rows.columns.values())


class _Table:
    """A file of rows, or a slice of one."""

    def __init__(self, path: str, compression: str | None, delimiter: str, where: LineSlice | None) -> None:
        self.path = path
        self.compression = compression
        self.delimiter = delimiter
        self.where = where
        self.header: list[str] | None = None
        """Of a slice that does not begin with it."""
        if where is not None and where.start:
            self.header = csv_header(path, compression, delimiter)

    def open(self) -> pa.NativeFile:
        stream = open_stream(self.path, self.compression)
        if self.where is None or self.compression:
            return stream
        return pa.PythonFile(_Range(stream, self.where.start, self.where.stop), mode="r")


class _Range(io.RawIOBase):
    """Some bytes of a file."""

    def __init__(self, stream: pa.NativeFile, start: int, stop: int) -> None:
        super().__init__()
        stream.seek(start)
        self._stream = stream
        self._left = stop - start

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def _fast_rows(table: _Table, columns: dict[str, str]) -> Iterator[Rows]:
    broken: list[tuple[int, str]] = []
    path, delimiter = table.path, table.delimiter

    def note(row: arrow_csv.InvalidRow) -> str:
        broken.append((row.number - (table.header is None), _wrong_count(row.expected_columns, row.actual_columns)))
        return "skip"

    wanted = sorted(set(columns.values()))
    blocks = PacedBlocks(table.open())
    with whole(path):
        reader = arrow_csv.open_csv(
            pa.PythonFile(blocks, mode="r"),
            # One thread: only then does Arrow number the rows that it cannot read.
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=table.header or []
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if delimiter == "," else False,
                newlines_in_values=delimiter == ",",
                invalid_row_handler=note,
            ),
            convert_options=arrow_csv.ConvertOptions(
                check_utf8=False,
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.binary()),
                strings_can_be_null=False,
            ),
        )
    next_row = 1
    while (batch := _next_batch(path, reader)) is not None:
        blocks.took()
        rows, next_row = _numbered(batch, next_row, broken, columns)
        yield rows
    if broken:
        yield _no_rows_but(broken, columns)


def _next_batch(path: str, reader: arrow_csv.CSVStreamingReader) -> pa.RecordBatch | None:
    try:
        with whole(path):
            return reader.read_next_batch()
    except StopIteration:
        return None


def _numbered(
    batch: pa.RecordBatch, next_row: int, broken: list[tuple[int, str]], columns: dict[str, str]
) -> tuple[Rows, int]:
    """The batch with its rows' numbers, which leave out the broken rows among them; takes those from `broken`."""
    numbers: list[int] = []
    mine = 0
    while len(numbers) < batch.num_rows:
        stop = broken[mine][0] if mine < len(broken) else next_row + batch.num_rows
        stop = min(stop, next_row + batch.num_rows - len(numbers))
        numbers.extend(range(next_row, stop))
        next_row = stop
        if mine < len(broken) and broken[mine][0] == next_row and len(numbers) < batch.num_rows:
            next_row, mine = next_row + 1, mine + 1
    rows = Rows(
        pa.array(numbers, pa.int64()),
        {field: batch.column(name) for field, name in columns.items()},
        broken[:mine],
    )
    del broken[:mine]
    return rows, next_row


def _slow_rows(table: _Table, columns: dict[str, str], num_done: int) -> Iterator[Rows]:
    """The rows after the first `num_done`, record by record, with a bound for each."""
    records = _records(table)
    header = table.header or next(records, None)
    if not isinstance(header, list):
        return
    places = {field: header.index(name) for field, name in columns.items()}
    numbers: list[int] = []
    values: dict[str, list[bytes]] = {field: [] for field in columns}
    broken: list[tuple[int, str]] = []
    for number, record in enumerate(records, start=1):
        if number <= num_done:
            continue
        if isinstance(record, str):
            broken.append((number, record))
        elif len(record) != len(header):
            broken.append((number, _wrong_count(len(header), len(record))))
        else:
            numbers.append(number)
            for field, place in places.items():
                values[field].append(record[place].encode("utf-8", "surrogateescape"))
        if len(numbers) + len(broken) >= _SLOW_BATCH_ROWS:
            yield _gathered(numbers, values, broken)
            numbers, values, broken = [], {field: [] for field in columns}, []
    if numbers or broken:
        yield _gathered(numbers, values, broken)


def _gathered(numbers: list[int], values: dict[str, list[bytes]], broken: list[tuple[int, str]]) -> Rows:
    columns = {field: pa.array(column, pa.binary()) for field, column in values.items()}
    return Rows(pa.array(numbers, pa.int64()), columns, broken)


def _no_rows_but(broken: list[tuple[int, str]], columns: dict[str, str]) -> Rows:
    return _gathered([], {field: [] for field in columns}, broken)


def _records(table: _Table) -> Iterator[list[str] | str]:
    """Records as lists of fields; as a string, saying what is wrong, where one cannot be read.

    A quoted field that runs on too far makes its first line a bad record, and reading goes on with the next line.
    """
    lines = _Lines(table)
    delimiter = table.delimiter
    is_quoting = delimiter == ","
    while (first := lines.take()) is not None:
        if not first.strip(b"\r\n"):
            continue
        record, num_taken = first, 0
        while is_quoting and record.count(b'"') % 2 and num_taken < MAX_RECORD_LINES:
            more = lines.peek(num_taken)
            if more is None or len(record) + len(more) > MAX_RECORD_BYTES:
                break
            record += more
            num_taken += 1
        if is_quoting and record.count(b'"') % 2:
            yield "a quoted field without an end"
        elif len(record) > MAX_RECORD_BYTES:
            yield f"a record of more than {MAX_RECORD_BYTES} bytes"
        else:
            lines.drop(num_taken)
            yield _split(record, delimiter)


def _split(record: bytes, delimiter: str) -> list[str] | str:
    text = record.decode("utf-8", "surrogateescape").rstrip("\r\n")
    if delimiter != ",":
        return text.split(delimiter)
    csv.field_size_limit(MAX_RECORD_BYTES)
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        return f"not CSV: {error}"


class _Lines:
    """A file's lines with their ends, some of which may be looked at before they are taken."""

    def __init__(self, table: _Table) -> None:
        self._source = self._read(table)
        self._ahead: list[bytes] = []

    def take(self) -> bytes | None:
        return self._ahead.pop(0) if self._ahead else next(self._source, None)

    def peek(self, place: int) -> bytes | None:
        while len(self._ahead) <= place:
            line = next(self._source, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[place]

    def drop(self, num_lines: int) -> None:
        del self._ahead[:num_lines]

    @staticmethod
    def _read(table: _Table) -> Iterator[bytes]:
        tail, is_first = b"", table.header is None
        with table.open() as stream:
            while chunk := read_chunk(table.path, stream, _MAX_HEADER_BYTES):
                pieces = (tail + chunk).split(b"\n")
                # A line beyond every bound is cut: its record is refused for its length all the same.
                tail = pieces.pop()[: MAX_RECORD_BYTES + 1]
                for piece in pieces:
                    yield (piece.removeprefix(b"\xef\xbb\xbf") if is_first else piece) + b"\n"
                    is_first = False
        if tail:
            yield tail.removeprefix(b"\xef\xbb\xbf") if is_first else tail


def _wrong_count(expected: int, actual: int) -> str:
    return f"{actual} fields, expected {expected}"
