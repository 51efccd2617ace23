"""The key of an endpoint: sent, and in nothing that is written."""

import pytest

from crawler.search.endpoints import ENDPOINTS
from crawler.search.key import SearchKey
from crawler.search.settings import Endpoint
from shards.errors import UsageError

KEY = "s3cr+t/key"


def endpoint(**key: object) -> Endpoint:
    fields = {"url": "https://a.org/?q={query}", "items": "$[*]", "fields": {"url": "$.u"}}
    return Endpoint.model_validate(fields | {"key": {"env": "MY_KEY", **key}})


def test_a_key_goes_into_the_header_that_is_named() -> None:
    key = SearchKey.read(endpoint(header="Authorization", prefix="Bearer "), {"MY_KEY": f" {KEY}\n"})
    assert key.headers() == {"Authorization": f"Bearer {KEY}"}
    assert key.signed("https://a.org/?q=1") == "https://a.org/?q=1"
    assert KEY not in repr(key)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.org/?q=1", "https://a.org/?q=1&key=s3cr%2Bt%2Fkey"),
        ("https://a.org/", "https://a.org/?key=s3cr%2Bt%2Fkey"),
        ("https://a.org/?key=[key]&q=1&x=", "https://a.org/?q=1&x=&key=s3cr%2Bt%2Fkey"),
    ],
)
def test_a_key_goes_into_the_url_once(url: str, expected: str) -> None:
    key = SearchKey.read(endpoint(parameter="key"), {"MY_KEY": KEY})
    assert key.signed(url) == expected
    assert key.headers() == {}


@pytest.mark.parametrize(
    ("environment", "told"),
    [({}, "set the environment variable MY_KEY"), ({"MY_KEY": "abc"}, "at least 6"), ({"MY_KEY": "钥匙" * 9}, "ASCII")],
)
def test_a_missing_or_odd_key_is_told_without_it(environment: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        SearchKey.read(endpoint(header="X"), environment)


def test_a_key_that_may_be_missing_is_left_out() -> None:
    key = SearchKey.read(ENDPOINTS["openverse"], {})
    assert (key.headers(), key.signed("https://a.org/"), key.hidden("text")) == ({}, "https://a.org/", "text")


def test_the_key_is_hidden_however_it_is_spelt() -> None:
    key = SearchKey.read(endpoint(parameter="key"), {"MY_KEY": KEY})
    body = f'{{"next": "/?key=s3cr%2Bt%2Fkey&b", "me": "{KEY}"}} 图'.encode()
    assert key.hidden_in(body) == '{"next": "/?key=[key]&b", "me": "[key]"} 图'.encode()
    assert key.hidden_in(b"\xff" + KEY.encode()) == b"\xff[key]"
