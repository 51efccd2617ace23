"""Search answers of HTML, read by CSS selectors in a child process with bounds of time and memory."""

import json
import os
import struct
import subprocess
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from crawler.child_process import die_with_parent, read_frame, start_python_child, write_frame
from crawler.search.items import Picked, picked
from crawler.search.settings import Endpoint, split_css

PICK_SECONDS = 5.0
MAX_MEMORY_BYTES = 2 * 2**30
_START_SECONDS = 60.0
_REQUEST = struct.Struct(">II")
_ADDRESSES = ("url", "page_url", "next_page")


class HtmlPicker:
    """`pick_html` at one remove, for one endpoint: what breaks the parser costs that answer alone."""

    def __init__(self, endpoint: Endpoint, pick_seconds: float = PICK_SECONDS) -> None:
        self._endpoint = endpoint
        self._pick_seconds = pick_seconds
        self._child: subprocess.Popen[bytes] | None = None

    def pick(self, body: bytes, url: str, content_type: str | None) -> Picked:
        child = self._running()
        question = json.dumps([url, content_type]).encode()
        try:
            assert child.stdin is not None
            child.stdin.write(_REQUEST.pack(len(question), len(body)) + question + body)
            child.stdin.flush()
            answer = read_frame(child, self._pick_seconds)
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.close()
            return Picked(fault=f"the parser crashed or took too long ({len(body)} bytes)")
        facts: dict[str, Any] = json.loads(answer)
        return Picked(**(facts | {"items": tuple(facts["items"])}))

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = start_python_child(
                "crawler.search.html_picker", stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert self._child.stdin is not None
            described = self._endpoint.model_dump_json().encode()
            self._child.stdin.write(_REQUEST.pack(len(described), 0) + described)
            self._child.stdin.flush()
            if read_frame(self._child, _START_SECONDS) is None:
                self.close()
                raise RuntimeError("the process that reads search answers did not start; its error output says why")
        return self._child


def main() -> None:
    """The child: the endpoint first, then an answer for each request until its input ends."""
    die_with_parent()
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    endpoint: Endpoint | None = None
    while len(head := sys.stdin.buffer.read(_REQUEST.size)) == _REQUEST.size:
        question_bytes, body_bytes = _REQUEST.unpack(head)
        question = sys.stdin.buffer.read(question_bytes)
        body = sys.stdin.buffer.read(body_bytes)
        if endpoint is None:
            endpoint = Endpoint.model_validate_json(question)
            write_frame(out, b"ready")
            continue
        url, content_type = json.loads(question)
        try:
            answer = pick_html(body, url, content_type, endpoint)
        except (MemoryError, RecursionError) as error:
            answer = Picked(fault=type(error).__name__)
        write_frame(out, json.dumps(asdict(answer), ensure_ascii=False).encode("utf-8", "replace"))


def pick_html(body: bytes, url: str, content_type: str | None, endpoint: Endpoint) -> Picked:
    """Reads an answer of HTML from the address `url`; links are made absolute."""
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    from crawler.charset import decode

    text, _ = decode(body, content_type)
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
