"""What stays of a page whose record is gone: the candidates that it gave, in a WARC record of their own.

A `conversion` record (WARC 1.1, section 6.9) of JSON lines, one row of RAW_CANDIDATE each; `origin` says where the page
lay.
"""

import json
import zlib
from collections.abc import Sequence

from shards.schema import RAW_CANDIDATE

CONTENT_TYPE = "application/x-ndjson; profile=curate-candidates"
MOST_BYTES = 1 << 26
"""More is not read: a page gives some hundred candidates."""

_NAMES = frozenset(RAW_CANDIDATE.names)
_NO_ID = "<urn:uuid:00000000-0000-0000-0000-000000000000>"
_NO_DATE = "1970-01-01T00:00:00Z"  # the archive must not tell when a takedown came
_COMMENTED = bytes([0x1F, 0x8B, 8, 0x10, 0, 0, 0, 0, 0, 0xFF])
"""A gzip header that a comment of any length follows (RFC 1952, 2.3.1), of no time and no system."""

Row = dict[str, str | bool | None]


def rows_of_record(body: bytes) -> tuple[Row, ...]:
    """The rows of a record's body. Raises `ValueError` for what is none."""
    rows = tuple(json.loads(line) for line in body.splitlines())
    for row in rows:
        if not isinstance(row, dict) or not _NAMES.issuperset(row):
            raise ValueError("a record of kept candidates names what no candidate has")
        if not all(value is None or isinstance(value, str | bool) for value in row.values()):
            raise ValueError("a record of kept candidates holds what is no text")
    return rows


def kept_record(rows: Sequence[Row]) -> bytes:
    """A record of rows, as one gzip member."""
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows]
    body = "".join(lines).encode()
    return _member(_record("conversion", body, f"Content-Type: {CONTENT_TYPE}\r\n"), 0)


def filler(num_bytes: int) -> bytes:
    """A record that says nothing, as one gzip member of so many bytes: what lies behind it keeps its place.

    Raises `ValueError` where that is less than any record takes.
    """
    data = _record("metadata", b"")
    padding = num_bytes - len(_member(data, 0))
    if padding < 0:
        raise ValueError(f"a record of {num_bytes} bytes is shorter than any that says nothing")
    return _member(data, padding)


def _record(kind: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {_NO_ID}\r\nWARC-Date: {_NO_DATE}\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def _member(data: bytes, padding: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data) + packer.flush()
    tail = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return _COMMENTED + b" " * padding + b"\0" + packed + tail
