"""Who is answered: this machine's user with the token, from the page itself, in requests of a plain and small form."""

import time

import pytest

from pipelines.explore.gate import ENTRANCE_S, HEADERS, Gate
from pipelines.explore.http_server import MAX_BODY_BYTES, MAX_TARGET_CHARS
from tests.pipelines.explore.serving import Served


def test_only_loopback_is_bound(served_run: Served) -> None:
    assert served_run.server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["/", "/main.js", "/explore.css", "/icon.svg", "/api/about", "/nothing", "/image/x"])
def test_every_answer_carries_the_strict_headers(served_run: Served, path: str) -> None:
    headers = served_run.get(path).headers
    assert {name: headers.get(name.lower()) for name in HEADERS} == HEADERS
    assert headers["server"] == "curate"


def test_the_policy_names_no_source_but_the_server_itself() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.2",
        "[::1]",
        "",
        "a b",
    ],
)
def test_a_name_that_was_bound_anew_is_refused(served_run: Served, host: str) -> None:
    answer = served_run.raw(f"GET {served_run.root}/api/about HTTP/1.1", {"Host": host})
    assert answer.status == 421
    assert HEADERS.items() <= {name: answer.headers.get(name.lower()) for name in HEADERS}.items()


def test_no_host_or_two_are_refused(served_run: Served) -> None:
    line = f"GET {served_run.root}/api/about HTTP/1.1\r\n"
    assert served_run.exchange(f"{line}Connection: close\r\n\r\n".encode()).status == 421
    two = f"{line}Host: {served_run.host}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert served_run.exchange(two.encode()).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1", "127.0.0.1:22222"])
def test_a_forwarded_port_of_this_machine_is_answered(served_run: Served, host: str) -> None:
    assert served_run.raw(f"GET {served_run.root}/api/about HTTP/1.1", {"Host": host}).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 403),
        ("/api/about", 403),
        ("/wrong/api/about", 403),
        ("/{token}", 403),
        ("/{token}x/api/about", 403),
        ("/api/about?token={token}", 403),
        ("/%F0%9F%92%A9/", 403),
        ("{token}/api/about", 403),
        ("/{token}/api/about", 200),
        ("/{token}/", 200),
    ],
)
def test_nothing_is_told_without_the_token(served_run: Served, path: str, status: int) -> None:
    target = path.format(token=served_run.server.gate.token)
    answer = served_run.raw(f"GET {target} HTTP/1.1", {"Host": served_run.host})
    assert answer.status == status
    assert (b"near_duplicate" in answer.body) == (status == 200 and "api" in path)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", "http://127.0.0.1:1", 403),
        ("Origin", "https://{host}", 403),
        ("Origin", "http://{host}", 200),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "same-origin", 200),
        ("Sec-Fetch-Site", "none", 200),
    ],
)
def test_another_site_s_page_is_refused_even_with_the_token(
    served_run: Served, name: str, value: str, status: int
) -> None:
    headers = {"Host": served_run.host, name: value.format(host=served_run.host)}
    answer = served_run.raw(f"GET {served_run.root}/api/about HTTP/1.1", headers)
    assert answer.status == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/../recipe.yaml",
        "/..%2f..%2frecipe.yaml",
        "/%2e%2e/recipe.yaml",
        "/....//recipe.yaml",
        "/static/index.html",
        "//etc/passwd",
        "/main.js/../../routes.py",
        "/routes.py",
        "/image/../../recipe.yaml",
        "/image/%00",
        "/api/",
        "/api",
    ],
)
def test_no_path_leads_out(served_run: Served, path: str) -> None:
    answer = served_run.get(path)
    assert answer.status in (400, 404)
    assert b"user_agent" not in answer.body


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET {root}/" + "a" * MAX_TARGET_CHARS + " HTTP/1.1\r\nHost: {host}", 414),
        ("GET {root}/" + "a" * 70_000 + " HTTP/1.1\r\nHost: {host}", 414),
        ("GET {root}/ HTTP/1.1\r\nHost: {host}\r\nA: " + "a" * 70_000, 431),
        ("GET {root}/ HTTP/1.1\r\nHost: {host}" + "\r\nA: a" * 200, 431),
        ("GET {root}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5", 400),
        ("GET {root}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked", 400),
        ("POST {root}/api/label HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: 2", 415),
        ("POST {root}/api/label HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2", 415),
        ("POST {root}/api/label HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json", 411),
        ("POST {root}/api/label HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: -1", 411),
        (
            "POST {root}/api/label HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {MAX_BODY_BYTES + 1}",
            413,
        ),
        (
            "POST {root}/api/label HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {'9' * 5000}",
            413,
        ),
        ("DELETE {root}/ HTTP/1.1\r\nHost: {host}", 501),
        ("OPTIONS {root}/api/label HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example", 501),
    ],
)
def test_a_request_of_another_form_is_refused(served_run: Served, request_head: str, status: int) -> None:
    head = request_head.replace("{root}", served_run.root).replace("{host}", served_run.host)
    answer = served_run.exchange(f"{head}\r\nConnection: close\r\n\r\n".encode())
    assert answer.status == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 60_000, b"NaN", b"[]", b'"x"', b"{}"])
def test_a_body_that_is_no_answer_is_refused(served_run: Served, body: bytes) -> None:
    assert served_run.post("/api/label", body).status == 400


def test_a_head_is_an_answer_without_its_body(served_run: Served) -> None:
    answer = served_run.raw(f"HEAD {served_run.root}/ HTTP/1.1", {"Host": served_run.host})
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


def test_the_entrance_leads_in_once() -> None:
    gate = Gate()
    path = f"/open/{gate.entrance}"
    assert [gate.may_enter("/open/"), gate.may_enter("/open/wrong")] == [False, False]
    assert [gate.may_enter(path), gate.may_enter(path), gate.may_enter("/open/")] == [True, False, False]


def test_the_entrance_closes_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    later = time.monotonic() + ENTRANCE_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not gate.may_enter(f"/open/{gate.entrance}")


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {Gate().token for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43
