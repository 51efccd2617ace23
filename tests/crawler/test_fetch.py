"""One guarded, bounded GET against a server that breaks every rule."""

import asyncio
import gzip
import ssl
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from crawler.faults import Fault
from crawler.fetch import Fetcher, Response
from crawler.outage import OutageWatch
from crawler.politeness import Politeness
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, PerHost
from tests.crawler.conftest import Handler, Request, Server, not_found, picture, raw, serve

AGENT = "testbot/1.0 (+https://example.org/bot)"
IMAGE = picture()


def get(
    url: str,
    servers: list[Server],
    network: dict[str, object] | None = None,
    headers: dict[str, str] | None = None,
    **limits: object,
) -> Response:
    """One GET with short limits; `servers` are the only private addresses that are allowed."""
    listed = {"allow_private": [server.address for server in servers]} | (network or {})
    base = {"total_timeout_s": 5, "connect_timeout_s": 4, "retries": 0, "backoff_s": 0.02, "rate_grace_s": 0.3}
    settings = FetchSettings.model_validate(base | limits)

    async def run() -> Response:
        crawler = CrawlerSettings(user_agent=AGENT, per_host=PerHost(delay_s=0), lanes=1)
        politeness = Politeness(crawler, settings, frozenset())
        watch = OutageWatch()
        async with Fetcher(NetworkSettings.model_validate(listed), settings, AGENT, politeness, watch) as fetcher:
            return await fetcher.get(url, permit_all, headers=headers)

    return asyncio.run(run())


@pytest.mark.parametrize(("elsewhere", "expected"), [(False, ["s3cret", "s3cret"]), (True, ["s3cret", None])])
def test_headers_of_the_caller_stay_with_the_origin(
    server: Server, canary: Server, elsewhere: bool, expected: list[str | None]
) -> None:
    target = canary if elsewhere else server
    server.pages["/a"] = lambda request: request.answer(b"", "302 Found", {"Location": target.url("/b")})
    target.pages["/b"] = serve(IMAGE)
    answer = get(server.url("/a"), [server, canary], headers={"X-Key": "s3cret"})
    assert answer.body == IMAGE
    assert [request.headers.get("x-key") for request in [*server.log, *canary.log]] == expected


async def permit_all(url: str) -> Fault | None:
    return None


def chunked(*chunks: bytes, head: bytes = b"") -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + head + b"\r\n" + framed


def response(head: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body


def drip(request: Request) -> None:
    request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(200):
        request.send(b"x")
        time.sleep(0.05)


def endless(request: Request) -> None:
    request.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        request.send(b"x" * 65536)


def endless_headers(request: Request) -> None:
    request.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        request.send(b"X-Filler: " + b"x" * 50 + b"\r\n")


def endless_1xx(request: Request) -> None:
    while True:
        request.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        time.sleep(0.01)


def silent(request: Request) -> None:
    time.sleep(8)


def slow_headers(request: Request) -> None:
    for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y: " + b"z" * 400:
        request.send(bytes([octet]))
        time.sleep(0.05)


BOMB = zlib.compress(b"\0" * (16 * 2**20), 9)


@pytest.mark.parametrize(
    ("handler", "reason", "detail"),
    [
        (serve(IMAGE), None, ""),
        (serve(IMAGE, Content_Type="text/html"), None, ""),
        (raw(chunked(IMAGE[:50], IMAGE[50:]) + b"0\r\n\r\n"), None, ""),
        (raw(response(b"Connection: close", IMAGE)), None, ""),
        (serve(gzip.compress(IMAGE), Content_Encoding="gzip"), None, ""),
        (serve(zlib.compress(IMAGE), Content_Encoding="deflate"), None, ""),
        (serve(zlib.compress(IMAGE)[2:-4], Content_Encoding="deflate"), None, ""),
        (serve(gzip.compress(gzip.compress(IMAGE)), Content_Encoding="gzip, gzip"), None, ""),
        (serve(b""), "empty_body", ""),
        (not_found, "http_status", "404"),
        (lambda request: request.answer(IMAGE, "500 Oops"), "http_status", "500"),
        (lambda request: request.answer(IMAGE, "206 Partial"), "http_status", "206"),
        (lambda request: request.answer(b"", "304 Not Modified"), "http_status", "304"),
        (lambda request: request.answer(b"", "204 No Content"), "http_status", "204"),
        (raw(b""), "connect_error", "disconnected"),
        (raw(response(b"Content-Length: 500", IMAGE[:40])), "incomplete_body", ""),
        (raw(chunked(IMAGE[:40])), "incomplete_body", ""),
        (raw(response(b"Content-Length: 2000000", b"")), "too_large", "content-length"),
        (raw(response(b"Content-Length: 999999999999999", b"")), "too_large", "content-length"),
        (serve(b"x" * 1_000_001), "too_large", "content-length"),
        (endless, "too_large", "more than 1000000"),
        (serve(BOMB, Content_Encoding="deflate"), "decompress_bomb", ""),
        (serve(gzip.compress(BOMB), Content_Encoding="deflate, gzip"), "decompress_bomb", ""),
        (serve(gzip.compress(b"x" * 1_000_001), Content_Encoding="gzip"), "decompress_bomb", ""),
        (serve(IMAGE, Content_Encoding="br"), "protocol_error", "content-encoding"),
        (serve(IMAGE, Content_Encoding="gzip,gzip,gzip"), "protocol_error", "content-encoding"),
        (serve(IMAGE, Content_Encoding="gzip"), "incomplete_body", ""),
        (serve(gzip.compress(IMAGE)[:-9], Content_Encoding="gzip"), "incomplete_body", ""),
        (drip, "timeout", "body"),
        (endless_headers, "protocol_error", ""),
        (endless_1xx, "timeout", "headers"),
        (silent, "timeout", "headers"),
        (slow_headers, "timeout", "headers"),
        (raw(response(b"X-Long: " + b"x" * 1_000_000)), "protocol_error", ""),
        (raw(response(b"Content-Length: 5\r\nContent-Length: 6", b"hello")), "protocol_error", ""),
        (raw(response(b"Content-Length: -5", b"hello")), "protocol_error", ""),
        (raw(response(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"hello")), "protocol_error", ""),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nx"), "protocol_error", ""),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"), "protocol_error", ""),
        (raw(b"<html>HTTP/0.9</html>"), "protocol_error", ""),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol_error", ""),
    ],
)  # fmt: skip
def test_every_misbehaviour_has_its_reason(server: Server, handler: Handler, reason: str | None, detail: str) -> None:
    server.pages["/x"] = handler
    started = time.monotonic()
    answer = get(server.url("/x"), [server], max_bytes=1_000_000, total_timeout_s=1.5)
    assert time.monotonic() - started < 8
    if reason is None:
        assert answer.fault is None
        assert answer.body == IMAGE
    else:
        assert answer.fault is not None
        assert answer.fault.reason == reason, answer.fault
        assert detail in (answer.fault.detail or "")


@pytest.mark.parametrize("status", ["503 Busy", "500 Oops", "429 Slow down"])
def test_what_can_heal_is_asked_again(server: Server, status: str) -> None:
    fine = serve(IMAGE)
    server.pages["/x"] = lambda request: request.answer(b"", status) if request.attempt < 3 else fine(request)
    assert get(server.url("/x"), [server], retries=2).body == IMAGE
    assert server.asked("/x") == 3


@pytest.mark.parametrize(("handler", "asked"), [(not_found, 1), (raw(response(b"Content-Length: 50", b"x")), 3)])
def test_what_cannot_heal_is_asked_once(server: Server, handler: Handler, asked: int) -> None:
    server.pages["/x"] = handler
    assert get(server.url("/x"), [server], retries=2).fault is not None
    assert server.asked("/x") == asked


def test_retry_after_is_waited_up_to_its_cap(server: Server) -> None:
    fine = serve(IMAGE)
    busy = {"Retry-After": "1"}
    server.pages["/x"] = lambda request: (
        request.answer(b"", "429 Slow down", busy) if request.attempt == 1 else fine(request)
    )
    assert get(server.url("/x"), [server], retries=1).body == IMAGE
    assert server.log[1].started - server.log[0].started >= 1
    server.pages["/y"] = lambda request: request.answer(b"", "429 Slow down", {"Retry-After": "3600"})
    fault = get(server.url("/y"), [server], retries=2).fault
    assert fault is not None
    assert fault.detail == "429, Retry-After 3600 s"
    assert server.asked("/y") == 1


def test_nobody_listens() -> None:
    gone = Server()
    gone.close()
    fault = get(gone.url("/x"), [gone], retries=1).fault
    assert fault is not None
    assert (fault.reason, fault.no_contact) == ("connect_error", True)


def test_a_name_that_does_not_exist() -> None:
    fault = get("http://no-such-name.invalid/x", []).fault
    assert fault is not None
    assert fault.reason == "dns_error"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/image", None),
        ("image", None),
        ("/hop/1", None),
        ("/hop/5", "too_many_redirects"),
        ("/loop", "too_many_redirects"),
        ("http://{canary}/x", "blocked_address"),
        ("//{canary}/x", "blocked_address"),
        ("http://0x7f.0.0.9:{canary_port}/x", "blocked_address"),
        ("http://2130706441:{canary_port}/x", "blocked_address"),
        ("http://[::ffff:127.0.0.9]:{canary_port}/x", "blocked_address"),
        ("http://169.254.169.254/latest/meta-data", "blocked_address"),
        ("http://[::1]/", "blocked_address"),
        ("http://localhost:{canary_port}/", "blocked_address"),
        ("file:///etc/passwd", "blocked_scheme"),
        ("ftp://{canary}/x", "blocked_scheme"),
        ("data:image/png;base64,AAAA", "blocked_scheme"),
        ("http://a b/", "bad_url"),
        ("http://[", "bad_url"),
        ("/" + "x" * 100_000, "protocol_error"),
        (None, "http_status"),
    ],
)
def test_redirects(server: Server, canary: Server, location: str | None, reason: str | None) -> None:
    server.pages["/image"] = serve(IMAGE)
    server.pages["/loop"] = lambda request: request.answer(b"", "302 Found", {"Location": "/loop"})
    for hop in range(1, 10):
        target = f"/hop/{hop - 1}" if hop > 1 else "/image"
        server.pages[f"/hop/{hop}"] = lambda request, target=target: request.answer(  # type: ignore[misc]  # default binds the loop's value
            b"", "307 Moved", {"Location": target}
        )
    named = location.format(canary=canary.address, canary_port=canary.port) if location else None
    headers = {} if named is None else {"Location": named}
    server.pages["/start"] = lambda request: request.answer(b"moved", "301 Moved", headers)
    answer = get(server.url("/start"), [server])
    assert (answer.fault.reason if answer.fault else None) == reason, answer.fault
    assert canary.num_contacts == 0
    if reason is None:
        assert answer.body == IMAGE


def test_no_cookie_credential_or_browser_name_is_ever_sent(
    server: Server, canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.9:1/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.9:1/")
    setting = {"Set-Cookie": "a=b", "Location": f"http://user:secret@{canary.address}/y"}
    server.pages["/x"] = lambda request: request.answer(b"", "302 Found", setting)
    canary.pages["/y"] = lambda request: request.answer(b"", "302 Found", {"Location": server.url("/z")})
    server.pages["/z"] = serve(IMAGE)
    assert get(server.url("/x"), [server, canary]).body == IMAGE
    requests = server.log + canary.log
    assert len(requests) == 3
    for request in requests:
        assert request.headers["user-agent"] == AGENT
        assert not {"cookie", "authorization", "referer", "proxy-authorization"} & set(request.headers)


def test_a_robots_file_is_cut_and_not_refused(server: Server) -> None:
    server.pages["/robots.txt"] = endless

    async def run() -> Response:
        settings = FetchSettings(retries=0)
        politeness = Politeness(CrawlerSettings(per_host=PerHost(delay_s=0)), settings, frozenset())
        network = NetworkSettings(allow_private=[server.address])
        async with Fetcher(network, settings, AGENT, politeness, OutageWatch()) as fetcher:
            return await fetcher.get(server.url("/robots.txt"), permit_all, max_bytes=1000, cut=True)

    answer = asyncio.run(run())
    assert answer.fault is None
    assert answer.body == b"x" * 1000


def test_idle_connections_are_few_however_many_hosts_were_asked() -> None:
    """Its server keeps connections open, as the others here do not."""
    hosts = [f"127.0.3.{last}" for last in range(1, 21)]
    open_connections: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        open_connections.discard(writer)
        writer.close()

    async def run() -> list[int]:
        settings = FetchSettings(retries=0, max_in_flight=2)
        politeness = Politeness(CrawlerSettings(per_host=PerHost(delay_s=0)), settings, frozenset())
        most = []
        async with await asyncio.start_server(answer, hosts[0], 0, reuse_port=False) as first:
            port = first.sockets[0].getsockname()[1]
            others = [await asyncio.start_server(answer, host, port) for host in hosts[1:]]
            network = NetworkSettings(allow_private=[f"127.0.3.0/24:{port}"])
            async with Fetcher(network, settings, AGENT, politeness, OutageWatch()) as fetcher:
                for host in [*hosts, hosts[-1], hosts[-1]]:
                    answer_ = await fetcher.get(f"http://{host}:{port}/x", permit_all)
                    assert answer_.body == b"ok"
                    await asyncio.sleep(0.02)
                    most.append(len(open_connections))
            for server in others:
                server.close()
            await asyncio.sleep(0.05)
        return most

    most = asyncio.run(run())
    assert most[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert most[8:] == [8] * 14  # the last is used again


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for 127.0.0.1, in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(path), "-out", f"{path}.crt", "-days", "2", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: no certificate can be made")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.mark.parametrize(("is_trusted", "reason"), [(True, None), (False, "tls_error")])
def test_certificates_are_verified(certificate: Path, is_trusted: bool, reason: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(tls=context, pages={"/x": serve(IMAGE)})
    network: dict[str, object] = {"ca_file": f"{certificate}.crt"} if is_trusted else {}
    answer = get(f"https://{server.address}/x", [server], network=network)
    server.close()
    assert (answer.fault.reason if answer.fault else None) == reason, answer.fault
