"""Promises 8 to 18: servers that stall, flood, lie about lengths, break their framing or redirect without end."""

import gzip
import hashlib
import io
import itertools
import socket
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from crawler.guard import AddressGuard
from tests.crawler.promises.servers import (
    AGENT,
    Case,
    Exchange,
    Row,
    Site,
    check,
    download,
    fixed,
    forever,
    moved,
    raw,
    run_cases,
    silent,
    sites,
)

MAX_BYTES = 1_000_000
LIMITS: dict[str, object] = {"max_bytes": MAX_BYTES, "total_timeout_s": 5, "rate_grace_s": 1.5}


def picture(width: int = 64, height: int = 48) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = picture()
BOMB = zlib.compress(b"\0" * (16 * 2**20), 9)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def with_length(body: bytes, *lines: bytes) -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunks(*bodies: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)


def padded(size: int) -> bytes:
    """A picture with so much behind its end that it has this many bytes."""
    return IMAGE + b"\0" * (size - len(IMAGE))


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, 9)[2:-4]


SLOW = [
    Case("promise 8: one byte of the body at a time", forever(OK + b"Content-Length: 100000\r\n\r\n", b"x", 0.05),
         "timeout", "body"),
    Case("promise 8: one byte of the headers at a time", forever(OK + b"X-Slow: ", b"x", 0.05), "timeout", "headers"),
    Case("promise 8: one byte of the status line at a time", forever(b"HTTP/1.1 200 ", b"x", 0.05), "timeout",
         "headers"),
    Case("promise 8: one header line at a time", forever(OK, b"X-Slow: 1\r\n", 0.05), "timeout", "headers"),
    Case("promise 8: never an answer", silent, "timeout", "headers"),
    Case("promise 8: a body faster than the least rate, but without end in time",
         forever(OK + b"Content-Length: 900000\r\n\r\n", b"x" * 300, 0.1), "timeout", "body"),
    Case("promise 8: a quick start, then nothing",
         raw(OK + b"Content-Length: 90000\r\n\r\n" + b"x" * 1000, pause_s=8), "timeout", "body"),
    Case("promise 8: a chunk size without end", forever(CHUNKED, b"0", 0.01), "timeout", "body"),
    Case("promise 8: a chunk extension without end", forever(CHUNKED + b"5;a=", b"x" * 100, 0.02), "timeout", "body"),
]  # fmt: skip

LONG = [
    Case("promise 9: a body of just the limit", raw(with_length(padded(MAX_BYTES))), None),
    Case("promise 9: one byte more by Content-Length", raw(with_length(padded(MAX_BYTES + 1))), "too_large",
         "content-length 1000001"),
    Case("promise 9: one byte more, the length unsaid", raw(OK + b"\r\n" + padded(MAX_BYTES + 1)), "too_large"),
    Case("promise 9: one byte more in chunks",
         raw(CHUNKED + chunks(*[padded(MAX_BYTES)[n:n + 50_000] for n in range(0, MAX_BYTES, 50_000)], b"x")
             + b"0\r\n\r\n"), "too_large"),
    Case("promise 9: a petabyte by Content-Length", raw(OK + b"Content-Length: 1125899906842624\r\n\r\nx"),
         "too_large", "content-length"),
    Case("promise 9: an endless body", forever(OK + b"\r\n", b"x" * 65536), "too_large", "more than"),
    Case("promise 9: endless chunks", forever(CHUNKED, chunks(b"x" * 65536)), "too_large", "more than"),
    Case("promise 9: an endless error page", forever(b"HTTP/1.1 404 No\r\n\r\n", b"x" * 65536), "http_status", "404"),
    Case("promise 9: an endless body behind a redirect without a target",
         forever(b"HTTP/1.1 302 Found\r\n\r\n", b"x" * 65536), "http_status", "302"),
    Case("promise 9: a petabyte behind an error", forever(
         b"HTTP/1.1 500 No\r\nContent-Length: 1125899906842624\r\n\r\n", b"x" * 65536), "http_status", "500"),
    Case("promise 9: an endless body that says it is compressed",
         forever(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(IMAGE), b"x" * 65536), "too_large"),
]  # fmt: skip

COMPRESSED = [
    Case("promise 10: a gzip body", fixed(gzip.compress(IMAGE), "Content-Encoding: gzip"), None),
    Case("promise 10: gzip in two members", fixed(gzip.compress(IMAGE[:99]) + gzip.compress(IMAGE[99:]),
                                                  "Content-Encoding: gzip"), None),
    Case("promise 10: deflate without its header", fixed(raw_deflate(IMAGE), "Content-Encoding: deflate"), None),
    Case("promise 10: two codings", fixed(gzip.compress(zlib.compress(IMAGE)), "Content-Encoding: deflate, gzip"),
         None),
    Case("promise 10: two codings in two headers", fixed(gzip.compress(zlib.compress(IMAGE)),
         "Content-Encoding: deflate", "Content-Encoding: gzip"), None),
    Case("promise 10: codings that are none", fixed(IMAGE, "Content-Encoding: identity, ,identity,"), None),
    Case("promise 10: a deflate bomb", fixed(BOMB, "Content-Encoding: deflate"), "decompress_bomb"),
    Case("promise 10: a deflate bomb without its header", fixed(BOMB[2:-4], "Content-Encoding: deflate"),
         "decompress_bomb"),
    Case("promise 10: a gzip bomb", fixed(gzip.compress(b"\0" * 2**23), "Content-Encoding: gzip"), "decompress_bomb"),
    Case("promise 10: a gzip bomb in many members",
         fixed(gzip.compress(b"\0" * 2**19) * 16, "Content-Encoding: gzip"), "decompress_bomb"),
    Case("promise 10: empty members by the thousand", fixed(gzip.compress(b"") * 45_000, "Content-Encoding: gzip"),
         "incomplete_body", "members"),
    Case("promise 10: a bomb within a bomb", fixed(gzip.compress(BOMB), "Content-Encoding: deflate, gzip"),
         "decompress_bomb"),
    Case("promise 10: an outer bomb of nothing", fixed(gzip.compress(b"\0" * 2**23), "Content-Encoding: deflate, gzip"),
         "decompress_bomb"),
    Case("promise 10: one byte over the limit once decompressed",
         fixed(gzip.compress(padded(MAX_BYTES + 1)), "Content-Encoding: gzip"), "decompress_bomb"),
    Case("promise 10: just the limit once decompressed",
         fixed(gzip.compress(padded(MAX_BYTES)), "Content-Encoding: gzip"), None),
    Case("promise 10: three codings", fixed(IMAGE, "Content-Encoding: gzip, gzip, gzip"), "protocol_error",
         "content-encoding"),
    Case("promise 10: brotli unasked", fixed(IMAGE, "Content-Encoding: br"), "protocol_error", "content-encoding"),
    Case("promise 10: zstd unasked", fixed(IMAGE, "Content-Encoding: zstd"), "protocol_error", "content-encoding"),
    Case("promise 10: compress unasked", fixed(IMAGE, "Content-Encoding: compress"), "protocol_error"),
    Case("promise 10: a coding that nobody knows", fixed(IMAGE, f"Content-Encoding: {'x' * 8000}"), "protocol_error"),
    Case("promise 10: gzip that is none", fixed(IMAGE, "Content-Encoding: gzip"), "incomplete_body"),
    Case("promise 10: gzip cut short", fixed(gzip.compress(IMAGE)[:-5], "Content-Encoding: gzip"), "incomplete_body"),
    Case("promise 10: gzip with a wrong checksum",
         fixed(gzip.compress(IMAGE)[:-8] + b"\0" * 8, "Content-Encoding: gzip"), "incomplete_body"),
    Case("promise 10: compressed in transfer", raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n"
         + chunks(gzip.compress(IMAGE)) + b"0\r\n\r\n"), "protocol_error", "transfer-encoding"),
]  # fmt: skip

FLOODS = [
    Case("promise 11: a header line of 1 MB", raw(OK + b"X-Long: " + b"x" * 2**20 + b"\r\n\r\n"), "protocol_error"),
    Case("promise 11: a header name of 1 MB", raw(OK + b"x" * 2**20 + b": 1\r\n\r\n"), "protocol_error"),
    Case("promise 11: a status line of 1 MB", raw(b"HTTP/1.1 200 " + b"x" * 2**20 + b"\r\n\r\n"), "protocol_error"),
    Case("promise 11: a reason without end", forever(b"HTTP/1.1 200 ", b"x" * 65536), "protocol_error"),
    Case("promise 11: 50 000 headers",
         raw(OK + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n" + IMAGE), "protocol_error"),
    Case("promise 11: endless headers", forever(OK, b"X-Filler: " + b"x" * 1000 + b"\r\n"), "protocol_error"),
    Case("promise 11: endless continuation responses", forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
         "too_large"),
    Case("promise 11: endless early hints", forever(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0.01),
         "timeout", "headers"),
    Case("promise 11: a few interim responses, then the image",
         raw(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + with_length(IMAGE)),
         None),
    Case("promise 11: endless trailers", forever(CHUNKED + chunks(IMAGE) + b"0\r\n", b"X-T: " + b"x" * 99 + b"\r\n"),
         "protocol_error"),
    Case("promise 11: a trailer of 1 MB", raw(CHUNKED + chunks(IMAGE) + b"0\r\nX-T: " + b"x" * 2**20 + b"\r\n\r\n"),
         "protocol_error"),
    Case("promise 11: trailers at a drip", forever(CHUNKED + chunks(IMAGE) + b"0\r\n", b"X-T: 1\r\n", 0.1), "timeout"),
    Case("promise 11: a chunk extension without end, at full speed", forever(CHUNKED + b"5;a=", b"x" * 65536),
         "too_large"),
    Case("promise 11: a byte a chunk, each with a long extension",
         forever(CHUNKED, b"1;" + b"x" * 16000 + b"\r\nx\r\n"), "too_large"),
]  # fmt: skip

FRAMING = [
    Case("promise 12: two lengths that differ", raw(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
         "protocol_error"),
    Case("promise 12: a list of lengths", raw(OK + b"Content-Length: 5, 6\r\n\r\nhello!"), "protocol_error"),
    Case("promise 12: a negative length", raw(OK + b"Content-Length: -5\r\n\r\nhello"), "protocol_error"),
    Case("promise 12: a length with a sign", raw(OK + b"Content-Length: +5\r\n\r\nhello"), "protocol_error"),
    Case("promise 12: a hexadecimal length", raw(OK + b"Content-Length: 0x10\r\n\r\n" + b"x" * 16), "protocol_error"),
    Case("promise 12: an empty length", raw(OK + b"Content-Length: \r\n\r\nhello"), "protocol_error"),
    Case("promise 12: a length beyond 64 bits", raw(OK + b"Content-Length: 99999999999999999999\r\n\r\nx"),
         "protocol_error"),
    Case("promise 12: a length in other digits", raw(OK + "Content-Length: ٥\r\n\r\nhello".encode()), "protocol_error"),
    Case("promise 12: length and chunks at once",
         raw(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(IMAGE) + b"0\r\n\r\n"),
         "protocol_error"),
    Case("promise 12: chunks and length at once",
         raw(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunks(IMAGE) + b"0\r\n\r\n"),
         "protocol_error"),
    Case("promise 12: chunked twice",
         raw(OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + chunks(IMAGE) + b"0\r\n\r\n"), "protocol_error"),
    Case("promise 12: chunked, then another coding",
         raw(OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + chunks(IMAGE) + b"0\r\n\r\n"), "protocol_error"),
    Case("promise 12: a chunk size that overflows", raw(CHUNKED + b"fffffffffffffffff\r\nx"), "protocol_error"),
    Case("promise 12: a negative chunk size", raw(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"), "protocol_error"),
    Case("promise 12: a chunk size that is no number", raw(CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n"), "protocol_error"),
    Case("promise 12: a chunk size with 0x", raw(CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"), "protocol_error"),
    Case("promise 12: an empty chunk size", raw(CHUNKED + b"\r\nhello\r\n0\r\n\r\n"), "protocol_error"),
    Case("promise 12: a chunk longer than it says", raw(CHUNKED + b"3\r\nhello\r\n0\r\n\r\n"), "protocol_error"),
    Case("promise 12: no final chunk", raw(CHUNKED + chunks(IMAGE)), "incomplete_body"),
    Case("promise 12: the end within the final chunk", raw(CHUNKED + chunks(IMAGE) + b"0\r\n"), "incomplete_body"),
    Case("promise 12: HTTP/0.9", raw(IMAGE), "protocol_error"),
    Case("promise 12: HTTP/0.9 text", raw(b"<html>hello</html>\r\n\r\n"), "protocol_error"),
    Case("promise 12: another protocol", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol_error"),
    Case("promise 12: HTTP/2 unasked", raw(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80\0\4\0\1\0\0\0\5\0\xff\xff\xff"),
         "protocol_error"),
    Case("promise 12: a version of the future", raw(b"HTTP/3.7 200 OK\r\n\r\n" + IMAGE), "protocol_error"),
    Case("promise 12: a status of two digits", raw(b"HTTP/1.1 20 OK\r\n\r\n" + IMAGE), "protocol_error"),
    Case("promise 12: a status of four digits", raw(b"HTTP/1.1 2000 OK\r\n\r\n" + IMAGE), "protocol_error"),
    Case("promise 12: a space before the colon", raw(OK + b"Content-Length : 5\r\n\r\nhello"), "not_an_image"),
    Case("promise 12: a header without a colon", raw(OK + b"hello\r\n\r\n" + IMAGE), "protocol_error"),
    Case("promise 12: a header without a name", raw(OK + b": hello\r\n\r\n" + IMAGE), "protocol_error"),
    # RFC 9112, section 5.2: a user agent takes a folded line for one line. What is in the fold is no header.
    Case("promise 12: a folded header", raw(OK + b"X-A: b\r\n  Content-Length: 3\r\n\r\n" + IMAGE), None),
    Case("promise 12: a length that is folded", raw(OK + b"Content-Length:\r\n 5\r\n\r\nhello"), "not_an_image"),
    Case("promise 12: NUL in a header", raw(OK + b"X-A: b\0c\r\n\r\n" + IMAGE), "protocol_error"),
    Case("promise 12: CR alone in a header", raw(OK + b"X-A: b\rContent-Length: 3\r\n\r\n" + IMAGE), "protocol_error"),
    Case("promise 12: CR alone as the line's end", raw(b"HTTP/1.1 200 OK\rX-A: b\r\r" + IMAGE), "protocol_error"),
    Case("promise 12: an escape sequence in a header", raw(OK + b"X-A: \x1b[31m\r\n\r\n" + IMAGE), None),
    Case("promise 12: a body behind the body", raw(with_length(IMAGE) + with_length(b"another answer")), None),
    Case("promise 12: rubbish behind the body", raw(with_length(IMAGE) + b"\0\1\2" * 100), "protocol_error"),
]  # fmt: skip

ERRORS_WITH_IMAGES = [
    Case(f"promise 15: {status} with a fine image", fixed(IMAGE, status=f"{status} Hm"), "http_status", str(status))
    for status in (201, 202, 203, 206, 207, 226, 300, 305, 400, 401, 403, 404, 410, 418, 429, 451, 500, 502, 503, 599,
                   999)
]  # fmt: skip
NO_BODY = [
    Case("promise 15: 204 unasked", raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "http_status", "204"),
    Case("promise 15: 205 unasked", raw(b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n"), "http_status", "205"),
    Case("promise 15: 304 unasked", raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "http_status", "304"),
    Case("promise 15: 304 with a fine image behind it", raw(b"HTTP/1.1 304 Not Modified\r\n\r\n" + IMAGE),
         "protocol_error"),
    Case("promise 15: 206 of a range that nobody asked for",
         fixed(IMAGE, "Content-Range: bytes 0-98/99", status="206 Partial Content"), "http_status", "206"),
    Case("promise 15: 101 unasked", raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + IMAGE),
         "http_status", "101"),
    Case("promise 15: 200 with nothing", fixed(b""), "empty_body"),
    Case("promise 15: 200 with nothing, the length unsaid", raw(OK + b"\r\n"), "empty_body"),
    Case("promise 15: 200 with nothing in chunks", raw(CHUNKED + b"0\r\n\r\n"), "empty_body"),
    Case("promise 15: 200 with nothing in gzip", fixed(gzip.compress(b""), "Content-Encoding: gzip"), "empty_body"),
]  # fmt: skip

TYPES = [
    Case("promise 16: an image called a page", fixed(IMAGE, "Content-Type: text/html"), None),
    Case("promise 16: an image of no type", fixed(IMAGE), None),
    Case("promise 16: a PNG called a JPEG", fixed(IMAGE, "Content-Type: image/jpeg"), None),
    Case("promise 16: an image of 8 000 characters of type", fixed(IMAGE, "Content-Type: " + "x" * 8000), None),
    Case("promise 16: a page called an image", fixed(b"<html>hello</html>", "Content-Type: image/png"), "not_an_image"),
    Case("promise 16: JSON called an image", fixed(b'{"error": 1}', "Content-Type: image/png"), "not_an_image"),
    Case("promise 16: an attachment", fixed(IMAGE, "Content-Disposition: attachment; filename=../../x.exe"), None),
]

CASES = [*SLOW, *LONG, *COMPRESSED, *FLOODS, *FRAMING, *ERRORS_WITH_IMAGES, *NO_BODY, *TYPES]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Row, Site]]:
    """Every case at a host of its own, all in one part: none may harm another."""
    return run_cases(tmp_path_factory.mktemp("hostile"), CASES, fetch=LIMITS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_misbehaviour_has_its_reason(case: Case, outcome: dict[str, tuple[Row, Site]]) -> None:
    row, site = outcome[case.name]
    check(case, row)
    assert site.asked("/x") == 1


def test_promise_8_handshakes_that_never_end_are_given_up(tmp_path: Path) -> None:
    """promise 8: a server that takes the TCP connection and no more, or drips its TLS handshake."""

    def hold(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        for octet in b"\x16\x03\x03\x40\x00" + b"\2" * 400:
            connection.sendall(bytes([octet]))
            time.sleep(0.05)

    with sites(Site(at_connect=hold), Site(at_connect=drip)) as slow:
        started = time.monotonic()
        urls = [f"https://{site.address}/x" for site in slow]
        rows = download(tmp_path, urls, slow, fetch={"connect_timeout_s": 0.6, "total_timeout_s": 2})
        for row in rows.values():  # it is robots.txt that comes to nothing first
            assert "timeout" in f"{row['drop_reason']} {row['detail']}"
        assert time.monotonic() - started < 6


BUFFERS = 4096
LEEWAY = 64 * 1024 + 64 * 1024
"""What the promise leaves open, and what lies in the two small socket buffers between us and the server."""


@pytest.mark.parametrize(
    ("head", "piece", "most"),
    [
        (OK + b"\r\n", b"x" * 4096, MAX_BYTES),
        (CHUNKED, chunks(b"x" * 4096), MAX_BYTES),
        (CHUNKED, chunks(b"x") * 500, MAX_BYTES),
        (CHUNKED + b"5;a=", b"x" * 4096, MAX_BYTES),
        (CHUNKED, b"1;" + b"x" * 4000 + b"\r\nx\r\n", MAX_BYTES),
        (OK + b"Content-Length: 1000001\r\n\r\n", b"x" * 4096, 0),
        (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(IMAGE), b"x" * 4096, MAX_BYTES),
        (OK + b"Content-Encoding: deflate\r\n\r\n", BOMB, MAX_BYTES // 200),
        (b"HTTP/1.1 404 No\r\nContent-Length: 9999999\r\n\r\n", b"x" * 4096, 0),
        (b"HTTP/1.1 302 Found\r\nLocation: /fine\r\n\r\n", b"x" * 4096, 0),
        (OK, b"X-Filler: " + b"x" * 100 + b"\r\n", 128 * 112),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100, MAX_BYTES),
    ],
    ids=["endless", "chunks", "small-chunks", "extension", "extensions", "length", "gzip", "bomb", "error", "redirect",
         "headers", "interim"],
)  # fmt: skip
def test_promise_9_no_more_than_the_limit_and_64_kib_is_read(
    head: bytes, piece: bytes, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """promise 9 (and 10, 11): counted by the server, with small socket buffers at both ends."""
    open_socket = AddressGuard.open_socket

    def open_small(guard: AddressGuard, *arguments: object) -> socket.socket:
        made = open_socket(guard, *arguments)  # type: ignore[arg-type]  # what aiohttp hands over
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFERS)
        return made

    monkeypatch.setattr(AddressGuard, "open_socket", open_small)
    counted: list[int] = []

    def handler(exchange: Exchange) -> None:
        before = exchange.site.num_sent
        try:
            forever(head, piece)(exchange)
        finally:
            counted.append(exchange.site.num_sent - before)

    with sites(Site({"/x": handler, "/fine": fixed(IMAGE)}, send_buffer=BUFFERS)) as [site]:
        row = download(tmp_path, [site.url()], [site], fetch=LIMITS)[site.url()]
        until = time.monotonic() + 3
        while not counted and time.monotonic() < until:
            time.sleep(0.01)
    assert row["drop_reason"] is not None or row["final_url"] == site.url("/fine")
    assert counted
    assert counted[0] <= most + LEEWAY, f"{counted[0]:,} bytes were taken of {most:,} and {LEEWAY:,}"


REDIRECTS = {
    "promise 13: one hop": ("/image", None),
    "promise 13: five hops": ("/hop/4", None),
    "promise 13: six hops": ("/hop/5", "too_many_redirects"),
    "promise 13: 31 hops": ("/hop/31", "too_many_redirects"),
    "promise 13: to itself": ("/start", "too_many_redirects"),
    "promise 13: no target": (None, "http_status"),
    "promise 13: an empty target": ("", "too_many_redirects"),
    "promise 13: 100 KB": ("/" + "x" * 100_000, "protocol_error"),
    "promise 13: longer than a URL may be": ("/" + "图" * 2700, "bad_url"),
    "promise 13: just short enough for a header": ("/none?" + "x" * 8000, "http_status"),
    "promise 13: CRLF escaped": ("/none%0d%0aX-Evil:%201%0d%0a%0d%0a", "http_status"),
    "promise 13: CRLF in UTF-8 disguise": ("/none\u560d\u560aX-Evil: 1", "http_status"),
    "promise 13: a tab and spaces": (" \t/im\tage ", None),
    "promise 13: backslashes": ("\\image", None),
    "promise 13: without a scheme": ("//{self}/image", None),
    "promise 13: three slashes": ("http:///{self}/image", None),
    "promise 13: backslashes for slashes": ("http:\\\\{self}\\image", None),
    "promise 13: a scheme alone": ("http:image", None),
    "promise 13: user and password": ("http://user:secret@{self}/image", None),
    "promise 13: another host as a user": ("http://example.org@{self}/image", None),
    "promise 13: a fragment": ("/image#%0d%0aX", None),
    "promise 13: dots out of the root": ("/../../../image", None),
    "promise 13: an unclosed bracket": ("http://[", "bad_url"),
    "promise 13: spaces in the host": ("http://a b/", "bad_url"),
    "promise 13: a port beyond the last": ("http://{self}9999/", "bad_url"),
    "promise 13: raw octets": ("/none\xff\xfe", "http_status"),
}


@pytest.fixture(scope="module")
def redirected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Row, Site]]:
    hops = {f"/hop/{n}": moved(f"/hop/{n - 1}" if n > 1 else "/image", "307 Moved") for n in range(1, 32)}
    found = {}
    for name, (location, _) in REDIRECTS.items():
        found[name] = Site({"/image": fixed(IMAGE), **hops})
        sent = None if location is None else location.replace("{self}", found[name].address)
        head = (
            b"" if sent is None else b"Location: " + (sent.encode("latin-1" if "\xff" in sent else "utf-8")) + b"\r\n"
        )
        found[name].pages["/start"] = raw(b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n" + head + b"\r\n")
    with sites(*found.values()) as all_sites:
        rows = download(tmp_path_factory.mktemp("redirects"), [s.url("/start") for s in all_sites], all_sites)
    return {name: (rows[site.url("/start")], site) for name, site in found.items()}


@pytest.mark.parametrize("name", REDIRECTS)
def test_redirects_are_followed_by_hand_and_no_further_than_five(
    name: str, redirected: dict[str, tuple[Row, Site]]
) -> None:
    row, site = redirected[name]
    assert row["drop_reason"] == REDIRECTS[name][1], row
    asked = [exchange for exchange in site.log if exchange.path.startswith(("/start", "/hop", "/image", "/none"))]
    assert len(asked) <= 6
    for exchange in site.log:
        request_line, *lines = exchange.raw.split(b"\r\n\r\n")[0].split(b"\r\n")
        assert request_line.count(b" ") == 2, request_line
        assert exchange.raw.endswith(b"\r\n\r\n")
        assert exchange.raw.count(b"\r\n\r\n") == 1
        names = {line.split(b":")[0].lower() for line in lines}
        assert not names & {b"x-evil", b"authorization", b"cookie", b"referer"}


def test_promise_14_nothing_that_names_a_visitor_is_ever_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """promise 14: no cookie comes back, no credential of a URL, of ~/.netrc or of the environment goes out."""
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    cookies = ("Set-Cookie: a=b; Path=/", "Set-Cookie: c=d; Domain=0.0.1", "WWW-Authenticate: Basic realm=x")
    with sites(Site(), Site()) as [first, second]:
        first.pages = {"/robots.txt": fixed(b"", *cookies), "/b": fixed(IMAGE, *cookies), "/c": fixed(IMAGE)}
        first.pages["/x"] = fixed(b"", *cookies, f"Location: http://me:secret@{second.address}/y", status="302 Found")
        second.pages = {"/y": fixed(b"", *cookies, f"Location: {first.url('/b')}", status="303 See Other")}
        second.pages["/auth"] = fixed(IMAGE, *cookies, status="401 Who are you")
        urls = [first.url("/x"), first.url("/c"), f"http://me:secret@{second.address}/auth"]
        rows = download(tmp_path, urls, [first, second], fetch={"retries": 1})
        assert [rows[url]["drop_reason"] for url in urls] == [None, None, "http_status"]
        for exchange in first.log + second.log:
            assert set(exchange.headers) <= {"host", "user-agent", "accept", "accept-encoding", "connection"}
            assert exchange.headers["user-agent"] == AGENT
            assert "secret" not in exchange.raw.decode()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("promise 16: an image called a page", "text/html"),
        ("promise 16: an image of no type", None),
        ("promise 16: a page called an image", "image/png"),
        ("promise 16: an image of 8 000 characters of type", "x" * 300),
    ],
)
def test_declared_types_are_recorded(name: str, expected: str | None, outcome: dict[str, tuple[Row, Site]]) -> None:
    """promise 16: the bytes decide about the format; what was declared is kept beside it."""
    row, _ = outcome[name]
    assert row["content_type"] == expected
    assert row["format"] == (None if row["drop_reason"] else "png")


def test_promise_17_swapped_content_is_never_kept(tmp_path: Path) -> None:
    """promise 17: a host that shows crawlers another image than the list's, at once or between two attempts."""
    right, other = hashlib.sha256(IMAGE).hexdigest(), picture(80)

    def two_faced(exchange: Exchange) -> None:
        exchange.answer(other if "testbot" in exchange.headers["user-agent"] else IMAGE)

    with sites(Site({"/x": two_faced, "/same": fixed(IMAGE), "/grown": fixed(IMAGE + b"\0")})) as [site]:
        urls = [site.url("/x"), site.url("/same"), site.url("/grown")]
        expected: dict[str, list[str | None]] = {"expected_sha256": [right, right.upper(), right]}
        rows = download(tmp_path, urls, [site], fetch={"verify_sha256": True}, more=expected)
    assert [rows[url]["drop_reason"] for url in urls] == ["hash_mismatch", None, "hash_mismatch"]
    assert rows[urls[1]]["sha256"] == right
    assert hashlib.sha256(other).hexdigest() in str(rows[urls[0]]["detail"])


def test_starts_are_apart_even_where_every_answer_is_an_error(tmp_path: Path) -> None:
    """promise 18 (and 46): a trap of dead links is walked at the pace of its host."""
    with sites(Site()) as [site]:
        urls = [site.url(f"/{n}?session={n}") for n in range(5)]
        download(tmp_path, urls, [site], crawler={"per_host": {"concurrency": 4, "delay_s": 0.1}})
        starts = site.starts()
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) > 0.05
    assert len(starts) >= 6


@pytest.mark.parametrize("pause_s", [0.0, 0.15])
def test_promise_12_an_answer_that_nobody_asked_for_is_never_taken_for_the_next(pause_s: float, tmp_path: Path) -> None:
    """promise 12: on a connection that is kept alive, what follows an answer belongs to no request."""
    other = picture(99)

    def converse(connection: socket.socket) -> None:
        while asked := connection.recv(65536):
            path = asked.split(b" ")[1]
            if path == b"/first":
                connection.sendall(with_length(IMAGE))
                time.sleep(pause_s)
                connection.sendall(with_length(other))
            elif path == b"/second":
                time.sleep(0.05)
                connection.sendall(with_length(IMAGE))
            else:
                connection.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    with sites(Site(at_connect=converse)) as [site]:
        urls = [site.url("/first"), site.url("/second")]
        crawler: dict[str, object] = {"per_host": {"concurrency": 1, "delay_s": 0.3}}
        rows = download(tmp_path, urls, [site], crawler=crawler, fetch={"total_timeout_s": 2})
    right = hashlib.sha256(IMAGE).hexdigest()
    assert {row["sha256"] for row in rows.values()} <= {right, None}, rows
    assert rows[urls[1]]["sha256"] == right
