"""Admit: count what all candidates share, merge those of one image into a sample, judge its texts."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.falls import fell_by_texts
from filters.judge import judge_candidates, judge_samples
from filters.measures import MEASURES
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow import corpus
from pipelines.flow.captioned import has_captions_beside, paired
from pipelines.flow.collect import text_measure_names
from pipelines.flow.corpus import CorpusMeasures
from pipelines.flow.merge import HEAD_COLUMNS, Images, images_of, merged
from pipelines.flow.rows import count_reasons, put
from pipelines.flow.shuffle import SHUFFLE_ROWS, bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, buckets_for, tasks_of
from shards.database import scratch_database
from shards.tables import ROW_GROUP_ROWS, TableWriter, read_row_groups, read_rows, row_group_sizes

_VERSION = 4
_TEXT_COLUMNS = ("uid", "kind", "text", "drop_reason", "detail")
_IMAGES_AT_ONCE = 4 * ROW_GROUP_ROWS
"""A bucket's images are merged and judged in runs, so that little more than its candidates lies in memory."""

_CARRIED = (*HEAD_COLUMNS, *_TEXT_COLUMNS)


def steps(flow: Flow) -> Iterator[Batch]:
    """Shuffle candidates by uid (and, where texts are counted, by text); count; merge bucket by bucket."""
    rows = [record.rows for record in flow.records("collect")]
    buckets = buckets_for(sum(rows))
    counts_texts = "text_count" in flow.plan.measures
    shares = list(_shares(flow.refs("collect"), rows))
    given = [{**share, "buckets": buckets, "counts_texts": counts_texts} for share, _ in shares]
    yield tasks_of("admit-shuffle", _VERSION, [buckets, counts_texts], given, [key for _, key in shares])
    shuffled = flow.refs("admit-shuffle")
    by_bucket: list[object] = list(range(buckets))
    chain = flow.chain("admit-shuffle")
    if counts_texts:
        inputs = [{"shuffled": shuffled, "bucket": bucket, "buckets": buckets} for bucket in range(buckets)]
        yield tasks_of("admit-count", _VERSION, chain, inputs, by_bucket)
    yield from corpus.steps(flow, buckets)
    shared = {"shuffled": shuffled, "counts": flow.refs("admit-count"), **corpus.inputs(flow)}
    inputs = [{**shared, "bucket": bucket} for bucket in range(buckets)]
    rules = [(rule.name, rule.expression) for rule in flow.plan.rules_at("collect", "admit")]
    yield tasks_of("admit", _VERSION, [chain, rules, *corpus.mark(flow.plan, shared)], inputs, by_bucket)


def _shares(refs: Sequence[PartRef], rows: Sequence[int]) -> Iterator[tuple[dict[str, Any], list[object]]]:
    """What each shuffle task reads, and its mark: some parts, or rows of one that alone is too large for a task."""
    sizes = dict(zip(refs, rows, strict=True))
    for group in grouped_by_rows(refs, rows, SHUFFLE_ROWS):
        marks: list[object] = [ref.fingerprint for ref in group]
        num_rows = sum(sizes[ref] for ref in group)
        if num_rows <= SHUFFLE_ROWS:
            yield {"collect": group}, marks
            continue
        for start in range(0, num_rows, SHUFFLE_ROWS):
            yield {"collect": group, "from_row": start}, [*marks, {"from_row": start}]


def _read_share(job: Job, columns: list[str]) -> pa.Table:
    """Some parts, or the row groups of one part that begin in a task's rows."""
    start = job.task.inputs.get("from_row")
    if start is None:
        return pa.concat_tables([read_rows(path, columns) for path in job.paths("collect")])
    (path,) = job.paths("collect")
    begins = itertools.accumulate([0, *row_group_sizes(path)[:-1]])
    groups = [group for group, row in enumerate(begins) if start <= row < start + SHUFFLE_ROWS]
    return read_row_groups(path, groups, columns)


def shuffle(job: Job) -> Outcome:
    """Sort some collect parts into buckets of uid, and their texts into buckets of text."""
    buckets = job.task.inputs["buckets"]
    columns = [*_CARRIED, *text_measure_names(job.plan.measures)]
    table = _read_share(job, columns).combine_chunks()
    of_uids = bucket_of_uids(table["uid"], buckets)
    write_buckets(job.attempt.path("rows", "parquet"), _without_copies(table), of_uids, buckets)
    if job.task.inputs["counts_texts"]:
        texts = table.select(["uid", "text"]).filter(pc.is_valid(table["text"]))
        write_buckets(job.attempt.path("texts", "texts.parquet"), texts, _bucket_of_texts(texts, buckets, job), buckets)
    return Outcome(table.num_rows)


def _without_copies(candidates: pa.Table) -> pa.Table:
    """A canonical URL that repeats the URL is null on the way: most do, and no other column is as wide."""
    url, canonical = candidates["url"], candidates["canonical_url"]
    return put(candidates, "canonical_url", pc.if_else(pc.equal(url, canonical), None, canonical))


def _with_copies(candidates: pa.Table) -> pa.Table:
    """The reverse. A candidate without a host never had a canonical URL."""
    copied = pc.if_else(pc.is_valid(candidates["host"]), candidates["url"], None)
    return put(candidates, "canonical_url", pc.coalesce(candidates["canonical_url"], copied))


def _bucket_of_texts(texts: pa.Table, buckets: int, job: Job) -> npt.NDArray[np.int64]:
    if buckets == 1:
        return np.zeros(texts.num_rows, np.int64)
    with scratch_database(job.attempt.folder) as database:
        database.register("texts", texts)
        hashed = database.sql(f"SELECT (hash(text) % {buckets})::BIGINT AS bucket FROM texts").to_arrow_table()
    return np.asarray(hashed["bucket"].to_numpy(), np.int64)


SHARED_TEXTS = """
    WITH pairs AS (SELECT DISTINCT text, uid FROM texts),
         shared AS (SELECT text, count(*) AS text_count FROM pairs GROUP BY text HAVING count(*) > 1)
    SELECT uid, text, text_count FROM pairs JOIN shared USING (text) ORDER BY uid, text
"""


def count(job: Job) -> Outcome:
    """`text_count` of the texts that more than one image shares, as rows of (uid, text), in buckets of uid."""
    buckets = job.task.inputs["buckets"]
    texts = read_bucket(job.paths("shuffled", "texts"), job.task.inputs["bucket"])
    with scratch_database(job.attempt.folder) as database:
        database.register("texts", texts)
        shared = database.sql(SHARED_TEXTS).to_arrow_table()
    write_buckets(job.attempt.path("rows", "parquet"), shared, bucket_of_uids(shared["uid"], buckets), buckets)
    return Outcome(shared.num_rows)


def admit(job: Job) -> Outcome:
    """Merge one bucket's candidates into samples, sorted by uid, and judge them."""
    bucket = job.task.inputs["bucket"]
    candidates = _with_copies(read_bucket(job.paths("shuffled"), bucket).combine_chunks())
    num_candidates = candidates.num_rows
    if has_captions_beside(job.recipe.source):
        candidates = paired(candidates)
    if "text_count" in job.plan.measures:
        candidates = _with_text_counts(candidates, read_bucket(job.paths("counts"), bucket), job)
    counts: dict[str, int] = {}
    engine, known = RuleEngine(), CorpusMeasures(job)
    images = images_of(candidates["uid"])
    tables = (_judged(candidates, piece, job, engine, known) for piece in images.pieces(_IMAGES_AT_ONCE))
    first = next(tables)
    with TableWriter(job.attempt.path("rows", "parquet"), first.schema) as writer:
        for samples in itertools.chain([first], tables):
            count_reasons(counts, samples)
            writer.write(samples)
    facts = {"candidates": num_candidates, "sha256_conflicts": _sha256_conflicts(candidates)}
    return Outcome(writer.num_rows, counts, facts)


def _sha256_conflicts(candidates: pa.Table) -> int:
    """Images of which the source names several sha256."""
    named = candidates.select(["uid", "expected_sha256"]).filter(pc.is_valid(candidates["expected_sha256"]))
    if named.num_rows == 0:
        return 0
    sums = named.group_by("uid", use_threads=False).aggregate([("expected_sha256", "count_distinct")])
    return int(pc.sum(pc.greater(sums["expected_sha256_count_distinct"], 1)).as_py())


def _judged(candidates: pa.Table, images: Images, job: Job, engine: RuleEngine, known: CorpusMeasures) -> pa.Table:
    """Some images' samples, sorted by uid, after the rules that need no more than is known here."""
    at_collect = job.plan.rules_at("collect")
    texts, heads = merged(candidates, images, _text_columns(candidates, at_collect), job.attempt.folder)
    texts = judge_candidates(texts, at_collect, engine)
    samples = known.added(_samples_of(texts, heads, fell_by_texts(texts, at_collect)))
    return judge_samples(samples, job.plan.rules_at("admit"), "admit", engine)


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


def _text_columns(candidates: pa.Table, rules: Sequence[PlacedRule]) -> list[str]:
    """What must be known of a text: itself, its measures, and what the rules over texts read beside them."""
    read = {column for rule in rules for column in rule.columns}
    return [name for name in candidates.column_names if name in _TEXT_COLUMNS or name in MEASURES or name in read]


def _samples_of(texts: pa.Table, heads: pa.Table, falls: pa.Table) -> pa.Table:
    """Heads with their texts as lists and the verdict over them."""
    names = ["kind", "text", *(n for n in texts.column_names if n in MEASURES), "drop_reason", "failed_rules"]
    structs = pa.StructArray.from_arrays([_whole(texts[name]) for name in names], names=names)
    offsets = np.append(falls["first_row"].to_numpy(), texts.num_rows).astype(np.int32)
    fell = pc.is_valid(falls["drop_reason"])
    columns = {name: heads[name] for name in heads.column_names}
    columns["texts"] = pa.ListArray.from_arrays(pa.array(offsets), structs)
    for name in ("drop_reason", "failed_rules", "dropped_at"):
        columns[name] = falls[name]
    details = texts["detail"].take(falls["decider"])
    columns["detail"] = pc.if_else(fell, details, pa.scalar(None, pa.string()))
    return pa.table(columns)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)
