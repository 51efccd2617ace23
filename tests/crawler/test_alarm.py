"""The alarm: sleepers wake on time and in order, whoever else is cancelled, and where the system has no such timer."""

import asyncio
import sys
import time

import pytest

from crawler.alarm import Alarm


async def _woken(alarm: Alarm, seconds: float, into: list[tuple[float, float]]) -> None:
    due = time.monotonic() + seconds
    await alarm.sleep(seconds)
    into.append((seconds, time.monotonic() - due))


async def _woken_all(*naps: float) -> list[tuple[float, float]]:
    woken: list[tuple[float, float]] = []
    with Alarm() as alarm:
        await asyncio.gather(*(_woken(alarm, seconds, woken) for seconds in naps))
    return woken


@pytest.mark.parametrize("platform", [sys.platform, "elsewhere"])
def test_sleepers_wake_in_their_order_and_never_early(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    woken = asyncio.run(_woken_all(0.05, 0.01, 0.03, 0.0, -1.0))
    assert [seconds for seconds, _ in woken[-3:]] == [0.01, 0.03, 0.05]
    early = 0.0 if platform == "linux" else 0.002  # a loop's timers may be that early
    assert min(late for _, late in woken) >= -early


def test_a_sleeper_that_is_cancelled_wakes_nobody_and_holds_up_nobody() -> None:
    async def run() -> list[tuple[float, float]]:
        woken: list[tuple[float, float]] = []
        with Alarm() as alarm:
            first = asyncio.create_task(_woken(alarm, 0.01, woken))
            second = asyncio.create_task(_woken(alarm, 0.02, woken))
            await asyncio.sleep(0)
            first.cancel()
            await second
            await _woken(alarm, 0.001, woken)
        return woken

    assert [seconds for seconds, _ in asyncio.run(run())] == [0.02, 0.001]
