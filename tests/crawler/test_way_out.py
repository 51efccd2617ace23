"""What a request may wake earlier by: most of the least time that requests took on their way out."""

import asyncio
import itertools

import pytest

from crawler.politeness import Politeness
from crawler.settings import CrawlerSettings, FetchSettings, PerHost
from crawler.way_out import WayOut

_DELAY_S, _WAY_S = 0.1, 0.0005


def way_after(*seconds: float) -> float:
    way = WayOut()
    for one in seconds:
        way.note(one)
    return way.head_start_s


def test_the_least_of_many_counts_and_never_all_of_it() -> None:
    assert way_after() == 0.0
    assert way_after(*[0.0003] * 31) == 0.0, "too few to know"
    known = way_after(*[0.002, 0.0003] * 20)
    assert 0.0 < known < 0.0003
    assert way_after(*[0.0003] * 40, *[0.0006] * 10) < 0.0003, "a slower way is believed slowly"
    assert way_after(*[0.0003] * 40, *[0.0006] * 2000) == pytest.approx(0.6 * 0.0006)
    assert way_after(*[0.0003] * 40, 0.0001) == pytest.approx(0.6 * 0.0001), "a quicker one at once"
    assert way_after(*[0.1] * 40) == 0.001
    assert way_after(*[-1.0] * 40) == 0.0


def test_requests_go_out_when_their_gap_is_over_and_none_before() -> None:
    """By a clock of its own: each takes so long from its waking until its bytes are with the kernel."""
    now = 0.0
    left: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    crawler = CrawlerSettings(per_host=PerHost(delay_s=_DELAY_S))
    politeness = Politeness(crawler, FetchSettings(), {"a.cn"}, clock=lambda: now, sleep=sleep)

    async def run() -> None:
        nonlocal now
        for _ in range(60):
            async with politeness.turn("a.cn", 0.005) as turn:
                await turn.due()
                now += _WAY_S
                left.append(now)
                turn.sent()

    asyncio.run(run())
    gaps = [later - earlier for earlier, later in itertools.pairwise(left)]
    assert min(gaps) >= _DELAY_S
    assert gaps[0] == pytest.approx(_DELAY_S + _WAY_S)
    assert gaps[-1] == pytest.approx(_DELAY_S + 0.4 * _WAY_S)
