"""Turns at hosts: requests in flight, gaps between starts, hosts that are left alone, and a dead network."""

import asyncio
import itertools
import time

import pytest

from crawler import politeness as politeness_module
from crawler.blocklist import Blocklist
from crawler.outage import MIN_HOSTS, WINDOW_S, OutageWatch
from crawler.politeness import Politeness
from crawler.settings import CrawlerSettings, FetchSettings, HostOverride, PerHost
from shards.errors import UsageError


def starts_of(politeness: Politeness, hosts: list[str], seconds: float = 0.0) -> dict[str, list[float]]:
    """When each of these requests started, all asked for at once."""
    starts: dict[str, list[float]] = {}

    async def one(host: str) -> None:
        async with politeness.turn(host):
            starts.setdefault(host, []).append(time.monotonic())
            await asyncio.sleep(seconds)

    async def run() -> None:
        await asyncio.gather(*(one(host) for host in hosts))

    asyncio.run(run())
    return starts


def made(concurrency: int = 2, delay_s: float = 0.0, **more: object) -> CrawlerSettings:
    return CrawlerSettings.model_validate({"per_host": PerHost(concurrency=concurrency, delay_s=delay_s), **more})


def polite(crawler: CrawlerSettings, *hosts: str, **fetch: object) -> Politeness:
    return Politeness(crawler, FetchSettings.model_validate(fetch), frozenset(hosts))


def gaps(starts: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(starts)]


def test_gap_is_kept_between_starts_and_hosts_do_not_wait_for_each_other() -> None:
    started = time.monotonic()
    starts = starts_of(polite(made(delay_s=0.1), "a.cn", "b.cn"), ["a.cn"] * 4 + ["b.cn"])
    assert min(gaps(starts["a.cn"])) >= 0.1
    assert starts["a.cn"][0] - started >= 0.1  # the part before may have ended with a request to it
    assert starts["b.cn"][0] < starts["a.cn"][-1]


def test_requests_in_flight_are_bounded_by_host() -> None:
    starts = starts_of(polite(made(concurrency=2), "a.cn"), ["a.cn"] * 6, seconds=0.1)["a.cn"]
    assert starts[2] - starts[0] >= 0.1
    assert starts[4] - starts[0] >= 0.2


def test_a_redirect_to_another_lane_s_host_gets_its_share_of_the_rate() -> None:
    starts = starts_of(polite(made(delay_s=0.02, lanes=5)), ["other.cn"] * 3)["other.cn"]
    assert min(gaps(starts)) >= 0.1


def test_crawl_delay_counts_up_to_its_cap_and_only_if_longer() -> None:
    crawler = made(delay_s=0.1, max_crawl_delay_s=0.2)
    for wanted, expected in ((0.01, 0.1), (0.15, 0.15), (100.0, 0.2)):
        politeness = polite(crawler, "a.cn")
        politeness.obey_crawl_delay("a.cn", wanted)
        found = gaps(starts_of(politeness, ["a.cn"] * 3)["a.cn"])
        assert expected <= min(found) < 5


def test_a_host_that_asked_for_patience_is_not_asked_meanwhile() -> None:
    politeness = polite(made(), "a.cn")
    politeness.slow_down("a.cn", 0.2)
    started = time.monotonic()
    assert starts_of(politeness, ["a.cn"])["a.cn"][0] - started >= 0.19


def test_nobody_starts_while_bodies_wait_however_many_hosts_wait_for_a_place() -> None:
    politeness = polite(made(), max_in_flight=1)
    started: list[str] = []

    async def one(host: str) -> None:
        async with politeness.turn(host):
            started.append(host)
            await asyncio.sleep(0.05)
            politeness.has_room.clear()

    async def run() -> None:
        tasks = [asyncio.create_task(one(f"{number}.cn")) for number in range(20)]
        for expected in (1, 2, 3):
            await asyncio.sleep(0.2)
            assert len(started) == expected
            politeness.has_room.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with politeness.turn("next.cn"):  # those who gave up gave their place back
            pass

    asyncio.run(run())


def test_a_host_s_state_goes_when_nobody_wants_it_and_its_gaps_stay() -> None:
    politeness = polite(made(delay_s=0.05), "a.cn", "b.cn")
    politeness.obey_crawl_delay("a.cn", 0.3)
    starts: list[float] = []

    async def run() -> None:
        for _ in range(3):
            async with politeness.turn("a.cn"):
                starts.append(time.monotonic())
                politeness.let_go("a.cn")
                assert num_hosts(politeness) == 1  # somebody is at it
            politeness.let_go("a.cn")
            assert num_hosts(politeness) == 0

    asyncio.run(run())
    assert min(gaps(starts)) >= 0.29


def num_hosts(politeness: Politeness) -> int:
    return len(politeness._hosts)


def test_hosts_at_hand_are_bounded_but_for_those_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(politeness_module, "MAX_HOSTS", 10)
    politeness = polite(made(), give_up_after=3)
    politeness.note_failure("failed.cn", "connect_error", "refused")
    politeness.give_up("never.cn", "http_status", "429")
    for number in range(100):
        starts_of(politeness, [f"{number}.cn"])
        assert num_hosts(politeness) <= 10
    for _ in range(2):
        politeness.note_failure("failed.cn", "connect_error", "refused")
    assert politeness.given_up("failed.cn") is not None
    assert politeness.given_up("never.cn") == ("http_status", "429")


def test_a_host_with_a_long_gap_rests_and_says_so() -> None:
    politeness = polite(made(delay_s=60.0), "a.cn")
    told: list[int] = []
    politeness.on_rest = lambda: told.append(politeness.num_resting)

    async def run() -> None:
        tasks = [asyncio.create_task(wait_for_turn()) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert politeness.num_resting == 1  # the host, however many wait for it
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_for_turn() -> None:
        async with politeness.turn("a.cn"):
            pass

    asyncio.run(run())
    assert (told[0], politeness.num_resting) == (1, 0)


def test_patterns_change_the_limits() -> None:
    politeness = polite(made(hosts={"*.slow.cn": HostOverride(delay_s=0.15)}), "x.slow.cn", "y.cn")
    starts = starts_of(politeness, ["x.slow.cn", "x.slow.cn", "y.cn", "y.cn"])
    assert gaps(starts["x.slow.cn"])[0] >= 0.15
    assert gaps(starts["y.cn"])[0] < gaps(starts["x.slow.cn"])[0]


def test_a_dead_host_is_left_alone_and_an_answer_clears_it() -> None:
    politeness = polite(made(), "a.cn", give_up_after=3)
    for _ in range(2):
        politeness.note_failure("a.cn", "connect_error", "refused")
    politeness.note_answer("a.cn")
    for _ in range(2):
        politeness.note_failure("a.cn", "connect_error", "refused")
    assert politeness.given_up("a.cn") is None
    politeness.note_failure("a.cn", "connect_error", "refused")
    assert politeness.given_up("a.cn") == ("connect_error", "host left alone after 3 failures: refused")
    assert politeness.given_up("never-seen.cn") is None


@pytest.mark.parametrize(
    ("num_hosts", "failing", "working", "is_out"),
    [
        (MIN_HOSTS, 24, 0, True),
        (MIN_HOSTS - 1, 24, 0, False),  # perhaps just dead hosts
        (MIN_HOSTS, 19, 0, False),
        (MIN_HOSTS, 90, 10, False),
        (MIN_HOSTS, 91, 9, True),
    ],
)
def test_an_outage_is_told_from_dead_hosts(num_hosts: int, failing: int, working: int, is_out: bool) -> None:
    watch = OutageWatch()
    for number in range(failing):
        watch.note(f"host-{number % num_hosts}.cn", connected=False)
    for _ in range(working):
        watch.note("fine.cn", connected=True)
    assert watch.is_out() is is_out


def test_old_failures_are_forgotten() -> None:
    now = [0.0]
    watch = OutageWatch(clock=lambda: now[0])
    for number in range(50):
        watch.note(f"host-{number}.cn", connected=False)
    assert watch.is_out()
    now[0] = WINDOW_S + 1
    watch.note("fine.cn", connected=True)
    assert not watch.is_out()


def test_a_blocked_host_covers_those_below_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lists") / "hosts.txt"
    path.write_text("# ours\nBad.cn\n\n*.worse.cn  # too\n中文.cn\n[::1]\n", "utf-8")
    blocklist = Blocklist.read([str(path)])
    for host in ("bad.cn", "img.bad.cn", "worse.cn", "a.worse.cn", "xn--fiq228c.cn", "[::1]"):
        assert host in blocklist
    for host in ("notbad.cn", "cn", "bad.cn.example.org"):
        assert host not in blocklist
    assert "bad.cn" not in Blocklist()


@pytest.mark.parametrize("content", [b"http://bad.cn/", b"bad host", b"\xff\xfe"])
def test_a_blocklist_that_is_none_is_a_usage_error(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lists") / "hosts.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="blocklist"):
        Blocklist.read([str(path)])
    with pytest.raises(UsageError, match="cannot read"):
        Blocklist.read([str(path) + ".missing"])
