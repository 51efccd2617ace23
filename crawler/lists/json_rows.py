"""JSON lines, or one array of objects: rows of a byte range, a bad record being a row of its own."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from crawler.input_files import open_stream, read_chunk
from crawler.lists.json_array import MAX_ELEMENT_BYTES, array_elements, is_array
from crawler.lists.table_rows import Rows
from crawler.lists.typed_texts import fault_of_texts, typed_texts
from crawler.sources import ResolvedTable
from shards.errors import BadInputError

MAX_LINE_BYTES = MAX_ELEMENT_BYTES
_CHUNK = 2**20
_SOUGHT_BYTES = 2**16
_PEEKED_LINES = 100
_PEEKED_BYTES = 4096
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LineSlice:
    """Bytes from a line's start to another's."""

    start: int
    stop: int


def json_slices(path: str, num_bytes: int, compression: str | None, slice_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges of about `slice_bytes` that begin with a line; a compressed file is one range, and so is an array.

    Read is what lies around the cuts, and that when a range is asked for: a raw line end in JSON always ends a record.
    """
    if compression or num_bytes <= slice_bytes or holds_array(path, None):
        yield 0, num_bytes
        return
    with open_stream(path, None) as stream:
        cuts = line_starts(path, stream, num_bytes, slice_bytes)
        yield from itertools.pairwise(itertools.chain([0], cuts, [num_bytes]))


def line_starts(path: str, stream: pa.NativeFile, num_bytes: int, every_bytes: int) -> Iterator[int]:
    """Where a line begins, about every so many bytes: only what lies behind these places is read, to its line's end."""
    place = every_bytes
    while place < num_bytes:
        stream.seek(place)
        while chunk := read_chunk(path, stream, _SOUGHT_BYTES):
            end = chunk.find(b"\n")
            if end >= 0:
                place += end + 1
                break
            place += len(chunk)
        if place < num_bytes:
            yield place
        place += every_bytes


def holds_array(path: str, compression: str | None) -> bool:
    """Whether the file holds one array rather than lines of objects."""
    with open_stream(path, compression) as stream:
        return is_array(read_chunk(path, stream, _PEEKED_BYTES))


def json_keys(path: str, compression: str | None) -> list[str] | None:
    """The keys of the first objects, or None where the first lines hold no object at all (all blank)."""
    keys: dict[str, None] = {}
    num_seen = num_objects = 0
    for _, line in _records(path, compression, LineSlice(0, 2 * MAX_LINE_BYTES)):
        if num_seen == _PEEKED_LINES:
            break
        num_seen += 1
        row, _ = parse_record(line)
        if row is not None:
            num_objects += 1
            keys |= dict.fromkeys(row)
    if num_seen and not num_objects:
        what = f"none of its first {num_seen} records is a JSON object"
        raise BadInputError(f"{path}: {what}; expected JSON lines, or one array of objects")
    return list(keys) if num_seen else None


def json_rows(
    path: str, compression: str | None, where: LineSlice, resolved: ResolvedTable, batch_rows: int
) -> Iterator[Rows]:
    """Rows of the slice: one a record, or one a text where a record holds several."""
    batch = _Batch(resolved)
    for number, record in _records(path, compression, where):
        batch.add(number, record)
        if batch.num_rows >= batch_rows:
            yield batch.rows()
            batch = _Batch(resolved)
    if batch.num_rows:
        yield batch.rows()


class _Batch:
    """Records being gathered into columns."""

    def __init__(self, resolved: ResolvedTable) -> None:
        self._resolved = resolved
        self._numbers: list[int] = []
        several = ("kind", "text") if resolved.layout else ()
        self._values: dict[str, list[bytes | None]] = {field: [] for field in (*resolved.columns, *several)}
        self._broken: list[tuple[int, str]] = []

    @property
    def num_rows(self) -> int:
        return len(self._numbers) + len(self._broken)

    def add(self, number: int, record: bytes | None) -> None:
        row, fault = parse_record(record)
        if row is not None:
            fault = self._fault_of(row)
        if row is None or fault:
            self._broken.append((number, fault))
            return
        values = {field: row.get(key) for field, key in self._resolved.columns.items()}
        if self._resolved.layout is None:
            self._append(number, values)
            return
        texts = typed_texts(row, self._resolved.layout)
        for kind, text in texts:
            self._append(number, {**values, "kind": kind, "text": text})
        if not texts:
            self._append(number, {**values, "kind": None, "text": None})

    def _fault_of(self, row: dict[str, Any]) -> str:
        """What makes an object no row: a value that should be text and is none; empty where nothing does."""
        for key in self._resolved.columns.values():
            if not isinstance(row.get(key), str | None):
                return f"{key!r} is {type(row[key]).__name__}, not text"
        return fault_of_texts(row, self._resolved.layout) if self._resolved.layout else ""

    def _append(self, number: int, values: dict[str, str | None]) -> None:
        self._numbers.append(number)
        for field, value in values.items():
            # A lone surrogate (\ud800) becomes bytes that are not UTF-8, and is judged as such.
            encoded = None if value is None else value.encode("utf-8", "surrogatepass")
            self._values[field].append(encoded)

    def rows(self) -> Rows:
        columns = {field: pa.array(values, pa.binary()) for field, values in self._values.items()}
        return Rows(pa.array(self._numbers, pa.int64()), columns, self._broken)


def parse_record(line: bytes | None) -> tuple[dict[str, Any] | None, str]:
    if line is None:
        return None, f"a record of more than {MAX_LINE_BYTES} bytes"
    try:
        # What is not UTF-8 inside a string survives as surrogates, and is judged by the column it is in.
        row = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"[:200]
    return (row, "") if isinstance(row, dict) else (None, f"{type(row).__name__}, not an object")


def _records(path: str, compression: str | None, where: LineSlice) -> Iterator[tuple[int, bytes | None]]:
    """Lines, or elements of an array, with their numbers; None for one that is too long to be read."""
    if where.start == 0 and holds_array(path, compression):
        return enumerate(array_elements(_chunks(path, compression, where)), start=1)
    return json_lines(path, compression, where)


def json_lines(path: str, compression: str | None, where: LineSlice) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, numbered from 1 at `start`; None for a line that is too long to be read."""
    number, tail, is_long = 1, b"", False
    bom = b"" if where.start else _BOM
    for chunk in _chunks(path, compression, where):
        pieces = (tail + chunk).split(b"\n")
        tail = pieces.pop()
        for piece in pieces:
            if is_long or len(piece) > MAX_LINE_BYTES:
                yield number, None
            elif line := piece.strip(b" \t\r"):
                yield number, line.removeprefix(bom) if number == 1 else line
            number, is_long = number + 1, False
        if len(tail) > MAX_LINE_BYTES:
            tail, is_long = b"", True
    if is_long:
        yield number, None
    elif line := tail.strip(b" \t\r"):
        yield number, line.removeprefix(bom) if number == 1 else line


def _chunks(path: str, compression: str | None, where: LineSlice) -> Iterator[bytes]:
    with open_stream(path, compression) as stream:
        if not compression:
            stream.seek(where.start)
        left = None if compression else where.stop - where.start
        while left is None or left > 0:
            chunk = read_chunk(path, stream, _CHUNK if left is None else min(_CHUNK, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk
