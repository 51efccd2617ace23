"""The crawl of a recipe without the stages after it, in a process that may be killed: `python -m … RECIPE.json RUN`."""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from pipelines.checks import checked_plan
from pipelines.progress import Progress
from pipelines.runner import Runner
from pipelines.stages import STAGES
from pipelines.tasks import Context
from shards.lease import Lease

SLOTS = 2


class ThreadPool:
    """Threads of this process; a crawled part has a process of its own in any case."""

    slots = SLOTS

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(SLOTS)

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        return self._threads.submit(function, *arguments)

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        futures: list[Future[Any]] = [handle for handle in handles if isinstance(handle, Future)]
        return list(wait(futures, timeout_s, FIRST_COMPLETED).done)

    def result(self, handle: object) -> Any:
        assert isinstance(handle, Future)
        return handle.result()

    def close(self) -> None:
        self._threads.shutdown()


def crawl_alone(recipe: Path, run: Path) -> None:
    """Crawls, or goes on where a killed process stopped."""
    plan = checked_plan(json.loads(recipe.read_bytes()), str(recipe))
    run.mkdir(exist_ok=True)
    with Lease.take(run) as lease:
        Runner(Context(run, plan, lease.token), ThreadPool(), Progress(live=False)).run(STAGES[:1])


if __name__ == "__main__":
    crawl_alone(Path(sys.argv[1]), Path(sys.argv[2]))
