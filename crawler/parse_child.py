"""Pages parsed in a child process with bounds of time and memory: a page that breaks the parser costs itself only."""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from crawler.child_process import AnsweringChild, answer_questions
from crawler.extract import Candidate, Page, extract_page
from crawler.image_role import Role

PARSE_SECONDS = 5.0
MAX_MEMORY_BYTES = 2 * 2**30


class PageParser:
    """`extract_page` at one remove. A context manager; not for use by two threads at once."""

    def __init__(self, agent: str, parse_seconds: float = PARSE_SECONDS) -> None:
        self._agent = agent
        self._parse_seconds = parse_seconds
        self._child = AnsweringChild("crawler.parse_child")

    def extract(
        self,
        html: bytes,
        url: str,
        content_type: str | None,
        headers: Sequence[tuple[str, str]],
        wants_links: bool = True,
    ) -> Page:
        """The page; a `Page` with an `error` where the parser ran out of time or memory, or crashed."""
        question = json.dumps([url, content_type, list(headers), self._agent, wants_links]).encode()
        answer = self._child.ask(question, html, self._parse_seconds)
        if answer is None:
            what = "the parser crashed or ran out of memory" if self._child.has_died else "parsing took too long"
            return Page(error=f"{what} ({len(html)} bytes)")
        return _page_from(json.loads(answer))

    def close(self) -> None:
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main() -> None:
    """The child: a page for each request."""
    answer_questions(lambda _: _answer, MAX_MEMORY_BYTES)


def _answer(question: bytes, html: bytes) -> bytes:
    url, content_type, headers, agent, wants_links = json.loads(question)
    try:
        page = extract_page(html, url, content_type, [(name, value) for name, value in headers], agent, wants_links)
    except (MemoryError, RecursionError) as error:
        page = Page(error=type(error).__name__)
    return _frame_of(page)


def _frame_of(page: Page) -> bytes:
    """A page as JSON. Candidates of one image follow each other: what they share is written once."""
    images: list[tuple[str, Role, list[str | None]]] = []
    for c in page.candidates:
        if not images or images[-1][:2] != (c.url, c.role):
            images.append((c.url, c.role, []))
        images[-1][2].extend((c.kind, c.text, c.drop_reason, c.detail))
    facts = [page.title, page.charset, page.opt_out, page.error, page.charset_from]
    parts = [facts, [page.language, page.author, page.license], page.links, images]
    return json.dumps(parts, ensure_ascii=False).encode("utf-8", "replace")


def _page_from(parts: list[Any]) -> Page:
    (title, charset, opt_out, error, charset_from), (language, author, license_), links, images = parts
    rows = []
    for url, flags, said in images:
        role = Role(*flags)
        for start in range(0, len(said), 4):
            kind, text, drop_reason, detail = said[start : start + 4]
            rows.append(Candidate(url, kind, text, drop_reason, detail, role))
    return Page(title, charset, links, rows, opt_out, error, charset_from, language, author, license_)
