"""Selection of WARC records by an index: each index file to the records it finds, and all of these cut into parts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from crawler.archives.index_rows import INDEX_COLUMNS, PLACES, read_index
from crawler.archives.listing import ArchiveFile, listed_files
from crawler.archives.opening import Opener, is_web
from crawler.archives.records import Wanted
from crawler.archives.source import WarcIndex, WarcSource
from crawler.archives.where import condition_of
from crawler.remote.reach import Reach
from filters.conditions import RowCondition
from filters.expressions import RefusedExpressionError
from pipelines.problems import Problem
from pipelines.recipe import Recipe
from pipelines.tasks import Batch, Flow, Job, Outcome, Task
from shards.parts import fingerprint
from shards.tables import TableWriter

STEP = "collect-index"
_VERSION = 1
_RUN_ROWS = 1_000_000
"""Selected rows that are sorted in memory at a time; a file of an index may give several such runs."""

_ROW_GROUP = 65_536
_ORDER = [("warc_filename", "ascending"), ("warc_record_offset", "ascending"), ("warc_record_length", "descending")]
_ORDER.append(("origin", "ascending"))


def index_problems(recipe: Recipe) -> list[Problem]:
    """What is wrong with the condition of a source's index."""
    source = recipe.source
    if not isinstance(source, WarcSource) or source.index is None:
        return []
    try:
        RowCondition(condition_of(source.index.where), INDEX_COLUMNS)
    except RefusedExpressionError as refusal:
        return [Problem("source.index.where", str(refusal))]
    return []


def reach_of(recipe: Recipe, lanes: int = 1) -> Reach:
    """What reading files of other machines needs to know of a recipe."""
    return Reach(recipe.network, recipe.crawler, recipe.fetch, lanes)


def lane_of(index: int, path: str, recipe: Recipe) -> int | None:
    """Parts that read from a web server share as many lanes as its host takes requests at once."""
    return index % lanes_of(path, recipe) if is_web(path) else None


def lanes_of(path: str, recipe: Recipe) -> int:
    """How many parts may read from the host of an address at the same time."""
    host = path.split("://", 1)[1].split("/", 1)[0].rpartition("@")[2] if is_web(path) else ""
    return recipe.crawler.limits_of(host.rpartition(":")[0] or host).concurrency


def index_files(source: WarcSource, index: WarcIndex, reach: Reach) -> list[ArchiveFile]:
    """The files of the index, sorted by name."""
    with Opener(reach) as opener:
        return listed_files(index.paths, index.paths_file, source.prefix, opener)


def select_step(flow: Flow, source: WarcSource, index: WarcIndex, marks: Any) -> Batch:
    """One task per file of the index; `marks` tells a file of the index that has changed."""
    condition = condition_of(index.where)
    tasks = []
    for number, file in enumerate(index_files(source, index, reach_of(flow.recipe))):
        mark = fingerprint(STEP, _VERSION, condition, file.name, marks(file))
        given = {"file": file, "condition": condition}
        tasks.append(Task(STEP, number, mark, given, lane=lane_of(number, file.path, flow.recipe)))
    return Batch(STEP, tuple(tasks))


def select(job: Job) -> Outcome:
    """The places of the records that one file of the index finds, in sorted runs."""
    file: ArchiveFile = job.task.inputs["file"]
    condition = RowCondition(job.task.inputs["condition"], INDEX_COLUMNS)
    num_read, run = 0, PLACES.empty_table()
    reach = reach_of(job.recipe, lanes_of(file.path, job.recipe))
    with Opener(reach) as opener, TableWriter(job.attempt.path("rows", "parquet"), PLACES) as writer:
        for table in read_index(file, condition.columns, opener):
            num_read += table.num_rows
            # A line that cannot be read at all fits no condition, and is not lost for that.
            taken = pc.or_(condition.holds(table), pc.equal(table["warc_filename"], ""))
            run = pa.concat_tables([run, table.filter(pc.fill_null(taken, False)).select(PLACES.names)])
            if run.num_rows >= _RUN_ROWS:
                writer.write(run.sort_by(_ORDER), _ROW_GROUP)
                run = PLACES.empty_table()
        writer.write(run.sort_by(_ORDER), _ROW_GROUP)
    return Outcome(writer.num_rows, {}, {"index_rows": num_read})


def cut_parts(flow: Flow, part_records: int) -> list[dict[str, Any]]:
    """Runs of the selected records by file and offset, of about `part_records` each: few files to a part.

    The order of the index's rows does not matter. A part is `first` (file, offset) to `stop`, exclusive; the last has
    none. Only counts by file are held, and offsets of a file that alone makes several parts.
    """
    paths = [flow.context.path(ref) for ref in flow.refs(STEP)]
    counts: dict[str, int] = {}
    for path in paths:
        for batch in ds.dataset(path).to_batches(columns=["warc_filename"]):
            for entry in pc.fill_null(batch.column(0), "").value_counts().to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    starts: list[tuple[str, int]] = []
    num_held = part_records
    for name in sorted(counts):
        if num_held + counts[name] > part_records:
            starts.append((name, -1))
            num_held = 0
        num_held += counts[name]
        if counts[name] > part_records:
            starts += [(name, offset) for offset in _cuts(paths, name, part_records)]
            num_held = part_records
    starts = starts or [("", -1)]
    stops = [*starts[1:], None]
    refs = flow.refs(STEP)
    return [{"index": refs, "first": first, "stop": stop} for first, stop in zip(starts, stops, strict=True)]


def _cuts(paths: list[Any], name: str, part_records: int) -> list[int]:
    """Offsets within one file that part its records."""
    offsets = [_of_files(path, name, name, ["warc_record_offset"])["warc_record_offset"] for path in paths]
    known = pa.chunked_array([chunk for column in offsets for chunk in column.chunks], pa.int64()).drop_null()
    ordered = np.unique(known.to_numpy())
    return [int(offset) for offset in ordered[part_records::part_records]]


def wanted_records(job: Job) -> list[Wanted]:
    """The records of one part, each once, by file and offset; rows that lead to none come as they are."""
    first: tuple[str, int] = job.task.inputs["first"]
    stop: tuple[str, int] | None = job.task.inputs["stop"]
    last = stop[0] if stop is not None else None
    tables = [_of_files(path, first[0], last, PLACES.names) for path in job.paths("index")]
    found: dict[tuple[str, int, str], Wanted] = {}
    for row in _rows(pa.concat_tables(tables)):
        place = (row.filename, row.offset)
        if place < first or (stop is not None and place >= stop):
            continue
        found.setdefault((*place, row.origin if row.fault else ""), row)
    return list(found.values())


def _rows(table: pa.Table) -> Iterator[Wanted]:
    for row in table.sort_by(_ORDER).to_pylist():
        offset, length = row["warc_record_offset"], row["warc_record_length"]
        yield Wanted(
            row["warc_filename"] or "", -1 if offset is None else offset, length or 0, row["origin"], row["fault"]
        )


def _of_files(path: Any, first: str, last: str | None, columns: list[str]) -> pa.Table:
    """The rows of a range of files; groups of rows outside it are not read."""
    name = ds.field("warc_filename")
    fits = name >= first if last is None else (name >= first) & (name <= last)
    if first == "":
        fits = fits | name.is_null()
    return ds.dataset(path).to_table(columns=columns, filter=fits, use_threads=False)
