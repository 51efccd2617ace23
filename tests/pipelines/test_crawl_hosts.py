"""A crawl of many hosts, killed at random and resumed: the same pages, politely, and nearly no request twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shards.parts import StepFolder
from shards.tables import read_rows
from tests.crawler.conftest import Server
from tests.crawler.promises.servers import DnsServer, dns
from tests.pipelines.crawled_hosts import CLOSED, DELAY, DELAYED_S, ROBOTS, TRAP, Hosts, serve_hosts

ROOT = Path(__file__).parents[2]
CONCURRENCY, DELAY_S = 2, 0.15
MOST_PAGES = 12
RETRIES = 1
LATE_S = 0.4
"""By how much a busy machine's server may see a request later than it was sent."""

DEADLINE_S = 900


@dataclass(frozen=True)
class Size:
    hosts: int
    kills: int
    rounds: int
    lanes: int


QUICK, FULL = Size(20, 1, 2, 1), Size(200, 5, 3, 2)


@dataclass(frozen=True)
class Crawl:
    """A run folder, and the process that fills it."""

    recipe: Path
    run: Path

    def start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.pipelines.crawl_alone", str(self.recipe), str(self.run)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self) -> None:
        process = self.start()
        _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, said.decode()[-3000:]

    def kill_after(self, num_requests: int, hosts: Hosts) -> int:
        """Kills it when the server has had so many requests; returns how many were in flight then."""
        with self.start() as process:
            ends = time.monotonic() + DEADLINE_S
            while len(hosts.log) < num_requests:
                assert process.poll() is None, process.communicate()[1].decode()[-3000:]
                assert time.monotonic() < ends
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            killed = time.monotonic()
            process.communicate()
        _settle(hosts)
        # What was being answered, or had just been: the crawler was yet to read it.
        return sum(request.started < killed and request.ended > killed - LATE_S for request in hosts.log)

    def pages(self) -> list[dict[str, Any]]:
        folder = StepFolder(self.run, "crawl")
        rows = [row for record in folder.records() for row in read_rows(folder.file(record, "pages")).to_pylist()]
        told = ("url", "depth", "round", "status", "drop_reason", "final_url", "num_links", "is_chinese")
        return sorted(({name: row[name] for name in told} for row in rows), key=lambda row: str(row["url"]))


def _settle(hosts: Hosts) -> None:
    while hosts.num_in_flight():
        time.sleep(0.02)
    time.sleep(0.2)


@contextmanager
def served(num_hosts: int) -> Iterator[tuple[Server, Hosts, DnsServer]]:
    server, hosts = serve_hosts(num_hosts)
    try:
        with dns(lambda question: question.addresses("127.0.0.1")) as names:
            yield server, hosts, names
    finally:
        server.close()


def write_recipe(path: Path, server: Server, hosts: Hosts, names: DnsServer, size: Size) -> Path:
    seeds = [hosts.url(number, "/", server.port) for number in range(hosts.num_hosts)]
    limits = {"rounds": size.rounds, "max_depth": 4, "max_pages_per_host": MOST_PAGES, "allowed_hosts": ["*.test"]}
    recipe = {
        "name": "hosts",
        "source": {"kind": "crawl", "seeds": seeds, **limits},
        "crawler": {
            "user_agent": "testbot/1.0 (+https://example.org/bot)",
            "per_host": {"concurrency": CONCURRENCY, "delay_s": DELAY_S},
            "lanes": size.lanes,
        },
        "network": {"allow_private": [server.address], "dns_servers": [names.address]},
        "fetch": {"retries": RETRIES, "total_timeout_s": 10},
        "rules": {},
    }
    path.write_text(json.dumps(recipe))
    return path


def assert_polite(hosts: Hosts) -> None:
    """By the server's log: robots.txt first and obeyed, gaps kept, never more in flight than allowed."""
    assert max(hosts.most_in_flight.values()) <= CONCURRENCY
    by_host: dict[str, list[Any]] = {}
    for request in sorted(hosts.log, key=lambda request: request.started):
        by_host.setdefault(request.host, []).append(request)
    assert len(by_host) == hosts.num_hosts
    for host, log in sorted(by_host.items()):
        kind = int(host[1:4]) % 10
        assert log[0].path == "/robots.txt"
        if kind == CLOSED:
            assert {request.path for request in log} == {"/robots.txt"}
        if kind == ROBOTS:
            assert not any(request.path.startswith("/secret") for request in log)
        gap = DELAYED_S if kind == DELAY else DELAY_S
        starts = [request.started for request in log[1:]]
        assert starts[-1] - starts[0] >= (len(starts) - 1) * gap - LATE_S if starts else True


def asked(hosts: Hosts, for_good: bool) -> Counter[tuple[str, str]]:
    """How often each URL was asked that answers for good, or of those whose failures are tried again."""
    failing = {(request.host, request.path) for request in hosts.log if request.status == 0 or request.status >= 500}
    every = [(request.host, request.path) for request in hosts.log]
    return Counter(url for url in every if (url not in failing) == for_good)


@pytest.mark.parametrize("size", [QUICK, pytest.param(FULL, marks=pytest.mark.slow)], ids=["20 hosts", "200 hosts"])
def test_a_crawl_killed_at_random_and_resumed_finds_the_same_pages(tmp_path: Path, size: Size) -> None:
    with served(size.hosts) as (server, hosts, names):
        recipe = write_recipe(tmp_path / "recipe.json", server, hosts, names, size)
        undisturbed = Crawl(recipe, tmp_path / "undisturbed")
        undisturbed.finish()
        assert_polite(hosts)
        once, failing = asked(hosts, for_good=True), asked(hosts, for_good=False)
        pages = undisturbed.pages()
        assert_every_oddity_is_met(pages, size)
        num_requests = len(hosts.log)

        hosts.forget()
        killed = Crawl(recipe, tmp_path / "killed")
        chosen = random.Random(size.hosts)
        most_repeats = 0
        for part in range(size.kills):
            share = (part + chosen.uniform(0.1, 0.9)) / size.kills
            most_repeats += killed.kill_after(round(0.9 * share * num_requests), hosts)
        killed.finish()
        assert_polite(hosts)
        assert (asked(hosts, for_good=True) - once).total() <= most_repeats
        # What had failed, and was not given up for good, begins with its first attempt again.
        again = asked(hosts, for_good=False) - failing
        assert max(again.values(), default=0) <= size.kills * (RETRIES + 1)
        assert killed.pages() == pages


def assert_every_oddity_is_met(pages: list[dict[str, Any]], size: Size) -> None:
    """Each kind of host ends as it should, each page once."""
    assert len(pages) == len({row["url"] for row in pages})
    reasons = Counter(row["drop_reason"] for row in pages)
    each = size.hosts // 10
    assert reasons["robots_disallowed"] == 2 * each
    assert reasons["robots_unreachable"] >= each
    assert reasons["too_many_redirects"] == each
    assert reasons["connect_error"] == each
    assert reasons["http_status"] == 2 * each
    by_host = Counter(str(row["url"]).split("/")[2] for row in pages)
    assert all(number <= MOST_PAGES for number in by_host.values())
    trapped = [number for host, number in by_host.items() if int(host[1:4]) % 10 == TRAP]
    assert trapped == [MOST_PAGES if size.rounds > 2 else 9] * each
    assert any(row["url"].endswith("/listed") for row in pages)
    assert any(row["url"].endswith("/landed") for row in pages) == (size.rounds > 2)  # a redirect away is a link
    assert not any("jsessionid" in row["url"] for row in pages)
