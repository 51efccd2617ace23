"""WARC and WAT files as pages: every response that they hold, or tell of."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from crawler.archives.listing import listed_files
from crawler.archives.opening import Opener
from crawler.archives.wat import MAX_WAT_BYTES
from crawler.content_coding import dechunk
from crawler.input_files import open_stream
from crawler.kept_candidates import CONTENT_TYPE, MOST_BYTES, Row, rows_of_record
from crawler.remote.reach import Reach
from shards.errors import BadInputError

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class WarcSlice:
    """One WARC file; `name` is what `origin` calls it. `num_bytes` is None for one that nobody was asked about."""

    path: str
    name: str
    num_bytes: int | None


@dataclass(frozen=True)
class WarcPage:
    """One stored response with its body as on the wire, or what is broken (`url` is then '')."""

    url: str
    offset: int
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str | None = None
    kept: tuple[Row, ...] = ()
    """Candidates of a page whose own record is gone."""
    is_truncated: bool = False
    """Whether the record says that the body ends before its end."""
    wat: bytes | None = None
    """The JSON of a WAT record, which tells of a page that lies elsewhere."""


def warc_slices(
    paths: Sequence[str], paths_file: str | None = None, prefix: str = "", reach: Reach | None = None
) -> Iterator[WarcSlice]:
    """One slice a file, in order of name, each looked at when it is asked for. Raises BadInputError for a file that is
    empty or no WARC, as far as that can be seen: those of lists and of web servers show it when they are read."""
    with Opener(reach) as opener:
        files = listed_files(paths, paths_file, prefix, opener)
    for file in files:
        if file.num_bytes == 0:
            raise BadInputError(f"{file.path}: empty file (0 bytes); expected WARC records")
        if file.num_bytes is not None and not _starts_as_warc(file.path):
            raise BadInputError(f"{file.path}: does not start with a WARC record; ARC files are not read")
        yield WarcSlice(file.path, file.name, file.num_bytes)


def read_responses(path: str, max_page_bytes: int, start: int = 0, opened: Any = None) -> Iterator[WarcPage]:
    """Every HTTP response from the offset `start` on, its body cut just beyond `max_page_bytes`, what WAT records tell
    of one, and what stayed of responses that are gone; a broken end is a last page with an `error`.

    `opened` is the file, where it is not to be opened here.
    """
    offset = start
    records = iter(_records(path, start) if opened is None else iterated(opened))
    while True:
        try:
            record = next(records, None)
            if record is None:
                return
            offset = record.stream_pos
            page = page_of(record, offset, max_page_bytes)
        except (OSError, ValueError) as error:
            yield WarcPage("", offset, error=f"unreadable after this offset: {error}"[:200])
            return
        if page is not None:
            yield page


def is_html(content_type: str | None, body: bytes) -> bool:
    """Whether a response is HTML by its Content-Type, or, where it has none, by its first bytes."""
    declared = (content_type or "").partition(";")[0].strip().lower()
    return declared in _HTML_TYPES if declared else body.lstrip()[:64].lower().startswith(_HTML_STARTS)


def header(headers: Sequence[tuple[str, str]], name: str) -> str | None:
    """The first header of that name (in lower case), if any."""
    return next((value for key, value in headers if key.lower() == name), None)


def _records(path: str, start: int) -> Any:
    stream: Any = path
    if start or "://" in path:
        stream = open_stream(path, None)
        stream.seek(start)
    return iterated(stream)


def iterated(stream: Any, any_kind: bool = False) -> Any:
    """fastwarc's records of an opened file, of the kinds that tell of pages, or of any."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    kinds = WarcRecordType.response | WarcRecordType.conversion | WarcRecordType.metadata
    return ArchiveIterator(stream, record_types=WarcRecordType.any_type if any_kind else kinds, fsspec_args=False)


def _starts_as_warc(path: str) -> bool:
    """Whether the first bytes, unzipped, are those of a record. Zstandard files are taken at their word."""
    with open_stream(path, None) as stream:
        head = stream.read(65_536)
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 64)
        except zlib.error:
            return False
    return bool(head.startswith((b"WARC/", b"\x28\xb5\x2f\xfd")))


def page_of(record: Any, offset: int, max_page_bytes: int) -> WarcPage | None:
    """What a record of fastwarc's holds; None for one that is of no page."""
    content_type = record.headers.get("Content-Type")
    if record.record_type == _metadata():
        is_wat = (content_type or "").partition(";")[0].strip().lower() == "application/json"
        return WarcPage("", offset, wat=record.reader.read(MAX_WAT_BYTES + 1)) if is_wat else None
    if content_type == CONTENT_TYPE:
        return WarcPage("", offset, kept=rows_of_record(record.reader.read(MOST_BYTES)))
    headers = record.http_headers
    if headers is None or headers.status_code is None:
        return None
    # wget writes <http://…>, against the standard
    url = (record.headers.get("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">")
    pairs: Headers = [(str(name), str(value)) for name, value in headers.to_tuples()]
    body = record.reader.read(max_page_bytes + 1)
    if "chunked" in (header(pairs, "transfer-encoding") or "").lower():
        body = dechunk(body)
    is_truncated = record.headers.get("WARC-Truncated") is not None
    return WarcPage(url, offset, headers.status_code, tuple(pairs), body, is_truncated=is_truncated)


def _metadata() -> Any:
    from fastwarc.warc import WarcRecordType

    return WarcRecordType.metadata
