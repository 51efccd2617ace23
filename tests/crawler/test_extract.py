"""Images and texts that a page holds, in all the ways that pages hold them."""

import csv
import html
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from crawler.extract import Page, extract_page
from crawler.parse_child import PageParser
from crawler.srcset import largest, parse_srcset
from crawler.urls import canonical_url

DATA = Path(__file__).parents[2].parent / "shared" / "data"
URL = "http://site.test/dir/page.html"


def page_of(markup: str, **more: object) -> Page:
    return extract_page(markup.encode(), URL, "text/html; charset=utf-8", **more)  # type: ignore[arg-type]


def texts_of(markup: str) -> set[tuple[str, str | None, str | None]]:
    return {(c.url.removeprefix("http://site.test/"), c.kind, c.text) for c in page_of(markup).candidates}


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<img src="a.jpg" alt="红烧肉">', ("dir/a.jpg", "alt", "红烧肉")),
        ('<img src="/a.jpg" title=" 红烧\n 肉 ">', ("a.jpg", "title", "红烧 肉")),
        ('<img src="a.jpg" aria-label="鱼">', ("dir/a.jpg", "aria_label", "鱼")),
        ('<img src="a.jpg">', ("dir/a.jpg", None, None)),
        ('<img src="a.jpg" alt="">', ("dir/a.jpg", None, None)),
        ('<base href="http://cdn.test/x/"><img src="a.jpg" alt="鱼">', ("http://cdn.test/x/a.jpg", "alt", "鱼")),
        ('<figure><img src="a.jpg"><figcaption>图：鱼</figcaption></figure>', ("dir/a.jpg", "figcaption", "鱼")),
        ('<p><a href="b"><img src="a.jpg"></a></p><p class="caption">图1：鱼</p>', ("dir/a.jpg", "caption", "鱼")),
        ('<p><img src="a.jpg"></p><p>▲ 清蒸鱼</p>', ("dir/a.jpg", "caption", "清蒸鱼")),
        ('<div><img src="a.jpg"><span class="pic-desc">鱼</span></div>', ("dir/a.jpg", "caption", "鱼")),
        ('<div><img src="a.jpg"><span class="img_descr">鱼</span></div>', ("dir/a.jpg", "caption", "鱼")),
        ('<p><img src="a.jpg"></p><p class="picIntro">鱼</p>', ("dir/a.jpg", "caption", "鱼")),
        (
            "<meta property=og:image content=/o.jpg><meta property=og:image content=/p.jpg>"
            "<meta property=og:image:alt content=鱼>",
            ("p.jpg", "alt", "鱼"),
        ),
        ("<h2>川菜</h2><p>麻婆豆腐</p><img src=a.jpg>", ("dir/a.jpg", "heading", "川菜")),
        ("<p>先切<b>豆腐</b><img src=a.jpg>再下锅</p>", ("dir/a.jpg", "surrounding", "先切豆腐再下锅")),
        ("<p>先切豆腐</p><p><img src=a.jpg></p>", ("dir/a.jpg", "surrounding", "先切豆腐")),
        ("<p><img src=a.jpg></p><p>再下锅</p>", ("dir/a.jpg", "surrounding", "再下锅")),
        ('<a href="/p" title="鱼香肉丝"><img src="a.jpg"></a>', ("dir/a.jpg", "link", "鱼香肉丝")),
        ('<a href="/p"><img src="a.jpg"> 查看</a>', ("dir/a.jpg", "link", "查看")),
        ("<title>菜谱</title><img src=a.jpg>", ("dir/a.jpg", "page_title", "菜谱")),
        ('<img src="data:image/gif;base64,R0==" data-src="a.jpg" alt="鱼">', ("dir/a.jpg", "alt", "鱼")),
        ('<img src="/loading.gif" data-original="a.jpg" alt="鱼">', ("dir/a.jpg", "alt", "鱼")),
        ('<img src="/l.gif" data-actualsrc="//cdn.test/a.jpg" alt="鱼">', ("http://cdn.test/a.jpg", "alt", "鱼")),
        ('<img src="a.jpg" data-url="yes" alt="鱼">', ("dir/a.jpg", "alt", "鱼")),
        ('<img src="s.jpg" srcset="s.jpg 400w, b.jpg 1600w" alt="鱼">', ("dir/b.jpg", "alt", "鱼")),
        ('<img src="s.jpg" data-srcset="s.jpg, b.jpg 2x" alt="鱼">', ("dir/b.jpg", "alt", "鱼")),
        (
            '<picture><source type="image/avif" srcset="a.avif"><source srcset="w.webp 2x">'
            '<img src="l.gif" alt="鱼"></picture>',
            ("dir/w.webp", "alt", "鱼"),
        ),
        (
            '<picture><source data-srcset="s.webp 1x, w.webp 2x"><img src="/l.gif" alt="鱼"></picture>',
            ("dir/w.webp", "alt", "鱼"),
        ),
        (
            '<picture><source srcset="data:image/gif;base64,R0" data-srcset="s.webp 400w, w.webp 800w">'
            '<img src="/l.gif" alt="鱼"></picture>',
            ("dir/w.webp", "alt", "鱼"),
        ),
        (
            '<picture><source srcset="/blank.gif" data-srcset="w.webp"><img src="/l.gif" alt="鱼"></picture>',
            ("dir/w.webp", "alt", "鱼"),
        ),
        (
            '<picture><source srcset="/blank.gif"><source data-lazy-srcset="w.webp"><img alt="鱼"></picture>',
            ("dir/w.webp", "alt", "鱼"),
        ),
        (
            '<picture><source type="image/avif" data-srcset="a.avif"><source data-srcset="w.webp">'
            '<img src="data:image/gif;base64,R0" alt="鱼"></picture>',
            ("dir/w.webp", "alt", "鱼"),
        ),
        ('<noscript><img src="a.jpg" alt="鱼"></noscript>', ("dir/a.jpg", "alt", "鱼")),
        ("<div style=\"background-image: url('a.jpg')\" aria-label=鱼></div>", ("dir/a.jpg", "aria_label", "鱼")),
        ("<div style='background:red url(a.jpg) no-repeat' title=鱼></div>", ("dir/a.jpg", "title", "鱼")),
        ('<div data-bg="url(a.jpg)" title="鱼"></div>', ("dir/a.jpg", "title", "鱼")),
        ('<a style="background: url(a.jpg)" title="鱼" href="/p"></a>', ("dir/a.jpg", "title", "鱼")),
        ("<h2 style='background: url(a.jpg)'>鱼</h2>", ("dir/a.jpg", "heading", "鱼")),
        ("<BODY BACKGROUND=a.jpg title=鱼>", ("dir/a.jpg", "title", "鱼")),
        (
            "<style>.b{color:red;background:#fff url(a.jpg)}</style><p class=b title=鱼></p>",
            ("dir/a.jpg", "title", "鱼"),
        ),
        (
            "<style>/* x{} */ @media print{ #b::after, i { background-image: URL('a.jpg') } }</style><p id=b title=鱼>",
            ("dir/a.jpg", "title", "鱼"),
        ),
        (
            "<div style=\"background-image: image-set('s.jpg' 1x, 'a.jpg' 2x)\" title=鱼></div>",
            ("dir/a.jpg", "title", "鱼"),
        ),
        (
            "<div style='background-image: -webkit-image-set(url(s.jpg) 1x, url(a.jpg) 2x)' title=鱼></div>",
            ("dir/a.jpg", "title", "鱼"),
        ),
        ("<div style='content: image-set(\"a.jpg\" 1x)' title=鱼></div>", ("dir/a.jpg", "title", "鱼")),
        ("<span style='content: url(a.jpg)' title=鱼></span>", ("dir/a.jpg", "title", "鱼")),
        ("<div style='--cover: url(a.jpg)' title=鱼></div>", ("dir/a.jpg", "title", "鱼")),
        ("<img style='content: url(a.jpg)' alt=鱼>", ("dir/a.jpg", "alt", "鱼")),
        ("<img src=/blank.gif style='background-image:url(a.jpg)' alt=鱼>", ("dir/a.jpg", "alt", "鱼")),
        ("<img src=a.jpg style='background:url(/loading.gif)' alt=鱼>", ("dir/a.jpg", "alt", "鱼")),
        (
            "<style>.b{background-image:image-set('s.jpg' 1x, 'a.jpg' 2x)}</style><p class=b title=鱼></p>",
            ("dir/a.jpg", "title", "鱼"),
        ),
        ("<style>a{background:url(a.jpg)}</style><a href=/p title=鱼></a>", ("dir/a.jpg", "title", "鱼")),
        ('<input type="IMAGE" src="a.jpg" alt="鱼">', ("dir/a.jpg", "alt", "鱼")),
        ('<object type="image/png" data="a.png" title="鱼"></object>', ("dir/a.png", "title", "鱼")),
        ('<object data="a.jpg" title="鱼"></object>', ("dir/a.jpg", "title", "鱼")),
        ('<svg><image xlink:href="a.jpg" title="鱼"></image></svg>', ("dir/a.jpg", "title", "鱼")),
        ('<svg><image href="a.jpg" title="鱼"></image></svg>', ("dir/a.jpg", "title", "鱼")),
        ('<amp-img src="a.jpg" alt="鱼"></amp-img>', ("dir/a.jpg", "alt", "鱼")),
        ('<a href="big.JPG"><img src="t.jpg" alt="鱼"></a>', ("dir/big.JPG", "alt", "鱼")),
        ('<a href="/big.jpg!w800">大图</a>', ("big.jpg!w800", "link", "大图")),
        ('<video poster="p.jpg" title="鱼"></video>', ("dir/p.jpg", "title", "鱼")),
        ('<video poster="/l.gif" data-poster="p.jpg" title="鱼"></video>', ("dir/p.jpg", "title", "鱼")),
        (
            '<meta property="og:image" content="/o.jpg"><meta property="og:title" content="菜"><p>x',
            ("o.jpg", "page_title", "菜"),
        ),
        (
            '<meta property="og:image" content="/o.jpg"><meta name=description content=话>',
            ("o.jpg", "description", "话"),
        ),
        ("<img src=a.jpg alt=a\0b>", ("dir/a.jpg", "alt", "a�b")),
    ],
)
def test_an_image_and_its_text_are_found(markup: str, expected: tuple[str, str | None, str | None]) -> None:
    assert expected in texts_of(markup)


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="data:image/png;base64,AAAA" alt="x">',
        '<img src="javascript:alert(1)" alt="x">',
        '<img src="" alt="x"><img alt="x">',
        '<!-- <img src="a.jpg"> --><template><img src="a.jpg"></template>',
        "<script>var x = '<img src=\"a.jpg\">'</script>",
        '<div style="width: 10px">url(a.jpg)</div>',
        '<div style="background: url( )"></div><div style="background-image: image-set()"></div>',
        '<div data-bg="linear-gradient(180deg,rgba(0,0,0,.5))"></div><div data-background="#fff"></div>',
        '<input data-original="3.5"><span data-original="4.5"></span><svg></svg>',
        "<style>.b{background:url(a.jpg)} .c:hover{background:url(b.jpg)}</style><p class=c>x</p>",
        "<style>p:::{background:url(a.jpg)} p{border-image:url(b.jpg)} @font-face{src:url(c.ttf)}</style><p>x</p>",
        '<object data="a.jpg" type="text/html"></object>',
        '<input src="a.jpg" alt="x"><object data="a.swf"></object><video src="a.mp4"></video>',
        "",
        "not html at all",
    ],
)
def test_what_is_no_image_gives_no_candidate(markup: str) -> None:
    assert list(page_of(markup).candidates) == []


@pytest.mark.parametrize(
    "follower",
    [
        '<figure><img src="b.jpg"><figcaption>图2：鱼</figcaption></figure>',
        '<div class="pic-info"><img src="b.jpg"><p>鱼</p></div>',
    ],
)
def test_what_shows_an_image_of_its_own_is_no_caption_of_the_one_before(follower: str) -> None:
    assert ("dir/a.jpg", "caption", "鱼") not in texts_of(f'<p><img src="a.jpg"></p>{follower}')


def test_one_img_gives_one_image_however_often_it_names_it() -> None:
    markup = '<img src="l.gif" data-src="a.jpg" data-original="a.jpg" srcset="a.jpg 1x">'
    markup += '<noscript><img src="a.jpg"></noscript>'
    assert {c.url for c in page_of(markup).candidates} == {"http://site.test/dir/a.jpg"}


def test_an_url_that_cannot_be_resolved_is_handed_on_as_it_stands() -> None:
    assert [c.url for c in page_of('<img src="ftp://x.test/a.jpg"><img src="http://[bad/a.jpg">').candidates] == [
        "ftp://x.test/a.jpg",
        "http://[bad/a.jpg",
    ]


@pytest.mark.parametrize("length", [10_000, 10_001])
def test_a_text_beyond_the_bound_is_a_bad_text(length: int) -> None:
    (found,) = page_of(f'<img src="a.jpg" alt="{"字" * length}">').candidates
    if length > 10_000:
        assert (found.text, found.drop_reason, found.detail) == (None, "bad_text", f"{length} characters")
    else:
        assert (found.text, found.drop_reason) == ("字" * length, None)


@pytest.mark.parametrize(
    ("markup", "headers", "detail"),
    [
        ('<meta name="robots" content="noai">', [], "meta robots: noai"),
        ('<META NAME="ROBOTS" CONTENT="index, NoImageAI">', [], "meta robots: index, NoImageAI"),
        ('<meta name="mybot" content="noindex">', [], "meta mybot: noindex"),
        ("", [("X-Robots-Tag", "noimageindex")], "x-robots-tag: noimageindex"),
        ("", [("TDM-Reservation", "1")], "tdm-reservation: 1"),
    ],
)
def test_a_page_that_opts_out_keeps_its_images_but_no_text(
    markup: str, headers: list[tuple[str, str]], detail: str
) -> None:
    page = page_of(f'{markup}<p>词</p><a href="/n.html"><img src="a.jpg" alt="鱼"></a>', headers=headers, agent="mybot")
    assert page.opt_out == detail
    assert [(c.url, c.kind, c.text, c.drop_reason, c.detail) for c in page.candidates] == [
        ("http://site.test/dir/a.jpg", None, None, "opt_out", detail)
    ]


def test_another_crawlers_opt_out_is_not_ours() -> None:
    assert page_of('<meta name="otherbot" content="noai"><img src=a.jpg>', agent="mybot").opt_out is None


@pytest.mark.parametrize(
    ("markup", "links"),
    [
        ('<a href="b.html#x">1</a><a href="b.html">2</a>', ["http://site.test/dir/b.html"]),
        ('<a href="javascript:void(0)"><a href="mailto:a@b.c"><a href="#top"><a href="">', []),
        ('<a rel="nofollow" href="b.html">', []),
        ('<meta name="robots" content="nofollow"><a href="b.html">', []),
        ('<area href="/m"><iframe src="/f"></iframe>', ["http://site.test/m", "http://site.test/f"]),
        ('<a href="//例子.测试/路">', ["http://xn--fsqu00a.xn--0zwm56d/%E8%B7%AF"]),
        ('<meta http-equiv="refresh" content="0;url=/r">', []),
    ],
)
def test_links_are_canonical_and_once_each(markup: str, links: list[str]) -> None:
    assert page_of(markup).links == links


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("a 1x, b 2x", "b"),
        ("a 100w, b 50w", "a"),
        ("a", "a"),
        ("", None),
        (",", None),
        ("a 1x 2x", None),
        ("a, b 0.5x", "a"),
        ("u(1,2) 1x, b 3x", "b"),
        ("a 99999999999999999w", "a"),
    ],
)
def test_the_largest_of_a_srcset_is_taken(value: str, url: str | None) -> None:
    assert largest(value) == url


@pytest.mark.skipif(not DATA.exists(), reason="no shared test material beside the project")
def test_srcsets_are_parsed_as_web_platform_tests_expect() -> None:
    """The standard picks one URL at density 1: ours must be among the candidates exactly where one is expected."""
    cases = (DATA / "conformance" / "srcset-wpt" / "cases.html").read_text("utf-8")
    found = re.findall(r"<img srcset='([^']*)' data-expect='([^']*)'", cases)
    assert len(found) >= 60
    for raw, expected in found:
        urls = [candidate.url for candidate in parse_srcset(html.unescape(raw))]
        assert (html.unescape(expected) in urls) if expected else not urls, raw


@pytest.mark.skipif(not DATA.exists(), reason="no shared test material beside the project")
def test_every_photo_of_a_real_site_is_found_with_its_text() -> None:
    root = DATA / "sites" / "howtocook-a"
    with (DATA / "sites" / "howtocook-a.truth.tsv").open(encoding="utf-8", newline="") as file:
        truth = list(csv.DictReader(file, delimiter="\t"))
    found: dict[str, set[tuple[str, str | None]]] = {}
    for name in {row["page"] for row in truth}:
        url = canonical_url(f"http://site.test/{name}")
        assert url is not None
        page = extract_page((root / name).read_bytes(), url, "text/html")
        found[name] = {(unquote(c.url).removeprefix("http://site.test/"), c.text) for c in page.candidates}
    missed = [row for row in truth if (row["image"], row["text"]) not in found[row["page"]]]
    assert len(truth) == 107
    assert missed == []


def test_pages_that_stall_the_parser_cost_a_bounded_time() -> None:
    attributes = b" ".join(b"a%d=1" % number for number in range(200_000))
    with PageParser("mybot", parse_seconds=0.5) as parser:
        for bomb in (b"<div>" * 300_000, b"<img " + attributes + b">"):
            assert "too long" in str(parser.extract(bomb, URL, None, []).error)
        page = parser.extract(b"<img src=a.jpg alt=x>", URL, None, [])
        assert [(c.url, c.text) for c in page.candidates] == [("http://site.test/dir/a.jpg", "x")]
