"""Which hosts of a part are at work: the largest first, a bounded number, and nothing of a host after its samples."""

import pytest

from crawler import host_window
from crawler.host_window import HOSTS_PER_REQUEST, MIN_HOSTS_AT_WORK, HostWindow, HostWork


def lined_up(counts: dict[str, int], max_in_flight: int = 1, concurrency: int = 2) -> HostWindow:
    """A window over hosts with so many samples each."""
    window = HostWindow(max_in_flight)
    samples: list[dict[str, object]] = [
        {"host": host, "canonical_url": f"http://{host}/{number}"}
        for host, count in counts.items()
        for number in range(count)
    ]
    window.line_up(samples, lambda host: concurrency)
    return window


def opened(window: HostWindow, num_resting: int = 0) -> list[HostWork]:
    """The hosts that begin now, each with its first worker."""
    works = []
    while (work := window.next_host(num_resting)) is not None:
        window.enter(work)
        works.append(work)
    return works


def finish(window: HostWindow, work: HostWork) -> bool:
    work.queue.clear()
    return window.leave(work)


def test_the_host_with_most_samples_begins_and_its_samples_keep_their_order() -> None:
    first, second, third = opened(lined_up({"a.cn": 1, "b.cn": 3, "c.cn": 1}))
    assert (first.host, second.host, third.host) == ("b.cn", "a.cn", "c.cn")
    assert [first.queue.pop()["canonical_url"] for _ in range(3)] == [f"http://b.cn/{number}" for number in range(3)]


@pytest.mark.parametrize(
    ("max_in_flight", "expected"),
    [
        (1, MIN_HOSTS_AT_WORK),
        (MIN_HOSTS_AT_WORK // HOSTS_PER_REQUEST, MIN_HOSTS_AT_WORK),
        (MIN_HOSTS_AT_WORK, HOSTS_PER_REQUEST * MIN_HOSTS_AT_WORK),
    ],
)
def test_hosts_at_work_are_as_many_as_requests_in_flight_need(max_in_flight: int, expected: int) -> None:
    window = lined_up({f"{number}.cn": 1 for number in range(2000)}, max_in_flight)
    begun = opened(window)
    assert len(begun) == expected
    assert window.has_more
    assert finish(window, begun[0])
    assert len(opened(window)) == 1


def test_hosts_that_rest_keep_nobody_from_work_but_for_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_window, "MAX_RESTING_HOSTS", 20)
    window = lined_up({f"{number}.cn": 1 for number in range(2000)})
    assert len(opened(window)) == MIN_HOSTS_AT_WORK
    assert len(opened(window, num_resting=15)) == 15
    assert len(opened(window, num_resting=300)) == 5


def test_further_workers_of_hosts_are_bounded_by_host_and_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_window, "MIN_HOSTS_AT_WORK", 8)
    window = lined_up({"a.cn": 20, "b.cn": 20, "c.cn": 2}, concurrency=6)
    many, more, few = opened(window)
    assert [window.num_wanted(work) for work in (many, more, few)] == [5, 5, 2]
    for _ in range(5):
        window.enter(many)
    assert [window.num_wanted(work) for work in (many, more, few)] == [0, 3, 2]
    few.queue.clear()
    assert window.num_wanted(few) == 0


def test_nothing_of_a_host_is_kept_after_its_last_sample() -> None:
    window = lined_up({"a.cn": 2, "b.cn": 1})
    first, second = opened(window)
    window.enter(first)
    sample = first.queue.pop()
    first.queue.clear()
    assert not window.leave(first)  # another worker is still at it
    assert window.leave(first)
    assert window.waiting() == {"b.cn": 1}
    assert list(window.last_urls()) == ["http://b.cn/0"]
    assert finish(window, second)
    assert window.waiting() == {}
    window.ask_again(first, sample)
    window.ask_again(first, sample)
    assert window.waiting() == {"a.cn": 2}
    assert [work.host for work in opened(window)] == ["a.cn"]


def test_a_closed_window_lets_nobody_begin() -> None:
    window = lined_up({"a.cn": 1})
    window.close()
    assert opened(window) == []
    assert window.waiting() == {"a.cn": 1}
