"""Where a large CSV or TSV may be cut: at beginnings of rows, found without reading what lies between the cuts."""

import csv
import io
import itertools
from collections.abc import Iterator

import pyarrow as pa

from crawler.input_files import open_stream

_WITNESSES = 8
"""Lines in a row that must each be a whole record of the table before the first of them counts as a row's beginning: a
field that runs over several lines does not look like that, unless it holds a table of just as many columns."""

_SEARCHED_BYTES = 32 * 2**20
"""How far a beginning is looked for. Where there is none, the two slices stay one."""

_FIRST_BYTES = 2**16


def csv_slices(
    path: str, num_bytes: int, compression: str | None, delimiter: str, num_fields: int, slice_bytes: int
) -> Iterator[tuple[int, int]]:
    """Ranges of about `slice_bytes` that begin with a row, each found when asked for; a compressed file is one."""
    if compression or num_bytes <= slice_bytes:
        yield 0, num_bytes
        return
    with open_stream(path, None) as stream:
        cuts = _cuts(stream, num_bytes, delimiter, num_fields, slice_bytes)
        yield from itertools.pairwise(itertools.chain([0], cuts, [num_bytes]))


def _cuts(stream: pa.NativeFile, num_bytes: int, delimiter: str, num_fields: int, slice_bytes: int) -> Iterator[int]:
    place = slice_bytes
    while place < num_bytes:
        start = _row_start(stream, place, num_bytes, delimiter, num_fields)
        if start is not None and start < num_bytes:
            yield start
            place = start
        place += slice_bytes


def _row_start(stream: pa.NativeFile, place: int, num_bytes: int, delimiter: str, num_fields: int) -> int | None:
    """The first row's beginning behind `place`; None where none can be told."""
    size = _FIRST_BYTES
    while True:
        stream.seek(place)
        window = stream.read(min(size, _SEARCHED_BYTES))
        lines = window.split(b"\n")
        # The last line may go on; at the end of the file it does not.
        whole = lines if place + len(window) >= num_bytes else lines[:-1]
        sound = [_is_record(line, delimiter, num_fields) for line in whole[1:]]
        wanted = min(_WITNESSES, len(sound)) if len(whole) == len(lines) else _WITNESSES
        first = range(len(sound) - wanted + 1) if wanted else ()
        found = next((n for n in first if all(sound[n : n + wanted])), None)
        if found is not None:
            return place + sum(len(line) + 1 for line in whole[: found + 1])
        if len(window) < size or size >= _SEARCHED_BYTES:
            return None
        size *= 8


def _is_record(line: bytes, delimiter: str, num_fields: int) -> bool:
    """Whether a line alone is a whole record. An empty line is passed over where tables are read, and is none here."""
    text = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
    if delimiter != ",":
        return text.count(delimiter) == num_fields - 1 and bool(text)
    if text.count('"') % 2:
        return False
    try:
        fields = next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
    except csv.Error:
        return False
    return len(fields) == num_fields
