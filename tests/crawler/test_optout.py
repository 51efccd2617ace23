"""Opt-outs: agent-scoped headers, meta elements, TDM reservation and AI-preference lines."""

import time

import pytest

from crawler.optout import PageDirectives, nofollow_of_headers, opt_out_of_headers, opt_out_of_meta, usage_opt_out
from crawler.robots import RobotsRules


@pytest.mark.parametrize(
    ("headers", "opted_out"),
    [
        ([], False),
        ([("X-Robots-Tag", "noai")], True),
        ([("x-robots-tag", "NoImageAI, nofollow")], True),
        ([("X-Robots-Tag", "noindex")], True),
        ([("X-Robots-Tag", "none")], True),
        ([("X-Robots-Tag", "all")], False),
        ([("X-Robots-Tag", "nofollow, noarchive")], False),
        ([("X-Robots-Tag", "googlebot: noindex")], False),
        ([("X-Robots-Tag", "googlebot: nofollow, noai")], False),  # the name holds to the end
        ([("X-Robots-Tag", "mybot: noai")], True),
        ([("X-Robots-Tag", "MyBot/1.0: noai")], True),
        ([("X-Robots-Tag", "googlebot: noindex, mybot: noai")], True),
        ([("X-Robots-Tag", "mybot: nofollow, googlebot: noai")], False),
        ([("X-Robots-Tag", "googlebot: noindex, *: noai")], True),
        ([("X-Robots-Tag", "googlebot: noindex"), ("X-Robots-Tag", "noai")], True),
        ([("X-Robots-Tag", "unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT, noai")], True),
        ([("X-Robots-Tag", "unavailable_after: 25 Jun 2030 15:00:00 PST")], False),
        ([("X-Robots-Tag", "max-image-preview:large, noimageindex")], True),
        ([("X-Robots-Tag", "")], False),
        ([("TDM-Reservation", "1")], True),
        ([("tdm-reservation", "0")], False),
        ([("Content-Usage", "train-ai=n")], True),
        ([("Content-Usage", "train-ai=y, search=n")], False),
        ([("Content-Usage", "train-genai = n")], True),
        ([("Content-Signal", "ai-train=no")], True),
        ([("Content-Usage", "ai=n")], True),  # as earlier drafts called it, and sites still do
        ([("Content-Usage", "tdm=n;v=1, search=y")], True),
        ([("Content-Usage", 'train-ai="n"')], True),
        ([("Content-Usage", "ai-input=n, search=n")], False),
        ([("X-Robots-Tag", "nofollow; noai")], True),
        ([("X-Robots-Tag", "nofollow noindex")], True),
        ([("X-Robots-Tag", "max-image-preview: none")], False),
        ([("X-Robots-Tag", "mybot: max-image-preview: none; nofollow")], False),
        ([("Content-Type", "noai")], False),
    ],
)
def test_headers(headers: list[tuple[str, str]], opted_out: bool) -> None:
    assert (opt_out_of_headers(headers, "mybot") is not None) is opted_out


def test_the_detail_is_the_header_that_decided_and_is_bounded() -> None:
    headers = [("Server", "x"), ("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", "noai, " + "x" * 100_000)]
    detail = opt_out_of_headers(headers, "mybot")
    assert detail is not None
    assert detail.startswith("x-robots-tag: noai")
    assert len(detail) == 200


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([], PageDirectives(None, False)),
        ([("robots", "noai, noimageai")], PageDirectives("meta robots: noai, noimageai", False)),
        ([("ROBOTS", " NOINDEX , NOFOLLOW ")], PageDirectives("meta robots: NOINDEX , NOFOLLOW", True)),
        ([("googlebot", "noindex")], PageDirectives(None, False)),
        ([("mybot", "noai")], PageDirectives("meta mybot: noai", False)),
        ([("robots", "none")], PageDirectives("meta robots: none", True)),
        ([("robots", "index,follow")], PageDirectives(None, False)),
        ([("tdm-reservation", "1")], PageDirectives("meta tdm-reservation: 1", False)),
        ([("tdm-reservation", "0")], PageDirectives(None, False)),
        ([("description", "noai")], PageDirectives(None, False)),
        ([("robots", "noindex nofollow")], PageDirectives("meta robots: noindex nofollow", True)),
        ([("robots", "nofollow;noimageai")], PageDirectives("meta robots: nofollow;noimageai", True)),
        ([("robots", "max-image-preview: none, max-snippet:-1")], PageDirectives(None, False)),
        ([("x-robots-tag", "mybot: noai")], PageDirectives("meta x-robots-tag: mybot: noai", False)),
        ([("x-robots-tag", "otherbot: noai, nofollow")], PageDirectives(None, False)),
        ([("X-Robots-Tag", "nofollow")], PageDirectives(None, True)),
        ([("content-usage", "train-ai=n")], PageDirectives("meta content-usage: train-ai=n", False)),
    ],
)
def test_meta_elements(elements: list[tuple[str, str]], expected: PageDirectives) -> None:
    assert opt_out_of_meta(elements, "mybot") == expected


def test_nofollow_of_headers_is_scoped_too() -> None:
    assert nofollow_of_headers([("X-Robots-Tag", "nofollow")], "mybot")
    assert not nofollow_of_headers([("X-Robots-Tag", "googlebot: nofollow")], "mybot")


@pytest.mark.parametrize(
    "text", ["-" * 2**19, " " * 2**19 + "x", "x" + " ;" * 2**18, "a:" * 2**18, "x" + " " * 2**19 + "="]
)
def test_hostile_directives_are_read_in_linear_time(text: str) -> None:
    started = time.process_time()
    assert not usage_opt_out(text)
    assert opt_out_of_meta([("robots", text), ("mybot", text), ("content-usage", text)] * 10, "mybot").opt_out is None
    assert opt_out_of_headers([("X-Robots-Tag", text), ("Content-Usage", text)], "mybot") is None
    rules = RobotsRules.parse(b"user-agent: *\ncontent-usage: " + text.encode(), "mybot")
    assert rules.opt_out("http://a.cn/x") is None
    assert time.process_time() - started < 5
