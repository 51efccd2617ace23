"""Collect: read the source and make one candidate row per (image URL, text), with its text measures."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
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
from crawler.lists.tables import read_table_slice, table_slices
from crawler.remote.reach import Reach
from crawler.search.rows import read_search
from crawler.search.source import SearchSource
from crawler.settings import product_token
from crawler.sources import CrawlSource, TableSource
from crawler.url_columns import canonical_urls, uids
from crawler.warc import WarcSlice, warc_slices
from crawler.warc_candidates import candidates_of_pages, read_warc
from filters.measures import MEASURES, code_version, measures_of
from filters.text import normalise, normalise_with_sources, text_measures
from filters.texts.beside import Beside
from pipelines.flow import archive_index
from pipelines.flow.archive_index import lane_of, lanes_of, reach_of
from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.part_of_source import MOST_ROWS, NUM_READ, Piece, Planner, batches, first_rows, sampled
from pipelines.flow.rows import count_reasons
from pipelines.flow.taken_down import without_taken_down
from pipelines.flow.text_lists import text_facts
from pipelines.tasks import Batch, Flow, Job, Outcome
from shards.schema import RAW_CANDIDATE
from shards.tables import TableWriter

_VERSION = 8
_ROW_GROUP = 131_072
_MARK_BYTES = 65_536
_MOST_ROWS = 1 << 26
"""What a slice of unknown length may hold, for narrowing it: ranges beyond its end are quickly found innocent."""


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per slice of the source: a run of a table's rows, a WARC file, or what was crawled or searched for."""
    source = flow.recipe.source
    if isinstance(source, WarcSource) and source.index is not None:
        yield archive_index.select_step(flow, source, source.index, _mark_of_index)
    names = text_measure_names(flow.plan.measures)
    settings: list[object] = [*text_facts(flow.recipe.text), [code_version(name) for name in names]]
    if source.sample is not None:
        settings.append({"sample": source.sample})
    limit = None if isinstance(source, CrawlSource) else source.limit  # of a crawl it bounds pages
    planner = Planner("collect", (_VERSION, settings), _MOST_ROWS)
    yield from batches(flow, planner, _pieces(flow), limit)


def _pieces(flow: Flow) -> Iterator[Piece]:
    """What the parts read, in the source's order."""
    source = flow.recipe.source
    if isinstance(source, CrawlSource | SearchSource):
        for task in flow.tasks(source.kind):
            yield Piece({source.kind: task.ref}, task.fingerprint)
    elif isinstance(source, WarcSource) and source.index is not None:
        chain = flow.chain(archive_index.STEP)
        for number, given in enumerate(archive_index.cut_parts(flow, source.index.part_records)):
            lane = lane_of(number, source.prefix, flow.recipe)
            yield Piece(given, [chain, given["first"], given["stop"]], lane=lane)
    else:
        for number, piece in enumerate(_slices(source, reach_of(flow.recipe))):
            lane = lane_of(number, piece.path, flow.recipe)
            yield Piece({"slice": piece}, _slice_key(piece), getattr(piece, "num_rows", None), lane)


def source_slices(source: TableSource | WarcSource | ShardsSource, reach: Reach | None = None) -> list[Any]:
    """The source cut into parts, checked file by file. Raises `BadInputError` for files that cannot be read.

    What an index finds is known once the index was read: for it, its files are looked for, and no part is told. With
    a limit these are the parts that are sure to be read; files behind them are not looked at.
    """
    if isinstance(source, WarcSource) and source.index is not None:
        archive_index.index_files(source, source.index, reach or Reach())
        return []
    taken: list[Any] = []
    num_rows = 0
    for piece in _slices(source, reach):
        taken.append(piece)
        rows = getattr(piece, "num_rows", None)
        num_rows += rows or 0
        if source.limit is not None and (rows is None or num_rows >= source.limit):
            break
    return taken


def _slices(source: TableSource | WarcSource | ShardsSource, reach: Reach | None) -> Iterator[Any]:
    if isinstance(source, ShardsSource):
        return encoded_slices(source.paths) if source.layout == "chinese-clip" else shard_slices(source.paths)
    if isinstance(source, TableSource):
        return table_slices(source)
    return warc_slices(source.paths, source.paths_file, source.prefix, reach)


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
    place, most, share = 0, job.task.inputs.get(MOST_ROWS), job.recipe.source.sample
    with TableWriter(job.attempt.path("rows", "parquet"), schema) as writer:
        for batch in first_rows(_raw_batches(job), most):
            raw = pa.Table.from_batches([batch])
            raw = mark_skipped(only_taken(raw, job.rows, place), job.rows, place)
            place += batch.num_rows
            if share is not None:
                raw = sampled(raw, uids(_identities(raw)[2]), share)
                if not raw.num_rows:
                    continue
            candidates = without_taken_down(candidates_of(raw, job), job.context.run)
            writer.write(candidates, _ROW_GROUP)
            count_reasons(counts, candidates)
    versions = [code_version(name) for name in text_measure_names(job.plan.measures)]
    read = {} if most is None else {NUM_READ: place}
    return Outcome(writer.num_rows, counts, {"measures": versions, **read})


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
    urls, url_reason, identity = _identities(raw)
    texts = normalise_with_sources(raw["text"], job.recipe.text)
    queries = _as_text(raw["query"], job)
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


def _identities(raw: pa.Table) -> tuple[pa.Table, pa.Array, pa.Array]:
    """CANONICAL_COLUMNS of each row, why it has no URL to ask for, and what its uid is the hash of."""
    urls = canonical_urls(raw["url"])
    has_url = pc.is_valid(raw["url"])
    url_reason = pc.if_else(pc.and_(has_url, pc.invert(_lies_inside(raw))), urls["drop_reason"], None)
    # A row without a URL is a sample of its own, named by where it stood; so is a URL that cannot be read.
    identity = pc.coalesce(pc.if_else(pc.is_null(url_reason), urls["canonical_url"], None), raw["url"], raw["origin"])
    return urls, url_reason, identity


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
