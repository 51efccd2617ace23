"""Pages parsed in a child process: many with one question, and none that suffers from another."""

import pytest

from crawler.extract import Page, extract_page
from crawler.image_role import Role
from crawler.page_candidates import Candidate, Gathering, PageCandidates
from crawler.parse_child import HtmlPage, PageParser

URL = "http://site.test/dir/page.html"
STALLING = b"<div>" * 300_000


def page(markup: str, wants_links: bool = True) -> HtmlPage:
    return HtmlPage(markup.encode(), URL, "text/html; charset=utf-8", [("X-Robots-Tag", "all")], wants_links)


PAGES = [
    page(
        "<html lang=zh><title>菜</title><link rel=canonical href=/c><meta name=author content=甲>"
        '<h1>鱼</h1><p>前<img src="a.jpg" alt="鱼" width=9 height=9>后</p><a href="/n">次</a>'
    ),
    page(""),
    page("<meta name=robots content=noai><img src=b.jpg alt=x>"),
    page(f'<img src="c.jpg" alt="{"字" * 10_001}" title="\ud7ff&#xd800;x">'),
    page("<title>没有图</title><a href=/x>", wants_links=False),
]


def alone(each: HtmlPage) -> Page:
    return extract_page(each.html, each.url, each.content_type, each.headers, "mybot", each.wants_links)


def test_many_pages_are_read_as_each_alone() -> None:
    with PageParser("mybot") as parser:
        together = parser.extract_all(PAGES)
        assert together == [alone(each) for each in PAGES]
        assert parser.extract_all([]) == []
    first = together[0]
    assert (first.title, first.language, first.author) == ("菜", "zh", "甲")
    assert (first.canonical, first.links) == ("http://site.test/c", ["http://site.test/n"])
    assert Candidate("http://site.test/dir/a.jpg", "alt", "鱼", role=Role(is_icon=True)) in list(first.candidates)


def test_a_page_that_stalls_costs_no_other_page_its_candidates() -> None:
    bomb = HtmlPage(STALLING, URL, None, [])
    with PageParser("mybot", parse_seconds=0.5) as parser:
        before, stalled, after = parser.extract_all([PAGES[0], bomb, PAGES[2]])
    assert stalled.error == f"parsing took too long ({len(STALLING)} bytes)"
    assert [before, after] == [alone(PAGES[0]), alone(PAGES[2])]


def test_a_page_without_an_image_is_parsed_for_its_links_alone() -> None:
    markup = "<title>没有图</title><a href=/x>一</a>"
    assert alone(page(markup)).title == "没有图"
    assert alone(page(markup, wants_links=False)) == Page(charset="utf-8", charset_from="header")


@pytest.mark.parametrize(
    "markup",
    ["<IMG SRC=a>", "<p style='background:URL(a)'>", "<video POSTER=a>", "<a href=a.JPEG>x", "<body Background=a.b>"],
)
def test_no_page_with_an_image_counts_as_one_without(markup: str) -> None:
    assert len(alone(page(markup, wants_links=False)).candidates) == 1


def test_candidates_are_gathered_once_each_and_come_back_from_bytes() -> None:
    gathering = Gathering()
    for _ in range(2):
        gathering.take(
            "http://a/1", Role(is_tracker=True, is_avatar=True), [("alt", " 一\n二 "), ("title", ""), ("link", "一 二")]
        )
        gathering.take("http://a/2", Role(), [("alt", " ")])
        gathering.take("http://a/3", Role(), [("alt", "x" * 10_001)])
        gathering.opt_out("http://a/4", "noai")
    role = Role(is_tracker=True, is_avatar=True)
    expected = [
        Candidate("http://a/1", "alt", "一 二", role=role),
        Candidate("http://a/1", "link", "一 二", role=role),
        Candidate("http://a/2", None, None),
        Candidate("http://a/3", "alt", None, "bad_text", "10001 characters"),
        Candidate("http://a/4", None, None, "opt_out", "noai"),
    ]
    found = gathering.done()
    assert list(found) == list(PageCandidates.from_bytes(found.to_bytes())) == expected
    assert (len(found), found.num_images, found.texts()) == (5, 4, ["一 二"])


@pytest.mark.parametrize("bits", range(16))
def test_a_role_comes_back_from_its_bits(bits: int) -> None:
    assert Role.of_bits(bits).bits == bits
