"""A search endpoint asked: page after page, each request once, and told apart from one that is away or shut."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.search.answers import Answer, read_answers
from crawler.search.asking import MAX_FAILURES, QueryEnd, SearchSettings, search_part
from crawler.search.queries import Query
from crawler.search.source import SearchSource
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from shards.errors import CurateError, TryAgainError, UsageError
from tests.crawler.conftest import Request, Server, not_found, serve
from tests.crawler.search.search_engine import SearchEngine

AGENT = "testbot/1.0 (+https://example.org/bot)"
KEY = "s3cret-key"


@pytest.fixture
def engine() -> Iterator[SearchEngine]:
    started = SearchEngine()
    yield started
    started.close()


class Search:
    """One part of a search in a folder, to be asked again and again."""

    def __init__(self, folder: Path, engine: SearchEngine, per_query: int = 100, **endpoint: Any) -> None:
        self.spool = folder / "spool.jsonl"
        self.path = folder / "answers.jsonl.gz"
        source = {"kind": "search", "queries": "q.tsv", "endpoint": engine.describe(**endpoint), "per_query": per_query}
        self.settings = SearchSettings(
            SearchSource.model_validate(source),
            CrawlerSettings.model_validate({"user_agent": AGENT, "per_host": {"delay_s": 0, "concurrency": 4}}),
            FetchSettings.model_validate({"retries": 0, "total_timeout_s": 5, "backoff_s": 0}),
            NetworkSettings.model_validate({"allow_private": [engine.server.address]}),
        )

    def ask(self, *queries: str) -> list[QueryEnd]:
        asked = [Query(line, text) for line, text in enumerate(queries, 1)]
        ends, self.num_kept, self.num_requests = search_part(asked, self.settings, self.spool, self.path)
        return ends

    def answers(self) -> list[Answer]:
        return list(read_answers(self.path))


def refused(status: str, **headers: str) -> Any:
    return lambda request: request.answer(b"no", status, {k.replace("_", "-"): v for k, v in headers.items()})


def test_a_query_is_asked_until_nothing_more_comes(tmp_path: Path, engine: SearchEngine) -> None:
    search = Search(tmp_path, engine)
    (end,) = search.ask("西湖 & 塔")
    assert (end.num_pages, end.num_results, end.drop_reason) == (4, 5, None)
    assert engine.asked == [("西湖 & 塔", page) for page in (1, 2, 3, 4)]
    assert [answer.place for answer in search.answers()] == [(1, page) for page in range(4)]
    request = engine.server.log[-1]
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"] == AGENT
    assert "authorization" not in request.headers


@pytest.mark.parametrize(("per_query", "pages", "results"), [(1, 1, 1), (2, 1, 2), (3, 2, 3), (4, 2, 4), (5, 3, 5)])
def test_no_page_is_asked_for_beyond_the_results_that_are_wanted(
    tmp_path: Path, engine: SearchEngine, per_query: int, pages: int, results: int
) -> None:
    (end,) = Search(tmp_path, engine, per_query).ask("湖")
    assert (end.num_pages, end.num_results) == (pages, results)


@pytest.mark.parametrize(
    ("endpoint", "answers", "pages"),
    [
        ({"max_pages": 2}, {}, [1, 2]),
        ({"num_pages": "$.pages"}, {1: {"results": [{"image": "http://a/1"}], "pages": 1}}, [1]),
        ({"more": "$.continue"}, {1: {"results": [{"image": "http://a/1"}], "continue": None}}, [1]),
        ({"more": "$.continue"}, {1: {"results": [{"image": "http://a/1"}], "continue": {"o": 2}}}, [1, 2]),
        # Pages that are all alike come from an endpoint that knows no pages.
        ({}, {1: {"results": [{"image": "http://a/1"}]}, 2: {"results": [{"image": "http://a/1"}]}}, [1, 2]),
    ],
)
def test_paging_ends_where_the_answers_say_so(
    tmp_path: Path, engine: SearchEngine, endpoint: dict[str, Any], answers: dict[int, Any], pages: list[int]
) -> None:
    engine.answers = {("湖", page): answer for page, answer in answers.items()}
    Search(tmp_path, engine, **endpoint).ask("湖")
    assert [page for _, page in engine.asked] == pages


def test_a_token_leads_to_the_next_page(tmp_path: Path, engine: SearchEngine) -> None:
    tokens = {"": "a b", "a b": 7, "7": None}

    def answer(request: Request) -> None:
        token = request.path.partition("&t=")[2].replace("%20", " ")
        body = {"results": [{"image": f"http://a/{token}"}], "next": tokens[token]}
        serve(json.dumps(body).encode())(request)

    engine.server.pages["/api"] = answer
    search = Search(tmp_path, engine, url=engine.server.url("/api?q={query}&t={token}"), token="$.next")
    (end,) = search.ask("湖")
    assert (end.num_pages, end.num_results) == (3, 3)


def test_the_next_address_is_followed_at_home_only(tmp_path: Path, engine: SearchEngine, canary: Server) -> None:
    nexts = {1: "/api?q=x&page=2", 2: canary.url("/api?q=x&page=3")}

    def answer(request: Request) -> None:
        page = int(request.path.rpartition("=")[2])
        serve(json.dumps({"results": [{"image": f"http://a/{page}"}], "next": nexts[page]}).encode())(request)

    engine.server.pages["/api"] = answer
    search = Search(tmp_path, engine, url=engine.server.url("/api?q={query}&page=1"), next_url="$.next")
    (end,) = search.ask("x")
    assert (end.num_pages, end.drop_reason) == (2, None)
    assert canary.num_contacts == 0


def test_what_was_answered_is_not_asked_again(tmp_path: Path, engine: SearchEngine) -> None:
    search = Search(tmp_path, engine)
    before = search.ask("湖", "塔", "桥")
    bytes_before, asked = search.path.read_bytes(), len(engine.asked)
    assert search.ask("湖", "塔", "桥") == before
    assert (len(engine.asked), search.num_requests, search.num_kept) == (asked, 0, asked)
    assert search.path.read_bytes() == bytes_before


def test_a_query_that_comes_to_nothing_costs_itself_alone(tmp_path: Path, engine: SearchEngine) -> None:
    engine.answers = {
        ("湖", 2): refused("500 Oops"),
        ("塔", 1): refused("404 Not Found"),
        ("桥", 1): serve(b"<html>busy</html>"),
        ("山", 1): {"results": "none"},
        ("雪", 1): serve(b"[" + b" " * 400_000 + b"]"),
    }
    search = Search(tmp_path, engine, max_answer_bytes=100_000)
    ends = search.ask("湖", "塔", "桥", "山", "雪", "好")
    told = [(end.num_results, end.drop_reason) for end in ends]
    assert told == [(2, "http_status"), (0, "http_status"), (0, "parse_error"), (0, None), (0, "too_large"), (5, None)]
    assert ends[0].detail == "500"
    assert len(search.answers()) == sum(end.num_pages for end in ends)


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (refused("401 Unauthorized"), UsageError, "refuses us"),
        (refused("403 Forbidden"), UsageError, "refuses us"),
        (refused("429 Slow Down"), TryAgainError, "does not answer for now"),
        (refused("429 Slow Down", Retry_After="86400"), TryAgainError, "Retry-After 86400"),
        (refused("503 Away", Retry_After="86400"), TryAgainError, "Retry-After 86400"),
        (lambda request: request.connection.close(), TryAgainError, "connect_error"),
    ],
)
def test_an_endpoint_that_is_shut_ends_the_part_and_what_it_answered_is_kept(
    tmp_path: Path, engine: SearchEngine, answer: Any, error: type[CurateError], told: str
) -> None:
    engine.answers = {("塔", 1): answer}
    search = Search(tmp_path, engine)
    with pytest.raises(error, match=told):
        search.ask("湖", "塔", "桥")
    asked = len(engine.asked)
    engine.answers = {}
    ends = search.ask("湖", "塔", "桥")
    assert [end.num_results for end in ends] == [5, 5, 5]
    assert search.num_kept == 4
    assert engine.asked[asked:] == [(query, page) for query in ("塔", "桥") for page in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("status", "error"), [("404 Not Found", UsageError), ("500 Oops", TryAgainError), ("400 Bad Request", UsageError)]
)
def test_failures_in_a_row_are_the_endpoint_s_and_are_asked_again(
    tmp_path: Path, engine: SearchEngine, status: str, error: type[CurateError]
) -> None:
    names = [f"词{number}" for number in range(MAX_FAILURES + 5)]
    engine.answers = {(name, 1): refused(status) for name in names}
    search = Search(tmp_path, engine)
    with pytest.raises(error, match=f"{MAX_FAILURES} queries in a row"):
        search.ask(*names)
    assert len(engine.asked) == MAX_FAILURES
    engine.answers = {}
    assert {end.num_results for end in search.ask(*names)} == {5}


def test_a_redirect_leads_nowhere_else(tmp_path: Path, engine: SearchEngine, canary: Server) -> None:
    engine.answers = {("湖", 1): refused("302 Found", Location=canary.url("/api"))}
    (end,) = Search(tmp_path, engine).ask("湖")
    assert end.drop_reason == "too_many_redirects"
    assert canary.num_contacts == 0


def test_robots_txt_is_obeyed_unless_the_description_says_otherwise(tmp_path: Path, engine: SearchEngine) -> None:
    engine.server.pages["/robots.txt"] = serve(b"User-agent: *\nDisallow: /api\n")
    with pytest.raises(UsageError, match=r"may not be asked [(]robots_disallowed"):
        Search(tmp_path, engine).ask("湖")
    assert engine.asked == []
    (end,) = Search(tmp_path, engine, obey_robots=False).ask("湖")
    assert end.num_results == 5
    assert engine.server.asked("/robots.txt") == 1


def test_an_address_that_may_not_be_contacted_is_not(tmp_path: Path, engine: SearchEngine, canary: Server) -> None:
    search = Search(tmp_path, engine, url=canary.url("/api?q={query}"), obey_robots=False)
    with pytest.raises(UsageError, match=r"may not be asked [(]blocked_address"):
        search.ask("湖")
    assert canary.num_contacts == 0


@pytest.mark.parametrize("where", [{"header": "X-Key"}, {"parameter": "key"}])
def test_the_key_is_sent_and_stands_in_no_file(
    tmp_path: Path, engine: SearchEngine, where: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCH_KEY", KEY)
    engine.answers = {
        ("湖", 1): lambda request: serve(json.dumps({"results": [{"image": request.path}]}).encode())(request)
    }
    search = Search(tmp_path, engine, key={"env": "SEARCH_KEY", **where})
    search.ask("湖")
    asked = [request for request in engine.server.log if "/api" in request.path]
    if "header" in where:
        assert {request.headers["x-key"] for request in asked} == {KEY}
        assert not any(KEY in request.path for request in asked)
    else:
        assert all(request.path.endswith(f"&key={KEY}") for request in asked)
    written = [path.read_bytes() for path in tmp_path.iterdir()]
    assert not any(KEY.encode() in data for data in written)
    assert not any(KEY in str(answer) for answer in search.answers())
    assert not any("x-key" in request.headers for request in engine.server.log if "/api" not in request.path)


def test_a_missing_key_is_told_before_anything_is_asked(
    tmp_path: Path, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEARCH_KEY", raising=False)
    with pytest.raises(UsageError, match="SEARCH_KEY"):
        Search(tmp_path, engine, key={"env": "SEARCH_KEY", "header": "X"}).ask("湖")
    assert engine.server.num_contacts == 0


def test_the_stricter_of_both_limits_holds(tmp_path: Path, engine: SearchEngine) -> None:
    search = Search(tmp_path, engine, delay_s=0.02, concurrency=2)
    limits = search.settings.politely.limits_of("127.0.0.1")
    assert (limits.concurrency, limits.delay_s) == (2, 0.02)
    search.ask("湖", "塔")
    assert engine.server.most_in_flight <= 2


def test_pages_of_html_are_asked_for_and_read(tmp_path: Path, engine: SearchEngine) -> None:
    engine.server.pages["/api"] = serve("<p><img src='1.jpg' alt='湖'></p>".encode())
    fields = {"url": "img::attr(src)", "texts": {"alt": "img::attr(alt)"}}
    html: dict[str, Any] = {"format": "html", "items": "p", "fields": fields}
    (end,) = Search(tmp_path, engine, **html).ask("湖")
    assert (end.num_pages, end.num_results) == (2, 1)
    assert engine.server.log[-1].headers["accept"].startswith("text/html")


def test_answers_that_drip_are_not_waited_for(tmp_path: Path, engine: SearchEngine) -> None:
    def drip(request: Request) -> None:
        request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        time.sleep(3)

    engine.answers = {("湖", 1): drip}
    search = Search(tmp_path, engine)
    fetch = search.settings.fetch.model_copy(update={"total_timeout_s": 0.3})
    search.settings = SearchSettings(search.settings.source, search.settings.crawler, fetch, search.settings.network)
    assert [end.drop_reason for end in search.ask("湖", "塔")] == ["timeout", None]


def test_the_404_of_an_unknown_page_is_not_taken_for_robots(tmp_path: Path, engine: SearchEngine) -> None:
    engine.server.pages["/robots.txt"] = not_found
    assert Search(tmp_path, engine).ask("湖")[0].num_results == 5
