"""Search: the queries of a list put to an endpoint, part by part, every answer kept as it came."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from crawler.search.queries import Query, read_queries
from crawler.search.rows import read_search
from crawler.search.source import SearchSource
from pipelines.tasks import Batch, Flow, Job, Outcome, Task
from shards.parts import fingerprint
from shards.tables import write_table

if TYPE_CHECKING:
    from crawler.search.asking import QueryEnd

_VERSION = 1
_LANE = 0
"""One endpoint, one host, one lane: no two parts ever ask it at the same time."""
_CPUS = 0.1
"""Of a CPU: a part mostly waits for its turn."""
_OPERATIONAL = {"delay_s", "concurrency", "obey_robots", "key", "max_answer_bytes"}

QUERIES = pa.schema(
    [
        ("line", pa.int64()),  # in the list, from 1
        ("query", pa.string()),
        ("num_pages", pa.int32()),  # answers
        ("num_results", pa.int32()),  # at most per_query
        ("drop_reason", pa.string()),  # what the last answer came to; null where it was read
        ("detail", pa.string()),
    ]
)
"""One row per query of a search part."""


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per run of queries; with a limit no part is asked for that cannot hold any of its rows."""
    source = flow.recipe.source
    if not isinstance(source, SearchSource):
        return
    settings = [
        _VERSION,
        {"per_query": source.most_results},
        source.described.model_dump(exclude=_OPERATIONAL),
    ]
    tasks = []
    for index, queries in enumerate(query_slices(source)):
        asked = [astuple(query) for query in queries]
        mark = fingerprint("search", settings, asked)
        tasks.append(Task("search", index, mark, {"queries": asked}, len(asked), _LANE, cpus=_CPUS))
    if source.limit is None:
        yield Batch("search", tuple(tasks))
        return
    left = source.limit
    for task in tasks:
        if left > 0:
            yield Batch("search", (task,))
            found = read_search(flow.context.path(task.ref, "answers"), Path(source.queries).name, source)
            left -= sum(batch.num_rows for batch in found)


def query_slices(source: SearchSource) -> list[list[Query]]:
    """The list of queries cut into parts. Raises `BadInputError` for a list that cannot be read."""
    queries, size = read_queries(source.queries), source.part_queries
    if source.limit is not None:  # where a few queries give all its rows, no more are put
        size = min(size, -(-source.limit // source.most_results))
    return [queries[start : start + size] for start in range(0, len(queries), size)]


def search(job: Job) -> Outcome:
    """Ask for one part's queries. The answers of a killed attempt lie under a name of their own and are taken up."""
    from crawler.search.asking import SearchSettings, search_part  # aiohttp comes with it

    recipe, source = job.recipe, job.recipe.source
    if not isinstance(source, SearchSource):
        raise ValueError("only a search source has search parts")
    spool = job.attempt.folder / f".part-{job.task.index:06d}-{job.task.fingerprint[:8]}.jsonl"
    ends, num_kept, num_requests = search_part(
        [Query(*pair) for pair in job.task.inputs["queries"]],
        SearchSettings(source, recipe.crawler, recipe.fetch, recipe.network),
        spool,
        job.attempt.path("answers", "jsonl.gz"),
    )
    write_table(job.attempt.path("rows", "parquet"), _table(ends))
    counts = Counter(end.drop_reason or "standing" for end in ends)
    return Outcome(len(ends), dict(sorted(counts.items())), {"requests": num_requests, "reused": num_kept})


def _table(ends: "list[QueryEnd]") -> pa.Table:
    rows = [
        {
            "line": end.query.line,
            "query": end.query.text,
            "num_pages": end.num_pages,
            "num_results": end.num_results,
            "drop_reason": end.drop_reason,
            "detail": end.detail,
        }
        for end in ends
    ]
    return pa.Table.from_pylist(rows, schema=QUERIES)
