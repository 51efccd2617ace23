"""Measures of the corpus at admit: how many images a host has, a category by keywords, and each sample's own draw."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import one_array
from filters.keywords import categories_of, read_keywords
from pipelines.flow.keyed import bucket_of_keys
from pipelines.flow.rows import put
from pipelines.flow.shuffle import read_bucket, write_buckets
from pipelines.tasks import Batch, Flow, Job, Outcome, Plan, tasks_of
from shards.database import scratch_database
from shards.draws import draws_of

_VERSION = 1
_BY_HOST = ("host_count", "host_share")
_HOSTS = pa.schema([("host", pa.string()), ("images", pa.int64())])


def steps(flow: Flow, buckets: int) -> Iterator[Batch]:
    """Images of each host, where they are asked for: counted by bucket of uids, and summed by range of hosts."""
    if not set(_BY_HOST).intersection(flow.plan.measures):
        return
    chain = flow.chain("admit-shuffle")
    given = [{"shuffled": flow.refs("admit-shuffle"), "bucket": n, "buckets": buckets} for n in range(buckets)]
    yield tasks_of("admit-hosts", _VERSION, chain, given, list(range(buckets)))
    given = [{"hosts": flow.refs("admit-hosts"), "bucket": n} for n in range(buckets)]
    yield tasks_of("admit-host-sums", _VERSION, chain, given, list(range(buckets)))


def inputs(flow: Flow) -> dict[str, object]:
    """What admit needs for these measures, once the steps are done; empty where none is asked for."""
    given: dict[str, object] = {}
    if flow.tasks("admit-host-sums"):
        total = sum(record.meta["images"] for record in flow.records("admit-hosts"))
        given |= {"host_sums": flow.refs("admit-host-sums"), "images": total}
    if "keyword_category" in flow.plan.measures:
        given["keywords"] = read_keywords(flow.recipe.balance.keywords or "")
    return given


def mark(plan: Plan, given: dict[str, object]) -> list[object]:
    """What of it decides the samples, for their fingerprint; empty where nothing of it is asked for."""
    names = [name for name in (*_BY_HOST, "keyword_category", "uid_draw") if name in plan.measures]
    return [_VERSION, names, given.get("keywords")] if names else []


IMAGES_OF_HOSTS = """
    SELECT host, count(DISTINCT uid) AS images FROM candidates WHERE host IS NOT NULL GROUP BY host ORDER BY host
"""


def count_hosts(job: Job) -> Outcome:
    """The images of each host in one bucket of uids, by range of hosts."""
    rows = read_bucket(job.paths("shuffled"), job.task.inputs["bucket"], ["uid", "host"])
    with scratch_database(job.attempt.folder) as database:
        database.register("candidates", rows)
        found = database.sql(IMAGES_OF_HOSTS).to_arrow_table()
    buckets = job.task.inputs["buckets"]
    write_buckets(
        job.attempt.path("rows", "parquet"), found.cast(_HOSTS), bucket_of_keys(found["host"], buckets), buckets
    )
    return Outcome(found.num_rows, meta={"images": pc.sum(found["images"]).as_py() or 0})


def sum_hosts(job: Job) -> Outcome:
    """One range of hosts: the images of each host in all buckets, told to each bucket of uids that has any of it."""
    bucket, paths = job.task.inputs["bucket"], job.paths("hosts")
    tables = [read_bucket([path], bucket) for path in paths]
    places: npt.NDArray[np.int64] = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    table = pa.concat_tables(tables)
    totals = table.group_by("host", use_threads=False).aggregate([("images", "sum")])
    place = pc.index_in(table["host"], one_array(totals["host"]))
    table = put(table, "images", totals["images_sum"].take(place))
    write_buckets(job.attempt.path("rows", "parquet"), table, places, len(paths))
    return Outcome(table.num_rows)


class CorpusMeasures:
    """What a task of admit knows of the corpus, to be told of its samples piece by piece."""

    def __init__(self, job: Job) -> None:
        given = job.task.inputs
        self._names = set(job.plan.measures)
        self._keywords = given.get("keywords", ())
        self._images = given.get("images", 0)
        self._hosts = read_bucket(job.paths("host_sums"), given["bucket"]) if "host_sums" in given else None

    def added(self, samples: pa.Table) -> pa.Table:
        """The samples with those of the measures that are asked for."""
        if self._hosts is not None:
            samples = self._with_hosts(samples, self._hosts)
        if "keyword_category" in self._names:
            samples = put(samples, "keyword_category", _categories(samples, self._keywords))
        if "uid_draw" in self._names:
            samples = put(samples, "uid_draw", pa.array(draws(samples["uid"])))
        return samples

    def _with_hosts(self, samples: pa.Table, hosts: pa.Table) -> pa.Table:
        """Null where a sample has no host, as one whose URL cannot be read."""
        place = pc.index_in(samples["host"], one_array(hosts["host"]), skip_nulls=True)
        count = one_array(hosts["images"]).take(one_array(place))
        values = {"host_count": count, "host_share": pc.divide(count.cast(pa.float64()), float(max(1, self._images)))}
        for name in _BY_HOST:
            samples = put(samples, name, values[name]) if name in self._names else samples
        return samples


def draws(uids: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A number from 0.0 to below 1.0 for each uid, always the same: 53 bits of its draw."""
    return (draws_of(uids, "rule") >> np.uint64(11)).astype(np.float64) / 2.0**53


def _categories(samples: pa.Table, keywords: Sequence[tuple[str, str]]) -> pa.Array:
    """By all texts, whatever rules say of them: a stored measure does not depend on rules."""
    lists = one_array(samples["texts"])
    texts, owners = pc.list_flatten(lists), pc.list_parent_indices(lists)
    return categories_of(texts.field("text"), owners.to_numpy().astype(np.int64), len(samples), tuple(keywords))
