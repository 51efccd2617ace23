"""Promises 19 to 24: no request ever reaches an address that is not allowed, however it is spelled or resolved."""

import io
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from crawler.frontier import first_round
from crawler.guard import AddressGuard
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from crawler.sources import CrawlSource
from crawler.spider import CrawlJob, crawl_part
from shards.tables import read_rows, write_table
from tests.crawler.promises.servers import AGENT, Question, Row, Site, dns, download, fixed, moved, raw, sites

CANARY_HOSTS = ("127.0.0.9", "127.0.0.1", "127.77.0.1", "::1")


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (9, 99, 199)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = picture()


@pytest.fixture(scope="module")
def canaries() -> Iterator[list[Site]]:
    """Servers on other loopback addresses, on one port where they can have it: nothing may ever reach them."""
    found = [Site({"/x": fixed(IMAGE), "/": fixed(IMAGE)}, host=CANARY_HOSTS[0])]
    for host in CANARY_HOSTS[1:]:
        port = found[0].port if host != "::1" or socket.has_ipv6 else 0
        found.append(Site({"/x": fixed(IMAGE)}, host=host, port=port))
    yield found
    for canary in found:
        canary.close()


# {port} is the canaries'. The others have no listener that we know: the guard answers before any connect.
SPELLINGS: dict[str, tuple[str, str | tuple[str, ...]]] = {
    "promise 19: an address": ("http://127.0.0.9:{port}/x", "blocked_address"),
    "promise 19: hexadecimal": ("http://0x7f000009:{port}/x", "blocked_address"),
    "promise 19: hexadecimal parts": ("http://0x7f.0x0.0x0.0x9:{port}/x", "blocked_address"),
    "promise 19: decimal": ("http://2130706441:{port}/x", "blocked_address"),
    "promise 19: octal": ("http://017700000011:{port}/x", "blocked_address"),
    "promise 19: octal parts": ("http://0177.0.0.011:{port}/x", "blocked_address"),
    "promise 19: mixed parts": ("http://0x7f.0.011:{port}/x", "blocked_address"),
    "promise 19: two parts": ("http://127.9:{port}/x", "blocked_address"),
    "promise 19: a trailing dot": ("http://127.0.0.9.:{port}/x", "blocked_address"),
    "promise 19: full-width digits": ("http://１２７.０.０.９:{port}/x", "blocked_address"),
    "promise 19: circled digits": ("http://①②⑦.⓪.⓪.⑨:{port}/x", "blocked_address"),
    "promise 19: an ideographic dot": ("http://127。0。0。9:{port}/x", "blocked_address"),
    "promise 19: escaped": ("http://%31%32%37.0.0.9:{port}/x", "blocked_address"),
    "promise 19: a soft hyphen": ("http://127.0.0\u00ad.9:{port}/x", "blocked_address"),
    "promise 19: localhost": ("http://localhost:{port}/x", "blocked_address"),
    "promise 19: localhost in capitals": ("http://LOCALHOST:{port}/x", "blocked_address"),
    "promise 19: localhost with a dot": ("http://localhost.:{port}/x", ("blocked_address", "dns_error")),
    "promise 19: below localhost": ("http://a.localhost:{port}/x", ("blocked_address", "dns_error")),
    "promise 19: this host": ("http://0.0.0.0:{port}/x", "blocked_address"),
    "promise 19: this host, short": ("http://0:{port}/x", "blocked_address"),
    "promise 19: IPv6 loopback": ("http://[::1]:{port}/x", "blocked_address"),
    "promise 19: IPv6 loopback in full": ("http://[0:0:0:0:0:0:0:1]:{port}/x", "blocked_address"),
    "promise 19: IPv6 unspecified": ("http://[::]:{port}/x", "blocked_address"),
    "promise 19: IPv4-mapped": ("http://[::ffff:127.0.0.9]:{port}/x", "blocked_address"),
    "promise 19: IPv4-mapped in hexadecimal": ("http://[::ffff:7f00:9]:{port}/x", "blocked_address"),
    "promise 19: IPv4-compatible": ("http://[::127.0.0.9]:{port}/x", "blocked_address"),
    "promise 19: NAT64": ("http://[64:ff9b::127.0.0.9]/x", "blocked_address"),
    "promise 19: 6to4": ("http://[2002:7f00:9::]/x", "blocked_address"),
    "promise 19: Teredo": ("http://[2001:0:7f00:9::]/x", "blocked_address"),
    "promise 19: a zone": ("http://[fe80::1%25lo]/x", "bad_url"),
    "promise 19: link-local": ("http://[fe80::1]/x", "blocked_address"),
    "promise 19: unique local": ("http://[fd00::1]/x", "blocked_address"),
    "promise 19: multicast": ("http://[ff02::1]/x", "blocked_address"),
    "promise 19: a cloud's metadata": ("http://169.254.169.254/latest/meta-data/", "blocked_address"),
    "promise 19: another cloud's metadata": ("http://100.100.100.200/latest/meta-data/", "blocked_address"),
    "promise 19: a cloud's metadata in decimal": ("http://2852039166/", "blocked_address"),
    "promise 19: ten": ("http://10.0.0.1/x", "blocked_address"),
    "promise 19: one seven two": ("http://172.31.255.254/x", "blocked_address"),
    "promise 19: one nine two": ("http://192.168.0.1/x", "blocked_address"),
    "promise 19: carrier-grade NAT": ("http://100.64.0.1/x", "blocked_address"),
    "promise 19: broadcast": ("http://255.255.255.255/x", "blocked_address"),
    "promise 19: a closed port of a public address": ("http://8.8.8.8:6379/x", "blocked_address"),
    "promise 19: port 0": ("http://8.8.8.8:0/x", "blocked_address"),
    "promise 19: port 0 of loopback": ("http://127.0.0.9:0/x", "blocked_address"),
    "promise 19: a user before an address": ("http://example.org@127.0.0.9:{port}/x", "blocked_address"),
    "promise 19: a host as a user": ("http://example.org:80@127.0.0.9:{port}/x", "blocked_address"),
    "promise 19: backslash before a user": ("http://127.0.0.9:{port}\\@example.org/x", "blocked_address"),
    "promise 19: backslashes": ("http:\\\\127.0.0.9:{port}\\x", "blocked_address"),
    "promise 19: slash and backslash": ("http:/\\127.0.0.9:{port}/x", "blocked_address"),
    # As the target of a redirect it is a path of the same host.
    "promise 19: one slash": ("http:/127.0.0.9:{port}/x", ("blocked_address", "http_status")),
    "promise 19: a tab in the scheme": ("ht\ttp://127.0.0.9:{port}/x", "blocked_address"),
    "promise 21: file": ("file:///etc/passwd", "blocked_scheme"),
    "promise 21: file with a host": ("file://127.0.0.9:{port}/etc/passwd", ("blocked_scheme", "bad_url")),
    "promise 21: ftp": ("ftp://127.0.0.9:{port}/x", "blocked_scheme"),
    "promise 21: data": ("data:image/png;base64,iVBORw0KGgo=", "blocked_scheme"),
    "promise 21: gopher": ("gopher://127.0.0.9:{port}/_x", "blocked_scheme"),
    "promise 21: s3": ("s3://bucket/x.png", "blocked_scheme"),
    "promise 21: javascript": ("javascript:fetch('http://127.0.0.9:{port}/x')", "blocked_scheme"),
    "promise 21: blob": ("blob:http://127.0.0.9:{port}/x", "blocked_scheme"),
    "promise 21: view-source": ("view-source:http://127.0.0.9:{port}/x", ("blocked_scheme", "bad_url")),
    "promise 21: unix": ("unix:///var/run/docker.sock", "blocked_scheme"),
    "promise 21: dict": ("dict://127.0.0.9:{port}/x", "blocked_scheme"),
    "promise 21: websocket": ("ws://127.0.0.9:{port}/x", "blocked_scheme"),
}


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory, canaries: list[Site]) -> dict[str, Row]:
    """Each spelling as an image's own URL, where it is a URL of the web at all."""
    urls = {name: url.format(port=canaries[0].port) for name, (url, _) in SPELLINGS.items() if name[8:10] == "19"}
    urls.pop("promise 19: a zone")
    unique = list(dict.fromkeys(urls.values()))
    rows = download(tmp_path_factory.mktemp("direct"), unique, [])
    return {name: rows[url] for name, url in urls.items()}


@pytest.fixture(scope="module")
def redirected(tmp_path_factory: pytest.TempPathFactory, canaries: list[Site]) -> dict[str, Row]:
    """Each spelling as the target of a redirect, of an allowed host each."""
    found = {}
    for name, (url, _) in SPELLINGS.items():
        target = url.format(port=canaries[0].port).encode()
        head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n"
        found[name] = Site({"/x": raw(head)})
    with sites(*found.values()) as all_sites:
        rows = download(tmp_path_factory.mktemp("redirected"), [site.url() for site in all_sites], all_sites)
    return {name: rows[site.url()] for name, site in found.items()}


def is_expected(reason: object, expected: str | tuple[str, ...]) -> bool:
    return reason in ((expected,) if isinstance(expected, str) else expected)


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name[8:10] == "19" and "zone" not in name])
def test_no_spelling_of_a_forbidden_address_is_contacted(
    name: str, direct: dict[str, Row], canaries: list[Site]
) -> None:
    assert is_expected(direct[name]["drop_reason"], SPELLINGS[name][1]), direct[name]
    assert [canary.num_contacts for canary in canaries] == [0, 0, 0, 0]


@pytest.mark.parametrize("name", SPELLINGS)
def test_no_redirect_leads_to_a_forbidden_address(name: str, redirected: dict[str, Row], canaries: list[Site]) -> None:
    assert is_expected(redirected[name]["drop_reason"], SPELLINGS[name][1]), redirected[name]
    assert [canary.num_contacts for canary in canaries] == [0, 0, 0, 0]


def test_promise_19_only_the_listed_port_of_a_listed_address_is_open(tmp_path: Path) -> None:
    """promise 19: an exception for one port opens no other, and one for an address no other spelling's family."""
    with sites(Site({"/x": fixed(IMAGE)}, host="127.0.0.1"), Site({"/x": fixed(IMAGE)}, host="127.0.0.1")) as both:
        allowed, other = both
        urls = [allowed.url(), other.url(), f"http://[::ffff:127.0.0.1]:{allowed.port}/x"]
        rows = download(tmp_path, urls, [allowed])
        assert [rows[url]["drop_reason"] for url in urls] == [None, "blocked_address", "blocked_address"]
        assert other.num_contacts == 0


# What a public-looking name leads to. {n} of a list: its answers in turn.
NAMES: dict[str, tuple[list[list[str]], set[object]]] = {
    "promise 20: a private address": ([["127.0.0.9"]], {"blocked_address"}),
    "promise 20: a metadata address": ([["169.254.169.254"]], {"blocked_address"}),
    "promise 20: IPv6 loopback": ([["::1"]], {"blocked_address"}),
    "promise 20: IPv4-mapped loopback": ([["::ffff:127.0.0.9"]], {"blocked_address"}),
    "promise 20: NAT64 of loopback": ([["64:ff9b::7f00:9"]], {"blocked_address"}),
    "promise 20: 6to4 of loopback": ([["2002:7f00:9::"]], {"blocked_address"}),
    "promise 20: private addresses only": ([["127.0.0.9", "10.0.0.1", "::1"]], {"blocked_address"}),
    "promise 20: allowed and private": ([["127.0.0.1", "127.0.0.9"]], {None}),
    "promise 20: private and allowed": ([["127.0.0.9", "127.0.0.1"]], {None}),
    "promise 20: allowed, and private by IPv6": ([["::1", "127.0.0.1"]], {None}),
    "promise 20: rebound after each answer": ([["127.0.0.1"], ["127.0.0.9"]] * 9, {None, "blocked_address"}),
    "promise 20: private first, then allowed": ([["127.0.0.9"], ["127.0.0.1"]], {"blocked_address"}),
}


def zone_of(names: dict[str, list[list[str]]]) -> Callable[[Question], bytes]:
    answers = {name: itertools.cycle(found) for name, found in names.items()}
    latest: dict[str, list[str]] = {}

    def reply(question: Question) -> bytes:
        name = question.name.lower()
        if question.kind == 1:  # asked for beside AAAA: both kinds get the same answer
            latest[name] = next(answers[name])
        return question.addresses(*latest.get(name, names[name][0]))

    return reply


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, canaries: list[Site]) -> dict[str, Row]:
    """Names as hosts of images, whose allowed address has the port of the canaries'."""
    zone = {f"n{number}.example.org": found for number, (found, _) in enumerate(NAMES.values())}
    port = canaries[0].port
    canaries[1].close()
    while True:
        try:
            allowed = Site({"/x": fixed(IMAGE)}, host="127.0.0.1", port=port)
            break
        except OSError:
            time.sleep(0.05)
    with sites(allowed), dns(zone_of(zone)) as server:
        urls = [f"http://{name}:{port}/x" for name in zone]
        network: dict[str, object] = {"dns_servers": [server.address]}
        rows = download(tmp_path_factory.mktemp("named"), urls, [allowed], network=network)
    return {name: rows[url] for name, url in zip(NAMES, urls, strict=True)}


@pytest.mark.parametrize("name", NAMES)
def test_the_address_that_is_checked_is_the_address_that_is_connected(
    name: str, named: dict[str, Row], canaries: list[Site]
) -> None:
    assert named[name]["drop_reason"] in NAMES[name][1], named[name]
    assert canaries[0].num_contacts == canaries[2].num_contacts == canaries[3].num_contacts == 0


def test_promise_20_a_name_that_is_bound_anew_between_robots_and_image(tmp_path: Path) -> None:
    """promise 20: robots.txt came from the allowed address, the image's own origin is then said to be another."""
    with sites(Site(host="127.0.0.1"), Site({"/x": fixed(IMAGE)}, host="127.0.0.1")) as [first, second]:
        traps = [Site({"/x": fixed(IMAGE)}, host="127.0.0.9", port=site.port) for site in (first, second)]
        with sites(*traps), dns(zone_of({"a.example.org": [["127.0.0.1"], ["127.0.0.9"]]})) as server:
            first.pages["/x"] = moved(f"http://a.example.org:{second.port}/x")
            url = f"http://a.example.org:{first.port}/x"
            network: dict[str, object] = {"dns_servers": [server.address]}
            row = download(tmp_path, [url], [first, second], network=network)[url]
            assert row["drop_reason"] == "blocked_address", row
            assert first.asked("/robots.txt") == first.asked("/x") == 1
            assert [trap.num_contacts for trap in traps] == [0, 0]


@pytest.mark.parametrize("path", ["/robots.txt", "/.well-known/tdmrep.json", "/ai.txt"])
def test_promise_22_no_file_beside_the_images_is_a_side_door(path: str, tmp_path: Path, canaries: list[Site]) -> None:
    """promise 22: what is fetched to be polite passes the same guard, with all its redirects."""
    with sites(Site({"/x": fixed(IMAGE), path: moved(canaries[0].url("/x"))})) as [site]:
        row = download(tmp_path, [site.url()], [site])[site.url()]
    assert row["drop_reason"] == ("robots_unreachable" if path == "/robots.txt" else None), row
    assert canaries[0].num_contacts == canaries[2].num_contacts == 0


def test_promise_22_pages_and_sitemaps_pass_the_same_guard(tmp_path: Path, canaries: list[Site]) -> None:
    """promise 22 (and 21, 23): sitemaps, links, frames and refreshes of a page lead to no other address."""
    canary = canaries[0].url("/x")
    page = f"""<meta http-equiv=refresh content="0;url={canary}"><iframe src="{canary}"></iframe>
        <link rel=icon href="{canary}"><script src="{canary}"></script><img src="{canary}" alt="鱼">
        <a href="{canary}">1</a><a href="file:///etc/passwd">2</a><a href="javascript:fetch('{canary}')">3</a>
        <object data="{canary}"></object><form action="{canary}"><base href="http://127.0.0.9/">"""
    sitemap = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{canary}">]><urlset><url><loc>{canary}</loc></url>&e;</urlset>'
    html = "Content-Type: text/html; charset=utf-8"
    with sites(Site()) as [site]:
        robots = f"Sitemap: {canary}\nSitemap: {site.url('/map.xml')}\nSitemap: file:///etc/passwd\n"
        site.pages = {"/robots.txt": fixed(robots.encode()), "/map.xml": fixed(sitemap.encode()),
                      "/": fixed(page.encode(), html), "/away": moved(canary)}  # fmt: skip
        urls = [site.url("/"), site.url("/away"), canary]
        write_table(tmp_path / "frontier.parquet", first_round(urls, lanes=4))
        job = CrawlJob(
            frontier_paths=(tmp_path / "frontier.parquet",),
            warc_path=tmp_path / "part.warc.gz",
            pages_path=tmp_path / "pages.parquet",
            links_path=tmp_path / "links.parquet",
            source=CrawlSource.model_validate({"kind": "crawl", "seeds": urls, "sitemaps": True}),
            crawler=CrawlerSettings.model_validate({"user_agent": AGENT, "per_host": {"delay_s": 0.0}}),
            network=NetworkSettings(allow_private=[site.address]),
            fetch=FetchSettings(retries=0, connect_timeout_s=2, total_timeout_s=5),
        )
        crawl_part(job)
        reasons = {row["url"]: row["drop_reason"] for row in read_rows(job.pages_path).to_pylist()}
        assert site.asked("/map.xml") == site.asked("/") == 1
    # A redirect that leaves its host becomes a link of the next round, where the guard is asked again.
    assert reasons == {site.url("/"): None, site.url("/away"): None, canary: "blocked_address"}
    assert canaries[0].num_contacts == canaries[2].num_contacts == canaries[3].num_contacts == 0


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("refresh", '<meta http-equiv="refresh" content="0;url={url}"><img src="{url}">'),
        ("svg", '<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/><use href="{url}#a"/></svg>'),
        ("xxe", '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{url}">]><svg>&x;</svg>'),
        ("xinclude", '<svg xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{url}"/></svg>'),
        ("stylesheet", '<?xml version="1.0"?><?xml-stylesheet href="{url}"?><svg/>'),
        ("mvg", "push graphic-context\nimage over 0,0 0,0 '{url}'\npop graphic-context"),
        ("postscript", "%!PS-Adobe-3.0 EPSF-3.0\n({url}) (r) file\nshowpage"),
        ("m3u", "#EXTM3U\n#EXTINF:1,\n{url}\n"),
        ("pdf", "%PDF-1.7\n1 0 obj<</OpenAction<</S/URI/URI({url})>>>>endobj"),
    ],
)
def test_promise_23_what_comes_is_never_interpreted(name: str, body: str, tmp_path: Path, canaries: list[Site]) -> None:
    """promise 23: no answer makes us send a second request."""
    url = canaries[0].url("/x")
    headers = (f"Refresh: 0;url={url}", f"Link: <{url}>; rel=preload", f"Content-Location: {url}", f"Alt-Svc: h2={url}")
    with sites(Site({"/x": fixed(body.replace("{url}", url).encode(), *headers)})) as [site]:
        row = download(tmp_path, [site.url()], [site])[site.url()]
        assert row["drop_reason"] in ("not_an_image", "unsupported_format"), row
        assert row["tar_offset"] is None
        assert site.asked("/x") == 1
    assert canaries[0].num_contacts == canaries[2].num_contacts == 0


def test_promise_24_proxies_of_the_environment_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canaries: list[Site]
) -> None:
    """promise 24: a proxy would be asked for any address at all, and hide which one was contacted."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "ftp_proxy"):
        monkeypatch.setenv(name, f"http://{canaries[0].address}/")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with sites(Site({"/x": fixed(IMAGE)})) as [site]:
        urls = [site.url(), "https://169.254.169.254/x", "http://example.invalid/x"]
        rows = download(tmp_path, urls, [site])
    assert [rows[url]["drop_reason"] for url in urls] == [None, "blocked_address", "dns_error"]
    assert canaries[0].num_contacts == 0


def test_promise_20_the_guard_is_asked_with_the_address_of_each_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """promise 20: the socket is made by the guard itself, so what it saw is what is connected."""
    made: list[tuple[object, ...]] = []
    guard = AddressGuard(NetworkSettings(allow_private=["127.0.0.1:1"]))
    monkeypatch.setattr(socket, "socket", lambda **kwargs: made.append(tuple(kwargs.values())))
    guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)))
    assert len(made) == 1
    for address in (("127.0.0.1", 2), ("0x7f000001", 1), ("localhost", 1), ("127.1", 1), ("::ffff:127.0.0.1", 1, 0, 0)):
        with pytest.raises(OSError, match="may not be contacted"):
            guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", address))
    assert len(made) == 1
