"""A pool of threads: what the runner asks of any pool, without a process more."""

import threading

import pytest

from pipelines.threads import ThreadPool
from pipelines.workers import TaskFailedError
from shards.errors import BadInputError


def refuse() -> None:
    raise BadInputError("no such thing")


def test_what_a_task_returns_or_raises_comes_back() -> None:
    pool = ThreadPool(workers=1)
    assert pool.result(pool.start(sum, [1, 2])) == 3
    with pytest.raises(BadInputError, match="no such thing"):
        pool.result(pool.start(refuse))
    with pytest.raises(TaskFailedError, match=r"^ZeroDivisionError: ") as failure:
        pool.result(pool.start(divmod, 1, 0))
    assert "threads.py" not in failure.value.story.splitlines()[-1]
    assert failure.value.story.startswith("Traceback")
    pool.close()


def test_tasks_run_side_by_side_and_only_those_that_ended_are_told() -> None:
    pool, both, go_on = ThreadPool(workers=2), threading.Barrier(3, timeout=60), threading.Event()

    def meet() -> None:
        both.wait()
        go_on.wait(60)

    handles = [pool.start(meet) for _ in range(pool.slots)]
    both.wait()
    assert pool.wait(handles, timeout_s=0) == []
    go_on.set()
    ended: set[object] = set()
    while len(ended) < 2:
        ended.update(pool.wait([handle for handle in handles if handle not in ended], timeout_s=60))
    assert ended == set(handles)
    pool.close()


def test_a_closed_pool_begins_nothing_that_waits() -> None:
    pool, has_begun, go_on, begun = ThreadPool(workers=1), threading.Event(), threading.Event(), list[int]()

    def run() -> None:
        has_begun.set()
        go_on.wait(60)

    running = pool.start(run)
    pool.start(begun.append, 1)
    has_begun.wait(60)
    pool.close()
    go_on.set()
    pool.result(running)
    pool.join()
    assert not begun
