"""Promises 42 to 48: robots.txt in all its states, politeness by the server's log, opt-outs, and who we say we are."""

import gzip
import io
import itertools
import threading
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from crawler.robots import MAX_ROBOTS_BYTES, RobotsRules
from crawler.settings import CrawlerSettings
from shards.errors import UsageError
from tests.crawler.promises.servers import (
    AGENT,
    PATIENT,
    Case,
    Exchange,
    Handler,
    Row,
    Site,
    check,
    dns,
    download,
    fixed,
    forever,
    moved,
    raw,
    silent,
    sites,
)


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 199, 99)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = picture()
DENY, DENY_X = b"user-agent: *\ndisallow: /", b"user-agent: *\ndisallow: /x\n"
FILLER = b"# " + b"x" * 77 + b"\n"
TEXT = "Content-Type: text/plain"


def robots(body: bytes, *lines: str) -> Handler:
    return fixed(body, TEXT, *lines)


def status(line: str, body: bytes = DENY, *lines: str) -> Handler:
    return fixed(body, *lines, status=line)


def drip_robots(exchange: Exchange) -> None:
    forever(b"HTTP/1.1 200 OK\r\n\r\n", b"#", 0.05)(exchange)


def hops(exchange: Exchange) -> None:
    """`/hop3` leads to `/hop2` and so on; `/hop0` forbids all."""
    number = int(exchange.path.removeprefix("/hop"))
    (moved(f"/hop{number - 1}", "301 Moved") if number else robots(DENY))(exchange)


def after(number: int, code: str = "301 Moved") -> Handler:
    return moved(f"/hop{number}", code)


TIMED_OUT = [
    Case("promise 42: never an answer", silent, "robots_unreachable"),
    Case("promise 42: rules at a drip", drip_robots, "robots_unreachable"),
]
CASES = [
    Case("promise 42: 200 that forbids", robots(DENY), "robots_disallowed"),
    Case("promise 42: 200 that allows", robots(b"user-agent: *\nallow: /"), None),
    Case("promise 42: 200 that is empty", robots(b""), None),
    Case("promise 42: 200 without a type", fixed(DENY), "robots_disallowed"),
    Case("promise 42: 200 called a picture", fixed(DENY, "Content-Type: image/png"), "robots_disallowed"),
    Case("promise 42: a page instead of rules", fixed(b"<html><body>Welcome</body></html>"), None),
    Case("promise 42: one redirect", moved("/hop0", "301 Moved"), "robots_disallowed"),
    Case("promise 42: a temporary redirect", moved("/hop0", "302 Found"), "robots_disallowed"),
    Case("promise 42: 308", moved("/hop0", "308 Moved"), "robots_disallowed"),
    Case("promise 42: five redirects", after(4), "robots_disallowed"),
    Case("promise 42: six redirects are as none", after(5), None),
    Case("promise 42: redirects without end", moved("/robots.txt", "301 Moved"), None),
    Case("promise 42: a redirect to nowhere", moved(None), "robots_unreachable"),
    Case("promise 42: a redirect to a private address", moved("http://10.0.0.1/robots.txt"), "robots_unreachable"),
    Case("promise 42: a redirect to a file", moved("file:///etc/passwd"), "robots_unreachable"),
    *[Case(f"promise 42: {code}", status(f"{code} No"), None)
      for code in (400, 401, 402, 403, 404, 405, 410, 418, 451)],
    *[Case(f"promise 42: {code}", status(f"{code} Oops"), "robots_unreachable")
      for code in (500, 501, 502, 503, 504, 520, 599)],
    Case("promise 42: 429", status("429 Slow down"), "robots_unreachable"),
    Case("promise 42: 429 for hours", status("429 Slow down", b"", "Retry-After: 7200"), "robots_unreachable"),
    Case("promise 42: 503 once",
         lambda exchange: (status("503 Busy") if exchange.attempt == 1 else robots(b""))(exchange), None),
    Case("promise 42: closed before a byte", raw(b""), "connect_error"),
    *TIMED_OUT,
    Case("promise 42: cut short", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nuser-agent: *"),
         "robots_unreachable"),
    Case("promise 42: no HTTP at all", raw(b"hello\r\n\r\n"), "robots_unreachable"),
    Case("promise 43: our own name", robots(b"user-agent: *\nallow: /\nuser-agent: TestBot\ndisallow: /"),
         "robots_disallowed"),
    Case("promise 43: another's name", robots(b"user-agent: otherbot\ndisallow: /"), None),
    Case("promise 43: our name within another's", robots(b"user-agent: testbot-news\ndisallow: /"), None),
    Case("promise 43: the longer rule", robots(b"user-agent: *\ndisallow: /\nallow: /x"), None),
    Case("promise 43: a wildcard and an end", robots(b"user-agent: *\ndisallow: /*x$"), "robots_disallowed"),
    Case("promise 43: a byte order mark", robots(b"\xef\xbb\xbf" + DENY), "robots_disallowed"),
    Case("promise 43: CR for line ends", robots(DENY_X.replace(b"\n", b"\r")), "robots_disallowed"),
    Case("promise 43: CRLF, tabs and comments", robots(b"\tUser-Agent :\t* # all\r\nDISALLOW:\t/x # no\r\n"),
         "robots_disallowed"),
    Case("promise 43: NUL bytes", robots(b"\0\0user-agent: *\ndisallow: /y\0\n" + DENY_X), "robots_disallowed"),
    Case("promise 43: bytes that are no UTF-8", robots(b"\xff\xfe\n" + DENY_X), "robots_disallowed"),
    Case("promise 43: UTF-16 says nothing", robots(DENY.decode().encode("utf-16")), None),
    Case("promise 44: rules within 500 KiB", robots(FILLER * 6000 + b"\n" + DENY), "robots_disallowed"),
    Case("promise 44: rules beyond 500 KiB", robots(FILLER * 6500 + DENY), None),
    Case("promise 44: a rule that 500 KiB cut in two",
         robots(DENY_X + b"#" * (MAX_ROBOTS_BYTES - len(DENY_X) - 11) + b"\ndisallow: /yyyy" + b"y" * 99),
         "robots_disallowed"),
    Case("promise 44: endless", forever(b"HTTP/1.1 200 OK\r\n\r\n" + DENY_X, FILLER * 500), "robots_disallowed"),
    Case("promise 44: endless without a line", forever(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536), None),
    Case("promise 44: a petabyte by its length",
         forever(b"HTTP/1.1 200 OK\r\nContent-Length: 1125899906842624\r\n\r\n" + DENY_X, FILLER * 500),
         "robots_disallowed"),
    Case("promise 44: a gzip bomb", robots(gzip.compress(DENY_X + b"#" * 2**25), "Content-Encoding: gzip"),
         "robots_disallowed"),
    Case("promise 44: a bomb in a bomb", robots(zlib.compress(gzip.compress(b"#" * 2**25)),
                                                "Content-Encoding: gzip, deflate"), None),
    Case("promise 44: 100 000 rules", robots(b"user-agent: *\n" + b"disallow: /*\n" * 30_000), "robots_disallowed"),
    Case("promise 44: stars by the thousand", robots(b"user-agent: *\ndisallow: /" + b"*x" * 60_000 + b"$"), None),
    Case("promise 44: one line of 500 KB", robots(b"user-agent: " + b"a" * 500_000 + b"\ndisallow: /"), None),
]  # fmt: skip


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Row, Site]]:
    """One host for each robots.txt, all in one part, but for those of which our patience is to come to its end."""
    answering = [case for case in CASES if case not in TIMED_OUT]
    hasty: dict[str, object] = {"total_timeout_s": 2, "rate_grace_s": 0.6}
    parts = ((answering, PATIENT), (TIMED_OUT, hasty))
    return {
        name: found
        for cases, fetch in parts
        for name, found in _asked(tmp_path_factory.mktemp("robots"), cases, fetch).items()
    }


def _asked(folder: Path, cases: list[Case], fetch: dict[str, object]) -> dict[str, tuple[Row, Site]]:
    pages: dict[str, Handler] = dict.fromkeys((f"/hop{number}" for number in range(8)), hops)
    found = {case.name: Site(pages | {"/x": fixed(IMAGE), "/robots.txt": case.handler}) for case in cases}
    with sites(*found.values()) as all_sites:
        rows = download(folder, [site.url() for site in all_sites], all_sites, fetch=fetch | {"retries": 1})
    return {name: (rows[site.url()], site) for name, site in found.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_robots_of_an_image_s_own_host_decides(case: Case, outcome: dict[str, tuple[Row, Site]]) -> None:
    row, site = outcome[case.name]
    check(case, row)
    assert site.asked("/x") == (case.reason is None)
    asked = [exchange.path for exchange in site.log if exchange.path != "/x"]
    assert asked[0] == "/robots.txt"
    assert sum(path.startswith("/hop") for path in asked) <= 5


@pytest.mark.parametrize(
    ("path", "rule", "allowed"),
    [
        # Google's published examples of path matching.
        ("/fish", "/fish", False),
        ("/fish.html", "/fish", False),
        ("/fish/salmon.html", "/fish", False),
        ("/fishheads/yummy.html", "/fish", False),
        ("/fish.php?id=anything", "/fish", False),
        ("/Fish.asp", "/fish", True),
        ("/catfish", "/fish", True),
        ("/desert/fish", "/fish", True),
        ("/fishheads/yummy.html", "/fish*", False),
        ("/fish/?id=anything", "/fish/", False),
        ("/fish", "/fish/", True),
        ("/animals/fish/", "/fish/", True),
        ("/index.php", "/*.php", False),
        ("/folder/any.php.file.html", "/*.php", False),
        ("/", "/*.php", True),
        ("/windows.PHP", "/*.php", True),
        ("/filename.php/", "/*.php$", True),
        ("/filename.php?parameters", "/*.php$", True),
        ("/filename.php5", "/*.php$", True),
        ("/fishheads/catfish.php?parameters", "/fish*.php", False),
        ("/Fish.PHP", "/fish*.php", True),
        ("/x%3Cy", "/x<y", True),
        ("/SanJos%C3%A9Sellers", "/SanJos\u00e9Sellers", False),
        ("/a%3cd.html", "/a%3Cd.html", False),
        ("/a%2fb.html", "/a%2fb.html", False),
        ("/a/b.html", "/a%2fb.html", True),
        ("/%7Ejoe/index.html", "/~joe/", False),
        ("/~joe/index.html", "/%7Ejoe/", False),
    ],
)
def test_promise_43_paths_match_as_the_standard_says(path: str, rule: str, allowed: bool) -> None:
    """promise 43: RFC 9309, section 2.2.2, and the table of Google's documentation."""
    rules = RobotsRules.parse(f"user-agent: *\ndisallow: {rule}\n".encode(), "testbot")
    assert rules.allowed(f"http://a.cn{path}") is allowed


@pytest.mark.parametrize(
    ("allow", "disallow", "path", "allowed"),
    [
        ("/p", "/", "/page", True),
        ("/folder", "/folder", "/folder/page", True),
        ("/page", "/*.htm", "/page.htm", False),
        ("/page", "/*.ph", "/page.php5", True),
        ("/$", "/", "/", True),
        ("/$", "/", "/page.htm", False),
    ],
)
def test_promise_43_the_longer_rule_wins(allow: str, disallow: str, path: str, allowed: bool) -> None:
    """promise 43: the order of precedence in Google's documentation; a tie allows."""
    for lines in ((f"allow: {allow}", f"disallow: {disallow}"), (f"disallow: {disallow}", f"allow: {allow}")):
        rules = RobotsRules.parse("\n".join(("user-agent: *", *lines)).encode(), "testbot")
        assert rules.allowed(f"http://a.cn{path}") is allowed


def test_promise_44_no_more_than_the_limit_is_read_of_an_endless_file(outcome: dict[str, tuple[Row, Site]]) -> None:
    """promise 44: what the server could send before we hung up: the limit, and what lies in the system's buffers."""
    for name in ("promise 44: endless", "promise 44: endless without a line", "promise 44: a petabyte by its length"):
        _, site = outcome[name]
        assert site.num_sent < MAX_ROBOTS_BYTES + 16 * 2**20, f"{name}: {site.num_sent:,}"


def test_promise_45_each_image_host_has_its_say(tmp_path: Path) -> None:
    """promise 45: robots and rates of the image's own host, of the host that a redirect leads to, and of each port."""
    with sites(Site(), Site(), Site()) as [first, second, third]:
        first.pages = {"/away": moved(second.url("/y")), "/fine": moved(third.url("/y")), "/x": fixed(IMAGE)}
        second.pages = {"/robots.txt": robots(DENY), "/y": fixed(IMAGE)}
        third.pages = {"/robots.txt": robots(b"user-agent: otherbot\ndisallow: /"), "/y": fixed(IMAGE)}
        other_port = Site({"/x": fixed(IMAGE), "/robots.txt": robots(DENY)}, host=first.host)
        urls = [first.url("/away"), first.url("/fine"), first.url(), other_port.url()]
        with sites(other_port):
            rows = download(tmp_path, urls, [first, second, third, other_port], fetch=PATIENT)
    reasons = [rows[url]["drop_reason"] for url in urls]
    assert reasons == ["robots_disallowed", None, None, "robots_disallowed"]
    assert [site.asked("/robots.txt") for site in (first, second, third, other_port)] == [1, 1, 1, 1]
    assert second.asked("/y") == other_port.asked("/x") == 0
    assert rows[urls[0]]["final_url"] == second.url("/y")


def test_promise_46_concurrency_and_gap_hold_by_the_server_s_log(tmp_path: Path) -> None:
    """promise 46: never more in flight than allowed and never two starts within the gap, robots.txt included."""

    def slow(exchange: Exchange) -> None:
        time.sleep(0.6)
        exchange.answer(IMAGE)

    def refuse(exchange: Exchange) -> None:
        time.sleep(0.1)
        exchange.answer(b"", "503 Busy")

    pages: dict[str, Handler] = dict.fromkeys((f"/{n}" for n in range(6)), slow)
    pages |= dict.fromkeys((f"/bad{n}" for n in range(3)), refuse)
    with sites(Site(pages)) as [site]:
        urls = [site.url(path) for path in site.pages]
        crawler: dict[str, object] = {"per_host": {"concurrency": 2, "delay_s": 0.25}}
        download(tmp_path, urls, [site], crawler=crawler, fetch=PATIENT | {"retries": 1})
        starts = site.starts()
        assert site.most_in_flight == 2
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(starts) >= 1 + 6 + 3 * 2
    assert min(gaps) >= 0.08  # as a busy server sees it
    assert starts[-1] - starts[0] >= 0.25 * (len(starts) - 1) - 0.15


def test_promise_46_a_host_that_closes_at_once_is_asked_no_more_often(tmp_path: Path) -> None:
    """promise 46: a request whose connection ends before an answer is not sent again behind the back of the gap."""
    with sites(Site({f"/{n}": raw(b"") for n in range(4)})) as [site]:
        urls = [site.url(path) for path in site.pages]
        crawler: dict[str, object] = {"per_host": {"concurrency": 2, "delay_s": 0.25}}
        rows = download(tmp_path, urls, [site], crawler=crawler, fetch=PATIENT | {"give_up_after": 99})
        assert {row["drop_reason"] for row in rows.values()} == {"connect_error"}
        assert [site.asked(path) for path in site.pages] == [1, 1, 1, 1]
        starts = site.starts()
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.08


def test_promise_46_lanes_share_a_host_that_redirects_lead_to(tmp_path: Path) -> None:
    """promise 46: two workers whose images all redirect to one host outside their lanes keep its gap together."""
    with sites(Site({"/y": fixed(IMAGE)}), Site(), Site()) as [shared, *owners]:
        crawler: dict[str, object] = {"per_host": {"concurrency": 2, "delay_s": 0.1}, "lanes": 2}

        def lane(number: int) -> None:
            owner = owners[number]
            owner.pages = {f"/{n}": moved(shared.url(f"/y?{number}{n}")) for n in range(3)}
            (tmp_path / str(number)).mkdir()
            urls = [owner.url(f"/{n}") for n in range(3)]
            folder = tmp_path / str(number)
            rows = download(folder, urls, [shared, *owners], crawler=crawler, fetch=PATIENT, num_lanes=2)
            assert {row["drop_reason"] for row in rows.values()} == {None}

        workers = [threading.Thread(target=lane, args=(number,)) for number in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert shared.most_in_flight <= 2
        starts = shared.starts()
    assert len(starts) >= 2 * (1 + 3)
    assert (starts[-1] - starts[0]) / (
        len(starts) - 1
    ) >= 0.08  # the mean gap is the host's own, of both lanes together


@pytest.mark.parametrize(
    ("asked", "cap", "least_s"), [(b"0.4", 300.0, 0.35), (b"9999", 0.3, 0.2), (b"0.001", 300.0, 0.0)]
)
def test_promise_46_crawl_delay_is_obeyed_up_to_its_cap(
    asked: bytes, cap: float, least_s: float, tmp_path: Path
) -> None:
    """promise 46: a Crawl-delay of ours or of everybody's group; 300 s at most unless the recipe says otherwise."""
    pages: dict[str, Handler] = {f"/{n}": fixed(IMAGE) for n in range(3)}
    pages["/robots.txt"] = robots(b"user-agent: testbot\ncrawl-delay: " + asked + b"\n")
    with sites(Site(pages)) as [site]:
        crawler: dict[str, object] = {"per_host": {"concurrency": 4, "delay_s": 0.0}, "max_crawl_delay_s": cap}
        rows = download(tmp_path, [site.url(f"/{n}") for n in range(3)], [site], crawler=crawler, fetch=PATIENT)
        starts = site.starts()
    assert {row["drop_reason"] for row in rows.values()} == {None}
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert least_s <= min(gaps)
    assert max(gaps) < 5
    assert CrawlerSettings().max_crawl_delay_s == 300


OPT_OUTS = [
    Case("promise 47: noai", fixed(IMAGE, "X-Robots-Tag: noai"), "opt_out", "noai"),
    Case("promise 47: noimageai among others", fixed(IMAGE, "X-Robots-Tag: max-snippet:0, NoImageAI"), "opt_out"),
    Case("promise 47: noindex", fixed(IMAGE, "X-Robots-Tag: noindex"), "opt_out", "noindex"),
    Case("promise 47: in a second header", fixed(IMAGE, "X-Robots-Tag: nofollow", "x-robots-tag: noai"), "opt_out"),
    Case("promise 47: for us by name", fixed(IMAGE, "X-Robots-Tag: TestBot: noai"), "opt_out", "TestBot: noai"),
    Case("promise 47: for another by name", fixed(IMAGE, "X-Robots-Tag: otherbot: noai"), None),
    Case("promise 47: for another, then for all", fixed(IMAGE, "X-Robots-Tag: otherbot: nofollow, *: noai"), "opt_out"),
    Case("promise 47: what is no opt-out", fixed(IMAGE, "X-Robots-Tag: nofollow, noarchive, max-image-preview:none"),
         None),
    Case("promise 47: TDM-Reservation", fixed(IMAGE, "TDM-Reservation: 1"), "opt_out", "1"),
    Case("promise 47: TDM-Reservation with a policy",
         fixed(IMAGE, "tdm-reservation: 1", "tdm-policy: https://example.org/p.json"), "opt_out"),
    Case("promise 47: no TDM-Reservation", fixed(IMAGE, "TDM-Reservation: 0"), None),
    Case("promise 47: AIPREF", fixed(IMAGE, "Content-Usage: train-ai=n"), "opt_out", "train-ai=n"),
    Case("promise 47: AIPREF that allows", fixed(IMAGE, "Content-Usage: train-ai=y"), None),
    Case("promise 47: Content-Signal", fixed(IMAGE, "Content-Signal: search=yes, ai-train=no"), "opt_out"),
    Case("promise 47: 8 000 characters", fixed(IMAGE, "X-Robots-Tag: noai, " + "x" * 8000), "opt_out", "noai"),
    Case("promise 47: on an error page", fixed(IMAGE, "X-Robots-Tag: noai", status="404 No"), "http_status"),
]  # fmt: skip


@pytest.fixture(scope="module")
def opted_out(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    found = {case.name: Site({"/x": case.handler}) for case in OPT_OUTS}
    with sites(*found.values()) as all_sites:
        rows = download(
            tmp_path_factory.mktemp("optouts"), [site.url() for site in all_sites], all_sites, fetch=PATIENT
        )
    return {name: rows[site.url()] for name, site in found.items()}


@pytest.mark.parametrize("case", OPT_OUTS, ids=lambda case: case.name)
def test_opt_outs_are_obeyed_and_recorded(case: Case, opted_out: dict[str, Row]) -> None:
    check(case, opted_out[case.name])
    assert len(str(opted_out[case.name]["detail"])) <= 300


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/robots.txt", b"user-agent: *\nContent-Signal: ai-train=no\nallow: /", "opt_out"),
        ("/robots.txt", b"user-agent: *\nContent-Usage: train-ai=n\nallow: /", "opt_out"),
        ("/.well-known/tdmrep.json", b'[{"location": "/x", "tdm-reservation": 1}]', "opt_out"),
        ("/.well-known/tdmrep.json", b'[{"location": "/y", "tdm-reservation": 1}]', None),
        ("/.well-known/tdmrep.json", b"[" * 100_000, None),
        ("/ai.txt", b"User-Agent: *\nDisallow: /\n", "opt_out"),
        ("/ai.txt", b"User-Agent: *\nDisallow: *.gif\n", None),
    ],
)
def test_promise_47_files_that_speak_for_a_whole_site(
    path: str, body: bytes, reason: str | None, tmp_path: Path
) -> None:
    """promise 47: TDMRep, AIPREF, Content-Signal and ai.txt of the image's own host; the row names the file."""
    with sites(Site({"/x": fixed(IMAGE), path: fixed(body)})) as [site]:
        row = download(tmp_path, [site.url()], [site], fetch=PATIENT)[site.url()]
    assert row["drop_reason"] == reason, row
    if reason is not None:
        assert path.rpartition("/")[2].split(".")[0] in str(row["detail"])


@pytest.mark.parametrize(
    "user_agent",
    ["", "testbot", "testbot/1.0", "testbot/1.0 (no contact)", "(+https://example.org/bot)", "test bot\nX: y a@b.cn",
     "https://example.org/bot", "Бот/1.0 (+https://example.org)", "testbot/1.0 (+https://localhost)"],
)  # fmt: skip
def test_promise_48_an_agent_without_a_name_or_a_contact_is_refused(user_agent: str) -> None:
    """promise 48: before anything is fetched, and with the way to write it."""
    with pytest.raises(ValidationError, match="user_agent"):
        CrawlerSettings(user_agent=user_agent)


def test_promise_48_no_request_without_an_identity_and_each_with_ours(tmp_path: Path) -> None:
    """promise 48: every request, robots.txt and redirects included, names us and no browser."""
    with sites(Site({"/x": moved("/y"), "/y": fixed(IMAGE)})) as [site]:
        with pytest.raises(UsageError, match="user_agent"):
            download(tmp_path, [site.url()], [site], crawler={"user_agent": None})
        assert site.num_contacts == 0
        download(tmp_path, [site.url()], [site], fetch=PATIENT)
        assert len(site.log) >= 3
        for exchange in site.log:
            assert exchange.raw.lower().count(b"\r\nuser-agent:") == 1
            assert exchange.headers["user-agent"] == AGENT
            assert b"mozilla" not in exchange.raw.lower()


def test_promise_45_a_host_without_a_name_is_asked_for_nothing(tmp_path: Path) -> None:
    """promise 45 (and 5): no robots.txt, no image; the row says that the name is missing, not its robots.txt."""
    with sites(Site({"/x": fixed(IMAGE)})) as [site], dns(lambda question: question.addresses(code=3)) as server:
        url = f"http://nobody.test:{site.port}/x"
        network: dict[str, object] = {"dns_servers": [server.address]}
        row = download(tmp_path, [url], [site], network=network)[url]
    assert row["drop_reason"] == "dns_error"
    assert site.num_contacts == 0
