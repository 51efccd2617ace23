"""The candidates of a WARC file's pages: of every HTML page that was served with status 200, and of WAT records."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from crawler.archives.opening import Opener
from crawler.archives.wat import read_wat
from crawler.candidate_columns import CandidateColumns, facts_of, row_of
from crawler.content_coding import CodingError, decode_body
from crawler.kept_candidates import Row
from crawler.page_candidates import PageCandidates
from crawler.parse_child import HtmlPage, PageParser
from crawler.tdmrep import TDMREP_PATH
from crawler.urls import canonical_url
from crawler.warc import WarcPage, WarcSlice, header, is_html, read_responses
from shards.errors import BadInputError

_BATCH_ROWS = 8192
_PAGES_TOGETHER, _BYTES_TOGETHER = 32, 2**20
_NO_PAGES = ("/robots.txt", TDMREP_PATH)
"""What some servers answer with a page of HTML."""


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
