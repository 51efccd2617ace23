"""A part's download as a whole: reasons, opt-outs, politeness by the server's log, the spool, and the tar."""

import gzip
import hashlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from crawler.download import download_images
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, PerHost
from crawler.url_columns import canonical_urls
from shards.errors import TryAgainError, UsageError
from shards.image_settings import ImageSettings
from shards.schema import FETCHED, REASONS, uid_of
from shards.tars import TarReader
from tests.crawler.conftest import Handler, Server, not_found, picture, raw, serve

AGENT = "testbot/1.0 (+https://example.org/bot)"


def samples_of(urls: list[str], **more: list[str | None]) -> pa.Table:
    canonical = canonical_urls(pa.array(urls))
    uids = [uid_of(url or "") for url in canonical["canonical_url"].to_pylist()]
    return pa.table({"uid": uids} | {name: canonical[name] for name in ("canonical_url", "host")} | more)


def download(
    folder: Path,
    urls: list[str],
    servers: list[Server],
    *,
    delay_s: float = 0.0,
    concurrency: int = 4,
    crawler: dict[str, object] | None = None,
    fetch: dict[str, object] | None = None,
    image: dict[str, object] | None = None,
    network: dict[str, object] | None = None,
    samples: pa.Table | None = None,
    **more: object,
) -> dict[str, dict[str, object]]:
    """Downloads and returns the rows by URL path (or whole URL of another host)."""
    polite = {"user_agent": AGENT, "per_host": PerHost(concurrency=concurrency, delay_s=delay_s)}
    limits = {"retries": 0, "backoff_s": 0.02, "total_timeout_s": 5, "connect_timeout_s": 4, "rate_grace_s": 0.5}
    listed = {"allow_private": [server.address for server in servers]}
    table = download_images(
        samples_of(urls) if samples is None else samples,
        CrawlerSettings.model_validate(polite | (crawler or {})),
        FetchSettings.model_validate(limits | (fetch or {})),
        NetworkSettings.model_validate(listed | (network or {})),
        ImageSettings.model_validate(image or {}),
        tar_path=folder / "part.tar",
        spool_path=folder / "part.spool",
        **more,  # type: ignore[arg-type]  # deadline_s and stands, as each test gives them
    )
    assert table.schema == FETCHED
    assert table["uid"].to_pylist() == sorted(table["uid"].to_pylist())
    by_uid = {row["uid"]: row for row in table.to_pylist()}
    assert len(by_uid) == table.num_rows == (len(urls) if samples is None else samples.num_rows)
    assert all(row["drop_reason"] in (None, *REASONS) for row in by_uid.values())
    return {url: by_uid[uid_of(url)] for url in (urls if samples is None else samples["canonical_url"].to_pylist())}


def test_images_lie_in_the_tar_where_their_rows_say(server: Server, tmp_path: Path) -> None:
    bodies = {f"/{n}.png": picture(700 + n, 300, "PNG", (n, 0, 0)) for n in range(20)}
    server.pages = {path: serve(body, Content_Type="text/plain") for path, body in bodies.items()}
    rows = download(tmp_path, [server.url(path) for path in bodies], [server])
    with TarReader(tmp_path / "part.tar") as tar:
        for path, body in bodies.items():
            row = rows[server.url(path)]
            assert row["drop_reason"] is None, row
            assert (row["format"], row["bytes"], row["sha256"]) == ("png", len(body), hashlib.sha256(body).hexdigest())
            assert (row["width"], row["stored_format"], row["http_status"]) == (512, "jpg", 200)
            assert row["content_type"] == "text/plain"
            assert row["final_url"] == server.url(path)
            stored = tar.read(row["tar_offset"], row["tar_bytes"])  # type: ignore[arg-type]  # ints of a kept row
            assert hashlib.sha256(stored).hexdigest() == row["stored_sha256"]
    assert server.asked("/robots.txt") == 1


@pytest.mark.parametrize(
    ("handler", "reason", "detail"),
    [
        (not_found, "http_status", "404"),
        (serve(b"<html>"), "not_an_image", "<html>"),
        (serve(b"BM" + b"\0" * 60), "unsupported_format", "bmp"),
        (serve(picture()[:70]), "decode_error", ""),
        (serve(b""), "empty_body", ""),
        (raw(b""), "connect_error", ""),
        (serve(picture(), X_Robots_Tag="noai"), "opt_out", "x-robots-tag: noai"),
        (serve(picture(), X_Robots_Tag="testbot: noimageai"), "opt_out", "testbot"),
        (serve(picture(), X_Robots_Tag="otherbot: noai"), None, ""),
        (serve(picture(), TDM_Reservation="1"), "opt_out", "tdm-reservation: 1"),
        (serve(picture(), Content_Usage="train-ai=n"), "opt_out", "content-usage"),
        (serve(picture(), Content_Type="image/\xff\x1b[31m"), None, ""),
    ],
)
def test_reasons(server: Server, tmp_path: Path, handler: Handler, reason: str | None, detail: str) -> None:
    server.pages["/x"] = handler
    row = download(tmp_path, [server.url("/x")], [server])[server.url("/x")]
    assert row["drop_reason"] == reason, row
    if reason is not None:
        assert detail in str(row["detail"])
        assert row["tar_offset"] is row["width"] is row["sha256"] is None


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (serve(b"user-agent: *\ndisallow: /x"), "robots_disallowed"),
        (serve(b"user-agent: testbot\ndisallow: /\nuser-agent: *\nallow: /"), "robots_disallowed"),
        (serve(b"user-agent: otherbot\ndisallow: /"), None),
        (serve(b"user-agent: *\nContent-Signal: ai-train=no\nallow: /"), "opt_out"),
        (serve(b""), None),
        (not_found, None),
        (lambda request: request.answer(b"", "403 No"), None),
        (lambda request: request.answer(b"", "503 Busy"), "robots_unreachable"),
        (lambda request: request.answer(b"", "429 Slow down"), "robots_unreachable"),
        (lambda request: time.sleep(2), "robots_unreachable"),
        (raw(b"garbage\r\n\r\n"), "robots_unreachable"),
        (lambda request: request.answer(b"", "301 Moved", {"Location": "/other.txt"}), "robots_disallowed"),
        (lambda request: request.answer(b"", "301 Moved", {"Location": "/robots.txt"}), None),
        (lambda request: request.answer(b"", "301 Moved", {"Location": "http://127.0.0.9:1/"}), "robots_unreachable"),
        (serve(gzip.compress(b"#" * 20_000_000), Content_Encoding="gzip"), None),
        (
            serve(gzip.compress(b"user-agent: *\ndisallow: /x\n" + b"#" * 600_000), Content_Encoding="gzip"),
            "robots_disallowed",
        ),
        (serve(b"#" * 520_000 + b"\nuser-agent: *\ndisallow: /x"), None),
    ],
)
def test_robots_of_the_image_s_own_host(server: Server, tmp_path: Path, robots: Handler, reason: str | None) -> None:
    server.pages |= {"/x": serve(picture()), "/robots.txt": robots}
    server.pages["/other.txt"] = serve(b"user-agent: *\ndisallow: /x")
    row = download(tmp_path, [server.url("/x")], [server], fetch={"total_timeout_s": 1})[server.url("/x")]
    assert row["drop_reason"] == reason, row
    assert server.asked("/x") == (reason is None)


def test_robots_of_a_redirect_s_host_count_too(server: Server, canary: Server, tmp_path: Path) -> None:
    server.pages["/x"] = lambda request: request.answer(b"", "302 Found", {"Location": canary.url("/y")})
    canary.pages |= {"/y": serve(picture()), "/robots.txt": serve(b"user-agent: *\ndisallow: /y")}
    row = download(tmp_path, [server.url("/x")], [server, canary])[server.url("/x")]
    assert (row["drop_reason"], row["final_url"]) == ("robots_disallowed", canary.url("/y"))
    assert (canary.asked("/y"), canary.asked("/robots.txt")) == (0, 1)


def test_no_forbidden_address_is_ever_contacted(server: Server, canary: Server, tmp_path: Path) -> None:
    urls = [canary.url("/x"), f"http://localhost:{canary.port}/x", "http://169.254.169.254/x", "http://[::1]/x",
            "http://100.100.100.200/x", "http://10.0.0.1/x", server.url("/fine")]  # fmt: skip
    server.pages |= {"/fine": serve(picture())}
    rows = download(tmp_path, urls, [server])
    assert {row["drop_reason"] for url, row in rows.items() if url != urls[-1]} == {"blocked_address"}
    assert rows[urls[-1]]["drop_reason"] is None
    assert canary.num_contacts == 0


def test_blocklisted_hosts_are_never_contacted(server: Server, canary: Server, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("127.0.0.9\n", "utf-8")
    server.pages["/to-bad"] = lambda request: request.answer(b"", "302 Found", {"Location": canary.url("/x")})
    rows = download(
        tmp_path,
        [canary.url("/x"), server.url("/to-bad")],
        [server, canary],
        crawler={"blocklist": [str(tmp_path / "bad.txt")]},
    )
    assert {row["drop_reason"] for row in rows.values()} == {"blocklisted"}
    assert canary.num_contacts == 0


def test_politeness_by_the_server_s_log(server: Server, tmp_path: Path) -> None:
    def slow(request: object) -> None:
        time.sleep(0.4)
        serve(picture())(request)  # type: ignore[arg-type]  # a Request

    server.pages = {f"/{n}": slow for n in range(8)}
    urls = [server.url(f"/{n}") for n in range(8)]
    download(tmp_path, urls, [server], delay_s=0.15, concurrency=2)
    starts = sorted(request.started for request in server.log)
    assert len(starts) == 8 + 3  # robots.txt, tdmrep.json, ai.txt
    assert starts[-1] - starts[0] >= 10 * 0.15 - 0.1
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.02  # as a busy server sees it
    assert server.most_in_flight == 2


def test_crawl_delay_of_robots_txt_is_obeyed(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture()) for n in range(3)}
    server.pages["/robots.txt"] = serve(b"user-agent: *\ncrawl-delay: 0.3\n")
    download(tmp_path, [server.url(f"/{n}") for n in range(3)], [server])
    starts = sorted(request.started for request in server.log)
    assert starts[-1] - starts[0] >= 5 * 0.3 - 0.1
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.1


def test_a_slow_host_does_not_hold_up_the_others(server: Server, canary: Server, tmp_path: Path) -> None:
    canary.pages = {f"/{n}": lambda request: time.sleep(2) for n in range(20)}
    server.pages = {f"/{n}": serve(picture()) for n in range(20)}
    urls = [canary.url(f"/{n}") for n in range(20)] + [server.url(f"/{n}") for n in range(20)]
    started = time.monotonic()
    rows = download(tmp_path, urls, [server, canary], fetch={"total_timeout_s": 1, "give_up_after": 2})
    assert max(request.started for request in server.log) - started < 5  # twenty timeouts would be ten seconds
    assert {rows[url]["drop_reason"] for url in urls[:20]} == {"timeout"}
    assert {rows[url]["drop_reason"] for url in urls[20:]} == {None}
    assert canary.num_contacts < 10  # then it was left alone


def test_a_deadline_leaves_the_rest_not_attempted_and_open(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture()) for n in range(60)}
    urls = [server.url(f"/{n}") for n in range(60)]
    rows = download(tmp_path, urls, [server], delay_s=0.1, deadline_s=4)
    reasons = [row["drop_reason"] for row in rows.values()]
    assert set(reasons) == {None, "not_attempted"}
    rows = download(tmp_path, urls, [server])
    assert {row["drop_reason"] for row in rows.values()} == {None}


def test_other_bytes_than_the_list_says_are_never_kept(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture(60 + n)) for n in range(3)}
    urls = [server.url(f"/{n}") for n in range(3)]
    right = hashlib.sha256(picture(60)).hexdigest().upper()
    samples = samples_of(urls, expected_sha256=[right, "0" * 64, None])
    for verify, expected in ((True, [None, "hash_mismatch", None]), (False, [None, None, None])):
        rows = download(tmp_path, urls, [server], samples=samples, fetch={"verify_sha256": verify})
        assert [rows[url]["drop_reason"] for url in urls] == expected


def test_only_what_stands_is_stored(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture(60 + n)) for n in range(4)}
    urls = [server.url(f"/{n}") for n in range(4)]
    rows = download(tmp_path, urls, [server], stands=lambda table: pa.compute.greater(table["original_width"], 61))
    assert [rows[url]["tar_offset"] is not None for url in urls] == [False, False, True, True]
    assert [rows[url]["tar_bytes"] is not None for url in urls] == [False, False, True, True]


def test_finished_downloads_are_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture(60 + n)) for n in range(5)} | {"/bad": not_found}
    urls = [server.url(f"/{n}") for n in range(5)] + [server.url("/bad")]
    first = download(tmp_path, urls, [server])
    tar = (tmp_path / "part.tar").read_bytes()
    num_requests = len(server.log)
    assert download(tmp_path, urls, [server]) == first
    assert len(server.log) == num_requests
    assert (tmp_path / "part.tar").read_bytes() == tar
    (tmp_path / "part.spool").unlink()
    assert download(tmp_path, urls, [server], fetch={"decoders": 3}) == first
    assert (tmp_path / "part.tar").read_bytes() == tar
    download(tmp_path, urls, [server], image={"max_side_px": 32})  # another stored copy: all anew
    assert len(server.log) == 3 * num_requests


KILLED = """
import sys, pathlib
sys.path[:] = sys.argv[4:]
from tests.crawler.test_download import *
folder, address, urls = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3].split()
download(folder, urls, [], delay_s=0.02, concurrency=2, network={"allow_private": [address]})
"""


def test_a_kill_repeats_only_the_requests_in_flight(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture(60 + n)) for n in range(60)}
    urls = [server.url(f"/{n}") for n in range(60)]
    command = [sys.executable, "-c", KILLED, str(tmp_path), server.address, " ".join(urls), *sys.path, os.getcwd()]
    child = subprocess.Popen(command)
    while len(server.log) < 25 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    resumed = download(tmp_path, urls, [server])
    tar = (tmp_path / "part.tar").read_bytes()
    repeated = [path for path in server.pages if server.asked(path) > 1]
    assert len(repeated) <= 2 + 2  # in flight, or with the decoder
    (tmp_path / "part.spool").unlink()
    assert download(tmp_path, urls, [server]) == resumed
    assert (tmp_path / "part.tar").read_bytes() == tar


def test_a_dead_network_fails_nobody(tmp_path: Path) -> None:
    gone = [Server(f"127.0.1.{n}") for n in range(1, 13)]
    for one in gone:
        one.close()
    urls = [one.url(f"/{n}") for one in gone for n in range(3)]
    with pytest.raises(TryAgainError, match="network"):
        download(tmp_path, urls, gone, fetch={"retries": 1, "outage_patience_s": 0.5})
    servers = [Server(one.host) for one in gone]
    assert not (tmp_path / "part.tar").exists()
    # What was asked in vain is not in the spool: at the same addresses everything is asked for again.
    for one in servers:
        one.close()
    assert b"connect_error" not in (tmp_path / "part.spool").read_bytes()


def test_an_agent_without_identity_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="user_agent"):
        download(tmp_path, ["http://a.cn/x"], [], crawler={"user_agent": None})


def dns_reply(query: bytes, addresses: Iterator[str]) -> bytes:
    """The next address, an alias of itself where the name says loop, or no such name."""
    question = query[12:]
    if question[-4:-2] == b"\0\x01" and b"missing" not in question:
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04" + socket.inet_aton(next(addresses))
        return query[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + question + record
    if b"loop" in question:
        alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\0\0\x02\xc0\x0c"
        return query[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + question + alias
    return query[:2] + b"\x81\x83\0\x01\0\0\0\0\0\0" + question


@pytest.fixture
def rebinding_dns() -> Iterator[str]:
    """A DNS server that answers with another loopback address each time: 127.0.0.1, then 127.0.0.9, and so on."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    addresses = itertools.cycle(["127.0.0.1", "127.0.0.9"])

    def serve_names() -> None:
        with suppress(OSError):  # it is closed under us
            while True:
                query, client = server.recvfrom(4096)
                server.sendto(dns_reply(query, addresses), client)

    threading.Thread(target=serve_names, daemon=True).start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.close()


def test_dns_rebinding_reaches_no_forbidden_address(
    server: Server, canary: Server, rebinding_dns: str, tmp_path: Path
) -> None:
    server.pages["/x"] = serve(picture())
    urls = [f"http://{n}.rebind.test:{server.port}/x" for n in range(6)]
    other = Server("127.0.0.9", at_port=server.port)
    rows = download(tmp_path, urls, [server], network={"dns_servers": [rebinding_dns]})
    other.close()
    assert {row["drop_reason"] for row in rows.values()} == {None, "blocked_address"}
    assert (canary.num_contacts, other.num_contacts) == (0, 0)


@pytest.mark.parametrize("name", ["missing.test", "missing-loop.test", "x" * 64 + ".test"])
def test_names_that_lead_nowhere(name: str, rebinding_dns: str, tmp_path: Path) -> None:
    url = f"http://{name}/x"
    assert download(tmp_path, [url], [], network={"dns_servers": [rebinding_dns]})[url]["drop_reason"] == "dns_error"
