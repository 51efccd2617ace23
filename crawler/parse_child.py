"""Pages parsed in a child process with bounds of time and memory: a page that breaks the parser costs itself only."""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from crawler.child_process import AnsweringChild, answer_questions
from crawler.extract import Page, extract_page
from crawler.half_characters import utf8
from crawler.page_candidates import PageCandidates
from shards.closing import Closing

PARSE_SECONDS = 5.0
MAX_MEMORY_BYTES = 2 * 2**30

_LENGTH = struct.Struct(">I")
_FACTS = [field.name for field in fields(Page) if field.name != "candidates"]

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class HtmlPage:
    """A page as it was served, without any content coding."""

    html: bytes
    url: str
    content_type: str | None
    headers: Headers
    wants_links: bool = True


class PageParser(Closing):
    """`extract_page` at one remove. A context manager; not for use by two threads at once."""

    def __init__(self, agent: str, parse_seconds: float = PARSE_SECONDS) -> None:
        self.agent = agent
        self._parse_seconds = parse_seconds
        self._child = AnsweringChild("crawler.parse_child")

    def extract(
        self, html: bytes, url: str, content_type: str | None, headers: Headers, wants_links: bool = True
    ) -> Page:
        """The page; a `Page` with an `error` where the parser ran out of time or memory, or crashed."""
        (page,) = self.extract_all([HtmlPage(html, url, content_type, headers, wants_links)])
        return page

    def extract_all(self, pages: Sequence[HtmlPage]) -> list[Page]:
        """As `extract`, of each page, with one question for all. Where it has no answer, each is asked about alone, so
        that no page suffers from another."""
        if not pages:
            return []
        about = [[len(p.html), p.url, p.content_type, list(p.headers), self.agent, p.wants_links] for p in pages]
        body = pages[0].html if len(pages) == 1 else b"".join(page.html for page in pages)
        answer = self._child.ask(json.dumps(about).encode(), body, self._parse_seconds)
        if answer is not None:
            return [_page_from(frame) for frame in _frames_in(answer)]
        if len(pages) > 1:
            return [self.extract_all([page])[0] for page in pages]
        what = "the parser crashed or ran out of memory" if self._child.has_died else "parsing took too long"
        return [Page(error=f"{what} ({len(body)} bytes)")]

    def close(self) -> None:
        self._child.close()


def main() -> None:
    """The child: some pages for each request."""
    answer_questions(lambda _: _answer, MAX_MEMORY_BYTES)


def _answer(question: bytes, body: bytes) -> bytes:
    frames, start = [], 0
    for length, url, content_type, headers, agent, wants_links in json.loads(question):
        html = body[start : start + length]
        start += length
        try:
            page = extract_page(html, url, content_type, [(name, value) for name, value in headers], agent, wants_links)
        except (MemoryError, RecursionError) as error:
            page = Page(error=type(error).__name__)
        frames.append(_frame_of(page))
    return b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames)


def _frames_in(answer: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(answer):
        (length,) = _LENGTH.unpack_from(answer, start)
        start += _LENGTH.size + length
        yield answer[start - length : start]


def _frame_of(page: Page) -> bytes:
    """The length of what a page says as JSON, the JSON, its candidates."""
    facts = [getattr(page, name) for name in _FACTS]
    said = utf8(json.dumps(facts, ensure_ascii=False))
    return _LENGTH.pack(len(said)) + said + page.candidates.to_bytes()


def _page_from(frame: bytes) -> Page:
    (length,) = _LENGTH.unpack_from(frame)
    end = _LENGTH.size + length
    facts = json.loads(frame[_LENGTH.size : end])
    return Page(candidates=PageCandidates.from_bytes(frame[end:]), **dict(zip(_FACTS, facts, strict=True)))
