"""The frontier of a round: what the last one found joins what was known, by ranges of hosts, and the best is chosen."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from crawler.crawl.frontier_cut import Cut, cut_of, frontier_of
from crawler.crawl.known_urls import (
    KNOWN,
    Budget,
    KnownPaths,
    range_of_hosts,
    rows_of_links,
    rows_of_pages,
    update_known,
)
from crawler.frontier import LINKS, PAGES, first_round
from crawler.sources import CrawlSource
from pipelines.flow.shuffle import SHUFFLE_ROWS, grouped_by_rows, read_bucket, write_buckets
from pipelines.flow.taken_down import drop_taken_down
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Task, buckets_for
from shards.parts import fingerprint
from shards.tables import fit, read_rows, write_table

NUM_LINKS = "links"
"""In a crawled part's facts: how many links it found."""

_LANES = "lanes"
_CUT = "cut"


@dataclass(frozen=True)
class Known:
    """What was known after a round: a part for each range of hosts. `num_crawled` parts of the crawl went into it."""

    parts: tuple[PartRef, ...] = ()
    num_urls: int = 0
    num_crawled: int = 0


@dataclass(frozen=True)
class Round:
    """A planned round: its frontier by range, and of each lane the ranges that it lies in and its pages."""

    mark: str
    known: Known
    lanes: dict[int, tuple[list[PartRef], int]]


def planned_round(flow: Flow, number: int, known: Known, settings: list[object]) -> Generator[Batch, None, Round]:
    """The steps that plan one round. No lane has anything to visit where the crawl is at its end."""
    mark = fingerprint("frontier", settings, number, flow.chain("crawl"))
    left = _source(flow).most_pages - sum(record.rows for record in flow.records("crawl"))
    if number == 0:
        frontier = _tasks(flow, "frontier", mark, [{"round": 0, "left": left}])
    elif left <= 0:
        return Round(mark, known, {})
    else:
        known = yield from _updated(flow, mark, known)
        cut = _tasks(flow, "frontier-cut", mark, [{"left": left, "ranges": list(known.parts)}])
        yield cut
        shared = {"round": number, "cut": flow.context.record(cut.tasks[0].ref).meta[_CUT]}
        ranges = [{**shared, "known": part, "range": place} for place, part in enumerate(known.parts)]
        frontier = _tasks(flow, "frontier", mark, ranges)
    yield frontier
    lanes: dict[int, tuple[list[PartRef], int]] = {}
    for task in frontier.tasks:
        for lane, num_rows in flow.context.record(task.ref).meta[_LANES]:
            refs, before = lanes.get(lane, ([], 0))
            lanes[lane] = ([*refs, task.ref], before + num_rows)
    return Round(mark, known, dict(sorted(lanes.items())))


def _updated(flow: Flow, mark: str, known: Known) -> Generator[Batch, None, Known]:
    """What is known with what was crawled since: ranges become more as URLs do, each cut in two, never fewer."""
    fresh = flow.refs("crawl")[known.num_crawled :]
    rows = [record.rows + record.meta[NUM_LINKS] for record in map(flow.context.record, fresh)]
    num_ranges = max(1, len(known.parts))
    while num_ranges < buckets_for(sum(rows) + known.num_urls, SHUFFLE_ROWS):
        num_ranges *= 2
    given: list[PartRef] = fresh
    if num_ranges > 1:
        groups = [{"crawled": group, "ranges": num_ranges} for group in grouped_by_rows(fresh, rows)]
        shuffled = _tasks(flow, "frontier-shuffle", mark, groups)
        yield shuffled
        given = [task.ref for task in shuffled.tasks]
    before = [
        known.parts[place * len(known.parts) // num_ranges] if known.parts else None for place in range(num_ranges)
    ]
    inputs = [
        {"crawled": given, "before": part, "range": place, "ranges": num_ranges} for place, part in enumerate(before)
    ]
    batch = _tasks(flow, "frontier-known", mark, inputs)
    yield batch
    refs = tuple(task.ref for task in batch.tasks)
    num_urls = sum(flow.context.record(ref).rows for ref in refs)
    return Known(refs, num_urls, known.num_crawled + len(fresh))


def shuffle(job: Job) -> Outcome:
    """Pages and links of some crawled parts by range of hosts."""
    num_ranges = job.task.inputs["ranges"]
    rows = _found(job)
    write_buckets(job.attempt.path("rows", "parquet"), rows, range_of_hosts(rows["host"], num_ranges), num_ranges)
    return Outcome(rows.num_rows)


def update(job: Job) -> Outcome:
    """What is known of one range of hosts, and what of it the next round may visit."""
    number, num_ranges = job.task.inputs["range"], job.task.inputs["ranges"]
    found = _found(job) if num_ranges == 1 else read_bucket(job.paths("crawled"), number)
    given = [found]
    if job.task.inputs["before"] is not None:
        before = read_rows(job.path("before"))
        given.append(before.filter(pa.array(range_of_hosts(before["host"], num_ranges) == number)))
    paths = KnownPaths(
        job.attempt.path("rows", "parquet"),
        job.attempt.path("candidates", "candidates.parquet"),
        job.attempt.path("counts", "counts.parquet"),
    )
    source = _source(job)
    budget = Budget(source.max_pages_per_host, source.max_pages_per_host_and_round)
    num_known, num_candidates = update_known(given, budget, paths)
    return Outcome(num_known, meta={"candidates": num_candidates})


def cut_round(job: Job) -> Outcome:
    """Where the candidates of all ranges are cut, so that the round takes no more pages than are left."""
    cut = cut_of(job.paths("ranges", "counts"), job.task.inputs["left"])
    return Outcome(0, meta={_CUT: cut and list(cut)})


def plan_round(job: Job) -> Outcome:
    """The URLs of one round from one range of hosts, by lane: the seeds, or the best of what nobody has visited."""
    path, lanes = job.attempt.path("rows", "parquet"), job.recipe.crawler.lanes
    if job.task.inputs["round"] == 0:
        frontier = first_round(_source(job).seeds, lanes, job.task.inputs["left"])
    else:
        cut = job.task.inputs["cut"]
        candidates = read_rows(job.path("known", "candidates"))
        frontier = frontier_of(candidates, job.task.inputs["range"], cut and Cut(*cut), lanes)
    write_table(path, frontier)
    drop_taken_down(path, job.context.run)
    counted = read_rows(path, ["lane"])["lane"].value_counts().to_pylist()
    by_lane = sorted([entry["values"], entry["counts"]] for entry in counted)
    return Outcome(sum(count for _, count in by_lane), meta={_LANES: by_lane})


def _found(job: Job) -> pa.Table:
    """KNOWN rows of what some crawled parts visited and found."""
    pages = [rows_of_pages(fit(read_rows(path), PAGES)) for path in job.paths("crawled", "pages")]
    links = [rows_of_links(read_rows(path, LINKS.names)) for path in job.paths("crawled", "links")]
    return pa.concat_tables([KNOWN.empty_table(), *pages, *links])


def _tasks(flow: Flow, step: str, mark: str, inputs: Sequence[dict[str, Any]]) -> Batch:
    """Tasks of a step that a round has; those of the rounds before count on."""
    first = len(flow.tasks(step))
    marks = [fingerprint(step, mark, place, len(inputs)) for place in range(len(inputs))]
    numbered = zip(marks, inputs, strict=True)
    return Batch(step, tuple(Task(step, first + place, made, given) for place, (made, given) in enumerate(numbered)))


def _source(of: Flow | Job) -> CrawlSource:
    source = of.recipe.source
    if not isinstance(source, CrawlSource):
        raise ValueError("only a crawl source has a frontier")
    return source
