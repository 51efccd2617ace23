"""Crawl: frontier rounds, each host in exactly one part a round, pages into WARC."""

import time
from collections.abc import Iterator

from crawler.frontier import Limits, first_round, next_round
from crawler.sources import CrawlSource
from crawler.spider import CrawlJob, crawl_part
from pipelines.flow.taken_down import drop_taken_down
from pipelines.tasks import Batch, Flow, Job, Outcome, Task
from shards.parts import fingerprint
from shards.tables import read_rows, write_table

_VERSION = 1
_LONGEST_PART_S = 86_400.0


def steps(flow: Flow) -> Iterator[Batch]:
    """Per round: one frontier from all pages and links so far, then one part per lane that has hosts."""
    source = flow.recipe.source
    if not isinstance(source, CrawlSource):
        return
    settings = [_VERSION, source.model_dump(exclude={"rounds"}), flow.recipe.crawler.lanes]
    first_index = 0
    for number in range(source.rounds):
        mark = fingerprint("frontier", settings, number, flow.chain("crawl"))
        frontier = Task("frontier", number, mark, {"crawled": flow.refs("crawl"), "round": number})
        yield Batch("frontier", (frontier,))
        lanes = flow.context.record(frontier.ref).meta["lanes"]
        if not lanes:
            return
        tasks = tuple(
            Task(
                "crawl",
                first_index + place,
                fingerprint("crawl", settings, mark, lane),
                {"frontier": frontier.ref, "lane": lane, "round": number},
                num_rows=num_rows,
                lane=lane,
            )
            for place, (lane, num_rows) in enumerate(lanes)
        )
        first_index += len(tasks)
        yield Batch("crawl", tasks)


def plan_round(job: Job) -> Outcome:
    """The URLs of one round by lane: the seeds, or what the pages so far link to and nobody has visited."""
    source = _source(job)
    path = job.attempt.path("rows", "parquet")
    if job.task.inputs["round"] == 0:
        write_table(path, first_round(source.seeds, job.recipe.crawler.lanes))
    else:
        limits = Limits.of(source, job.recipe.crawler.lanes)
        next_round(job.paths("crawled", "pages"), job.paths("crawled", "links"), limits, path)
    drop_taken_down(path, job.context.run)
    counted = read_rows(path, ["lane"])["lane"].value_counts().to_pylist()
    lanes = sorted([entry["values"], entry["counts"]] for entry in counted)
    return Outcome(sum(count for _, count in lanes), meta={"lanes": lanes})


def crawl(job: Job) -> Outcome:
    """Fetch one lane's pages. The WARC of a killed attempt lies under a name of its own and is taken up again."""
    partial = job.attempt.folder / f".part-{job.task.index:06d}-{job.task.fingerprint[:8]}.warc.gz"
    counts = crawl_part(
        CrawlJob(
            frontier_path=job.path("frontier"),
            lane=job.task.inputs["lane"],
            round=job.task.inputs["round"],
            warc_path=partial,
            pages_path=job.attempt.path("pages", "parquet"),
            links_path=job.attempt.path("links", "links.parquet"),
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
    return Outcome(counts.pages, by_reason, {"requests": counts.requests, "reused": counts.reused})


def _seconds_left(job: Job) -> float:
    """Until `crawler.deadline_h`: what is left then is `not_attempted`."""
    ends = job.context.fetch_ends
    return _LONGEST_PART_S if ends is None else max(1.0, ends - time.time())


def _source(job: Job) -> CrawlSource:
    source = job.recipe.source
    if not isinstance(source, CrawlSource):
        raise ValueError("only a crawl source has crawl parts")
    return source
