"""A site of photographs that come and go, and runs over it: what retries, reuse and re-checks are tried on."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from pipelines.checks import checked_plan
from pipelines.launch import RunResult, prepare, run_recipe
from pipelines.progress import Progress
from pipelines.runner import Runner
from pipelines.stages import STAGES
from pipelines.tasks import Context
from shards.lease import Lease
from shards.parts import StepFolder
from tests.crawler.conftest import Request, Server
from tests.pipelines.conftest import InlinePool, photograph, table_recipe, write_csv

NUM_PHOTOS = 4


class PhotoShop:
    """Serves `/0.png` to `/3.png`, with an ETag each; answers conditional requests with 304 where nothing changed."""

    def __init__(self) -> None:
        self.server = Server()
        self._photos = {number: photograph(number) for number in range(NUM_PHOTOS)}
        self._editions: dict[int, int] = {}
        self.put_back(*range(NUM_PHOTOS))

    def put_back(self, *numbers: int) -> None:
        for number in numbers:
            self.server.pages[f"/{number}.png"] = partial(self._answer, number)

    def take_away(self, *numbers: int) -> None:
        for number in numbers:
            del self.server.pages[f"/{number}.png"]

    def change(self, number: int) -> None:
        """Other pixels under the same URL, with another ETag."""
        self._editions[number] = self._editions.get(number, 0) + 1
        self._photos[number] = photograph(number + 100 * self._editions[number])

    def body(self, number: int) -> bytes:
        return self._photos[number]

    def _answer(self, number: int, request: Request) -> None:
        etag = f'"{number}-{self._editions.get(number, 0)}"'
        if request.headers.get("if-none-match") == etag:
            request.answer(b"", "304 Not Modified", {"ETag": etag})
        else:
            request.answer(self._photos[number], headers={"ETag": etag, "Content-Type": "image/png"})

    def url(self, number: int) -> str:
        return self.server.url(f"/{number}.png")

    def recipe(self, folder: Path, **sections: Any) -> dict[str, Any]:
        """Kept if it comes: nothing else drops a photograph."""
        rows = [(self.url(number), f"照片{number}") for number in range(NUM_PHOTOS)]
        given = {"network": {"allow_private": [self.server.address]}} | sections
        return table_recipe(write_csv(folder / "t.csv", rows), None, **given)

    def mark(self) -> int:
        """To tell later what was asked for since now."""
        return len(self.server.log)

    def asked(self, since: int) -> list[str]:
        """Photographs that were asked for since a mark, with repeats, by path."""
        return sorted(request.path for request in self.server.log[since:] if request.path.endswith(".png"))


@contextmanager
def open_shop() -> Iterator[PhotoShop]:
    shop = PhotoShop()
    try:
        yield shop
    finally:
        shop.server.close()


def run(mapping: dict[str, Any], out: Path, *retry: str, pool: InlinePool | None = None) -> RunResult:
    """`curate run`, with `--retry` where reasons are given."""
    used = pool or InlinePool()
    return run_recipe(mapping, "recipe test", str(out), lambda: used, Progress(io.StringIO(), live=False), retry)


def fetch(mapping: dict[str, Any], out: Path, *retry: str, pool: InlinePool | None = None) -> str:
    """As `run`, but only as far as fetch; returns what it said on its way."""
    told = io.StringIO()
    progress = Progress(told, live=False)
    plan = checked_plan(mapping, "recipe test")
    out.mkdir(exist_ok=True)
    with Lease.take(out) as lease:
        prepare(out, plan, progress, retry)
        upto = next(place for place, stage in enumerate(STAGES, 1) if stage.name == "fetch")
        Runner(Context(out, plan, lease.token), pool or InlinePool(), progress).run(STAGES[:upto])
    return told.getvalue()


def num_stored(folder: Path) -> dict[str | None, int]:
    """How many stored copies a run's fetch parts hold, by where they came from (None: downloaded)."""
    parts = StepFolder(folder, "fetch")
    paths = [str(parts.file(record, "rows")) for record in parts.records()]
    query = "SELECT reused_from, count(*) FROM read_parquet(?) WHERE tar_bytes IS NOT NULL GROUP BY ALL"
    return dict(duckdb.execute(query, [paths]).fetchall())
