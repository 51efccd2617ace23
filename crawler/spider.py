"""One part of a crawl round: its pages fetched by Scrapy in a child process, into a WARC and two tables."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from pydantic import Field

from crawler.child_process import start_python_child
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from crawler.sources import CrawlSource
from shards.errors import TryAgainError
from shards.settings import Section

DISK_EXIT, OUTAGE_EXIT = 74, 75
_GRACE_S = 120.0
_LAST_BYTES = 2000


class CrawlJob(Section):
    """What one part is to fetch, where it puts what it got, and the settings that it obeys."""

    frontier_paths: tuple[Path, ...]
    lane: int | None = None  # the rows of the frontier that are this part's; null: all
    round: int = 0
    warc_path: Path
    pages_path: Path
    links_path: Path
    robots_path: Path | None = None  # where what hosts' robots.txt said is left for the next round; null: nowhere
    robots_before: Path | None = None  # what an earlier round of the lane left there
    resume_from: Path | None = None  # the WARC that a killed attempt at this part left behind; may be warc_path
    source: CrawlSource
    crawler: CrawlerSettings
    network: NetworkSettings = NetworkSettings()
    fetch: FetchSettings = FetchSettings()
    max_seconds: float = Field(default=86_400.0, gt=0)


@dataclass(frozen=True)
class CrawlCounts:
    """What a part did. `reused` answers came from an earlier attempt's WARC; `reasons` counts the pages that
    have a drop reason."""

    pages: int
    links: int
    requests: int
    reused: int
    reasons: dict[str, int]


def crawl_part(job: CrawlJob) -> CrawlCounts:
    """Fetches every URL of the part once, without following links; each gets one row in the pages table.

    Blocks until it is done; call it from a thread that outlives the crawl. Raises TryAgainError where the whole
    network is gone, OSError where Scrapy's process cannot write, and RuntimeError where it fails otherwise (its error
    output says why).
    """
    if job.crawler.user_agent is None:
        raise ValueError("a crawl needs crawler.user_agent")
    with TemporaryFile() as complaints:
        child = start_python_child(
            "crawler.crawl.child", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
        )
        try:
            # Through a pipe: a command line holds no more than 128 KiB, and a recipe may name many seeds.
            limit_s = job.max_seconds + job.fetch.total_timeout_s + _GRACE_S
            answer, _ = child.communicate(job.model_dump_json().encode(), timeout=limit_s)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if child.returncode == OUTAGE_EXIT:
            raise TryAgainError("the network is gone: nearly no host can be reached; run again when it is back")
        if child.returncode == DISK_EXIT:
            told = json.loads(answer)
            raise OSError(told["errno"], os.strerror(told["errno"]), told["file"])
        if child.returncode != 0:
            raise RuntimeError(
                f"the crawl of lane {job.lane} ended with exit code {child.returncode}: {_last_words(complaints)}"
            )
    counts: dict[str, Any] = json.loads(answer)
    return CrawlCounts(**counts)


def _last_words(complaints: IO[bytes]) -> str:
    """The end of what the child wrote to its error output."""
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - _LAST_BYTES))
    return complaints.read(_LAST_BYTES).decode("utf-8", "replace").strip() or "it said nothing"
