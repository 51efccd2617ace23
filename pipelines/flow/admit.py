"""Admit: count what all candidates share, merge those of one image into a sample, judge its texts."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.falls import fell_by_texts
from filters.judge import judge_candidates, judge_samples
from filters.measures import MEASURES
from filters.rules import RuleEngine
from pipelines.flow.collect import text_measure_names
from pipelines.flow.rows import count_reasons
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.tasks import Batch, Flow, Job, Outcome, buckets_for, tasks_of
from shards.database import scratch_database
from shards.schema import MAX_TEXTS, kind_rank
from shards.tables import TableWriter, read_rows

_VERSION = 1
_HEAD_COLUMNS = ("canonical_url", "host", "url", "page_url", "query", "source", "strength", "category", "license")
_CARRIED = ("uid", *_HEAD_COLUMNS, "kind", "text", "origin", "drop_reason", "detail")


def steps(flow: Flow) -> Iterator[Batch]:
    """Shuffle candidates by uid (and, where texts are counted, by text); count; merge bucket by bucket."""
    rows = [record.rows for record in flow.records("collect")]
    buckets = buckets_for(sum(rows))
    counts_texts = "text_count" in flow.plan.measures
    groups = list(grouped_by_rows(flow.refs("collect"), rows))
    given = [{"collect": group, "buckets": buckets, "counts_texts": counts_texts} for group in groups]
    keys = [[ref.fingerprint for ref in group] for group in groups]
    yield tasks_of("admit-shuffle", _VERSION, [buckets, counts_texts], given, keys)
    shuffled = flow.refs("admit-shuffle")
    by_bucket: list[object] = list(range(buckets))
    chain = flow.chain("admit-shuffle")
    if counts_texts:
        inputs = [{"shuffled": shuffled, "bucket": bucket, "buckets": buckets} for bucket in range(buckets)]
        yield tasks_of("admit-count", _VERSION, chain, inputs, by_bucket)
    inputs = [{"shuffled": shuffled, "counts": flow.refs("admit-count"), "bucket": bucket} for bucket in range(buckets)]
    rules = [(rule.name, rule.expression) for rule in flow.plan.rules_at("collect", "admit")]
    yield tasks_of("admit", _VERSION, [chain, rules], inputs, by_bucket)


def shuffle(job: Job) -> Outcome:
    """Sort some collect parts into buckets of uid, and their texts into buckets of text."""
    buckets = job.task.inputs["buckets"]
    columns = [*_CARRIED, *text_measure_names(job.plan.measures)]
    table = pa.concat_tables([read_rows(path, columns) for path in job.paths("collect")])
    write_buckets(job.attempt.path("rows", "parquet"), table, bucket_of_uids(table["uid"], buckets), buckets)
    if job.task.inputs["counts_texts"]:
        texts = table.select(["uid", "text"]).filter(pc.is_valid(table["text"]))
        write_buckets(job.attempt.path("texts", "texts.parquet"), texts, _bucket_of_texts(texts, buckets, job), buckets)
    return Outcome(table.num_rows)


def _bucket_of_texts(texts: pa.Table, buckets: int, job: Job) -> npt.NDArray[np.int64]:
    if buckets == 1:
        return np.zeros(texts.num_rows, np.int64)
    with scratch_database(job.attempt.folder) as database:
        database.register("texts", texts)
        hashed = database.sql(f"SELECT (hash(text) % {buckets})::BIGINT AS bucket FROM texts").to_arrow_table()
    return np.asarray(hashed["bucket"].to_numpy(), np.int64)


def count(job: Job) -> Outcome:
    """`text_count` of the texts that more than one image shares, as rows of (uid, text), in buckets of uid."""
    buckets = job.task.inputs["buckets"]
    texts = read_bucket(job.paths("shuffled", "texts"), job.task.inputs["bucket"])
    with scratch_database(job.attempt.folder) as database:
        database.register("texts", texts)
        shared = database.sql(
            """
            WITH pairs AS (SELECT DISTINCT text, uid FROM texts),
                 shared AS (SELECT text, count(*) AS text_count FROM pairs GROUP BY text HAVING count(*) > 1)
            SELECT uid, text, text_count FROM pairs JOIN shared USING (text) ORDER BY uid, text
            """
        ).to_arrow_table()
    write_buckets(job.attempt.path("rows", "parquet"), shared, bucket_of_uids(shared["uid"], buckets), buckets)
    return Outcome(shared.num_rows)


def admit(job: Job) -> Outcome:
    """Merge one bucket's candidates into samples, sorted by uid, and judge them."""
    bucket = job.task.inputs["bucket"]
    candidates = read_bucket(job.paths("shuffled"), bucket)
    num_candidates = candidates.num_rows
    if "text_count" in job.plan.measures:
        candidates = _with_text_counts(candidates, read_bucket(job.paths("counts"), bucket), job)
    texts, heads = _merged(candidates, job)
    del candidates
    engine = RuleEngine()
    at_collect = job.plan.rules_at("collect")
    texts = judge_candidates(texts, at_collect, engine)
    samples = _samples_of(texts, heads, fell_by_texts(texts, at_collect))
    samples = judge_samples(samples, job.plan.rules_at("admit"), "admit", engine)
    counts: dict[str, int] = {}
    count_reasons(counts, samples)
    with TableWriter(job.attempt.path("rows", "parquet"), samples.schema) as writer:
        writer.write(samples)
    return Outcome(samples.num_rows, counts, {"candidates": num_candidates})


def _with_text_counts(candidates: pa.Table, counts: pa.Table, job: Job) -> pa.Table:
    """A text that nobody shares counts 1; a missing text counts nothing."""
    if counts.num_rows == 0:
        ones = pc.if_else(pc.is_valid(candidates["text"]), pa.scalar(1, pa.int64()), None)
        return candidates.append_column("text_count", ones)
    numbered = pa.table({"uid": candidates["uid"], "text": candidates["text"], "row": np.arange(candidates.num_rows)})
    with scratch_database(job.attempt.folder) as database:
        database.register("numbered", numbered)
        database.register("counts", counts)
        joined = database.sql(
            """
            SELECT CASE WHEN n.text IS NULL THEN NULL ELSE coalesce(c.text_count, 1) END AS text_count
            FROM numbered n LEFT JOIN counts c ON n.uid = c.uid AND n.text = c.text ORDER BY n.row
            """
        ).to_arrow_table()
    return candidates.append_column("text_count", joined["text_count"])


def _merged(candidates: pa.Table, job: Job) -> tuple[pa.Table, pa.Table]:
    """Distinct texts sorted by (uid, kind, text), and one head per uid with what its candidates share."""
    high, low = _uid_words(candidates["uid"])
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    differs = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    first = np.concatenate([[True], differs]) if len(order) else np.zeros(0, np.bool_)
    last = np.concatenate([differs, [True]]) if len(order) else np.zeros(0, np.bool_)
    lonely = first & last
    singles = candidates.take(pa.array(order[lonely]))
    heads = _heads_of_singles(singles)
    if lonely.all():
        return singles, heads
    several_texts, several_heads = _merge_several(candidates.take(pa.array(order[~lonely])), job)
    texts = pa.concat_tables([singles, several_texts.select(singles.column_names).cast(singles.schema)])
    heads = pa.concat_tables([heads, several_heads.select(heads.column_names).cast(heads.schema)])
    return _by_uid(texts), _by_uid(heads)


def _heads_of_singles(singles: pa.Table) -> pa.Table:
    heads = singles.select(["uid", *_HEAD_COLUMNS])
    pages = pc.cast(pc.is_valid(singles["page_url"]), pa.int32())
    return heads.append_column("num_pages", pages)


def _merge_several(candidates: pa.Table, job: Job) -> tuple[pa.Table, pa.Table]:
    """The same for uids of more than one candidate, by DuckDB: it knows how to group strings in bounded memory."""
    kinds = sorted(set(candidates["kind"].unique().to_pylist()) - {None}, key=kind_rank)
    ranks = pa.table({"kind": pa.array(kinds, pa.string()), "rank": pa.array(range(len(kinds)), pa.int32())})
    with scratch_database(job.attempt.folder) as database:
        database.register("candidates", candidates)
        database.register("ranks", ranks)
        texts = database.sql(
            f"""
            WITH ranked AS (
                SELECT c.*, coalesce(rank, {len(kinds)}) AS rank,
                    row_number() OVER (
                        PARTITION BY uid, text, drop_reason ORDER BY coalesce(rank, {len(kinds)}), page_url, origin
                    ) AS same
                FROM candidates c LEFT JOIN ranks USING (kind)),
            numbered AS (
                SELECT *, row_number() OVER (
                    PARTITION BY uid ORDER BY drop_reason IS NOT NULL, rank, text, drop_reason) AS number
                FROM ranked WHERE same = 1)
            SELECT * FROM numbered WHERE number <= {MAX_TEXTS} ORDER BY uid, rank, text, drop_reason
            """
        ).to_arrow_table()
        least = ", ".join(f"min({name}) AS {name}" for name in _HEAD_COLUMNS)
        heads = database.sql(
            f"""
            SELECT uid, {least}, count(DISTINCT page_url)::INTEGER AS num_pages
            FROM candidates GROUP BY uid ORDER BY uid
            """
        ).to_arrow_table()
    return texts, heads


def _by_uid(table: pa.Table) -> pa.Table:
    """Sorted by uid; rows of one uid keep their order."""
    high, low = _uid_words(table["uid"])
    return table.take(pa.array(np.lexsort((low, high))))


def _uid_words(uids: pa.ChunkedArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Upper and lower 64 bits of each uid, uint64 [n] each, in the order of the hex digits."""
    fixed = pa.concat_arrays([uids.combine_chunks()]).cast(pa.binary()).cast(pa.binary(32))
    digits = np.frombuffer(fixed.buffers()[1], np.uint8)[fixed.offset * 32 :].reshape(-1, 32)[: len(fixed)]
    values = np.where(digits >= ord("a"), digits - (ord("a") - 10), digits - ord("0"))
    packed = (values[:, 0::2] << 4) | values[:, 1::2]
    words = np.ascontiguousarray(packed).view(">u8")
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)


def _samples_of(texts: pa.Table, heads: pa.Table, falls: pa.Table) -> pa.Table:
    """Heads with their texts as lists and the verdict over them."""
    names = ["kind", "text", *(n for n in texts.column_names if n in MEASURES), "drop_reason", "failed_rules"]
    structs = pa.StructArray.from_arrays([_whole(texts[name]) for name in names], names=names)
    offsets = np.append(falls["first_row"].to_numpy(), texts.num_rows).astype(np.int32)
    fell = pc.is_valid(falls["drop_reason"])
    columns = {name: heads[name] for name in ("uid", *_HEAD_COLUMNS, "num_pages")}
    columns["texts"] = pa.ListArray.from_arrays(pa.array(offsets), structs)
    for name in ("drop_reason", "failed_rules", "dropped_at"):
        columns[name] = falls[name]
    details = texts["detail"].take(falls["decider"])
    columns["detail"] = pc.if_else(fell, details, pa.scalar(None, pa.string()))
    return pa.table(columns)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)
