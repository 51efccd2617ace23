"""The files of a manifest: which rows each holds, in which order, with which columns, and what is said of it."""

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.final import MANIFEST_TEXT, manifest_texts, selected_schema, text_struct
from pipelines.flow.reuse import IMAGE_SETTINGS
from pipelines.flow.rows import put
from pipelines.flow.score import SCORER
from pipelines.flow.shuffle import uid_words
from pipelines.flow.splits import SPLIT
from pipelines.flow.verdicts import OF_TEXTS, decided_parts
from pipelines.release_settings import TRAIN
from pipelines.tasks import Job, Plan
from shards.manifest import manifest_metadata, narrow_columns
from shards.tables import TableWriter, read_rows, read_slice

Ranks = npt.NDArray[np.int64]

_INTERNAL = ("canonical_url", "tar_offset", "tar_bytes", "fetch_index", "fetch_fingerprint")


def placed_rows(job: Job, rows: pa.Table, split: str | None, start: int, stop: int) -> pa.Table:
    """Kept samples in their places `start` to `stop` of a split as its shards have them, with the shard of each."""
    size = job.recipe.release.shard_size
    shards = np.arange(start, stop) // size
    names = pa.array([shard_name(split, shard) for shard in range(start // size, -(-stop // size))], pa.string())
    return put(_by_shard(rows, shards), "shard", names.take(pa.array(shards - start // size)))


def _by_shard(rows: pa.Table, shards: Ranks) -> pa.Table:
    """Rows shard after shard, in each by uid: nearly always as they are."""
    words = uid_words(rows["uid"])
    return _taken(rows, np.lexsort((words[:, 1], words[:, 0], shards)))


def _taken(rows: pa.Table, order: Ranks) -> pa.Table:
    return rows if (order[1:] > order[:-1]).all() else rows.take(pa.array(order))


def kept_rows(job: Job, start: int, stop: int) -> pa.Table:
    """Kept samples in their places `start` to `stop` of the task's split."""
    moved = read_rows(job.path("order"))
    moved = moved.filter(pc.equal(pc.fill_null(moved[SPLIT], ""), job.task.inputs["split"] or ""))
    ranks = np.arange(start, stop)
    for rank, place in zip(moved["rank"].to_pylist(), moved["place"].to_pylist(), strict=True):
        if start <= place < stop:
            ranks[place - start] = rank
    by_rank = np.argsort(ranks, kind="stable")
    tables = list(rows_of_ranks(job, ranks[by_rank]))
    back = np.empty(len(ranks), np.int64)
    back[by_rank] = np.arange(len(ranks))
    return _taken(pa.concat_tables(tables), back)


def rows_of_ranks(job: Job, ranks: Ranks) -> Iterator[pa.Table]:
    """Rows of sorted ranks, bucket after bucket, reading only the row groups that hold them."""
    first, split, decided = 0, job.task.inputs.get("split"), decided_parts(job)
    for ref, count in zip(job.task.inputs["selected"], job.task.inputs["kept"], strict=True):
        inside = ranks[(ranks >= first) & (ranks < first + count)] - first
        if len(inside):
            path = job.context.path(ref, "kept")
            rows = inside if split is None else _rows_of_split(path, split)[inside]
            yield decided[ref].kept_rows(rows, manifest_columns(job.plan)) if decided else read_slice(path, rows)
        first += count


def _rows_of_split(path: Path, split: str) -> Ranks:
    is_of_split = pc.equal(read_rows(path, [SPLIT])[SPLIT], split).to_numpy()
    return np.flatnonzero(is_of_split)


def shard_name(split: str | None, number: int) -> str:
    """Below `shards/`: what is held out of training has a folder of its own, which `shards/*.tar` does not reach."""
    return f"{number:06d}.tar" if split in (None, TRAIN) else f"{split}/{number:06d}.tar"


def kept_name(file: int) -> str:
    """The file of a run of shards."""
    return f"manifest/kept-{file:06d}.parquet"


def dropped_name(file: int) -> str:
    """The file of what fell in a range of uids."""
    return f"manifest/dropped-{file:06d}.parquet"


def manifest_columns(plan: Plan) -> list[str]:
    """The columns of a select part that the manifest is made of."""
    known = {field.name for field in text_struct(plan)}
    of_texts = [OF_TEXTS + field.name for field in MANIFEST_TEXT if field.name in known]
    names = [name for name in selected_schema(plan).names if name not in _INTERNAL]
    return [column for name in names for column in (of_texts if name == "texts" else [name])]


def manifest_rows(table: pa.Table, plan: Plan) -> pa.Table:
    """A select part's rows as the manifest publishes them."""
    table = put(table, "texts", manifest_texts(table["texts"]))
    if "shard" not in table.column_names:
        table = put(table, "shard", pa.nulls(table.num_rows, pa.string()))
    return table.drop_columns([name for name in _INTERNAL if name in table.column_names])


def dropped_rows(job: Job, table: pa.Table) -> pa.Table:
    """Rows that fell as the recipe wants them shown."""
    shown = manifest_rows(table, job.plan)
    return shown.select(narrow_columns(shown.column_names)) if job.recipe.release.dropped == "narrow" else shown


def write_manifest(job: Job, name: str, tables: Iterable[pa.Table], role: str = "manifest") -> int:
    """Write tables of one schema as one file of the manifest; returns how many rows they have."""
    pieces = iter(tables)
    first = next(pieces)
    about = {IMAGE_SETTINGS: job.recipe.image.model_dump_json().encode()} | _scorer(job)
    schema = first.schema.with_metadata(manifest_metadata() | about)
    with TableWriter(job.attempt.path(role, "parquet", name), schema) as writer:
        for table in itertools.chain([first], pieces):
            writer.write(table)
    return writer.num_rows


def _scorer(job: Job) -> dict[bytes, bytes]:
    """The model that gave the scores, as file metadata: its name, its weights' digest and its preprocessing."""
    told = [job.context.record(ref).meta.get(SCORER) for ref in job.task.inputs["scored"]]
    return {SCORER.encode(): json.dumps(_as_asked(model, job.plan), sort_keys=True).encode() for model in told if model}


def _as_asked(model: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Without the heads whose measures this recipe does not ask for; a part may have them of an earlier one."""
    heads = {name: head for name, head in model.get("heads", {}).items() if name in plan.measures}
    plain = {name: value for name, value in model.items() if name != "heads"}
    return plain | ({"heads": heads} if heads else {})
