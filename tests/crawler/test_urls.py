"""Canonical URLs: the WHATWG's own cases, and the law that a canonical URL is a fixed point."""

import json
from pathlib import Path

import can_ada
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.url_columns import canonical_urls, uids
from crawler.urls import MAX_URL_BYTES, Base, canonical_url, host_of, resolve
from shards.schema import uid_of

CASES = Path(__file__).parents[2].parent / "shared" / "data" / "conformance" / "url-wpt" / "urltestdata.json"


UNDECODABLE = ("xn--pokxncvks", "xn--/")
"""Labels whose Punycode cannot be decoded: the standard lately lets them pass, we call the URL bad."""


def whatwg_cases() -> list[dict[str, str]]:
    if not CASES.exists():
        pytest.skip(f"{CASES.name} is not there: shared test data is missing")
    cases = [case for case in json.loads(CASES.read_text("utf-8")) if isinstance(case, dict)]
    return [case for case in cases if not any(label in case["input"].lower() for label in UNDECODABLE)]


def test_a_host_that_is_no_punycode_is_bad() -> None:
    assert canonical_url("http://a.b.c.xn--pokxncvks/") is None


@pytest.mark.parametrize(
    ("raw", "canonical", "host", "reason"),
    [
        ("http://example.com", "http://example.com/", "example.com", None),
        ("HTTPS://EXAMPLE.com:443/a/./b/../c", "https://example.com/a/c", "example.com", None),
        ("http://example.com/a%2E%2e/b", "http://example.com/a%2E%2e/b", "example.com", None),
        ("http://example.com/a/%2E%2e/b", "http://example.com/b", "example.com", None),
        ("http://example.com/图片.jpg?名=值#片", "http://example.com/%E5%9B%BE%E7%89%87.jpg?%E5%90%8D=%E5%80%BC",
         "example.com", None),
        ("http://中文.cn/a.jpg", "http://xn--fiq228c.cn/a.jpg", "xn--fiq228c.cn", None),
        ("  http://a.cn/x\ty\n", "http://a.cn/xy", "a.cn", None),
        ("http://0x7f.1/", "http://127.0.0.1/", "127.0.0.1", None),
        ("http://2130706433:8080/", "http://127.0.0.1:8080/", "127.0.0.1", None),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/", "[::ffff:7f00:1]", None),
        ("http://u:p@a.cn/x", "http://u:p@a.cn/x", "a.cn", None),
        ("http://a.cn/?q='x'", "http://a.cn/?q=%27x%27", "a.cn", None),
        ("http://a.cn/...", "http://a.cn/...", "a.cn", None),
        ("http://a.cn/x/..", "http://a.cn/", "a.cn", None),
        ("file:///etc/passwd", None, None, "blocked_scheme"),
        ("javascript:alert(1)", None, None, "blocked_scheme"),
        ("data:image/png;base64,AAAA", None, None, "blocked_scheme"),
        ("ftp://a.cn/x.jpg", None, None, "blocked_scheme"),
        ("s3://bucket/x.jpg", None, None, "blocked_scheme"),
        ("/relative.jpg", None, None, "bad_url"),
        ("http://", None, None, "bad_url"),
        ("http://a b.cn/", None, None, "bad_url"),
        ("http://a.cn:99999/", None, None, "bad_url"),
        ("", None, None, "bad_url"),
        (None, None, None, "bad_url"),
        ("http://a.cn/" + "x" * (MAX_URL_BYTES - 12), "http://a.cn/" + "x" * (MAX_URL_BYTES - 12), "a.cn", None),
        ("http://a.cn/" + "x" * (MAX_URL_BYTES - 11), None, None, "bad_url"),
        ("http://a.cn/" + "图" * 3000, None, None, "bad_url"),
    ],
)  # fmt: skip
def test_canonical_form(raw: str | None, canonical: str | None, host: str | None, reason: str | None) -> None:
    row = canonical_urls(pa.array([raw], pa.string())).to_pylist()[0]
    assert row == {"canonical_url": canonical, "host": host, "drop_reason": reason}
    if raw is not None:
        assert canonical_url(raw) == canonical


def test_every_whatwg_case_is_serialised_as_the_standard_says() -> None:
    cases = [case for case in whatwg_cases() if not case.get("base") and "relativeTo" not in case]
    rows = canonical_urls(pa.array([_well_formed(case["input"]) for case in cases], pa.string())).to_pylist()
    assert len(rows) > 400
    for case, row in zip(cases, rows, strict=True):
        if case.get("failure"):
            expected: tuple[str | None, str | None] = (None, "bad_url")
        elif case["protocol"] in ("http:", "https:"):
            expected = (case["href"].removesuffix(case["hash"]).removesuffix("#"), None)
        else:
            expected = (None, "blocked_scheme")
        assert (row["canonical_url"], row["drop_reason"]) == expected, case["input"]


def test_every_whatwg_link_resolves_as_the_standard_says() -> None:
    cases = [case for case in whatwg_cases() if case.get("base") and "relativeTo" not in case]
    assert len(cases) > 300
    for case in cases:
        is_web = not case.get("failure") and case["protocol"] in ("http:", "https:")
        expected = case["href"].removesuffix(case["hash"]).removesuffix("#") if is_web else None
        href = _well_formed(case["input"])
        assert (resolve(case["base"], href), Base(case["base"]).resolve(href)) == (expected, expected), case["input"]


def _well_formed(text: str) -> str:
    """As Arrow and the standard read it: a lone surrogate is U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_PIECES = st.sampled_from(
    ["http://", "https://", "a", "b.cn", "xn--", "-", ".", "..", "/", "//", "%2e", "%2E", "%", "%41", "?", "#",
     "&=", "'", '"', " ", "\\", "|", "^", "~", "图", ":80", ":8080", "@", "1", "0x1", "_", "[", "{", "A", "."]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map("".join), st.sampled_from(["", "http://", "https://h.cn/"]))
def test_fast_path_agrees_with_the_whatwg_parser_and_the_result_is_a_fixed_point(tail: str, head: str) -> None:
    raw = head + tail
    row = canonical_urls(pa.array([raw])).to_pylist()[0]
    try:
        parsed = can_ada.parse(raw)
    except ValueError:
        assert row["drop_reason"] == "bad_url"
        return
    if parsed.protocol not in ("http:", "https:"):
        assert row["drop_reason"] == "blocked_scheme"
        return
    parsed.hash = ""
    assert (row["canonical_url"], row["host"]) == (parsed.href, parsed.hostname)
    assert canonical_url(parsed.href) == parsed.href
    assert host_of(parsed.href) == parsed.hostname


def test_chunks_nulls_and_empty_columns_keep_their_rows() -> None:
    column = pa.chunked_array([["http://a.cn/1.jpg", None], [], ["x:y", "http://A.cn/2.jpg"]], pa.string())
    table = canonical_urls(column)
    assert table["canonical_url"].to_pylist() == ["http://a.cn/1.jpg", None, None, "http://a.cn/2.jpg"]
    assert table["drop_reason"].to_pylist() == [None, "bad_url", "blocked_scheme", None]
    assert canonical_urls(pa.array([], pa.string())).num_rows == 0


def test_uids_are_the_schema_s() -> None:
    urls = ["http://a.cn/", None, "图", ""]
    assert uids(pa.array(urls)).to_pylist() == [None if url is None else uid_of(url) for url in urls]


@pytest.mark.parametrize(
    ("base", "href", "expected"),
    [
        ("http://a.cn/b/c.html", "../x.jpg", "http://a.cn/x.jpg"),
        ("http://a.cn/b", "//cdn.cn/x.jpg", "http://cdn.cn/x.jpg"),
        ("http://a.cn/b", "", "http://a.cn/b"),
        ("http://a.cn/b", "javascript:void(0)", None),
        ("http://a.cn/b", "http://[bad", None),
        ("not a url", "x.jpg", None),
        ("http://a.cn/b", "\ud800", None),
        ("http://a.cn/b", "x" * 9000, None),
    ],
)
def test_links_resolve(base: str, href: str, expected: str | None) -> None:
    assert resolve(base, href) == expected
