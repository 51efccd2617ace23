"""When the whole network goes: the part pauses, blames nobody, goes on when it is back, and stops in the end."""

import itertools
import threading
import time
from pathlib import Path

import pytest

from crawler.fetch_report import FetchReport, FetchTally
from shards.errors import TryAgainError
from tests.crawler.conftest import Request, Server, picture, serve
from tests.crawler.test_download import download

IMAGE = picture()


def gone_servers(first: int, count: int) -> list[Server]:
    servers = [Server(f"127.0.3.{first + n}") for n in range(count)]
    for one in servers:
        one.close()
    return servers


def urls_of(servers: list[Server], each: int = 3) -> list[str]:
    return [one.url(f"/{n}") for one in servers for n in range(each)]


def test_a_network_that_comes_back_costs_no_image(tmp_path: Path) -> None:
    gone = gone_servers(1, 12)
    back: list[Server] = []

    def return_later() -> None:
        time.sleep(1.5)
        back.extend(Server(one.host, pages={f"/{n}": serve(IMAGE) for n in range(3)}, at_port=one.port) for one in gone)

    thread = threading.Thread(target=return_later)
    thread.start()
    rows = download(tmp_path, urls_of(gone), gone, fetch={"retries": 1, "give_up_after": 2, "outage_patience_s": 20})
    thread.join()
    for one in back:
        one.close()
    assert {row["drop_reason"] for row in rows.values()} == {None}


def test_a_network_that_goes_midway_ends_the_part_and_keeps_what_was_done(tmp_path: Path) -> None:
    servers = [Server(f"127.0.3.{20 + n}") for n in range(10)]
    answered = itertools.count(1)

    def answer(request: Request) -> None:
        serve(IMAGE)(request)
        if next(answered) == 60:
            for one in servers:
                one.close()

    for one in servers:
        one.pages = {f"/{n}": answer for n in range(20)}
    urls = urls_of(servers, 20)
    limits: dict[str, object] = {"retries": 1, "outage_patience_s": 1.0}
    began = time.monotonic()
    with pytest.raises(TryAgainError, match="network"):
        download(tmp_path, urls, servers, delay_s=0.05, concurrency=1, fetch=limits)
    assert time.monotonic() - began < 15
    spool = (tmp_path / "part.spool").read_bytes()
    assert b"stored_sha256" in spool
    assert spool.count(b'"drop_reason": "') < 10  # what failed before anybody could know


def test_dead_hosts_that_fail_before_anybody_could_answer_are_a_false_alarm(tmp_path: Path) -> None:
    """A refusal is quicker than an answer: at the start of a part dozens fail while the sound hosts still think."""

    def think(request: Request) -> None:
        time.sleep(0.5)
        serve(IMAGE)(request)

    gone = gone_servers(120, 24)
    sound = [Server(f"127.0.3.{200 + n}", pages={f"/{k}": think for k in range(3)}) for n in range(4)]
    began = time.monotonic()
    rows = download(tmp_path, urls_of(gone) + urls_of(sound), [*gone, *sound], fetch={"outage_patience_s": 60})
    assert time.monotonic() - began < 30
    for one in sound:
        one.close()
    kept = [url for url, row in rows.items() if row["drop_reason"] is None]
    assert len(kept) == 12
    assert {row["drop_reason"] for url, row in rows.items() if url not in kept} == {"connect_error"}


def test_many_dead_hosts_at_the_end_of_a_part_are_a_false_alarm(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(IMAGE) for n in range(4)}
    gone = gone_servers(80, 12)
    limits: dict[str, object] = {"retries": 1, "outage_patience_s": 60}
    began = time.monotonic()
    rows = download(tmp_path, [*urls_of([server], 4), *urls_of(gone, 10)], [server, *gone], fetch=limits)
    assert time.monotonic() - began < 20
    assert [row["drop_reason"] for row in rows.values()].count(None) == 4
    assert {row["drop_reason"] for row in rows.values()} == {None, "connect_error"}


def test_a_deadline_within_an_outage_marks_nothing_as_failed(tmp_path: Path) -> None:
    gone = gone_servers(40, 12)
    rows = download(tmp_path, urls_of(gone), gone, fetch={"retries": 1}, deadline_s=3.0)
    assert {row["drop_reason"] for row in rows.values()} == {"not_attempted"}


def test_dead_hosts_alone_are_no_outage(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(IMAGE) for n in range(40)}
    gone = gone_servers(60, 3)
    began = time.monotonic()
    rows = download(tmp_path, [*urls_of([server], 40), *urls_of(gone)], [server, *gone])
    assert time.monotonic() - began < 20
    assert [row["drop_reason"] for row in rows.values()].count("connect_error") == 9


def test_a_report_counts_what_was_done() -> None:
    now = [100.0]
    tally = FetchTally(clock=lambda: now[0])
    for reason in (None, "timeout", None, "http_status", "timeout"):
        tally.note_row(reason)
    tally.requests, tally.bytes = 9, 12345
    now[0] = 102.5
    waiting = {f"{n}.cn": n for n in range(7)} | {"b.cn": 6}
    report = tally.report(waiting)
    slowest = [("6.cn", 6), ("b.cn", 6), ("5.cn", 5), ("4.cn", 4), ("3.cn", 3)]
    assert report == FetchReport(2.5, 9, 2, 12345, {"http_status": 1, "timeout": 2}, slowest)
    assert set(report.as_json()) == {"seconds", "requests", "images", "bytes", "reasons", "slowest"}


def test_a_part_reports_while_it_runs_and_at_its_end(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(IMAGE) for n in range(20)}
    reports: list[FetchReport] = []
    download(tmp_path, urls_of([server], 21), [server], delay_s=0.12, concurrency=1, report=reports.append)
    assert len(reports) >= 2
    assert reports[0].slowest[0][0] == "127.0.0.1"
    last = reports[-1]
    assert (last.images, last.requests, last.reasons, last.slowest) == (20, 24, {"http_status": 1}, [])
    assert last.bytes == 20 * len(IMAGE)
