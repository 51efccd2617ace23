"""Gaps that follow a host's pace."""

import pytest

from crawler.crawl.throttle import next_delay_s


@pytest.mark.parametrize(
    ("delay_s", "latency_s", "concurrency", "is_good", "expected"),
    [
        (0.5, 0.1, 2, True, 0.5),  # the floor
        (0.5, 4.0, 2, True, 2.0),  # up at once
        (2.0, 0.0, 2, True, 1.0),  # down by halves
        (2.0, 0.0, 2, False, 2.0),  # a quick failure is no reason to hurry
        (2.0, 6.0, 1, False, 6.0),
        (2.0, 60.0, 1, True, 10.0),  # the ceiling
        (20.0, 0.0, 1, False, 10.0),
    ],
)
def test_the_gap_follows_the_time_that_a_host_takes(
    delay_s: float, latency_s: float, concurrency: int, is_good: bool, expected: float
) -> None:
    assert next_delay_s(delay_s, latency_s, concurrency, 0.5, 10.0, is_good) == expected


def test_a_floor_above_the_ceiling_is_kept() -> None:
    assert next_delay_s(30.0, 0.1, 1, 30.0, 10.0, True) == 30.0
