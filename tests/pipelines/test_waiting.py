"""Waiting tasks: longest lane first, one of a lane at a time, and nobody is overtaken for want of room."""

import math

import pytest

from pipelines.tasks import Task
from pipelines.waiting import Waiting


def task(index: int, lane: int | None = None, cpus: float = 1.0, remaining_s: float = 0.0) -> Task:
    return Task("fetch", index, f"{index:032x}", lane=lane, cpus=cpus, remaining_s=remaining_s)


def drained(waiting: Waiting) -> list[int]:
    """Indices in the order in which they are given, each ended before the next is asked for."""
    order = []
    while attempted := waiting.take(math.inf):
        order.append(attempted.task.index)
        waiting.ended(attempted.task)
    return order


@pytest.mark.parametrize(
    ("tasks", "order"),
    [
        ([], []),
        ([task(0), task(1), task(2)], [0, 1, 2]),
        ([task(0, 0), task(1, 1), task(2, 0)], [0, 1, 2]),
        ([task(0, 0, remaining_s=1), task(1, 1, remaining_s=9), task(2, 1, remaining_s=8)], [1, 2, 0]),
        ([task(0, 0, remaining_s=5), task(1, 1, remaining_s=5)], [0, 1]),
        # what is left of a lane counts, not what its parts take
        ([task(0, 0, remaining_s=4), task(1, 1, remaining_s=5), task(2, 1, remaining_s=3)], [1, 0, 2]),
    ],
)
def test_the_longest_lane_goes_first(tasks: list[Task], order: list[int]) -> None:
    assert drained(Waiting(tasks)) == order


def test_a_lane_gives_one_task_at_a_time() -> None:
    waiting = Waiting([task(0, 7), task(1, 7), task(2, None)])
    first = waiting.take(math.inf)
    assert first is not None
    assert [waiting.take(math.inf), waiting.take(math.inf)][1] is None
    assert waiting
    waiting.ended(first.task)
    second = waiting.take(math.inf)
    assert second is not None
    assert second.task.index == 1
    assert not waiting


@pytest.mark.parametrize(("room", "given"), [(0.0, None), (0.4, None), (0.5, 0), (0.4999999999, 0), (2.0, 0)])
def test_nothing_is_given_that_has_no_room(room: float, given: int | None) -> None:
    waiting = Waiting([task(0, cpus=0.5), task(1, cpus=0.1)])
    attempted = waiting.take(room)
    assert (attempted.task.index if attempted else None) == given


def test_what_is_tried_again_goes_before_its_lane_and_after_its_rest() -> None:
    now = [0.0]
    waiting = Waiting([task(0, 3, remaining_s=2), task(1, 3, remaining_s=1), task(2, 4)], clock=lambda: now[0])
    first = waiting.take(math.inf)
    assert first is not None
    first.tries += 1
    waiting.put_back(first, rest_s=5.0)
    other = waiting.take(math.inf)
    assert other is not None
    assert other.task.index == 2
    now[0] = 4.9
    assert waiting.take(math.inf) is None
    assert waiting
    now[0] = 5.0
    again = waiting.take(math.inf)
    assert again is first
    assert again.tries == 1
    assert waiting.take(math.inf) is None
    waiting.ended(again.task)
    assert drained(waiting) == [1]
