"""Handlers that give ranges of a file, and take away what a real server may take away."""

import re
from collections.abc import Callable

from crawler.remote.range_client import RangeClient
from crawler.remote.reach import Reach
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, PerHost
from tests.crawler.conftest import Handler, Request, Server

AGENT = "testbot/1.0 (+https://example.org/bot)"


def ranged(
    data: bytes, *, breaks_after: Callable[[int], int | None] = lambda attempt: None, mark: str = '"1"'
) -> Handler:
    """Answers with what `Range` asks for. Of its nth answer only `breaks_after(n)` bytes are sent, if not None."""

    def answer(request: Request) -> None:
        told = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        assert told is not None, "asked without a range"
        start, stop = int(told[1]), min(len(data), int(told[2]) + 1 if told[2] else len(data))
        if start >= len(data):
            request.answer(b"", "416 Range Not Satisfiable", {"Content-Range": f"bytes */{len(data)}"})
            return
        head = (
            f"HTTP/1.1 206 Partial Content\r\nContent-Length: {stop - start}\r\nETag: {mark}\r\n"
            f"Content-Range: bytes {start}-{stop - 1}/{len(data)}\r\nConnection: close\r\n\r\n"
        )
        cut = breaks_after(request.attempt)
        request.send(head.encode() + data[start : stop if cut is None else min(stop, start + cut)])

    return answer


def reach_to(*servers: Server, **fetch: float) -> Reach:
    """A reach to loopback servers, without any patience but for what is given."""
    given: dict[str, float | int] = {"backoff_s": 0.0, "outage_patience_s": 0.0, "total_timeout_s": 5.0, **fetch}
    return Reach(
        NetworkSettings(allow_private=[server.address for server in servers]),
        CrawlerSettings(user_agent=AGENT, per_host=PerHost(delay_s=0.0)),
        FetchSettings.model_validate(given),
    )


def client_of(*servers: Server, **fetch: float) -> RangeClient:
    return RangeClient(reach_to(*servers, **fetch))
