"""A part with many hosts: what is kept of them at a time is bounded, and each is asked as politely as ever."""

import gc
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler import host_window
from tests.crawler.conftest import Handler, Request, Server, not_found, picture
from tests.crawler.test_download import download

PLACES = 12
IN_FLIGHT = 3
COUNTED = {"_Host", "BoundedConnection", "Task"}
IMAGE = picture()


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server at every loopback address; a part has few hosts at work."""
    monkeypatch.setattr(host_window, "MIN_HOSTS_AT_WORK", PLACES)
    started = Server("0.0.0.0")
    yield started
    started.close()


def ask(folder: Path, server: Server, paths_by_host: dict[int, list[str]], **more: object) -> set[object]:
    """The drop reasons of these paths at 127.0.4.<host>."""
    urls = [f"http://127.0.4.{host}:{server.port}{path}" for host, paths in paths_by_host.items() for path in paths]
    open_ports = {"allow_private": [f"127.0.4.0/24:{server.port}"]}
    rows = download(folder, urls, [], fetch={"max_in_flight": IN_FLIGHT}, network=open_ports, **more)  # type: ignore[arg-type]  # settings
    return {row["drop_reason"] for row in rows.values()}


def starts_by_host(server: Server) -> dict[str, list[float]]:
    starts = defaultdict(list)
    for request in sorted(server.log, key=lambda request: request.started):
        starts[request.headers["host"].partition(":")[0]].append(request.started)
    return starts


def answer(request: Request) -> None:
    request.answer(IMAGE)


class Census:
    """The most objects of each kind that were alive when the server was asked, which is in this process."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()
        self._turns = itertools.count()

    def _alive(self) -> Counter[str]:
        gc.collect()
        return Counter(name for found in gc.get_objects() if (name := type(found).__name__) in COUNTED)

    def counting(self, handler: Handler) -> Handler:
        def counted(request: Request) -> None:
            if next(self._turns) % 20 == 0:
                self.most |= self._alive()
            handler(request)

        return counted


@pytest.fixture
def census() -> Iterator[Census]:
    """Counts nothing that was there before, nor looks at it: what other tests left would make each look a long one."""
    gc.collect()
    gc.freeze()
    yield Census()
    gc.unfreeze()


def test_what_is_kept_of_hosts_does_not_grow_with_their_number(
    everywhere: Server, census: Census, tmp_path: Path
) -> None:
    everywhere.pages = {"/x": census.counting(answer), "/robots.txt": census.counting(not_found)}
    assert ask(tmp_path, everywhere, {host: ["/x"] for host in range(1, 121)}) == {None}
    assert len(starts_by_host(everywhere)) == 120
    assert PLACES / 2 <= census.most["_Host"] <= PLACES + 1
    assert census.most["Task"] <= 5 * PLACES
    assert census.most["BoundedConnection"] <= 6 * IN_FLIGHT


def test_hosts_that_take_turns_are_asked_no_sooner(everywhere: Server, tmp_path: Path) -> None:
    everywhere.pages = dict.fromkeys(["/1", "/2", "/3"], answer)
    hosts = {host: ["/1", "/2", "/3"] for host in range(1, 2 * PLACES)}
    assert ask(tmp_path, everywhere, hosts, delay_s=0.6) == {None}
    for starts in starts_by_host(everywhere).values():
        assert len(starts) == 6
        assert starts[-1] - starts[0] >= 5 * 0.6 - 0.4  # as a server sees it that may be late to look


def test_a_host_with_a_long_gap_holds_up_nobody(everywhere: Server, tmp_path: Path) -> None:
    slow = {f"127.0.4.{host}" for host in range(1, PLACES + 1)}

    def robots(request: Request) -> None:
        is_slow = request.headers["host"].partition(":")[0] in slow
        request.answer(b"user-agent: *\ncrawl-delay: 1.5\n" if is_slow else b"")

    everywhere.pages = {"/robots.txt": robots, "/1": answer, "/2": answer}
    hosts = {host: ["/1", "/2"] if host <= PLACES else ["/1"] for host in range(1, 4 * PLACES)}
    assert ask(tmp_path, everywhere, hosts) == {None}
    starts = starts_by_host(everywhere)
    assert all(len(starts[host]) == 5 for host in slow)
    last = {host: times[-1] for host, times in starts.items()}
    assert max(last[host] for host in last if host not in slow) < min(last[host] for host in slow)
