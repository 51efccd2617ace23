"""Real hosts' robots.txt: our verdicts beside those of two other parsers, URL by URL."""

import re
from pathlib import Path

import pytest

from crawler.robots import RobotsRules
from crawler.urls import canonical_url
from tests.crawler.conformance.material import CASES, needs_data

FOLDER = CASES / "robots-real"
AGENTS = ("mybot", "googlebot", "baiduspider", "bingbot")
_RULE = re.compile(r"^\s*(?:dis)?allow\s*:\s*(/[^\s#]*)", re.IGNORECASE | re.MULTILINE)
_MOST_PATHS = 150

# Where another parser reads a file otherwise, and why RFC 9309 is on our side.
PROTEGO_DIFFERS = {
    "www.tmz.com": "2.2.4: a Crawl-delay must not end the group of user-agent lines that it stands between",
}
ROBOTSPY_DIFFERS = {
    "us.playstation.com": "2.2.1: `sitecheck.internetseer.com` starts a group of its own, though no product token",
    "www.avaya.com": "2.2.1: so does `360Spider`; its rules are not those of the group before",
    "www.ravelry.com": "2.2.1: so does `k2spider`",
    "www.dstv.com": "2.2.3: `?` stands for itself, so `/*/search?*$` does not match /x/searchx",
    "www.ucc.ie": "2.2.2: two slashes are two octets",
    "www.ameriprise.com": "2.2.2: /robots.txt is always allowed",
    "www.smartdraw.com": "2.2.2: /robots.txt is always allowed",
}


def urls_for(text: str) -> list[str]:
    """URLs that the file's rules speak of: each path itself, and one beside and one below it."""
    paths = {"/", "/index.html", "/a/b.jpg", "/images/x.png?w=1"}
    for rule in _RULE.findall(text)[:_MOST_PATHS]:
        plain = rule.replace("*", "x").rstrip("$")
        paths |= {plain, plain + "x", plain + "/y.jpg"}
    urls = (canonical_url("http://a.cn" + path) for path in sorted(paths))
    return [url for url in urls if url is not None]


def differing(path: Path) -> tuple[int, bool, bool]:
    """How many verdicts were compared, and whether Protego and robotspy differ from us in any."""
    protego = pytest.importorskip("protego")
    robotspy = pytest.importorskip("robots", reason="robotspy is not installed")
    body = path.read_bytes()
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    first, second = protego.Protego.parse(text), robotspy.RobotsParser.from_string(text)
    urls = urls_for(text)
    rules = {agent: RobotsRules.parse(body, agent) for agent in AGENTS}
    verdicts = [
        (rules[agent].allowed(url), first.can_fetch(url, agent), second.can_fetch(agent, url))
        for agent in AGENTS
        for url in urls
    ]
    return len(verdicts), any(a != b for a, b, _ in verdicts), any(a != c for a, _, c in verdicts)


@pytest.mark.slow
@needs_data
def test_two_other_parsers_agree_on_195_files_but_for_their_known_faults() -> None:
    paths = sorted(FOLDER.iterdir())
    assert len(paths) == 195
    results = {path.name: differing(path) for path in paths}
    assert sum(number for number, _, _ in results.values()) > 50_000
    assert {name for name, (_, differs, _) in results.items() if differs} == set(PROTEGO_DIFFERS)
    assert {name for name, (_, _, differs) in results.items() if differs} == set(ROBOTSPY_DIFFERS)


@needs_data
def test_two_other_parsers_agree_on_every_tenth_file() -> None:
    for path in sorted(FOLDER.iterdir())[::10]:
        _, protego_differs, robotspy_differs = differing(path)
        assert (protego_differs, robotspy_differs) == (path.name in PROTEGO_DIFFERS, path.name in ROBOTSPY_DIFFERS)
