"""Google's published robots.txt rules, group by group, said anew for hosts of our own.

Two of Google's groups go beyond RFC 9309 and against it: a rule for `index.html` speaks for its folder, and what lies
beyond 16 KiB of a line is cut off. There we stay with the RFC, which is stricter or says nothing.
"""

import pytest

from crawler.robots import RobotsRules

AGENT = "FooBot"
ONLY_US = "user-agent: FooBot\n"


def allowed(robots: str, path: str, agent: str = AGENT) -> bool:
    return RobotsRules.parse(robots.encode(), agent).allowed(f"http://wei.cn{path}")


def described(*robots_and_verdicts: tuple[str, str, bool]) -> list[tuple[str, str, bool]]:
    return list(robots_and_verdicts)


GROUPS = {
    "the system test": described(
        ("", "/", True),
        (f"{ONLY_US}disallow: /", "/", False),
        (f"{ONLY_US}disallow: /", "/robots.txt", True),
    ),
    "line syntax: lines": described(
        (f"{ONLY_US}disallow: /\n", "/x/y", False),
        ("foo: FooBot\nbar: /\n", "/x/y", True),
        ("user-agent FooBot\ndisallow /\n", "/x/y", False),
    ),
    "line syntax: groups": described(
        *[
            ("allow: /lone/\n\nuser-agent: FooBot\ndisallow: /\nallow: /x/\nuser-agent: BarBot\ndisallow: /\n"
             "allow: /y/\n\n\nallow: /w/\nuser-agent: BazBot\n\nuser-agent: FooBot\nallow: /z/\ndisallow: /\n",
             path, verdict)
            for path, verdict in [("/x/b", True), ("/z/d", True), ("/y/c", False), ("/lone/b", False), ("/w/a", False)]
        ]
    ),
    "line syntax: other records within groups": described(
        ("user-agent: BarBot\nsitemap: https://wei.cn/map\nuser-agent: *\ndisallow: /\n", "/x", False),
        ("user-agent: FooBot\nsitemap: https://wei.cn/map\nuser-agent: *\ndisallow: /\n", "/x", False),
        ("user-agent: FooBot\nunknown: words\nuser-agent: *\ndisallow: /\n", "/x", False),
    ),
    "names of lines in any case": described(
        *[(f"{agent}: FooBot\n{allow}: /x/\n{disallow}: /\n", path, verdict)
          for agent, allow, disallow in [("user-agent", "allow", "disallow"), ("USER-AGENT", "ALLOW", "DISALLOW"),
                                         ("uSeR-aGeNt", "AlLoW", "dIsAlLoW")]
          for path, verdict in [("/x/y", True), ("/a/b", False)]]
    ),
    "user agents in any case": described(
        *[(f"user-agent: {name}\nallow: /x/\ndisallow: /\n", path, verdict)
          for name in ("FOO BAR", "foo bar", "FoO bAr")
          for path, verdict in [("/x/y", True), ("/a/b", True)]],
        ("user-agent: FOOBOT\ndisallow: /\n", "/x", False),
    ),
    "a user agent up to its first space": described(
        ("user-agent: *\ndisallow: /\nuser-agent: FooBot baz\nallow: /x/\ndisallow: /\n", "/x/y", True),
        ("user-agent: *\ndisallow: /\nuser-agent: Foo Bot\nallow: /x/\ndisallow: /\n", "/x/y", False),
    ),
    "groups for all come second": described(
        ("user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n", "/x/y", False),
        ("user-agent: FooBot\nallow: /\nuser-agent: BarBot\ndisallow: /\nuser-agent: *\ndisallow: /\n", "/x/y", True),
        ("user-agent: BarBot\ndisallow: /\n", "/x/y", True),
        ("user-agent: *\ndisallow: /\nuser-agent: BarBot\nallow: /\n", "/x/y", False),
    ),
    "paths as they are written": described(
        (f"{ONLY_US}disallow: /x/\n", "/x/y", False),
        (f"{ONLY_US}disallow: /X/\n", "/x/y", True),
    ),
    "the longest match": described(
        (f"{ONLY_US}disallow: /x/page.html\nallow: /x/\n", "/x/page.html", False),
        (f"{ONLY_US}allow: /x/page.html\ndisallow: /x/\n", "/x/page.html", True),
        (f"{ONLY_US}allow: /x/page.html\ndisallow: /x/\n", "/x/", False),
        (f"{ONLY_US}disallow: \nallow: \n", "/x/page.html", True),
        (f"{ONLY_US}disallow: /\nallow: /\n", "/x/page.html", True),
        (f"{ONLY_US}disallow: /x\nallow: /x/\n", "/x", False),
        (f"{ONLY_US}disallow: /x\nallow: /x/\n", "/x/", True),
        (f"{ONLY_US}disallow: /x/page.html\nallow: /x/page.html\n", "/x/page.html", True),
        (f"{ONLY_US}allow: /page\ndisallow: /*.html\n", "/page.html", False),
        (f"{ONLY_US}allow: /page\ndisallow: /*.html\n", "/page", True),
        (f"{ONLY_US}allow: /x/page.\ndisallow: /*.html\n", "/x/page.html", True),
        (f"{ONLY_US}allow: /x/page.\ndisallow: /*.html\n", "/x/y.html", False),
        ("user-agent: *\ndisallow: /x/\nuser-agent: FooBot\ndisallow: /y/\n", "/x/page", True),
        ("user-agent: *\ndisallow: /x/\nuser-agent: FooBot\ndisallow: /y/\n", "/y/page", False),
    ),
    "escapes": described(
        (f"{ONLY_US}disallow: /\nallow: /foo/bar?qux=taz&baz=http://wei.cn?tar&par\n",
         "/foo/bar?qux=taz&baz=http://wei.cn?tar&par", True),
        (f"{ONLY_US}disallow: /\nallow: /foo/bar/ツ\n", "/foo/bar/%E3%83%84", True),
        (f"{ONLY_US}disallow: /\nallow: /foo/bar/%E3%83%84\n", "/foo/bar/%E3%83%84", True),
        (f"{ONLY_US}disallow: /\nallow: /foo/bar/%62%61%7A\n", "/foo/bar/baz", True),  # the RFC; Google's test: not
        (f"{ONLY_US}disallow: /\nallow: /foo/bar/%62%61%7A\n", "/foo/bar/%62%61%7A", True),
    ),
    "special characters": described(
        (f"{ONLY_US}disallow: /foo/bar/quz\nallow: /foo/*/qux\n", "/foo/bar/quz", False),
        (f"{ONLY_US}disallow: /foo/bar/quz\nallow: /foo/*/qux\n", "/foo/quz", True),
        (f"{ONLY_US}disallow: /foo/bar/quz\nallow: /foo/*/qux\n", "/foo//quz", True),
        (f"{ONLY_US}disallow: /foo/bar/quz\nallow: /foo/*/qux\n", "/foo/bax/quz", True),
        (f"{ONLY_US}disallow: /foo/bar$\nallow: /foo/bar/qux\n", "/foo/bar", False),
        (f"{ONLY_US}disallow: /foo/bar$\nallow: /foo/bar/qux\n", "/foo/bar/qux", True),
        (f"{ONLY_US}disallow: /foo/bar$\nallow: /foo/bar/qux\n", "/foo/bar/", True),
        (f"{ONLY_US}disallow: /foo/bar$\nallow: /foo/bar/qux\n", "/foo/bar/baz", True),
        (f"{ONLY_US}# disallow: /\ndisallow: /foo/quz#qux\nallow: /\n", "/foo/bar", True),
        (f"{ONLY_US}# disallow: /\ndisallow: /foo/quz#qux\nallow: /\n", "/foo/quz", False),
    ),
    "index.html and its folder: Google's alone": described(
        (f"{ONLY_US}allow: /slash/index.html\ndisallow: /\n", "/slash/index.html", True),
        (f"{ONLY_US}allow: /slash/index.html\ndisallow: /\n", "/slash/", False),  # Google: allowed
        (f"{ONLY_US}allow: /slash/index.html\ndisallow: /\n", "/slash/index.htm", False),
    ),
    "long lines: Google cuts them at 16 KiB": described(
        (f"{ONLY_US}disallow: /{'a' * 20_000}/qux\n", f"/{'a' * 8000}", True),
        (f"{ONLY_US}disallow: /{'a' * 7000}/qux\n", f"/{'a' * 7000}/qux", False),
        (f"{ONLY_US}disallow: /\nallow: /{'a' * 7000}/qux\n", f"/{'a' * 7000}/qux", True),
    ),
    "the documentation's table of paths": described(
        *[(f"{ONLY_US}disallow: /\nallow: {rule}\n", path, path in yes)
          for rule, yes, no in [
              ("/fish", ["/fish", "/fish.html", "/fish/salmon.html", "/fishheads", "/fish.php?id=anything"],
               ["/Fish.asp", "/catfish", "/?id=fish"]),
              ("/fish*", ["/fish", "/fish.html", "/fish/salmon.html", "/fishheads/yummy.html"],
               ["/Fish.bar", "/catfish", "/?id=fish"]),
              ("/fish/", ["/fish/", "/fish/?id=anything", "/fish/salmon.htm"],
               ["/fish", "/fish.html", "/Fish/Salmon.html"]),
              ("/*.php", ["/filename.php", "/folder/filename.php", "/folder/any.php.file.html", "/filename.php/"],
               ["/", "/windows.PHP"]),
              ("/*.php$", ["/filename.php", "/folder/filename.php"],
               ["/filename.php?parameters", "/filename.php/", "/filename.php5", "/windows.PHP"]),
              ("/fish*.php", ["/fish.php", "/fishheads/catfish.php?parameters"], ["/Fish.PHP"]),
          ]
          for path in (*yes, *no)],
        (f"{ONLY_US}allow: /p\ndisallow: /\n", "/page", True),
        (f"{ONLY_US}allow: /folder\ndisallow: /folder\n", "/folder/page", True),
        (f"{ONLY_US}allow: /page\ndisallow: /*.htm\n", "/page.htm", False),
        (f"{ONLY_US}allow: /$\ndisallow: /\n", "/", True),
        (f"{ONLY_US}allow: /$\ndisallow: /\n", "/page.html", False),
    ),
    "ends of lines": described(
        *[(end.join(["User-Agent: foo", "Allow: /some/path", "User-Agent: FooBot", "", "", "Disallow: /"]), path, False)
          for end in ("\n", "\r", "\r\n")
          for path in ("/some/path", "/x")],
    ),
    "a byte order mark": described(
        ("\ufeffUser-Agent: FooBot\nDisallow: /\n", "/x", False),
        ("User-Agent: FooBot\n\ufeffDisallow: /\n", "/x", True),  # within the file it is a character like any other
    ),
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_verdicts_of_each_group(group: str) -> None:
    for robots, path, verdict in GROUPS[group]:
        assert allowed(robots, path) is verdict, (robots[:400], path)


@pytest.mark.parametrize(
    ("value", "is_ours"),
    [("FooBot", True), ("FooBot/2.1", True), ("FooBot/", True), ("FooBo", False), ("FooBots", False), ("*Bot", False)],
)
def test_a_group_is_ours_by_its_product_token(value: str, is_ours: bool) -> None:
    assert allowed(f"user-agent: {value}\ndisallow: /\n", "/x") is not is_ours


def test_a_sitemap_is_found_wherever_it_stands() -> None:
    for robots in (
        "User-Agent: foo\nAllow: /some/path\nUser-Agent: bar\n\n\nSitemap: http://wei.cn/sitemap.xml\n",
        "Sitemap: http://wei.cn/sitemap.xml\nUser-Agent: foo\nAllow: /some/path\n",
    ):
        assert RobotsRules.parse(robots.encode(), AGENT).sitemaps == ("http://wei.cn/sitemap.xml",)
