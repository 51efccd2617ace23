"""WARC files as raw candidates: every HTML page that was served with status 200."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from crawler.candidate_columns import CandidateColumns, facts_of, row_of
from crawler.content_coding import CodingError, dechunk, decode_body
from crawler.extract import Candidate
from crawler.input_files import find_files, open_stream
from crawler.kept_candidates import CONTENT_TYPE, MOST_BYTES, Row, rows_of_record
from crawler.parse_child import PageParser
from crawler.urls import canonical_url
from shards.errors import BadInputError

_BATCH_ROWS = 8192
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class WarcSlice:
    """One WARC file; `name` is what `origin` calls it."""

    path: str
    name: str
    num_bytes: int


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


def warc_slices(paths: Sequence[str]) -> list[WarcSlice]:
    """One slice a file, in order of path. Raises BadInputError for a file that is empty or no WARC."""
    slices = [WarcSlice(file.path, file.name, file.num_bytes) for file in find_files(paths)]
    for piece in slices:
        if piece.num_bytes == 0:
            raise BadInputError(f"{piece.path}: empty file (0 bytes); expected WARC records")
        if not _starts_as_warc(piece.path):
            raise BadInputError(f"{piece.path}: does not start with a WARC record; ARC files are not read")
    return slices


def read_warc(piece: WarcSlice, agent: str, max_page_bytes: int, source: str = "warc") -> Iterator[pa.RecordBatch]:
    """The candidates of all HTML pages as RAW_CANDIDATE batches, in the file's order.

    `agent` is the product token that opt-outs may address. `origin` is `name:offset`. A page that cannot be parsed
    is a row with a null `url` and `parse_error`; the unreadable end of a file is one with `bad_row`.
    """
    columns = CandidateColumns()
    with PageParser(agent) as parser:
        for page in read_responses(piece.path, max_page_bytes):
            # A broken end has no record of its own: `+` tells it from the last record that could be read.
            origin = f"{piece.name}:{page.offset}{'+' if page.error else ''}"
            columns.add(*_found(page, origin, parser, max_page_bytes, source))
            if len(columns) >= _BATCH_ROWS:
                yield from columns.batches()
    yield from columns.batches()


def read_responses(path: str, max_page_bytes: int, start: int = 0) -> Iterator[WarcPage]:
    """Every HTTP response from the offset `start` on, its body cut just beyond `max_page_bytes`, and what stayed of
    responses that are gone; a broken end is a last page with an `error`."""
    offset = start
    records = iter(_records(path, start))
    while True:
        try:
            record = next(records, None)
            if record is None:
                return
            offset = record.stream_pos
            page = _response(record, offset, max_page_bytes)
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
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    stream: Any = path
    if start or "://" in path:
        stream = open_stream(path, None)
        stream.seek(start)
    wanted = WarcRecordType.response | WarcRecordType.conversion
    return ArchiveIterator(stream, record_types=wanted, fsspec_args=False)


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


def _response(record: Any, offset: int, max_page_bytes: int) -> WarcPage | None:
    if record.headers.get("Content-Type") == CONTENT_TYPE:
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


def candidate_rows(page: WarcPage, origin: str, parser: PageParser, max_page_bytes: int, source: str) -> list[Row]:
    """The candidates of one page, as rows of RAW_CANDIDATE; what cannot be parsed is one with its reason."""
    shared, candidates, others = _found(page, origin, parser, max_page_bytes, source)
    return [shared | row_of(candidate) for candidate in candidates] + others


def _found(
    page: WarcPage, origin: str, parser: PageParser, max_page_bytes: int, source: str
) -> tuple[Row, list[Candidate], list[Row]]:
    """What the candidates of a page share, the candidates, and rows beside them: of what could not be parsed, or of a
    page whose own record is gone."""
    if page.kept:
        return {}, [], [row | {"source": source} for row in page.kept]
    base: Row = {"source": source, "strength": "weak", "origin": origin}
    if page.error is not None:
        return {}, [], [{**base, "drop_reason": "bad_row", "detail": page.error}]
    page_url = canonical_url(page.url)
    content_type = header(page.headers, "content-type")
    if page.status != 200 or page_url is None or page_url.endswith("/robots.txt"):
        return {}, [], []
    if page.is_truncated and source == "crawl":  # one of ours without its end fell; others' archives hold them as such
        return {}, [], []
    if not is_html(content_type, page.body):
        return {}, [], []
    # Where a page lies in a crawl's own WARC depends on which server answered first: `pages` has it, no release.
    base |= {"page_url": page_url, "warc_record": None if source == "crawl" else origin}
    try:
        html = decode_body(page.body, header(page.headers, "content-encoding"), max_page_bytes)
    except CodingError as error:
        return {}, [], [{**base, "drop_reason": "parse_error", "detail": str(error)}]
    found = parser.extract(html, page_url, content_type, page.headers, wants_links=False)
    fallen: list[Row] = [{**base, "drop_reason": "parse_error", "detail": found.error}] if found.error else []
    return base | facts_of(found), found.candidates, fallen
