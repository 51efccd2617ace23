"""Answers of a search read item by item, whatever they hold."""

import json
from typing import Any

import pytest

from crawler.search.endpoints import ENDPOINTS
from crawler.search.html_picker import HtmlPicker
from crawler.search.items import MAX_VALUE_CHARS, pick_json, text_of_markup
from crawler.search.settings import Endpoint

COMMONS = {
    "continue": {"gsroffset": 50, "continue": "gsroffset||"},
    "query": {
        "pages": [
            {
                "pageid": 1,
                "title": "File:Lake.jpg",
                "index": 2,
                "imageinfo": [
                    {
                        "thumburl": "https://upload.wikimedia.org/a/1280px-Lake.jpg",
                        "url": "https://upload.wikimedia.org/a/Lake.jpg",
                        "descriptionurl": "https://commons.wikimedia.org/wiki/File:Lake.jpg",
                        "extmetadata": {
                            "ObjectName": {"value": "西湖"},
                            "ImageDescription": {"value": '<p lang="zh">西湖的<a href="/wiki/x">日落</a></p>'},
                            "LicenseShortName": {"value": "CC BY-SA 4.0"},
                        },
                    }
                ],
            },
            {"pageid": 2, "index": 1, "imageinfo": [{"url": "https://upload.wikimedia.org/b/Tower.png"}]},
            {"pageid": 3, "index": 3},
        ]
    },
}
OPENVERSE = {
    "page_count": 2,
    "results": [
        {
            "title": "Tea",
            "url": "https://live.staticflickr.com/1.jpg",
            "foreign_landing_url": "https://www.flickr.com/photos/1",
            "license_url": "https://creativecommons.org/licenses/by/2.0/",
            "tags": [{"name": "茶"}, {"name": "杯子"}],
            "category": None,
        }
    ],
}


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def test_commons_is_read_in_the_order_of_its_ranks() -> None:
    read = pick_json(as_json(COMMONS), ENDPOINTS["wikimedia-commons"])
    assert read.items == (
        {"url": "https://upload.wikimedia.org/b/Tower.png"},
        {
            "url": "https://upload.wikimedia.org/a/1280px-Lake.jpg",
            "page_url": "https://commons.wikimedia.org/wiki/File:Lake.jpg",
            "license": "CC BY-SA 4.0",
            "text:title": "西湖",
            "text:description": "西湖的日落",
        },
        {},
    )
    assert read.has_more
    assert not pick_json(b'{"batchcomplete": true}', ENDPOINTS["wikimedia-commons"]).has_more


def test_openverse_is_read_with_its_tags() -> None:
    read = pick_json(as_json(OPENVERSE), ENDPOINTS["openverse"])
    assert read.num_pages == 2
    assert read.items == (
        {
            "url": "https://live.staticflickr.com/1.jpg",
            "page_url": "https://www.flickr.com/photos/1",
            "license": "https://creativecommons.org/licenses/by/2.0/",
            "text:title": "Tea",
            "text:tags": "茶,杯子",
        },
    )


def test_an_error_under_a_status_of_200_is_a_fault() -> None:
    body = as_json({"error": {"code": "ratelimited", "info": "too fast"}})
    assert pick_json(body, ENDPOINTS["wikimedia-commons"]).fault == "the endpoint says: too fast"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"<html>busy</html>", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"results": ' + b"9" * 10_000 + b"}", "not JSON"),
    ],
)
def test_what_is_no_json_is_a_fault(body: bytes, fault: str) -> None:
    assert fault in str(pick_json(body, ENDPOINTS["openverse"]).fault)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("text", ()),
        (None, ()),
        ([None, 3, "x", []], ({}, {}, {}, {})),
        ([{"url": ["http://a/1.jpg"]}, {"url": {"a": 1}}, {"url": True}], ({}, {}, {})),
        ([{"title": "  "}, {"title": 7}], ({}, {"text:title": "7"})),
        ([{"title": "\ud800x"}], ({"text:title": "\ufffdx"},)),
    ],
)
def test_items_of_odd_shapes_have_fewer_fields(results: Any, expected: tuple[dict[str, str], ...]) -> None:
    body = json.dumps({"results": results}).encode()
    assert pick_json(body, ENDPOINTS["openverse"]).items == expected


def test_a_value_is_bounded() -> None:
    body = as_json({"results": [{"title": "长" * 200_000}]})
    assert len(pick_json(body, ENDPOINTS["openverse"]).items[0]["text:title"]) == MAX_VALUE_CHARS


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("无标记", "无标记"),
        ("a<br>b<p>c</p>d", "a b c d"),
        ("<b>粗<i>斜</i></b>体", "粗斜体"),
        ("<style>p{}</style>x<script>1<2</script>y", "xy"),
        ("&lt;b&gt; &#31481;", "<b> 竹"),
        ("a<", "a<"),
        ("<div>" * 10_000 + "深", "深"),
    ],
)
def test_markup_becomes_text(markup: str, expected: str) -> None:
    assert text_of_markup(markup) == expected


HTML = Endpoint.model_validate(
    {
        "url": "https://search.example.cn/?q={query}",
        "format": "html",
        "items": "li.result",
        "next_url": "a.next::attr(href)",
        "more": "a.next",
        "fields": {
            "url": ["img::attr(data-src)", "img::attr(src)"],
            "page_url": "a::attr(href)",
            "texts": {"alt": "img::attr(alt)", "title": ".title"},
        },
    }
)
PAGE = """<ul>
<li class="result"><a href="/p/1"><img data-src="//img.example.cn/1.jpg" src="blank.gif" alt="西湖"></a>
  <b class="title">西湖
  日落</b></li>
<li class="result"><img src="2.jpg"></li><li class="ad"><img src="ad.jpg"></li></ul>
<a class="next" href="?q=x&p=2">下一页</a>"""


def test_pages_of_html_are_read_by_selectors() -> None:
    with HtmlPicker(HTML) as picker:
        read = picker.pick(PAGE.encode("gbk"), "https://search.example.cn/?q=x", "text/html; charset=gb2312")
        assert read.items == (
            {
                "url": "https://img.example.cn/1.jpg",
                "page_url": "https://search.example.cn/p/1",
                "text:alt": "西湖",
                "text:title": "西湖 日落",
            },
            {"url": "https://search.example.cn/2.jpg"},
        )
        assert read.next_page == "https://search.example.cn/?q=x&p=2"
        assert read.has_more
        assert not picker.pick(b"<p>nothing</p>", "https://search.example.cn/", None).has_more


def test_html_that_breaks_the_parser_costs_that_answer_alone() -> None:
    with HtmlPicker(HTML, pick_seconds=0.5) as picker:
        bad = picker.pick(b"<div>" * 400_000, "https://search.example.cn/", None)
        assert bad.fault is None or "crashed or took too long" in bad.fault
        assert picker.pick(PAGE.encode(), "https://search.example.cn/", None).items
