"""Runs whose output lies on an object store: what tests of them share."""

import hashlib
import io
import multiprocessing
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from pipelines.known_parts import KNOWN_FOLDER
from pipelines.launch import RunResult, run_recipe
from pipelines.progress import Progress
from shards.stores.object_store import ObjectStore
from tests.object_server import Bucket
from tests.pipelines.conftest import InlinePool

RUN = "runs/run"
When = Literal["before", "after"]
_ATTEMPT = re.compile(r"(part-\d+)\.[0-9a-f]{8}\.")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.pipelines.conftest", "pipelines.stages", "pipelines.flow.fetch"])


def run_on_store(mapping: dict[str, Any], bucket: Bucket, pool: InlinePool | None = None, key: str = RUN) -> RunResult:
    """`curate run --out s3://…` in this process, silently."""
    used = pool or InlinePool()
    return run_recipe(mapping, "recipe test", bucket.url(key), lambda: used, Progress(io.StringIO(), live=False))


def stored(bucket: Bucket, below: str = f"{RUN}/") -> dict[str, str]:
    """sha256 of every object below a prefix, by its place there; attempts have no names of their own."""
    store = ObjectStore(bucket.name)
    return {
        _plain(key.removeprefix(below)): hashlib.sha256(store.read(key).data).hexdigest()
        for key, _ in store.list(below)
    }


def kept_in(folder: Path) -> dict[str, str]:
    """The same of a local folder, but for what its driver knew of parts, which a run on a store does not keep."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent != folder / KNOWN_FOLDER)
    return {_plain(str(path.relative_to(folder))): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _plain(name: str) -> str:
    return _ATTEMPT.sub(r"\1.ATTEMPT.", name)


@dataclass(frozen=True)
class Death:
    """Where a process dies: at its `number`-th request to the store from 0, before it is sent or after its effect."""

    number: int
    when: When


def run_until_death(mapping: dict[str, Any], bucket: Bucket, scratch: Path, death: Death) -> bool:
    """One run in a process of its own, with a scratch folder of its own. Returns whether it came to its end."""
    process = _context.Process(
        target=_run, args=(mapping, bucket, os.environ | {"CURATE_SCRATCH": str(scratch)}, death)
    )
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"the run ended with {process.exitcode}"
    return process.exitcode == 0


def _run(mapping: dict[str, Any], bucket: Bucket, environment: dict[str, str], death: Death) -> None:
    os.environ.update(environment)
    ask, count = ObjectStore._ask, iter(range(1_000_000))

    def asked(self: ObjectStore, request: Any, what: str) -> Any:
        is_last = next(count) == death.number
        if is_last and death.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return ask(self, request, what)
        finally:  # an answer may be an error, too
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)

    with patch.object(ObjectStore, "_ask", asked):
        run_on_store(mapping, bucket)
