"""A small image search on loopback, with pages, a key, a log of what it was asked, and faults on demand."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.crawler.conftest import Handler, Request, Server, serve

Answers = Callable[[str, int], Any]
"""(query, page from 1) -> what is answered: JSON, or a handler."""


class _Routes(dict[str, Handler]):
    """Pages by their path alone, without the query."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.partition("?")[0], default)


class SearchEngine:
    """Answers `/api?q=…&page=…`. Each query has `num_results` results, `page_size` a page, of photographs `/N.png`."""

    def __init__(self, num_results: int = 5, page_size: int = 2) -> None:
        self.server = Server(pages=_Routes())
        self.num_results = num_results
        self.page_size = page_size
        self.answers: dict[tuple[str, int], Any] = {}
        self.server.pages["/api"] = self._answer

    def describe(self, **more: Any) -> dict[str, Any]:
        """The endpoint as a recipe describes it."""
        return {
            "url": self.server.url("/api?q={query}&page={page}&n={size}"),
            "items": "$.results[*]",
            "page_size": self.page_size,
            "fields": {
                "url": "$.image",
                "page_url": "$.page",
                "license": "$.license",
                "texts": {"title": "$.title", "description": ["$.long", "$.short"]},
            },
            "delay_s": 0,
        } | more

    @property
    def asked(self) -> list[tuple[str, int]]:
        """Query and page of each request, in order."""
        pairs = [parse_qs(urlsplit(request.path).query) for request in self.server.log if "/api" in request.path]
        return [(pair["q"][0], int(pair.get("page", ["1"])[0])) for pair in pairs]

    def result(self, query: str, rank: int) -> dict[str, Any]:
        return {
            "image": self.server.url(f"/{rank}.png"),
            "page": self.server.url(f"/page/{rank}"),
            "title": f"{query}的第{rank}张",
            "short": f"关于{query}",
            "license": "https://creativecommons.org/publicdomain/zero/1.0/",
        }

    def _answer(self, request: Request) -> None:
        asked = parse_qs(urlsplit(request.path).query)
        query, page = asked["q"][0], int(asked.get("page", ["1"])[0])
        answer = self.answers.get((query, page), self._results(query, page))
        if callable(answer):
            answer(request)
        else:
            serve(json.dumps(answer, ensure_ascii=False).encode(), Content_Type="application/json")(request)

    def _results(self, query: str, page: int) -> dict[str, Any]:
        first = (page - 1) * self.page_size + 1
        ranks = range(first, min(first + self.page_size, self.num_results + 1))
        return {"results": [self.result(query, rank) for rank in ranks]}

    def close(self) -> None:
        self.server.close()
