"""Crawl: frontier rounds, each host in exactly one part a round, pages into WARC."""

import time
from collections.abc import Iterator
from pathlib import Path

from crawler.part_of_source import PART_KEYS
from crawler.sources import CrawlSource
from crawler.spider import CrawlJob, crawl_part
from pipelines.flow.frontier import NUM_LINKS, Known, planned_round
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Task
from shards.parts import fingerprint

_VERSION = 3
_LONGEST_PART_S = 86_400.0


def steps(flow: Flow) -> Iterator[Batch]:
    """Per round: its frontier from all that is known so far, then one part per lane that has hosts."""
    source = flow.recipe.source
    if not isinstance(source, CrawlSource):
        return
    deciding = source.model_dump(exclude={"rounds", *PART_KEYS}) | {"max_pages": source.most_pages}
    settings = [_VERSION, deciding, flow.recipe.crawler.lanes]
    known = Known()
    latest: dict[int, PartRef] = {}
    for number in range(source.rounds):
        planned = yield from planned_round(flow, number, known, settings)
        known = planned.known
        if not planned.lanes:
            return
        first_index = len(flow.tasks("crawl"))
        yield Batch(
            "crawl",
            tuple(
                Task(
                    "crawl",
                    first_index + place,
                    fingerprint("crawl", settings, planned.mark, lane),
                    {"frontier": refs, "lane": lane, "round": number, "before": latest.get(lane)},
                    num_rows=num_rows,
                    lane=lane,
                )
                for place, (lane, (refs, num_rows)) in enumerate(planned.lanes.items())
            ),
        )
        latest |= {task.inputs["lane"]: task.ref for task in flow.tasks("crawl")[first_index:]}


def crawl(job: Job) -> Outcome:
    """Fetch one lane's pages. The WARC of a killed attempt lies under a name of its own and is taken up again."""
    partial = job.attempt.folder / f".part-{job.task.index:06d}-{job.task.fingerprint[:8]}.warc.gz"
    counts = crawl_part(
        CrawlJob(
            frontier_paths=tuple(job.paths("frontier")),
            lane=job.task.inputs["lane"],
            round=job.task.inputs["round"],
            warc_path=partial,
            pages_path=job.attempt.path("pages", "parquet"),
            links_path=job.attempt.path("links", "links.parquet"),
            robots_path=job.attempt.path("robots", "robots.jsonl"),
            robots_before=_robots_before(job),
            resume_from=partial if partial.exists() else None,
            source=_source(job),
            crawler=job.recipe.crawler,
            network=job.recipe.network,
            fetch=job.recipe.fetch,
            max_seconds=_seconds_left(job),
        )
    )
    partial.rename(job.attempt.path("warc", "warc.gz"))
    by_reason = {**counts.reasons, "standing": counts.pages - sum(counts.reasons.values())}
    facts = {NUM_LINKS: counts.links, "requests": counts.requests, "reused": counts.reused}
    return Outcome(counts.pages, by_reason, facts)


def _robots_before(job: Job) -> Path | None:
    """What the lane's last part was told by its hosts' robots.txt. A lane has the same hosts in every round."""
    before: PartRef | None = job.task.inputs["before"]
    if before is None or not any(file.role == "robots" for file in job.context.record(before).files):
        return None
    return job.path("before", "robots")


def _seconds_left(job: Job) -> float:
    """Until `crawler.deadline_h`: what is left then is `not_attempted`."""
    ends = job.context.fetch_ends
    return _LONGEST_PART_S if ends is None else max(1.0, ends - time.time())


def _source(job: Job) -> CrawlSource:
    source = job.recipe.source
    if not isinstance(source, CrawlSource):
        raise ValueError("only a crawl source has crawl parts")
    return source
