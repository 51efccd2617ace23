"""WARC and WAT files as raw candidates: every HTML page that was served with status 200."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from crawler.archives.listing import listed_files
from crawler.archives.opening import Opener
from crawler.archives.wat import MAX_WAT_BYTES, read_wat
from crawler.candidate_columns import CandidateColumns, facts_of, row_of
from crawler.content_coding import CodingError, dechunk, decode_body
from crawler.input_files import open_stream
from crawler.kept_candidates import CONTENT_TYPE, MOST_BYTES, Row, rows_of_record
from crawler.page_candidates import PageCandidates
from crawler.parse_child import HtmlPage, PageParser
from crawler.remote.reach import Reach
from crawler.tdmrep import TDMREP_PATH
from crawler.urls import canonical_url
from shards.errors import BadInputError

_BATCH_ROWS = 8192
_PAGES_TOGETHER, _BYTES_TOGETHER = 32, 2**20
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")

_NO_PAGES = ("/robots.txt", TDMREP_PATH)
"""What some servers answer with a page of HTML."""

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


def read_warc(
    piece: WarcSlice, agent: str, max_page_bytes: int, source: str = "warc", opener: Opener | None = None
) -> Iterator[pa.RecordBatch]:
    """The candidates of all HTML pages as RAW_CANDIDATE batches, in the file's order.

    `agent` is the product token that opt-outs may address. `origin` is `name:offset`. A page that cannot be parsed
    is a row with a null `url` and `parse_error`; the unreadable end of a file is one with `bad_row`.
    """
    return candidates_of_pages(_named_pages(piece, max_page_bytes, opener), agent, max_page_bytes, source)


def candidates_of_pages(
    pages: Iterable[tuple[str, WarcPage]], agent: str, max_page_bytes: int, source: str
) -> Iterator[pa.RecordBatch]:
    """The candidates of pages, each beside its `origin`, as RAW_CANDIDATE batches."""
    columns = CandidateColumns()
    with PageParser(agent) as parser:
        for some in _together(pages):
            for found in _found(some, parser, max_page_bytes, source):
                columns.add(*found)
            if len(columns) >= _BATCH_ROWS:
                yield from columns.batches()
    yield from columns.batches()


def _together(pages: Iterable[tuple[str, WarcPage]]) -> Iterator[list[tuple[str, WarcPage]]]:
    """Pages that are parsed with one question: few, and none of them large, for each is held in memory."""
    some: list[tuple[str, WarcPage]] = []
    num_bytes = 0
    for origin, page in pages:
        some.append((origin, page))
        num_bytes += len(page.body) + len(page.wat or b"")
        if len(some) == _PAGES_TOGETHER or num_bytes >= _BYTES_TOGETHER:
            yield some
            some, num_bytes = [], 0
    if some:
        yield some


def _named_pages(piece: WarcSlice, max_page_bytes: int, opener: Opener | None) -> Iterator[tuple[str, WarcPage]]:
    is_first = True
    stream = opener.stream(piece.path) if opener is not None and piece.num_bytes is None else None
    for page in read_responses(piece.path, max_page_bytes, opened=stream):
        if is_first and page.error and page.offset == 0 and stream is not None:
            raise BadInputError(f"{piece.path}: does not start with a WARC record ({page.error})")
        is_first = False
        # A broken end has no record of its own: `+` tells it from the last record that could be read.
        yield f"{piece.name}:{page.offset}{'+' if page.error else ''}", page
    if stream is not None:
        stream.close()


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


def candidate_rows(page: WarcPage, origin: str, parser: PageParser, max_page_bytes: int, source: str) -> list[Row]:
    """The candidates of one page, as rows of RAW_CANDIDATE; what cannot be parsed is one with its reason."""
    ((shared, candidates, others),) = _found([(origin, page)], parser, max_page_bytes, source)
    return [shared | row_of(candidate) for candidate in candidates] + others


Found = tuple[Row, PageCandidates, list[Row]]
"""What the candidates of a page share, the candidates, and rows beside them: of what could not be parsed, or of a page
whose own record is gone."""

_NOTHING: Found = ({}, PageCandidates(), [])


def _found(
    pages: Sequence[tuple[str, WarcPage]], parser: PageParser, max_page_bytes: int, source: str
) -> Iterator[Found]:
    """What each page gives, in their order."""
    told = [_unparsed(page, origin, parser.agent, max_page_bytes, source) for origin, page in pages]
    asked = [each[1] for each in told if isinstance(each[1], HtmlPage)]
    parsed = iter(parser.extract_all(asked))
    for base, page in told:
        if not isinstance(page, HtmlPage):
            yield page
            continue
        found = next(parsed)
        fallen: list[Row] = [{**base, "drop_reason": "parse_error", "detail": found.error}] if found.error else []
        yield base | facts_of(found), found.candidates, fallen


def _unparsed(
    page: WarcPage, origin: str, agent: str, max_page_bytes: int, source: str
) -> tuple[Row, HtmlPage | Found]:
    """What all of a page's rows say, and the page to parse; or else what it gives without that."""
    if page.kept:
        return {}, ({}, PageCandidates(), [row | {"source": source} for row in page.kept])
    base: Row = {"source": source, "strength": "weak", "origin": origin}
    if page.error is not None:
        return base, ({}, PageCandidates(), [{**base, "drop_reason": "bad_row", "detail": page.error}])
    if page.wat is not None:
        return base, _told_by_wat(page.wat, base, agent)
    page_url = canonical_url(page.url)
    content_type = header(page.headers, "content-type")
    if page.status != 200 or page_url is None or page_url.endswith(_NO_PAGES):
        return base, _NOTHING
    if page.is_truncated and source == "crawl":  # one of ours without its end fell; others' archives hold them as such
        return base, _NOTHING
    if not is_html(content_type, page.body):
        return base, _NOTHING
    # Where a page lies in a crawl's own WARC depends on which server answered first: `pages` has it, no release.
    base |= {"page_url": page_url, "warc_record": None if source == "crawl" else origin}
    try:
        html = decode_body(page.body, header(page.headers, "content-encoding"), max_page_bytes)
    except CodingError as error:
        return base, ({}, PageCandidates(), [{**base, "drop_reason": "parse_error", "detail": str(error)}])
    return base, HtmlPage(html, page_url, content_type, page.headers, wants_links=False)


def _told_by_wat(data: bytes, base: Row, agent: str) -> Found:
    told = read_wat(data, agent)
    if told is None:
        return _NOTHING
    if told.page is None:
        return {}, PageCandidates(), [{**base, "drop_reason": "parse_error", "detail": told.fault}]
    base |= {"page_url": told.page_url, "warc_record": told.record}
    fallen: list[Row] = []
    if told.page.error:
        fallen = [{**base, "drop_reason": "parse_error", "detail": told.page.error}]
    return base | facts_of(told.page), told.page.candidates, fallen
