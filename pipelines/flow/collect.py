"""Collect: read the source and make one candidate row per (image URL, text), with its text measures."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crawler.archives.listing import ArchiveFile
from crawler.archives.opening import Opener
from crawler.archives.records import read_records
from crawler.archives.source import WarcSource
from crawler.input_files import open_stream
from crawler.lists.encoded_images import EncodedSlice, encoded_slices, read_encoded
from crawler.lists.shard_samples import SCHEME, read_shard, shard_slices
from crawler.lists.shards_source import ShardsSource
from crawler.lists.tables import plan_table, read_table_slice
from crawler.remote.reach import Reach
from crawler.search.rows import read_search
from crawler.search.source import SearchSource
from crawler.settings import product_token
from crawler.sources import CrawlSource, TableSource
from crawler.url_columns import canonical_urls, uids
from crawler.warc import WarcSlice, candidates_of_pages, read_warc, warc_slices
from filters.measures import MEASURES, code_version, measures_of
from filters.text import normalise, normalise_with_sources, text_measures
from filters.texts.beside import Beside
from pipelines.flow import archive_index
from pipelines.flow.archive_index import lane_of, lanes_of, reach_of
from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.rows import count_reasons
from pipelines.flow.taken_down import without_taken_down
from pipelines.flow.text_lists import text_facts
from pipelines.tasks import Batch, Flow, Job, Outcome, tasks_of
from shards.schema import RAW_CANDIDATE
from shards.tables import TableWriter

_VERSION = 6
_ROW_GROUP = 131_072
_MARK_BYTES = 65_536
_MOST_ROWS = 1 << 26
"""What a slice of unknown length may hold, for narrowing it: ranges beyond its end are quickly found innocent."""


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per slice of the source: a run of a table's rows, a WARC file, or what was crawled or searched for."""
    source = flow.recipe.source
    num_rows: list[int | None] = []
    lanes: list[int | None] = []
    if isinstance(source, CrawlSource):
        inputs: list[dict[str, Any]] = [{"crawl": ref} for ref in flow.refs("crawl")]
        keys: list[object] = [task.fingerprint for task in flow.tasks("crawl")]
    elif isinstance(source, SearchSource):
        inputs = [{"search": ref} for ref in flow.refs("search")]
        keys = [task.fingerprint for task in flow.tasks("search")]
    elif isinstance(source, WarcSource) and source.index is not None:
        yield archive_index.select_step(flow, source, source.index, _mark_of_index)
        inputs = archive_index.cut_parts(flow, source.index.part_records)
        chain = flow.chain(archive_index.STEP)
        keys = [[chain, given["first"], given["stop"]] for given in inputs]
        lanes = [lane_of(number, source.prefix, flow.recipe) for number in range(len(inputs))]
    else:
        slices = source_slices(source, reach_of(flow.recipe))
        lanes = [lane_of(number, piece.path, flow.recipe) for number, piece in enumerate(slices)]
        inputs = [{"slice": piece} for piece in slices]
        keys = [_slice_key(piece) for piece in slices]
        num_rows = [getattr(piece, "num_rows", None) for piece in slices]
    names = text_measure_names(flow.plan.measures)
    settings = [*text_facts(flow.recipe.text), [code_version(name) for name in names]]
    batch = tasks_of("collect", _VERSION, settings, inputs, keys)
    told = itertools.zip_longest(batch.tasks, num_rows, lanes)
    yield Batch("collect", tuple(replace(task, num_rows=count or _MOST_ROWS, lane=lane) for task, count, lane in told))


def source_slices(source: TableSource | WarcSource | ShardsSource, reach: Reach | None = None) -> list[Any]:
    """The source cut into parts, checked file by file. Raises `BadInputError` for files that cannot be read.

    What an index finds is known once the index was read: for it, its files are looked for, and no part is told.
    """
    if isinstance(source, ShardsSource):
        is_encoded = source.layout == "chinese-clip"
        return list(encoded_slices(source.paths) if is_encoded else shard_slices(source.paths))
    if isinstance(source, TableSource):
        return list(plan_table(source))
    if source.index is not None:
        archive_index.index_files(source, source.index, reach or Reach())
        return []
    return list(warc_slices(source.paths, source.paths_file, source.prefix, reach))


def _slice_key(piece: Any) -> list[object]:
    """What a slice reads: its place in the file, and the file by name, size, head and tail; not where it lies."""
    fields = {name: value for name, value in asdict(piece).items() if name != "path"}
    if isinstance(piece, WarcSlice) and piece.num_bytes is None:  # archives do not change, and asking takes long
        return [fields]
    if isinstance(piece, EncodedSlice):
        texts = piece.texts
        return [fields | {"texts": texts.name}, _content_mark(piece.path), _content_mark(texts.path)]
    return [fields, _content_mark(piece.path)]


def _mark_of_index(file: ArchiveFile) -> str | None:
    return None if file.num_bytes is None else _content_mark(file.path)


def _content_mark(path: str) -> str:
    """A digest of a file's size, head and tail: it tells a changed file without reading all of it."""
    digest = hashlib.blake2b(digest_size=16)
    with open_stream(path, None) as stream:
        size = stream.size()
        digest.update(str(size).encode())
        digest.update(stream.read(min(size, _MARK_BYTES)))
        stream.seek(max(0, size - _MARK_BYTES))
        digest.update(stream.read(_MARK_BYTES))
    return digest.hexdigest()


def text_measure_names(measures: tuple[str, ...]) -> list[str]:
    return measures_of(measures, "collect", "text")


def candidate_schema(measures: tuple[str, ...]) -> pa.Schema:
    """Columns of a collect part: the raw candidate's, its identity, and one per text measure."""
    identity = [("uid", pa.string()), ("canonical_url", pa.string()), ("host", pa.string())]
    measured = [(name, MEASURES[name].dtype) for name in text_measure_names(measures)]
    return pa.schema([*identity, *[(field.name, field.type) for field in RAW_CANDIDATE], *measured])


def collect(job: Job) -> Outcome:
    """Stream one slice into a part of candidates."""
    schema = candidate_schema(job.plan.measures)
    counts: dict[str, int] = {}
    place = 0
    with TableWriter(job.attempt.path("rows", "parquet"), schema) as writer:
        for batch in _raw_batches(job):
            raw = pa.Table.from_batches([batch])
            raw = mark_skipped(only_taken(raw, job.rows, place), job.rows, place)
            place += batch.num_rows
            candidates = without_taken_down(candidates_of(raw, job), job.context.run)
            writer.write(candidates, _ROW_GROUP)
            count_reasons(counts, candidates)
    versions = [code_version(name) for name in text_measure_names(job.plan.measures)]
    return Outcome(writer.num_rows, counts, {"measures": versions})


def _raw_batches(job: Job) -> Iterator[pa.RecordBatch]:
    source = job.recipe.source
    if isinstance(source, TableSource):
        return read_table_slice(job.task.inputs["slice"], source)
    if isinstance(source, ShardsSource):
        piece = job.task.inputs["slice"]
        return read_encoded(piece, source) if isinstance(piece, EncodedSlice) else read_shard(piece, source)
    if isinstance(source, SearchSource):
        return read_search(job.path("search", "answers"), Path(source.queries).name, source)
    agent = product_token(job.recipe.crawler.user_agent or "")
    if isinstance(source, WarcSource):
        return _archived(job, source, agent)
    path = job.path("crawl", "warc")
    piece = WarcSlice(str(path), f"crawl-{job.task.index:06d}.warc.gz", path.stat().st_size)
    return read_warc(piece, agent, source.max_page_bytes, source="crawl")


def _archived(job: Job, source: WarcSource, agent: str) -> Iterator[pa.RecordBatch]:
    """What a WARC or WAT file gives, or the records of a part of an index's."""
    piece: WarcSlice | None = job.task.inputs.get("slice")
    path = piece.path if piece is not None else source.prefix
    with Opener(reach_of(job.recipe, lanes_of(path, job.recipe))) as opener:
        if piece is not None:
            yield from read_warc(piece, agent, source.max_page_bytes, opener=opener)
            return
        wanted = archive_index.wanted_records(job)
        pages = read_records(wanted, source.prefix, source.max_page_bytes, opener)
        yield from candidates_of_pages(pages, agent, source.max_page_bytes, "warc")


def candidates_of(raw: pa.Table, job: Job) -> pa.Table:
    """Raw candidates with canonical URLs, uids, normalised texts and text measures."""
    urls = canonical_urls(raw["url"])
    texts = normalise_with_sources(raw["text"], job.recipe.text)
    queries = _as_text(raw["query"], job)
    has_url = pc.is_valid(raw["url"])
    url_reason = pc.if_else(pc.and_(has_url, pc.invert(_lies_inside(raw))), urls["drop_reason"], None)
    # A row without a URL is a sample of its own, named by where it stood; so is a URL that cannot be read.
    identity = pc.coalesce(pc.if_else(pc.is_null(url_reason), urls["canonical_url"], None), raw["url"], raw["origin"])
    beside = Beside(job.recipe.text, texts["source"], queries)
    measured = text_measures(texts["text"], text_measure_names(job.plan.measures), beside)
    columns = {
        **{name: raw[name] for name in raw.column_names},
        "uid": uids(identity),
        "canonical_url": pc.if_else(pc.is_null(url_reason), urls["canonical_url"], None),
        "host": urls["host"],
        "text": texts["text"],
        "query": queries,
        "category": _as_text(raw["category"], job),
        "drop_reason": pc.coalesce(raw["drop_reason"], url_reason, texts["drop_reason"]),
        "detail": _first_detail(raw, url_reason, texts),
        **measured,
    }
    return pa.table(columns)


def _lies_inside(raw: pa.Table) -> pa.Array:
    """Where a URL only names a place in the source, and nobody is to be asked for it."""
    return pc.and_(pc.is_valid(raw["member"]), pc.fill_null(pc.starts_with(raw["url"], SCHEME), False))


def _as_text(column: pa.ChunkedArray, job: Job) -> pa.ChunkedArray:
    """A query or category in the form of texts: what is masked in captions is masked here too."""
    if column.null_count == len(column):
        return column
    words = column.combine_chunks().dictionary_encode()
    return normalise(words.dictionary, job.recipe.text)["text"].take(words.indices)


def _first_detail(raw: pa.Table, url_reason: pa.Array, texts: pa.Table) -> pa.Array:
    """The detail that goes with the first of the three reasons."""
    of_text = pc.if_else(pc.is_null(url_reason), texts["detail"], None)
    return pc.if_else(pc.is_null(raw["drop_reason"]), of_text, raw["detail"])
