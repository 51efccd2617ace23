"""Committed parts of a run without some samples: other files under other names, and the record put in place last.

The record is the truth about a part, so a kill leaves the part as it was or as it should be. Rows are emptied and not
taken out, and the record's counts stay, so that a resumed run plans as before and redoes nothing.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crawler.search.purge import purge_answers
from crawler.search.source import SearchSource
from crawler.settings import product_token
from crawler.sources import CrawlSource
from crawler.url_columns import uids as uids_of
from crawler.urls import canonical_url
from crawler.warc import WarcSlice
from crawler.warc_purge import Purge, purge_warc
from pipelines.flow.taken_down import are_pages_down
from pipelines.recipe import Recipe
from pipelines.remove.find import Traces
from shards.parts import PartFile, Record, StepFolder
from shards.schema import uid_of
from shards.storage import publish, sha256_of
from shards.table_purge import blank_rows, holds_samples, num_to_blank
from shards.tables import TableWriter, read_rows
from shards.tar_purge import leave_holes, samples_among
from shards.tombstones import Tombstones

REMOVED_ROWS = "removed"
"""In a record's facts: how many rows were emptied since the part was made."""

PURGED = "purged"
"""In a crawled part's facts: its WARC file lacks pages, and holds what stayed of them."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Removal:
    """What has to go from a run, and whether it is only to be told. `tombstones` are all of the run.

    `is_resumed`: an earlier call was killed, so what is made last may be of before.
    """

    run: Path
    recipe: Recipe
    tombstones: Tombstones
    traces: Traces
    tell: Tell
    is_dry: bool = False
    is_resumed: bool = False

    @property
    def uids(self) -> pa.Array:
        return self.tombstones.uids

    def are_gone(self, urls: pa.Array) -> list[bool]:
        named = pc.is_in(uids_of(urls), value_set=self.uids).to_pylist()
        if not (self.tombstones.pages or self.tombstones.hosts):
            return list(named)
        present = urls.fill_null("").to_pylist()
        return [
            is_named or down for is_named, down in zip(named, are_pages_down(present, self.tombstones), strict=True)
        ]


def purge_step(step: str, removal: Removal) -> None:
    """Every part of a step, of whatever recipe, then what killed attempts left there."""
    folder = StepFolder(removal.run, step)
    for record in folder.records():
        if folder.is_whole(record):
            purge_part(folder, record, removal)
    if not removal.is_dry:
        folder.sweep()


def purge_part(folder: StepFolder, record: Record, removal: Removal) -> None:
    """The files of one part that hold what has to go are written again."""
    made: dict[str, PartFile] = {}
    num_rows = 0
    for file in record.files:
        path = folder.path / file.name
        num, write = _purger(path, file.role, record, removal)
        if not num:
            continue
        num_rows += num if file.role == "rows" else 0
        made[file.role] = _told(folder, file, f"{num:,} {_WHAT.get(file.role, 'rows emptied')}", write, removal)
    if made and not removal.is_dry:
        facts: dict[str, object] = {REMOVED_ROWS: record.meta.get(REMOVED_ROWS, 0) + num_rows}
        facts |= {PURGED: True} if "warc" in made else {}
        put_record(folder, record, made, facts, num_rows=_num_rows(folder, record, made))


def _num_rows(folder: StepFolder, record: Record, made: dict[str, PartFile]) -> int:
    """Rows are emptied, and stay; links of a frontier go."""
    if "rows" not in made or record.rows == 0:
        return record.rows
    return int(pq.read_metadata(folder.path / made["rows"].name).num_rows)


_WHAT = {"tar": "stored copies taken out", "warc": "records taken out", "answers": "answers purged"}


def _told(folder: StepFolder, file: PartFile, what: str, write: Callable[[Path], object], removal: Removal) -> PartFile:
    """Write a file again under another name, and say so."""
    name = f"{folder.step}/{file.name}"
    if removal.is_dry:
        removal.tell(f"{name}: {what}")
        return file
    made = written_anew(folder, file, write)
    removal.tell(f"{name}: {what}, {file.bytes:,} -> {made.bytes:,} bytes")
    return made


def written_anew(folder: StepFolder, file: PartFile, write: Callable[[Path], object]) -> PartFile:
    """A part's file as `write` makes it, under the name of another attempt at the part."""
    part, _, suffix = file.name.split(".", 2)
    final = folder.path / f"{part}.{secrets.token_hex(4)}.{suffix}"
    temporary = final.with_name(f".{final.name}.tmp")
    write(temporary)
    size, digest = temporary.stat().st_size, sha256_of(temporary)
    publish(temporary, final)
    return PartFile(file.role, final.name, size, digest)


def put_record(
    folder: StepFolder,
    record: Record,
    made: dict[str, PartFile],
    facts: dict[str, object],
    counts: dict[str, int] | None = None,
    num_rows: int | None = None,
) -> None:
    """The record with other files and facts, and other counts if they are given; then the old files go."""
    rows = record.rows if num_rows is None else num_rows
    files = tuple(made.get(file.role, file) for file in record.files)
    folder.replace(replace(record, files=files, rows=rows, meta=record.meta | facts, counts=counts or record.counts))
    for file in record.files:
        if file.role in made and made[file.role].name != file.name:
            (folder.path / file.name).unlink(missing_ok=True)


def _purger(path: Path, role: str, record: Record, removal: Removal) -> tuple[int, Callable[[Path], object]]:
    """How many rows, members or records of a file have to go, and what writes it without them."""
    if role == "tar":
        uids = frozenset(removal.uids.to_pylist())
        return samples_among(path, uids), lambda target: leave_holes(path, target, uids)
    if role == "warc":
        return _warc_purger(path, record, removal)
    if role == "answers":
        return _answers_purger(path, removal)
    if path.suffix != ".parquet":
        return 0, lambda _: None
    schema = pq.read_schema(path)
    if not holds_samples(schema) and "url" in schema.names:
        return _num_links(path, removal), lambda target: _write_links(path, target, removal)
    return num_to_blank(path, removal.uids), lambda target: blank_rows(path, target, removal.uids)


def _answers_purger(path: Path, removal: Removal) -> tuple[int, Callable[[Path], object]]:
    source, urls = removal.recipe.source, removal.traces.urls
    if not isinstance(source, SearchSource):
        return 0, lambda _: None
    endpoint = source.described
    num = purge_answers(path, None, urls, endpoint)
    return num, lambda target: purge_answers(path, target, urls, endpoint)


def _warc_purger(path: Path, record: Record, removal: Removal) -> tuple[int, Callable[[Path], object]]:
    source = removal.recipe.source
    piece = WarcSlice(str(path), f"crawl-{record.index:06d}.warc.gz", path.stat().st_size)
    offsets = removal.traces.offsets.get(piece.name, set())
    was_purged = record.meta.get(PURGED, False)
    if not isinstance(source, CrawlSource) or not (offsets or was_purged or _has_gone_pages(path, record, removal)):
        return 0, lambda _: None
    gone = frozenset(removal.uids.to_pylist())
    purge = Purge(
        offsets, lambda urls: removal.are_gone(pa.array(urls)), lambda row: _is_removed(_text(row.get("url")), gone)
    )
    agent, limit = product_token(removal.recipe.crawler.user_agent or ""), source.max_page_bytes
    num = purge_warc(piece, None, purge, agent, limit)
    return num, lambda target: purge_warc(piece, target, purge, agent, limit)


def _has_gone_pages(path: Path, record: Record, removal: Removal) -> bool:
    """Whether a crawled part visited what is gone: without that its file is not read."""
    for file in record.files:
        if file.role == "pages":
            pages = read_rows(path.parent / file.name, ["url", "final_url"])
            return any(any(removal.are_gone(pages[name].combine_chunks())) for name in pages.column_names)
    return True


def _text(value: str | bool | None) -> str | None:
    return value if isinstance(value, str) else None


def _is_removed(url: str | None, uids: frozenset[str]) -> bool:
    return url is not None and uid_of(canonical_url(url) or url) in uids


def _num_links(path: Path, removal: Removal) -> int:
    return sum(int(np.count_nonzero(_links_gone(table, removal))) for table in _groups(path))


def _write_links(path: Path, target: Path, removal: Removal) -> None:
    """Links to what is gone are taken out; where a link stood is forgotten if that page is gone."""
    with TableWriter(target, pq.read_schema(path)) as writer:
        for table in _groups(path):
            left = table.filter(pa.array(~_links_gone(table, removal)))
            if "from_url" in left.column_names:
                froms = left["from_url"].combine_chunks()
                is_gone = pa.array(removal.are_gone(froms), pa.bool_())
                place = left.schema.get_field_index("from_url")
                left = left.set_column(place, "from_url", pc.if_else(is_gone, pa.scalar(None, pa.string()), froms))
            writer.write_row_group(left)


def _links_gone(table: pa.Table, removal: Removal) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    gone = np.array(removal.are_gone(table["url"].combine_chunks()), np.bool_)
    return gone


def _groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, memory_map=True) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False)
