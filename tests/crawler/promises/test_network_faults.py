"""Promises 1 to 7: connections refused, reset or cut short, busy hosts, names, certificates, and a dead network."""

import asyncio
import io
import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from PIL import Image

from crawler.resolver import RememberingResolver
from crawler.settings import FetchSettings
from shards.errors import TryAgainError
from tests.crawler.promises.servers import (
    Case,
    DnsServer,
    Exchange,
    Handler,
    Question,
    Row,
    Site,
    check,
    dns,
    download,
    fixed,
    make_certificate,
    raw,
    run_cases,
    sites,
    tls_server,
)


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((24, 16)).convert("RGB").save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


IMAGE = picture()
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: %d\r\n\r\n" % len(IMAGE)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FIRST_CHUNK = b"%x\r\n%s\r\n" % (100, IMAGE[:100])


def reset_after(*pieces: bytes) -> Handler:
    """Sends these bytes, waits until they have arrived, and resets the connection."""

    def handler(exchange: Exchange) -> None:
        for piece in pieces:
            exchange.send(piece)
        time.sleep(0.1)
        exchange.reset()

    return handler


def healed(fault: Handler, times: int, then: Handler) -> Handler:
    return lambda exchange: fault(exchange) if exchange.attempt <= times else then(exchange)


def status(line: str, *headers: str) -> Handler:
    return fixed(b"", *headers, status=line)


FINE = fixed(IMAGE)
CASES = [
    Case("promise 1: closed before a byte", raw(b""), "connect_error"),
    Case("promise 1: reset before a byte", reset_after(), "connect_error"),
    Case("promise 1: closed within the status line", raw(b"HTTP/1.1 2"), "connect_error"),
    Case("promise 1: reset within the headers", reset_after(OK + b"Content-Le"), "connect_error"),
    Case("promise 1: closed within the headers", raw(OK + b"Content-Le"), "connect_error"),
    Case("promise 1: closed once, then fine", healed(raw(b""), 1, FINE), None),
    Case("promise 1: reset twice, then fine", healed(reset_after(), 2, FINE), None),
    Case("promise 1: reset three times", healed(reset_after(), 3, FINE), "connect_error"),
    Case("promise 2: reset within the body", reset_after(WHOLE, IMAGE[:200]), "incomplete_body"),
    Case("promise 2: FIN within the body", raw(WHOLE + IMAGE[:-1]), "incomplete_body"),
    Case("promise 2: FIN before the body", raw(WHOLE), "incomplete_body"),
    Case("promise 2: FIN within a chunk", raw(CHUNKED + FIRST_CHUNK[:50]), "incomplete_body"),
    Case("promise 2: FIN within a chunk's size", raw(CHUNKED + FIRST_CHUNK + b"6"), "incomplete_body"),
    Case("promise 2: FIN behind a chunk", raw(CHUNKED + FIRST_CHUNK), "incomplete_body"),
    Case("promise 2: reset behind a chunk", reset_after(CHUNKED, FIRST_CHUNK), "incomplete_body"),
    Case("promise 2: a body of unsaid length, cut by FIN", raw(OK + b"\r\n" + IMAGE[:-30]), "decode_error"),
    Case("promise 2: a body of unsaid length, cut by a reset", reset_after(OK + b"\r\n", IMAGE[:200]),
         "incomplete_body"),
    Case("promise 2: short once, then whole", healed(raw(WHOLE + IMAGE[:90]), 1, FINE), None),
    Case("promise 2: reset twice, then whole", healed(reset_after(WHOLE, IMAGE[:90]), 2, FINE), None),
    Case("promise 3: 503 once, then fine", healed(status("503 Busy"), 1, FINE), None),
    Case("promise 3: 500 twice, then fine", healed(status("500 Oops"), 2, FINE), None),
    Case("promise 3: 502 and 504, then fine", lambda exchange: [status("502 A"), status("504 B"), FINE][
        min(exchange.attempt, 3) - 1](exchange), None),
    Case("promise 3: 503 for ever", status("503 Busy"), "http_status", "503"),
    Case("promise 3: 408 once, then fine", healed(status("408 Slow"), 1, FINE), None),
    Case("promise 3: 501 once, then fine", healed(status("501 Never"), 1, FINE), "http_status", "501"),
    Case("promise 4: 429 for a second", healed(status("429 Slow down", "Retry-After: 1"), 1, FINE), None),
    Case("promise 4: 503 until a date", healed(
        lambda exchange: exchange.answer(b"", "503 Busy", f"Retry-After: {formatdate(time.time() + 1.9, usegmt=True)}"),
        1, FINE), None),
    Case("promise 4: a date in the past", healed(
        status("429 Slow down", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"), 1, FINE), None),
    Case("promise 4: a negative wait", healed(status("429 Slow down", "Retry-After: -5"), 1, FINE), None),
    Case("promise 4: a wait that is no number", healed(status("429 Slow down", "Retry-After: soon"), 1, FINE), None),
    Case("promise 4: a wait in other digits", healed(status("429 Slow down", "Retry-After: ٣"), 1, FINE), None),
    Case("promise 4: an empty wait", healed(status("429 Slow down", "Retry-After:"), 1, FINE), None),
    Case("promise 4: a wait beyond our patience", healed(status("429 Slow down", "Retry-After: 3600"), 1, FINE),
         "http_status", "Retry-After 3600 s"),
    Case("promise 4: a wait of ages", healed(status("429 Slow down", "Retry-After: " + "9" * 400), 1, FINE),
         "http_status", "Retry-After 999999999 s"),
    Case("promise 4: a date in ages", healed(
        status("503 Busy", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"), 1, FINE), "http_status", "Retry-After"),
    Case("promise 4: a date beyond all calendars", healed(
        status("503 Busy", "Retry-After: Fri, 31 Dec 99999 23:59:59 GMT"), 1, FINE), None),
    Case("promise 4: a date of 8 000 characters", healed(
        status("503 Busy", "Retry-After: Fri, 31 " + "D" * 8000), 1, FINE), None),
]  # fmt: skip


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Row, Site]]:
    fetch: dict[str, object] = {"retries": 2, "max_retry_after_s": 10, "total_timeout_s": 4, "give_up_after": 50}
    return run_cases(tmp_path_factory.mktemp("network"), CASES, fetch=fetch)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_can_heal_is_asked_three_times_and_a_short_body_is_never_kept(
    case: Case, outcome: dict[str, tuple[Row, Site]]
) -> None:
    row, site = outcome[case.name]
    check(case, row)
    gives_up = "Retry-After" in case.detail or "501" in case.name
    heals = case.reason in ("connect_error", "incomplete_body", "http_status")
    assert site.asked("/x") == (1 if gives_up or case.reason == "decode_error" else 3 if heals else site.asked("/x"))
    assert site.asked("/x") <= 3


@pytest.mark.parametrize(
    ("name", "least_s"),
    [("promise 4: 429 for a second", 1.0), ("promise 4: 503 until a date", 0.85), ("promise 3: 503 for ever", 0.015)],
)
def test_waits_are_kept(name: str, least_s: float, outcome: dict[str, tuple[Row, Site]]) -> None:
    """promise 4: at least Retry-After lies between two attempts, and at least the backoff elsewhere."""
    asked = [exchange.started for exchange in outcome[name][1].log if exchange.path == "/x"]
    assert min(later - earlier for earlier, later in itertools.pairwise(asked)) >= least_s


def test_promise_1_a_refused_connection_is_tried_again_and_named(tmp_path: Path) -> None:
    """promise 1: nobody listens; the image falls for the cause itself, not for its robots.txt."""
    gone = Site()
    gone.close()
    row = download(tmp_path, [gone.url()], [gone], fetch={"retries": 2})[gone.url()]
    assert row["drop_reason"] == "connect_error"


def test_promise_1_a_server_that_comes_up_in_time_is_found(tmp_path: Path) -> None:
    """promise 1: refused at first, there at the second or third attempt."""
    gone = Site()
    gone.close()
    late: list[Site] = []
    timer = threading.Timer(0.4, lambda: late.append(Site({"/x": FINE}, host=gone.host, port=gone.port)))
    timer.start()
    row = download(tmp_path, [gone.url()], [gone], fetch={"retries": 3, "backoff_s": 0.3})[gone.url()]
    timer.join()
    late[0].close()
    assert row["drop_reason"] is None, row


def test_promise_4_the_whole_host_slows_down(tmp_path: Path) -> None:
    """promise 4: after a 429 no request at all goes to that host until its Retry-After is over."""
    slowed = healed(status("429 Slow down", "Retry-After: 1"), 1, FINE)
    with sites(Site({f"/{n}": FINE for n in range(6)} | {"/busy": slowed})) as [site]:
        urls = [site.url(f"/{n}") for n in range(6)] + [site.url("/busy")]
        crawler: dict[str, object] = {"per_host": {"concurrency": 1, "delay_s": 0.02}}
        rows = download(tmp_path, urls, [site], crawler=crawler, fetch={"retries": 1})
    assert {row["drop_reason"] for row in rows.values()} == {None}
    busy = next(exchange.started for exchange in site.log if exchange.path == "/busy")
    assert not [start for start in site.starts() if busy < start < busy + 0.95]


def test_promise_4_a_host_that_asks_for_hours_is_left_alone(tmp_path: Path) -> None:
    """promise 4: beyond the cap the whole host gets no further request in this part, and each row says why."""
    pages = {f"/{n}": status("503 Busy", "Retry-After: 86400") for n in range(6)}
    with sites(Site(pages)) as [site]:
        crawler: dict[str, object] = {"per_host": {"concurrency": 1, "delay_s": 0.02}}
        rows = download(tmp_path, [site.url(path) for path in pages], [site], crawler=crawler, fetch={"retries": 2})
    assert {row["drop_reason"] for row in rows.values()} == {"http_status"}
    assert all("Retry-After 86400 s" in str(row["detail"]) for row in rows.values())
    assert sum(site.asked(path) for path in pages) == 1


def _cut(question: Question) -> bytes:
    return question.addresses("127.0.0.1")[:-3]


def _looped(question: Question) -> bytes:
    first, _, rest = question.name.partition(".")
    return question.alias(f"{chr(ord(first[0]) % 25 + 98)}.{rest}")


def _endless_name(question: Question) -> bytes:
    return question.query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question.query[12:] + b"\xc0\x0c" * 9


def _pointing_at_itself(question: Question) -> bytes:
    place = struct.pack(">H", 0xC000 | len(question.query))
    head = question.query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0)
    return head + question.query[12:] + place + b"\0\5\0\1\0\0\0\0\0\2" + place


DNS_CASES: dict[str, tuple[Callable[[Question], bytes | None], str | None]] = {
    "promise 5: no such name": (lambda question: question.addresses(code=3), "dns_error"),
    "promise 5: a name without addresses": (lambda question: question.addresses(), "dns_error"),
    "promise 5: the server fails": (lambda question: question.addresses(code=2), "dns_error"),
    "promise 5: the server refuses": (lambda question: question.addresses(code=5), "dns_error"),
    "promise 5: silence": (lambda question: None, "dns_error"),
    "promise 5: an alias of itself": (lambda question: question.alias(question.name), "dns_error"),
    "promise 5: a chain of aliases without end": (_looped, "dns_error"),
    "promise 5: an answer cut short": (_cut, "dns_error"),
    "promise 5: a name that points at itself": (_pointing_at_itself, "dns_error"),
    "promise 5: a record of nothing": (_endless_name, "dns_error"),
    "promise 5: an answer of two bytes": (lambda question: question.query[:2], "dns_error"),
    "promise 5: the question sent back": (lambda question: question.query, "dns_error"),
    "promise 5: another question's answer": (
        lambda question: b"\0\0" + question.addresses("127.0.0.1")[2:], "dns_error"),
    "promise 5: the truncated answer is asked for over TCP": (
        lambda question: question.addresses("127.0.0.1") if question.over_tcp else question.addresses(flags=0x8380),
        None),
    "promise 5: truncated over TCP too": (lambda question: question.addresses(flags=0x8380), "dns_error"),
    "promise 5: IPv6 fails, IPv4 is fine": (
        lambda question: question.addresses("127.0.0.1", code=0 if question.kind == 1 else 2), None),
    "promise 5: an alias, then an address": (
        lambda question: question.addresses("127.0.0.1") if question.name.startswith("b.")
        else question.alias("b.test"), None),
    "promise 5: capitals are no other name": (lambda question: question.addresses("127.0.0.1"), None),
}  # fmt: skip


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Row, DnsServer]]:
    """One image at one name for each of the answers, all in one part: `n<number>.test` finds its own."""
    replies = {f"a.n{number}": reply for number, (reply, _) in enumerate(DNS_CASES.values())}
    replies |= {"b": lambda question: question.addresses("127.0.0.1")}

    def reply(question: Question) -> bytes | None:
        zone = question.name.lower().removesuffix(".test")
        return replies[zone if zone in replies else f"a.{zone.partition('.')[2]}"](question)

    with sites(Site({"/x": FINE}, host="127.0.0.1")) as [site], dns(reply) as server:
        urls = [f"http://a.n{number}.test:{site.port}/x" for number in range(len(DNS_CASES))]
        folder = tmp_path_factory.mktemp("names")
        found = download(
            folder, urls, [site], network={"dns_servers": [server.address]}, fetch={"connect_timeout_s": 8}
        )
    return {name: (found[url], server) for name, url in zip(DNS_CASES, urls, strict=True)}


@pytest.mark.parametrize("name", DNS_CASES)
def test_names_that_lead_nowhere_are_told(name: str, resolved: dict[str, tuple[Row, DnsServer]]) -> None:
    row, _ = resolved[name]
    assert row["drop_reason"] == DNS_CASES[name][1], row


def test_promise_5_missing_names_are_remembered_and_forgotten() -> None:
    """promise 5: the negative cache spares the DNS server, and is bounded whatever flood of names comes."""

    async def resolve(name: str) -> None:
        with pytest.raises(socket.gaierror):
            await resolver.resolve(name)

    async def flood() -> None:
        await asyncio.gather(*(resolve(f"twice-{n}.test") for n in range(3)))
        asked = len(server.questions)
        await asyncio.gather(*(resolve(f"twice-{n}.test") for n in range(3)))
        assert len(server.questions) == asked
        for number in range(11_000):
            resolver._remember(f"flood-{number}.test")
        assert len(resolver._missing) <= 10_000
        await resolve("twice-0.test")
        assert len(server.questions) > asked  # it was forgotten for younger ones
        await resolver.close()

    with dns(lambda question: question.addresses(code=3)) as server:
        resolver = RememberingResolver([server.address])
        asyncio.run(flood())


def test_promise_5_a_name_whose_server_failed_is_asked_again() -> None:
    """promise 5: what may heal is not remembered as missing."""
    with dns(lambda question: question.addresses("127.0.0.1", code=0 if len(server.questions) > 4 else 2)) as server:

        async def twice() -> None:
            resolver = RememberingResolver([server.address])
            with pytest.raises(socket.gaierror) as caught:
                await resolver.resolve("a.test")
            assert caught.value.errno == socket.EAI_AGAIN
            found = await resolver.resolve("a.test")
            assert [result["host"] for result in found] == ["127.0.0.1"]
            await resolver.close()

        asyncio.run(twice())


def test_promise_5_addresses_of_one_name_are_bounded() -> None:
    """promise 5 (and 20): a name with a thousand addresses makes no thousand connects."""
    many = [f"192.0.2.{number}" for number in range(250)]
    with dns(lambda question: question.addresses(*many)) as server:

        async def once() -> int:
            resolver = RememberingResolver([server.address])
            found = await resolver.resolve("a.test", family=socket.AF_INET)
            await resolver.close()
            return len(found)

        assert 1 <= asyncio.run(once()) <= 16


def _speak_plainly(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_promise_6_certificates_are_verified(tmp_path: Path) -> None:
    """promise 6: self-signed, of another name, expired, of an old protocol, or no TLS at all; trusted ones pass."""
    made = {
        "good": make_certificate(tmp_path / "good", "127.0.0.1"),
        "stranger": make_certificate(tmp_path / "stranger", "127.0.0.1"),
        "other name": make_certificate(tmp_path / "other", "127.0.0.77"),
        "expired": make_certificate(tmp_path / "expired", "127.0.0.1", is_expired=True),
    }
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(b"".join(Path(f"{made[name]}.crt").read_bytes() for name in made if name != "stranger"))
    old = tls_server(made["good"])
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0")
    servers = {name: Site({"/x": FINE}, host="127.0.0.1", tls=tls_server(path)) for name, path in made.items()}
    servers["null cipher"] = Site({"/x": FINE}, host="127.0.0.1", tls=old)
    servers["plain"] = Site(host="127.0.0.1", at_connect=_speak_plainly)
    # A host of its own: one that cannot be reached is left alone, with all its ports.
    servers["closes"] = Site(host="127.0.0.2", at_connect=lambda connection: connection.close())
    with sites(*servers.values()) as all_sites:
        urls = {name: f"https://{site.address}/x" for name, site in servers.items()}
        one_host: dict[str, object] = {"give_up_after": 100}  # these servers are ports of one host, and most fail
        rows = download(tmp_path, [*urls.values()], all_sites, fetch=one_host, network={"ca_file": str(trusted)})
    reasons = {name: rows[url]["drop_reason"] for name, url in urls.items()}
    assert reasons.pop("good") is None
    assert reasons.pop("closes") in ("connect_error", "tls_error")
    assert set(reasons.values()) == {"tls_error"}, reasons
    assert all(not site.log for name, site in servers.items() if name not in ("good", "closes"))


def _impatient() -> dict[str, object]:
    """Settings under which an outage is not waited for, where there are such."""
    known = FetchSettings.model_fields
    return {name: 1 for name in ("outage_patience_s",) if name in known}


def test_promise_7_a_network_that_is_gone_marks_nothing_as_failed(tmp_path: Path) -> None:
    """promise 7: dead from the start: exit code 75, and with the network back the same part succeeds as if new."""
    made = [Site({"/x": FINE, "/y": FINE}) for _ in range(12)]
    for site in made:
        site.close()
    urls = [site.url(path) for site in made for path in ("/x", "/y")]
    with pytest.raises(TryAgainError) as caught:
        download(tmp_path, urls, made, fetch={"retries": 1, **_impatient()})
    assert caught.value.exit_code == 75
    again = [Site({"/x": FINE, "/y": FINE}, host=site.host, port=site.port) for site in made]
    with sites(*again):
        rows = download(tmp_path, urls, made, fetch={"retries": 1, **_impatient()})
    assert {row["drop_reason"] for row in rows.values()} == {None}


def test_promise_7_a_network_that_goes_midway_keeps_what_it_brought(tmp_path: Path) -> None:
    """promise 7: what came before the outage is not asked for again, and what did not come is not failed."""
    pages = [f"/{n}" for n in range(50)]
    made = [Site() for _ in range(12)]
    brought: set[str] = set()
    started = time.monotonic()

    def until_cut(exchange: Exchange) -> None:
        if len(brought) >= 12:
            time.sleep(max(0.0, started + 2 - time.monotonic()))  # what came has been decoded by then
            for site in made:
                site.close()
            exchange.reset()
        else:
            brought.add(exchange.site.url(exchange.path))
            FINE(exchange)

    for site in made:
        site.pages = dict.fromkeys(pages, until_cut)
    urls = [site.url(page) for site in made for page in pages]
    fetch: dict[str, object] = {"retries": 0, "give_up_after": 1000, **_impatient()}
    with pytest.raises(TryAgainError):
        download(tmp_path, urls, made, fetch=fetch)
    again = [Site(dict.fromkeys(pages, FINE), host=site.host, port=site.port) for site in made]
    with sites(*again):
        rows = download(tmp_path, urls, made, fetch=fetch)
        asked = {site.url(page) for site in again for page in pages if site.asked(page)}
    assert {row["drop_reason"] for row in rows.values()} == {None}
    assert 12 <= len(brought) < len(urls) // 10
    assert len(brought & asked) <= 1


def test_promise_7_a_few_dead_hosts_are_no_outage(tmp_path: Path) -> None:
    """promise 7: where others answer, a dead host's images fall for what it is."""
    dead = [Site() for _ in range(3)]
    for site in dead:
        site.close()
    with sites(Site({f"/{n}": FINE for n in range(9)})) as [fine]:
        urls = [site.url() for site in dead] + [fine.url(f"/{n}") for n in range(9)]
        rows = download(tmp_path, urls, [fine, *dead])
    assert [rows[url]["drop_reason"] for url in urls] == ["connect_error"] * 3 + [None] * 9
