"""What a recipe may say of a search, and what it is told that it may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from crawler.search.endpoints import ENDPOINTS
from crawler.search.settings import Endpoint, split_css
from crawler.search.source import SearchSource

GOOD: dict[str, Any] = {
    "url": "https://api.example.org/?q={query}&page={page}",
    "items": "$.items[*]",
    "fields": {"url": "$.url", "texts": {"title": "$.title"}},
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"url": "https://api.example.org/?q={word}"}, "{word} is no placeholder; known: {query}"),
        ({"url": "https://api.example.org/?page={page}"}, "where does the query go"),
        ({"url": "https://api.example.org/?q={query}&p={page}&o={offset}"}, "more than one of"),
        ({"url": "https://{query}.example.org/"}, "host written out"),
        ({"url": "ftp://example.org/{query}"}, "host written out"),
        ({"url": "https://me:secret@example.org/{query}"}, "holds credentials"),
        ({"items": "items[*]"}, "items: 'items[*]' is no path"),
        ({"fields": {"url": "$..url"}}, "fields.url: '$..url' is no path"),
        ({"fields": {"url": "$.u", "texts": {"Bad Kind": "$.t"}}}, "texts"),
        ({"token": "$.next"}, "belong together"),
        ({"url": "https://a.org/?q={query}&t={token}"}, "belong together"),
        ({"next_url": "$.next"}, "not by both"),
        ({"markup": ["alt"]}, "names 'alt', which `fields.texts` has not"),
        ({"format": "html", "items": "li", "fields": {"url": "img::attr(src)"}, "obey_robots": False}, "robots.txt"),
        ({"format": "html", "items": "li[", "fields": {"url": "img::attr(src)"}}, "items"),
        ({"key": {"env": "K"}}, "`header:` or `parameter:`"),
        ({"key": {"env": "K", "header": "A", "parameter": "a"}}, "`header:` or `parameter:`"),
        ({"key": {"env": "not a name", "header": "A"}}, "key.env"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        Endpoint.model_validate(GOOD | change)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("given", "query", "page", "expected"),
    [
        ({}, "西湖 & 塔", 0, "https://api.example.org/?q=%E8%A5%BF%E6%B9%96%20%26%20%E5%A1%94&page=1"),
        ({"first_page": 0}, "a", 2, "https://api.example.org/?q=a&page=2"),
        ({"url": "https://a.org/{query}?o={offset}&n={size}", "page_size": 50}, "a/../b?", 3, None),
    ],
)
def test_an_address_holds_the_query_and_nothing_of_it_gets_out(
    given: dict[str, Any], query: str, page: int, expected: str | None
) -> None:
    address = Endpoint.model_validate(GOOD | given).address(query, page, "")
    assert address == (expected or "https://a.org/a%2F..%2Fb%3F?o=150&n=50")


def test_an_endpoint_may_be_named_and_a_name_must_be_known() -> None:
    source = SearchSource.model_validate({"kind": "search", "queries": "q.tsv", "endpoint": "openverse"})
    assert source.described is ENDPOINTS["openverse"]
    assert source.name == "openverse"
    with pytest.raises(ValidationError, match="known: wikimedia-commons, openverse, or describe one"):
        SearchSource.model_validate({"kind": "search", "queries": "q.tsv", "endpoint": "openvers"})


def test_known_endpoints_can_be_written_down_and_read_again() -> None:
    for endpoint in ENDPOINTS.values():
        assert Endpoint.model_validate_json(endpoint.model_dump_json()) == endpoint
        assert endpoint.delay_s >= 1
        assert endpoint.concurrency == 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.next::attr(href)", ("a.next", "href")),
        ("::attr(data-src)", ("", "data-src")),
        (" li > p ", ("li > p", None)),
        ("a::before", ("a::before", None)),
    ],
)
def test_a_selector_may_end_in_an_attribute(path: str, expected: tuple[str, str | None]) -> None:
    assert split_css(path) == expected
