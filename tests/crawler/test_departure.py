"""When requests leave: the gap lies between the bytes of one and of the next, by the clock of the host's own kernel."""

import asyncio
import itertools
import socket
import struct
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from aiohttp.client_proto import ResponseHandler

from crawler.fetch import Fetcher
from crawler.outage import OutageWatch
from crawler.politeness import LEAD_S, Politeness
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, PerHost
from tests.crawler.test_fetch import AGENT, permit_all

SO_TIMESTAMPNS = 35
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
SETTINGS = FetchSettings(total_timeout_s=5, retries=0)


class StampingServer:
    """Answers on connections that are kept, and notes when the kernel received each request."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.arrivals: list[float] = []
        self.num_connections = 0
        self.hangs_up = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.num_connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            for number in itertools.count():
                data, extra, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(16))
                if not data:
                    return
                seconds, nanoseconds = struct.unpack("@ll", extra[0][2])
                self.arrivals.append(seconds + nanoseconds / 1e9)
                if self.hangs_up and number == 1:  # as a server does whose patience with an idle connection is over
                    return
                connection.sendall(ANSWER)

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(sorted(self.arrivals))]


@pytest.fixture
def stamping() -> Iterator[StampingServer]:
    if sys.platform != "linux":
        pytest.skip("the kernel's stamps are Linux's")
    server = StampingServer()
    yield server
    server.close()


async def ask(server: StampingServer, times: int, delay_s: float, concurrency: int = 1) -> None:
    crawler = CrawlerSettings(user_agent=AGENT, per_host=PerHost(delay_s=delay_s, concurrency=concurrency), lanes=1)
    politeness = Politeness(crawler, SETTINGS, {"127.0.0.1"})
    network = NetworkSettings(allow_private=[server.address])
    async with Fetcher(network, SETTINGS, AGENT, politeness, OutageWatch()) as fetcher:
        url = f"http://{server.address}/"
        answers = await asyncio.gather(*(fetcher.get(url, permit_all) for _ in range(times)))
        assert [answer.body for answer in answers] == [b"x"] * times


def run_on_uvloop(work: Coroutine[object, object, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def test_a_request_that_is_written_late_brings_the_next_one_no_nearer(
    stamping: StampingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a process may be held up at any line: here, each second time, before the bytes are written."""
    held_up = itertools.cycle([0.03, 0.0])
    prepare = ResponseHandler.set_response_params

    def late(self: ResponseHandler, **params: Any) -> None:
        time.sleep(next(held_up))
        prepare(self, **params)

    monkeypatch.setattr(ResponseHandler, "set_response_params", late)
    run_on_uvloop(ask(stamping, 8, delay_s=0.08))
    assert len(stamping.arrivals) == 8
    assert min(stamping.gaps()) >= 0.08


def test_a_request_is_ready_before_its_moment_and_leaves_at_it(stamping: StampingServer) -> None:
    run_on_uvloop(ask(stamping, 8, delay_s=0.1, concurrency=2))
    assert min(stamping.gaps()) >= 0.1
    assert stamping.num_connections == 1


def test_a_request_that_is_sent_again_counts_from_its_second_sending(stamping: StampingServer) -> None:
    """aiohttp sends a GET again at once where the connection that it was sent on turns out to be closed."""
    stamping.hangs_up = True
    run_on_uvloop(ask(stamping, 4, delay_s=0.1))
    first, refused, again, *rest = stamping.arrivals
    assert refused - first >= 0.1
    assert again - refused < 0.1
    assert rest[0] - again >= 0.1


def test_a_turn_comes_a_little_before_its_moment_to_those_who_then_wait_for_it() -> None:
    settings = CrawlerSettings(user_agent=AGENT, per_host=PerHost(delay_s=0.1))
    politeness = Politeness(settings, SETTINGS, {"a.cn"})

    async def run() -> list[tuple[float, float]]:
        moments = []
        for _ in range(3):
            async with politeness.turn("a.cn", LEAD_S) as turn:
                ready = time.monotonic()
                await turn.due()
                moments.append((ready, time.monotonic()))
                turn.sent()
        return moments

    moments = asyncio.run(run())
    assert all(later[1] - earlier[1] >= 0.1 for earlier, later in itertools.pairwise(moments))
    assert all(later[0] - earlier[1] >= 0.1 - 2 * LEAD_S for earlier, later in itertools.pairwise(moments))


def test_a_turn_without_a_request_counts_as_one() -> None:
    """Nobody knows how far it came: a connection may have been made, or a request have been under way."""
    settings = CrawlerSettings(user_agent=AGENT, per_host=PerHost(delay_s=0.1))
    politeness = Politeness(settings, SETTINGS, {"a.cn"})

    async def run() -> float:
        async with politeness.turn("a.cn"):
            pass
        left = time.monotonic()
        async with politeness.turn("a.cn"):
            return time.monotonic() - left

    assert asyncio.run(run()) >= 0.099
