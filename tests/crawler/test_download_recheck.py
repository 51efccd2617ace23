"""Re-checks, opt-outs as a ledger, and hosts of other lanes, by what a part makes of them."""

import hashlib
import itertools
from pathlib import Path

import pytest

from shards.tars import TarReader
from tests.crawler.conftest import Handler, Request, Server, not_found, picture, serve
from tests.crawler.test_download import download, samples_of

IMAGE = picture()
SHA = hashlib.sha256(IMAGE).hexdigest()
STORED = b"the copy that an earlier run stored"


def earlier_row(sha256: str = SHA) -> dict[str, object]:
    facts = {"format": "png", "bytes": len(IMAGE), "sha256": sha256, "original_width": 64, "original_height": 48}
    copy = {"is_animated": False, "alpha_share": 0.0, "width": 64, "height": 48, "stored_format": "jpg"}
    return facts | copy | {"stored_sha256": hashlib.sha256(STORED).hexdigest(), "content_type": "image/png"}


def not_modified(request: Request) -> None:
    asked = {"if-none-match", "if-modified-since"} & set(request.headers)
    status = "304 Not Modified" if asked else "200 OK"
    request.answer(b"" if asked else IMAGE, status, {"ETag": '"two"'})


def moved_to(url: str) -> Handler:
    return lambda request: request.answer(b"", "302 Found", {"Location": url})


@pytest.mark.parametrize(
    ("handler", "status", "reason"),
    [
        (not_modified, 304, None),
        (serve(IMAGE), 200, None),
        (serve(picture(65)), 200, "hash_mismatch"),
        (serve(b"no image at all"), 200, "hash_mismatch"),
        (not_found, 404, "http_status"),
        (serve(IMAGE, X_Robots_Tag="noai"), 200, "opt_out"),
    ],
)
def test_a_re_check_keeps_the_earlier_copy_of_what_is_the_same(
    server: Server, tmp_path: Path, handler: Handler, status: int, reason: str | None
) -> None:
    server.pages["/x"] = handler
    url = server.url("/x")
    samples = samples_of([url], etag=['"one"'], last_modified=["Sun, 01 Nov 2026 00:00:00 GMT"])
    row = download(tmp_path, [url], [server], samples=samples, earlier=lambda uid: (earlier_row(), STORED))[url]
    assert (row["http_status"], row["drop_reason"]) == (status, reason), row
    sent = next(request for request in server.log if request.path == "/x").headers
    assert (sent["if-none-match"], sent["if-modified-since"]) == ('"one"', "Sun, 01 Nov 2026 00:00:00 GMT")
    if reason is None:
        assert {name: row[name] for name in earlier_row()} == earlier_row()
        assert row["etag"] == ('"two"' if status == 304 else None)
        with TarReader(tmp_path / "part.tar") as tar:
            assert tar.read(row["tar_offset"], row["tar_bytes"]) == STORED  # type: ignore[arg-type]  # ints


@pytest.mark.parametrize("etag", [None, "evil\r\nX-Injected: 1", "x" * 10_000, "图"])
def test_only_sound_validators_are_sent(server: Server, tmp_path: Path, etag: str | None) -> None:
    server.pages["/x"] = serve(IMAGE)
    url = server.url("/x")
    samples = samples_of([url], etag=[etag], last_modified=[None])
    row = download(tmp_path, [url], [server], samples=samples, earlier=lambda uid: (earlier_row(), STORED))[url]
    assert (row["drop_reason"], row["http_status"]) == (None, 200)
    assert not {"if-none-match", "x-injected"} & {name for request in server.log for name in request.headers}


def test_what_no_earlier_run_has_is_fetched_plainly(server: Server, tmp_path: Path) -> None:
    server.pages = {"/x": not_modified, "/y": lambda request: request.answer(b"", "304 Not Modified")}
    urls = [server.url("/x"), server.url("/y")]
    samples = samples_of(urls, etag=['"one"', '"one"'])
    rows = download(tmp_path, urls, [server], samples=samples, earlier=lambda uid: None)
    assert [rows[url]["drop_reason"] for url in urls] == [None, "http_status"]
    assert rows[urls[0]]["etag"] == '"two"'


TDM = b'[{"location": "/reserved/", "tdm-reservation": 1}]'
AI_TXT = b"User-Agent: *\nDisallow: *.webp\n"


@pytest.mark.parametrize(
    ("path", "headers", "robots", "directive"),
    [
        ("/x", {}, "allowed", None),
        ("/forbidden", {}, "disallowed", None),
        ("/reserved/x", {}, "allowed", "tdmrep.json /reserved/: tdm-reservation 1"),
        ("/x.webp", {}, "allowed", "ai.txt Disallow: *.webp"),
        ("/signal", {}, "allowed", "robots.txt content-usage: train-ai=n"),
        ("/x", {"X_Robots_Tag": "noimageai"}, "allowed", "x-robots-tag: noimageai"),
        ("/x", {"Content_Usage": "train-ai=n"}, "allowed", "content-usage: train-ai=n"),
    ],
)
@pytest.mark.parametrize("opt_outs", ["obey", "record"])
def test_the_verdict_and_the_directive_that_decided_are_columns(
    server: Server,
    tmp_path: Path,
    path: str,
    headers: dict[str, str],
    robots: str,
    directive: str | None,
    opt_outs: str,
) -> None:
    server.pages = {
        path: serve(IMAGE, **headers),
        "/robots.txt": serve(b"user-agent: *\ndisallow: /forbidden\nContent-Usage: /signal train-ai=n\n"),
        "/.well-known/tdmrep.json": serve(TDM),
        "/ai.txt": serve(AI_TXT),
    }
    url = server.url(path)
    row = download(tmp_path, [url], [server], crawler={"opt_outs": opt_outs})[url]
    assert (row["robots"], row["opt_out"]) == (robots, directive)
    is_dropped = directive is not None and opt_outs == "obey"
    assert row["drop_reason"] == ("robots_disallowed" if robots == "disallowed" else "opt_out" if is_dropped else None)
    if is_dropped:
        assert row["detail"] == directive
        assert server.asked(path) == bool(headers)  # what a file says spares the request


def test_files_of_a_dead_or_forbidding_origin_are_not_asked_for(server: Server, tmp_path: Path) -> None:
    server.pages = {"/robots.txt": serve(b"user-agent: *\ndisallow: /\n")}
    row = download(tmp_path, [server.url("/x")], [server])[server.url("/x")]
    assert row["drop_reason"] == "robots_disallowed"
    assert [request.path for request in server.log] == ["/robots.txt"]


@pytest.mark.parametrize(
    "handler", [not_found, lambda request: None, lambda request: request.answer(b"", "500 No"), serve(b"<html>hello")]
)
def test_files_that_cannot_be_had_forbid_nothing(server: Server, tmp_path: Path, handler: Handler) -> None:
    server.pages = {"/x": serve(IMAGE), "/ai.txt": handler, "/.well-known/tdmrep.json": handler}
    row = download(tmp_path, [server.url("/x")], [server])[server.url("/x")]
    assert (row["drop_reason"], row["opt_out"], row["robots"]) == (None, None, "allowed")
    assert [server.asked(path) for path in ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")] == [1, 1, 1]


def test_a_changed_opt_out_setting_asks_anew(server: Server, tmp_path: Path) -> None:
    server.pages = {"/x": serve(IMAGE, X_Robots_Tag="noai")}
    url = server.url("/x")
    assert download(tmp_path, [url], [server])[url]["drop_reason"] == "opt_out"
    assert download(tmp_path, [url], [server], crawler={"opt_outs": "record"})[url]["drop_reason"] is None


def test_a_host_of_another_lane_gets_its_share_of_the_rate(server: Server, canary: Server, tmp_path: Path) -> None:
    for n in range(3):
        server.pages[f"/{n}"] = moved_to(canary.url(f"/{n}"))
        canary.pages[f"/{n}"] = serve(picture(60 + n))
    urls = [server.url(f"/{n}") for n in range(3)]
    owned = {"127.0.0.1"}
    rows = download(tmp_path, urls, [server, canary], delay_s=0.03, owns_host=owned.__contains__, num_lanes=8)
    assert {row["drop_reason"] for row in rows.values()} == {None}
    starts = sorted(request.started for request in canary.log)
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.18
    assert canary.most_in_flight == 1
