"""JSON lines: rows of a byte range, a bad line being a row of its own."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from crawler.input_files import open_stream
from crawler.table_rows import Rows
from shards.errors import BadInputError

MAX_LINE_BYTES = 32 * 2**20
_CHUNK = 2**20
_PEEKED_LINES = 100
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class JsonSlice:
    """Bytes from a line's start to another's; `first_row` is the number of the first line, from 1."""

    start: int
    stop: int
    first_row: int


def json_slices(path: str, num_bytes: int, compression: str | None, slice_bytes: int) -> list[JsonSlice]:
    """Ranges of about `slice_bytes` that end at line ends; a compressed file is one range."""
    if compression or num_bytes <= slice_bytes:
        return [JsonSlice(0, num_bytes, 1)]
    slices, start, first_row, row, position = [], 0, 1, 1, 0
    with open_stream(path, None) as stream:
        while chunk := stream.read(_CHUNK):
            position += len(chunk)
            row += chunk.count(b"\n")
            if position - start >= slice_bytes and (end := chunk.rfind(b"\n")) >= 0:
                stop = position - len(chunk) + end + 1
                slices.append(JsonSlice(start, stop, first_row))
                start, first_row = stop, row
    return [*slices, JsonSlice(start, num_bytes, first_row)] if start < num_bytes else slices


def json_keys(path: str, compression: str | None) -> list[str] | None:
    """The keys of the first objects, or None where the first lines hold no object at all (all blank)."""
    keys: dict[str, None] = {}
    num_seen = num_objects = 0
    for _, line in _lines(path, compression, JsonSlice(0, 2 * MAX_LINE_BYTES, 1)):
        if num_seen == _PEEKED_LINES:
            break
        num_seen += 1
        row, _ = _parse(line)
        if row is not None:
            num_objects += 1
            keys |= dict.fromkeys(row)
    if num_seen and not num_objects:
        raise BadInputError(f"{path}: none of its first {num_seen} lines is a JSON object; expected JSON lines")
    return list(keys) if num_seen else None


def json_rows(
    path: str, compression: str | None, where: JsonSlice, columns: dict[str, str], batch_rows: int
) -> Iterator[Rows]:
    """Rows of the slice; `columns` maps candidate columns to keys."""
    batch = _Batch(columns)
    for number, line in _lines(path, compression, where):
        batch.add(number, line)
        if batch.num_rows >= batch_rows:
            yield batch.rows()
            batch = _Batch(columns)
    if batch.num_rows:
        yield batch.rows()


class _Batch:
    """Lines being gathered into columns."""

    def __init__(self, columns: dict[str, str]) -> None:
        self.num_rows = 0
        self._columns = columns
        self._numbers: list[int] = []
        self._values: dict[str, list[bytes | None]] = {field: [] for field in columns}
        self._broken: list[tuple[int, str]] = []
        self._num_bytes = 0

    def add(self, number: int, line: bytes | None) -> None:
        self.num_rows += 1
        row, fault = _parse(line)
        if row is None:
            self._broken.append((number, fault))
            return
        values = {field: row.get(key) for field, key in self._columns.items()}
        odd = next((f for f, v in values.items() if v is not None and not isinstance(v, str)), None)
        if odd is not None:
            self._broken.append((number, f"{self._columns[odd]!r} is {type(values[odd]).__name__}, not text"))
            return
        self._numbers.append(number)
        for field, value in values.items():
            # A lone surrogate (\ud800) becomes bytes that are not UTF-8, and is judged as such.
            encoded = None if value is None else value.encode("utf-8", "surrogatepass")
            self._values[field].append(encoded)

    def rows(self) -> Rows:
        columns = {field: pa.array(values, pa.binary()) for field, values in self._values.items()}
        return Rows(pa.array(self._numbers, pa.int64()), columns, self._broken)


def _parse(line: bytes | None) -> tuple[dict[str, Any] | None, str]:
    if line is None:
        return None, f"a line of more than {MAX_LINE_BYTES} bytes"
    try:
        # What is not UTF-8 inside a string survives as surrogates, and is judged by the column it is in.
        row = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"[:200]
    return (row, "") if isinstance(row, dict) else (None, f"{type(row).__name__}, not an object")


def _lines(path: str, compression: str | None, where: JsonSlice) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, with their numbers; None for a line that is too long to be read."""
    number, tail, is_long = where.first_row, b"", False
    for chunk in _chunks(path, compression, where):
        pieces = (tail + chunk).split(b"\n")
        tail = pieces.pop()
        for piece in pieces:
            if is_long or len(piece) > MAX_LINE_BYTES:
                yield number, None
            elif line := piece.strip(b" \t\r"):
                yield number, line.removeprefix(_BOM) if number == 1 else line
            number, is_long = number + 1, False
        if len(tail) > MAX_LINE_BYTES:
            tail, is_long = b"", True
    if is_long:
        yield number, None
    elif line := tail.strip(b" \t\r"):
        yield number, line.removeprefix(_BOM) if number == 1 else line


def _chunks(path: str, compression: str | None, where: JsonSlice) -> Iterator[bytes]:
    with open_stream(path, compression) as stream:
        if not compression:
            stream.seek(where.start)
        left = None if compression else where.stop - where.start
        while left is None or left > 0:
            try:
                chunk = stream.read(_CHUNK if left is None else min(_CHUNK, left))
            except (OSError, pa.ArrowInvalid) as error:
                raise BadInputError(f"{path}: broken or cut short: {error}") from error
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk
