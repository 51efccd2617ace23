"""A host's breaker: opens after failures in a row, cools down, tries again with one probe, gives up in the end."""

import time
from pathlib import Path

import pytest

from crawler.breaker import MAX_COOL_DOWN_S, Breaker, BreakerLimits
from tests.crawler.conftest import Server, not_found, picture, serve
from tests.crawler.test_download import download


def breaker(give_up_after: int = 3, reopen_s: float = 60.0, reopenings: int = 2) -> Breaker:
    return Breaker(BreakerLimits(give_up_after, reopen_s, reopenings))


def fail(one: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        one.note_failure(now, "connect_error", "refused")


def test_it_opens_after_failures_in_a_row_only() -> None:
    one = breaker()
    fail(one, 0.0, 2)
    one.note_answer()
    fail(one, 0.0, 2)
    assert one.is_closed
    assert one.verdict is None
    fail(one, 0.0)
    assert one.verdict == ("connect_error", "host left alone after 3 failures: refused")
    assert (one.wait(0.0), one.wait(59.0), one.wait(61.0)) == (60.0, 1.0, 0.0)


def test_what_was_under_way_when_it_opened_opens_it_no_further() -> None:
    one = breaker()
    fail(one, 0.0, 10)
    assert (one.num_openings, one.wait(0.0), one.is_final) == (1, 60.0, False)


def test_one_probe_goes_and_an_answer_closes_it() -> None:
    one = breaker()
    fail(one, 0.0, 3)
    assert one.begin_probe()
    assert not one.begin_probe()
    assert one.verdict is None
    one.note_answer()
    assert one.is_closed
    fail(one, 100.0, 3)
    assert (one.num_openings, one.wait(100.0)) == (1, 60.0)  # trouble long ago does not count


def test_a_failed_probe_doubles_the_cool_down_until_the_reopenings_are_spent() -> None:
    one = breaker(reopenings=2)
    fail(one, 0.0, 3)
    waits = [one.wait(0.0)]
    for _ in range(2):
        assert not one.is_final
        assert one.begin_probe()
        fail(one, 0.0)
        waits.append(one.wait(0.0))
    assert waits == [60.0, 120.0, 240.0]
    assert one.is_final
    assert not one.begin_probe()
    assert one.verdict is not None


def test_a_cool_down_is_bounded_and_none_is_needed_to_give_up() -> None:
    one = breaker(reopen_s=3000.0, reopenings=5)
    fail(one, 0.0, 3)
    one.begin_probe()
    fail(one, 0.0)
    assert one.wait(0.0) == MAX_COOL_DOWN_S
    never = breaker(reopenings=0)
    fail(never, 0.0, 3)
    assert never.is_final


def test_a_probe_that_says_nothing_leaves_room_for_another() -> None:
    one = breaker()
    fail(one, 0.0, 3)
    assert one.begin_probe()
    one.end_probe()
    assert one.begin_probe()


def test_a_host_that_comes_back_loses_no_image_that_waited(server: Server, tmp_path: Path) -> None:
    fine = serve(picture())
    started = time.monotonic()
    back_after = 1.0

    def weak(request: object) -> None:
        if time.monotonic() - started > back_after:
            fine(request)  # type: ignore[arg-type]  # a Request

    server.pages = {f"/{n}": weak for n in range(12)} | {"/robots.txt": not_found}
    urls = [server.url(f"/{n}") for n in range(12)]
    limits: dict[str, object] = {"give_up_after": 2, "breaker_reopen_s": 0.6}
    rows = download(tmp_path, urls, [server], concurrency=2, fetch=limits)
    reasons = [row["drop_reason"] for row in rows.values()]
    assert reasons.count(None) >= 10, reasons  # what failed before it opened is believed
    assert len(server.log) < 12 + 3 + 12


def test_an_unreachable_robots_txt_is_asked_again_after_the_cool_down(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture(60 + n)) for n in range(6)}
    server.pages["/robots.txt"] = lambda request: (
        request.answer(b"", "503 Busy") if request.attempt == 1 else not_found(request)
    )
    urls = [server.url(f"/{n}") for n in range(6)]
    rows = download(tmp_path, urls, [server], fetch={"breaker_reopen_s": 0.3})
    assert {row["drop_reason"] for row in rows.values()} == {None}
    assert server.asked("/robots.txt") == 2


@pytest.mark.parametrize("reopenings", [0, 2])
def test_a_dead_host_costs_a_bounded_number_of_requests(server: Server, tmp_path: Path, reopenings: int) -> None:
    server.pages = {f"/{n}": lambda request: None for n in range(60)}
    urls = [server.url(f"/{n}") for n in range(60)]
    limits: dict[str, object] = {"give_up_after": 4, "breaker_reopen_s": 0.05, "breaker_reopenings": reopenings}
    rows = download(tmp_path, urls, [server], concurrency=2, fetch=limits)
    assert {row["drop_reason"] for row in rows.values()} == {"connect_error"}
    asked = [request for request in server.log if request.path[1:].isdigit()]
    assert len(asked) <= 4 + 1 + reopenings  # one more may be in flight when it opens


def test_a_dripping_host_is_left_alone_too(server: Server, tmp_path: Path) -> None:
    def drip(request: object) -> None:
        request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")  # type: ignore[attr-defined]  # a Request
        for _ in range(100):
            request.send(b"x")  # type: ignore[attr-defined]  # a Request
            time.sleep(0.1)

    server.pages = {f"/{n}": drip for n in range(40)}
    urls = [server.url(f"/{n}") for n in range(40)]
    started = time.monotonic()
    rows = download(tmp_path, urls, [server], concurrency=2, fetch={"give_up_after": 2, "rate_grace_s": 0.3})
    assert {row["drop_reason"] for row in rows.values()} == {"timeout"}
    assert time.monotonic() - started < 4
    assert len(server.log) <= 3 + 3


def test_the_cooled_host_is_tried_while_another_is_worked_on(server: Server, canary: Server, tmp_path: Path) -> None:
    began = time.monotonic()
    canary.pages = {
        f"/{n}": lambda request: serve(picture())(request) if time.monotonic() - began > 0.8 else None for n in range(6)
    }
    server.pages = {f"/{n}": serve(picture(60 + n)) for n in range(20)}
    urls = [canary.url(f"/{n}") for n in range(6)] + [server.url(f"/{n}") for n in range(20)]
    limits: dict[str, object] = {"give_up_after": 1, "breaker_reopen_s": 1.0}
    rows = download(tmp_path, urls, [server, canary], delay_s=0.08, concurrency=1, fetch=limits)
    assert [rows[url]["drop_reason"] for url in urls].count(None) == 26
