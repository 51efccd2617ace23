"""robots.txt: the verdicts of RFC 9309 and of Google's published tests, and its bounds."""

import time
from pathlib import Path

import pytest

from crawler.robots import MAX_ROBOTS_BYTES, RobotsRules

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "conformance" / "robots-real"


@pytest.mark.parametrize(
    ("robots", "path", "allowed"),
    [
        ("", "/", True),
        ("user-agent: FooBot\ndisallow: /\n", "/x", False),
        ("foo: FooBot\nbar: /\n", "/x", True),
        ("user-agent FooBot\ndisallow /\n", "/x", False),  # no colon
        ("user-agent: FooBot\ndisallow: /\n\nuser-agent: *\nallow: /\n", "/x", False),  # ours beats *
        ("user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /", "/x", False),
        ("user-agent: BarBot\ndisallow: /\nuser-agent: *\nallow: /", "/x", True),
        ("user-agent: FooBot\nuser-agent: BarBot\ndisallow: /x\n", "/x/y", False),  # two agents, one group
        ("user-agent: FooBot\ndisallow: /a\nuser-agent: BarBot\ndisallow: /b\nuser-agent: FooBot\ndisallow: /c",
         "/c", False),  # groups merge
        ("user-agent: FooBot\ndisallow: /a\nuser-agent: BarBot\ndisallow: /b", "/b", True),
        ("disallow: /\nuser-agent: FooBot\nallow: /x", "/y", True),  # rules before any agent do not count
        ("USER-AGENT: fOOBOT\nDISALLOW: /", "/x", False),
        ("user-agent: FooBot/1.2\ndisallow: /", "/x", False),
        ("user-agent: Foo Bar\ndisallow: /", "/x", True),
        ("user-agent: FooBotLong\ndisallow: /", "/x", True),
        ("user-agent: *\ndisallow: /\nuser-agent: FooBot\n", "/x", True),  # our own, empty group
        ("user-agent: FooBot\ndisallow:\n", "/x", True),
        ("user-agent: FooBot\ndisallow: /X", "/x", True),  # paths are case-sensitive
        ("user-agent: FooBot\ndisallow: /x\nallow: /x", "/x", True),  # allow on a tie
        ("user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/", "/x/page.html", False),  # longest
        ("user-agent: FooBot\ndisallow: /x/\nallow: /x/page.html", "/x/page.html", True),
        ("user-agent: FooBot\ndisallow: /x\nallow: ", "/x", False),
        ("user-agent: FooBot\ndisallow: *.gif$", "/a.gif", False),
        ("user-agent: FooBot\ndisallow: *.gif$", "/a.gif?x", True),
        ("user-agent: FooBot\ndisallow: /fish*.php", "/fishheads/catfish.php?a", False),
        ("user-agent: FooBot\ndisallow: /fish*.php", "/Fish.PHP", True),
        ("user-agent: FooBot\ndisallow: /*/b/*/d$", "/a/b/c/d", False),
        ("user-agent: FooBot\ndisallow: /*/b/*/d$", "/a/b/c/d/e", True),
        ("user-agent: FooBot\ndisallow: /a*a$", "/a", True),  # pieces may not overlap
        ("user-agent: FooBot\ndisallow: /$", "/", False),
        ("user-agent: FooBot\ndisallow: /$", "/x", True),
        ("user-agent: FooBot\ndisallow: foo", "/foo", True),  # no slash: matches nothing
        ("user-agent: FooBot\ndisallow: /a$b", "/a$b", False),  # a dollar inside is itself
        ("user-agent: FooBot\ndisallow: /a%24", "/a$", False),
        ("user-agent: FooBot\ndisallow: /file-%2A.html", "/file-*.html", False),
        ("user-agent: FooBot\ndisallow: /file-%2A.html", "/file-x.html", True),
        ("user-agent: FooBot\ndisallow: /foo/bar/%62%61%7A", "/foo/bar/baz", False),  # RFC 9309, section 2.2.2
        ("user-agent: FooBot\ndisallow: /foo/bar/ツ", "/foo/bar/%E3%83%84", False),
        ("user-agent: FooBot\ndisallow: /foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", False),
        ("user-agent: FooBot\ndisallow: /foo/bar?baz=http://x", "/foo/bar?baz=http://x", False),
        ("user-agent: FooBot\ndisallow: /a%2Fb", "/a/b", True),  # a reserved octet stays escaped
        ("\ufeffuser-agent: FooBot\ndisallow: /", "/x", False),
        ("user-agent: FooBot\rdisallow: /", "/x", False),
        ("user-agent: FooBot\r\ndisallow: /x # why\r\n", "/x", False),
        ("user-agent: FooBot\ncrawl-delay: 5\nuser-agent: BarBot\ndisallow: /", "/x", False),  # other records
        ("user-agent: FooBot\nsitemap: http://a/\nuser-agent: BarBot\ndisallow: /", "/x", False),  # do not split
        ("user-agent: FooBot\ndissallow: /", "/x", False),
        ("user-agent: *\ndisallow: /", "/robots.txt", True),
        ("<html><body>user-agent: none</body></html>", "/x", True),
    ],
)  # fmt: skip
def test_verdicts(robots: str, path: str, allowed: bool) -> None:
    assert RobotsRules.parse(robots.encode(), "foobot").allowed(f"http://a.cn{path}") is allowed


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "robots_disallowed"), (204, "robots_disallowed"), (404, None), (403, None), (401, None), (410, None),
     (429, "robots_unreachable"), (500, "robots_unreachable"), (503, "robots_unreachable"),
     (301, "robots_unreachable")],
)  # fmt: skip
def test_statuses(status: int, reason: str | None) -> None:
    rules = RobotsRules.of_response(status, b"user-agent: *\ndisallow: /", "foobot")
    verdict = rules.verdict("http://a.cn/x")
    assert (verdict[0] if verdict else None) == reason


@pytest.mark.parametrize(
    ("line", "delay"),
    [("2", 2.0), ("0.5", 0.5), (".5", 0.5), ("1e9", None), ("-1", None), ("nan", None), ("", None), ("٣", None)],
)
def test_crawl_delay(line: str, delay: float | None) -> None:
    rules = RobotsRules.parse(f"user-agent: *\ncrawl-delay: {line}\ndisallow: /x".encode(), "foobot")
    assert rules.crawl_delay == delay


@pytest.mark.parametrize(
    ("line", "path", "opted_out"),
    [
        ("Content-Signal: search=yes, ai-train=no", "/a.jpg", True),
        ("Content-Signal: ai-train=yes", "/a.jpg", False),
        ("Content-Usage: train-ai=n", "/a.jpg", True),
        ("Content-Usage: /img/ train-ai=n", "/a.jpg", False),
        ("Content-Usage: /img/ train-ai=n", "/img/a.jpg", True),
        ("Content-Usage: train-ai=n\nContent-Usage: /free/ train-ai=y", "/free/a.jpg", False),
        ("Content-Usage: ai=n", "/a.jpg", True),
        ("Content-Usage: ai=y\nContent-Usage: search=n", "/a.jpg", False),
        ("DisallowAITraining: /", "/a.jpg", True),
        ("DisallowAITraining: /img/", "/a.jpg", False),
        ("DisallowAITraining:", "/a.jpg", False),
        ("disallowaitraining: /\nAllowAITraining: /free/", "/free/a.jpg", False),
        ("AllowAITraining: /", "/a.jpg", False),
    ],
)
def test_uses_that_robots_txt_refuses(line: str, path: str, opted_out: bool) -> None:
    rules = RobotsRules.parse(f"User-Agent: *\n{line}\nAllow: /".encode(), "foobot")
    verdict = rules.verdict(f"http://a.cn{path}")
    assert (verdict is not None and verdict[0] == "opt_out") is opted_out


@pytest.mark.parametrize(
    ("robots", "directive"),
    [
        ("Content-Signal: ai-train=no\nUser-Agent: FooBot\nAllow: /", "content-signal: ai-train=no"),
        ("DisallowAITraining: /x\nUser-Agent: *\nAllow: /", "disallowaitraining: /x"),
        ("Disallow: /\nCrawl-delay: 9\nUser-Agent: *\nAllow: /", None),
        ("User-Agent: BarBot\nContent-Usage: train-ai=n\nAllow: /\n\nUser-Agent: *\nAllow: /", None),
    ],
)
def test_a_refusal_before_any_group_is_meant_for_all(robots: str, directive: str | None) -> None:
    rules = RobotsRules.parse(robots.encode(), "foobot")
    assert rules.opt_out("http://a.cn/x.html") == directive
    assert rules.allowed("http://a.cn/x.html")
    assert rules.crawl_delay is None


def test_only_the_first_500_kib_count() -> None:
    head = b"user-agent: *\n" + b"# filler\n" * (MAX_ROBOTS_BYTES // 9)
    assert RobotsRules.parse(head + b"\ndisallow: /\n", "foobot").allowed("http://a.cn/x")


def test_hostile_patterns_are_matched_in_linear_time() -> None:
    rules = RobotsRules.parse(b"user-agent: *\ndisallow: /" + b"*a" * 20000 + b"$\n", "foobot")
    started = time.process_time()
    assert rules.allowed("http://a.cn/" + "a" * 8000 + "b")
    assert time.process_time() - started < 0.5


def test_real_files_are_read() -> None:
    if not REAL.exists():
        pytest.skip("shared test data is missing")
    for path in sorted(REAL.iterdir()):
        rules = RobotsRules.parse(path.read_bytes(), "foobot")
        assert rules.unreachable is None
        assert rules.allowed("http://a.cn/robots.txt")
