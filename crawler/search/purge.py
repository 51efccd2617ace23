"""Answers of a search endpoint without some results: the texts of an item that names an image that has to go."""

import gzip
import json
from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from crawler.search.answers import Answer, read_answers
from crawler.search.json_path import parse_path, select
from crawler.search.settings import Endpoint

_REASON = "removed"


def purge_answers(path: Path, target: Path | None, urls: Set[str], endpoint: Endpoint) -> int:
    """Write the answers again with what names one of `urls` emptied; returns how many answers that are.

    An item keeps its place and its numbers, so that the others keep their ranks. An answer that is no JSON is emptied
    as a whole. Nothing is written if there are none, or without a `target`.
    """
    num = sum(purged is not answer for answer, purged in _purged(path, urls, endpoint)) if urls else 0
    if num and target is not None:
        with target.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            for _, purged in _purged(path, urls, endpoint):
                packed.write(purged.to_line())
    return num


def _purged(path: Path, urls: Set[str], endpoint: Endpoint) -> Iterator[tuple[Answer, Answer]]:
    for answer in read_answers(path):
        yield answer, _without(answer, urls, endpoint)


def _without(answer: Answer, urls: Set[str], endpoint: Endpoint) -> Answer:
    """The answer itself where it names none of the URLs."""
    try:
        whole = json.loads(answer.body)
    except (ValueError, RecursionError):
        names = any(url.encode() in answer.body for url in urls)
        return replace(answer, body=b"", drop_reason=_REASON, detail=None) if names else answer
    items = [item for item in select(whole, parse_path(endpoint.items)) if _names(item, urls)]
    for item in items:
        _empty(item)
    return replace(answer, body=json.dumps(whole, ensure_ascii=False).encode()) if items else answer


def _names(value: Any, urls: Set[str]) -> bool:
    if isinstance(value, dict):
        return any(_names(inner, urls) for inner in value.values())
    if isinstance(value, list):
        return any(_names(inner, urls) for inner in value)
    return isinstance(value, str) and value in urls


def _empty(value: Any) -> None:
    """Every text in it becomes an empty one."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(places):
        if isinstance(inner, str):
            value[key] = ""
        else:
            _empty(inner)
