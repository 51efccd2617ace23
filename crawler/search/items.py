"""One answer of a search endpoint read: its items, field by field, and what it says of further pages."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crawler.half_characters import utf8
from crawler.search.json_path import parse_path, select
from crawler.search.settings import Endpoint

MAX_VALUE_CHARS = 65_536
MAX_ITEMS = 10_000
SAID = "the endpoint says: "
"""Before the words of an answer that is an error under a status of 200."""

_BLOCKS = frozenset({"br", "div", "p", "li", "td", "th", "tr", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6"})
_UNSEEN = frozenset({"script", "style", "template"})
_TOKEN = re.compile(r"<(?:(?P<end>/)?(?P<tag>[A-Za-z][^\s<>/]*)[^<>]*|[!?/][^<>]*)>|(?P<text><|[^<]+)")

Found = Callable[[Any, str], list[str]]
"""The texts that a path leads to from an item or an answer."""


@dataclass(frozen=True)
class Picked:
    """What an answer holds. An item maps `url`, `page_url`, ... and `text:KIND` to texts that are not empty.

    `next_page` is the token or the address of the next page; `fault` says why the answer could not be read.
    """

    items: tuple[dict[str, str], ...] = ()
    has_more: bool = False
    next_page: str | None = None
    num_pages: int | None = None
    fault: str | None = None


def pick_json(body: bytes, endpoint: Endpoint) -> Picked:
    """Reads an answer of JSON, be it whatever came."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        return Picked(fault=f"not JSON: {error}"[:200])
    has_more = endpoint.more is None or any(select(answer, parse_path(endpoint.more)))
    return picked(answer, select(answer, parse_path(endpoint.items)), has_more, endpoint, _texts_of_json)


def picked(answer: Any, items: list[Any], has_more: bool, endpoint: Endpoint, found: Found) -> Picked:
    """An answer's items in order of rank, with `found` to follow paths."""

    def first(path: str | None) -> str | None:
        return next(iter(found(answer, path)), None) if path is not None else None

    if fault := first(endpoint.error):
        return Picked(fault=f"{SAID}{fault}"[:200])
    if endpoint.rank is not None:
        path = endpoint.rank
        items = sorted(items, key=lambda item: _number(next(iter(found(item, path)), "")))
    paths = endpoint.fields.named()
    read = [{name: _value(item, name, paths[name], endpoint, found) for name in paths} for item in items[:MAX_ITEMS]]
    counted = first(endpoint.num_pages)
    return Picked(
        tuple({name: value for name, value in item.items() if value} for item in read),
        has_more,
        next_page=first(endpoint.token if endpoint.token is not None else endpoint.next_url),
        num_pages=int(counted) if counted is not None and re.fullmatch("[0-9]{1,9}", counted) else None,
    )


def text_of_markup(markup: str) -> str:
    """The text of a piece of HTML, blocks apart. One pass and no tree: html.parser is quadratic in broken tags.

    >>> text_of_markup('<p>西湖<a href="/x">日落</a></p><script>a()</script>杭州&amp;')
    '西湖日落 杭州&'
    """
    pieces: list[str] = []
    unseen = ""
    for token in _TOKEN.finditer(markup):
        tag = (token["tag"] or "").lower()
        if unseen:
            unseen = "" if tag == unseen and token["end"] else unseen
        elif tag:
            unseen = tag if tag in _UNSEEN and not token["end"] else ""
            pieces += [" "] if tag in _BLOCKS else []
        elif token["text"]:
            pieces.append(token["text"])
    return " ".join(html.unescape("".join(pieces)).split())


def _value(item: Any, name: str, paths: list[str], endpoint: Endpoint, found: Found) -> str:
    """The texts of the first path that leads to any: all of them for a text, else the first."""
    values = next(filter(None, (found(item, path) for path in paths)), [])
    is_text = name.startswith("text:")
    value = (",".join(values) if is_text else next(iter(values), ""))[:MAX_VALUE_CHARS]
    return text_of_markup(value) if is_text and name.removeprefix("text:") in endpoint.markup else value


def _texts_of_json(value: Any, path: str) -> list[str]:
    """Strings and numbers as texts; anything else is none."""
    return [text for text in map(_as_text, select(value, parse_path(path))) if text]


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return utf8(value).decode().strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _number(text: str) -> float:
    """A rank for sorting; what is no number comes last."""
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else float("inf")
