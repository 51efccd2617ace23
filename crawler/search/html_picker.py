"""Search answers of HTML, read by CSS selectors in a child process with bounds of time and memory."""

import json
from dataclasses import asdict
from functools import partial
from typing import Any

from crawler.child_process import AnsweringChild, answer_questions
from crawler.half_characters import utf8
from crawler.search.items import Picked, picked
from crawler.search.settings import Endpoint, split_css
from shards.closing import Closing

PICK_SECONDS = 5.0
MAX_MEMORY_BYTES = 2 * 2**30
_ADDRESSES = ("url", "page_url", "next_page")


class HtmlPicker(Closing):
    """`pick_html` at one remove, for one endpoint: what breaks the parser costs that answer alone."""

    def __init__(self, endpoint: Endpoint, pick_seconds: float = PICK_SECONDS) -> None:
        self._pick_seconds = pick_seconds
        self._child = AnsweringChild("crawler.search.html_picker", endpoint.model_dump_json().encode())

    def pick(self, body: bytes, url: str, content_type: str | None) -> Picked:
        answer = self._child.ask(json.dumps([url, content_type]).encode(), body, self._pick_seconds)
        if answer is None:
            return Picked(fault=f"the parser crashed or took too long ({len(body)} bytes)")
        facts: dict[str, Any] = json.loads(answer)
        return Picked(**(facts | {"items": tuple(facts["items"])}))

    def close(self) -> None:
        self._child.close()


def main() -> None:
    """The child: an answer for each request, by the endpoint that its settings are."""
    answer_questions(lambda settings: partial(_answer, Endpoint.model_validate_json(settings)), MAX_MEMORY_BYTES)


def _answer(endpoint: Endpoint, question: bytes, body: bytes) -> bytes:
    url, content_type = json.loads(question)
    try:
        answer = pick_html(body, url, content_type, endpoint)
    except (MemoryError, RecursionError) as error:
        answer = Picked(fault=type(error).__name__)
    return utf8(json.dumps(asdict(answer), ensure_ascii=False))


def pick_html(body: bytes, url: str, content_type: str | None, endpoint: Endpoint) -> Picked:
    """Reads an answer of HTML from the address `url`; links are made absolute."""
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    from crawler.charset import decode

    text = decode(body, content_type).text
    try:
        page = LexborHTMLParser(text.replace("\0", "\ufffd"))
        has_more = endpoint.more is None or bool(page.css(split_css(endpoint.more)[0]))
        read = picked(page.root, list(page.css(endpoint.items)), has_more, endpoint, _texts_of_node)
    except SelectolaxError as error:
        return Picked(fault=f"not HTML: {error}"[:200])
    next_page = read.next_page if endpoint.next_url is None else _absolute(url, read.next_page)
    items = tuple(_with_absolute_links(item, url) for item in read.items)
    return Picked(items, read.has_more, next_page, read.num_pages, read.fault)


def _with_absolute_links(item: dict[str, str], base: str) -> dict[str, str]:
    """Links on a page are relative to it; what is no link stays as it is, and is refused as a URL."""
    return {name: (_absolute(base, value) or value) if name in _ADDRESSES else value for name, value in item.items()}


def _absolute(base: str, link: str | None) -> str | None:
    from crawler.urls import resolve

    return None if link is None else resolve(base, link)


def _texts_of_node(node: Any, path: str) -> list[str]:
    """What a selector leads to from a node: attributes, or texts with their spaces in order."""
    if node is None:
        return []
    selector, attribute = split_css(path)
    nodes = node.css(selector) if selector else [node]
    if attribute is not None:
        return [value.strip() for found in nodes if (value := found.attributes.get(attribute))]
    return [text for found in nodes if (text := " ".join(found.text(deep=True).split()))]
