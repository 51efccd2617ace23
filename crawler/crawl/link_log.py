"""The links that a part of a crawl found: in memory up to a bound, then on disk as a run of their own."""

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from crawler.crawl.disk_end import ending_with_the_disk
from crawler.frontier import LINKS
from crawler.urls import host_of
from shards.tables import TableWriter

MOST_IN_MEMORY = 200_000


class LinkLog:
    """Each URL once a run, with the least (depth, page) and all signs, so that the order of pages does not matter."""

    def __init__(self, path: Path, most_in_memory: int = MOST_IN_MEMORY) -> None:
        self._path = path
        self._writer = TableWriter(path, LINKS)
        self._most = most_in_memory
        self._links: dict[str, tuple[int, str, int]] = {}

    def add(self, url: str, depth: int, from_url: str, signs: int) -> None:
        """Takes a link; `from_url` is empty for a sitemap."""
        known = self._links.get(url)
        if known is None:
            self._links[url] = (depth, from_url, signs)
            if len(self._links) >= self._most:
                self._write_run()
        else:
            self._links[url] = (*min((depth, from_url), known[:2]), signs | known[2])

    def finish(self) -> int:
        """Writes what is left, and returns how many links there are in all runs."""
        self._write_run()
        self._writer.close()
        return self._writer.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def _write_run(self) -> None:
        rows = [
            {"url": url, "host": host_of(url), "depth": depth, "from_url": from_url or None, "signs": signs}
            for url, (depth, from_url, signs) in sorted(self._links.items())
        ]
        with ending_with_the_disk(self._path):
            self._writer.write(pa.Table.from_pylist(rows, schema=LINKS))
        self._links.clear()
