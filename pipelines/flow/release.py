"""Release: WebDataset shards and manifest files, the same bytes in any attempt, sealed with their digests."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.final import manifest_texts
from pipelines.flow.indexes import IN_SHARDS
from pipelines.flow.reuse import IMAGE_SETTINGS
from pipelines.flow.rows import put
from pipelines.flow.score import SCORER
from pipelines.flow.seal import FIGURES, seal, tell_figures
from pipelines.flow.shard_files import write_shard
from pipelines.flow.shuffle import uid_words
from pipelines.flow.splits import SPLIT, split_names
from pipelines.flow.taken_down import PLACED
from pipelines.release_settings import TRAIN
from pipelines.tasks import Batch, Flow, Job, Outcome, Plan, Task
from shards.manifest import manifest_metadata, narrow_columns
from shards.parts import fingerprint
from shards.tables import TableWriter, iter_tables, read_rows, read_slice

_VERSION = 5
SHARDS_PER_PART = 8
Ranks = npt.NDArray[np.int64]

_INTERNAL = ("canonical_url", "tar_offset", "tar_bytes", "fetch_index", "fetch_fingerprint")


def steps(flow: Flow) -> Iterator[Batch]:
    """Kept samples in runs of shards, dropped ones in uid ranges, then the seal over all files."""
    size = flow.recipe.release.shard_size
    chain = flow.chain("select", "select-order")
    key: list[object] = [_VERSION, size, flow.recipe.release.dropped, chain]
    runs, placed = list(_runs(flow)), list(_runs(flow, as_placed=True))
    if len(runs) != len(placed):  # a takedown left fewer: files by the same numbers would hold something else
        key.append(len(runs))
    ranges = [{"kind": "dropped", "bucket": ref} for ref in flow.refs("select")]
    if flow.recipe.release.dropped == "none":
        ranges = []
    shared = {"selected": flow.refs("select"), "order": flow.refs("select-order")[0], "admit": flow.refs("admit")}
    shared["scored"] = flow.refs("score")[:1]
    tasks = tuple(
        Task(
            "release",
            index,
            fingerprint("release", key, index),
            {**given, **shared, "file": index if given["kind"] == "kept" else index - len(runs)},
        )
        for index, given in enumerate([*runs, *ranges])
    )
    subsets = list(flow.recipe.release.subsets.items())
    about = flow.recipe.release.about.model_dump(mode="json")
    mark = fingerprint("release-seal", _VERSION, [task.fingerprint for task in tasks], flow.recipe.name, subsets, about)
    files = [task.ref for task in tasks]
    told = _figures(len(tasks), chain, shared) if flow.context.below is not None else None
    given = {"kind": "seal", "files": files, "figures": told and told.ref, **shared}
    closing = Task("release", len(tasks) + 1, mark, given) if told else Task("release", len(tasks), mark, given)
    made = (*tasks, told) if told else tasks
    _forget_others(flow, "release", [*made, closing])
    yield Batch("release", made)
    yield Batch("release", (closing,))


def _figures(index: int, chain: str, shared: dict[str, Any]) -> Task:
    """What a release that is decided again holds in numbers, told beside its files, and first: it takes the longest.

    In a run the seal tells it, since a takedown changes the rows below it.
    """
    mark = fingerprint("release-figures", _VERSION, chain)
    return Task("release", index, mark, {"kind": FIGURES, **shared}, remaining_s=1.0)


def _runs(flow: Flow, as_placed: bool = False) -> Iterator[dict[str, Any]]:
    """Shards that one task writes, split after split; `kept` counts the split's samples in each select part.

    `as_placed`: as they were before any of the samples was taken down.
    """
    metas = [r.meta.get(PLACED, r.meta) if as_placed else r.meta for r in flow.records("select")]
    size = flow.recipe.release.shard_size * SHARDS_PER_PART
    for split in split_names(flow.recipe.release):
        counts = [meta["kept"] if split is None else meta["splits"][split] for meta in metas]
        for start in range(0, sum(counts), size):
            stop = min(start + size, sum(counts))
            yield {"kind": "kept", "split": split, "start": start, "stop": stop, "kept": counts}


def _forget_others(flow: Flow, step: str, tasks: Sequence[Task]) -> None:
    """Release files carry plain names, so another recipe's records no longer tell the truth about them."""
    folder = flow.context.folder(step)
    current = {(task.index, task.fingerprint[:8]) for task in tasks}
    for index, digits in folder.committed() - current:
        folder.forget(index, digits)


def write_release(job: Job) -> Outcome:
    """One run of shards with its manifest file, one uid range's dropped rows, or the seal over all of them."""
    work = {"kept": _write_kept, "dropped": _write_dropped, FIGURES: tell_figures, "seal": seal}
    return work[job.task.inputs["kind"]](job)


def _write_dropped(job: Job) -> Outcome:
    tables = (manifest_rows(table, job.plan) for table in iter_tables(job.path("bucket", "dropped")))
    if job.recipe.release.dropped == "narrow":
        tables = (table.select(narrow_columns(table.column_names)) for table in tables)
    num_rows = _write_manifest(job, f"manifest/dropped-{job.task.inputs['file']:06d}.parquet", tables)
    return Outcome(num_rows, {"dropped": num_rows})


def _write_kept(job: Job) -> Outcome:
    size, split = job.recipe.release.shard_size, job.task.inputs["split"]
    start, stop = job.task.inputs["start"], job.task.inputs["stop"]
    shards = np.arange(start, stop) // size
    rows = _by_shard(kept_rows(job, start, stop), shards)
    names = pa.array([shard_name(split, shard) for shard in range(start // size, -(-stop // size))], pa.string())
    rows = put(rows, "shard", names.take(pa.array(shards - start // size)))
    manifest = manifest_rows(rows, job.plan)
    counts = {}
    for number in range(start // size, -(-stop // size)):
        first, after = number * size - start, min(stop, (number + 1) * size) - start
        if job.context.writes_shards:
            write_shard(job, shard_name(split, number), rows[first:after], manifest[first:after])
        counts[shard_name(split, number)] = after - first
    _write_manifest(job, f"manifest/kept-{job.task.inputs['file']:06d}.parquet", [manifest])
    return Outcome(manifest.num_rows, {"kept": manifest.num_rows}, {IN_SHARDS: counts})


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
    tables = list(_rows_of_ranks(job, ranks[by_rank]))
    back = np.empty(len(ranks), np.int64)
    back[by_rank] = np.arange(len(ranks))
    return _taken(pa.concat_tables(tables), back)


def _rows_of_ranks(job: Job, ranks: Ranks) -> Iterator[pa.Table]:
    """Rows of sorted ranks, bucket after bucket, reading only the row groups that hold them."""
    first, split = 0, job.task.inputs["split"]
    for ref, count in zip(job.task.inputs["selected"], job.task.inputs["kept"], strict=True):
        inside = ranks[(ranks >= first) & (ranks < first + count)] - first
        if len(inside):
            path = job.context.path(ref, "kept")
            yield read_slice(path, inside if split is None else _rows_of_split(path, split)[inside])
        first += count


def _rows_of_split(path: Path, split: str) -> Ranks:
    is_of_split = pc.equal(read_rows(path, [SPLIT])[SPLIT], split).to_numpy()
    return np.flatnonzero(is_of_split)


def shard_name(split: str | None, number: int) -> str:
    """Below `shards/`: what is held out of training has a folder of its own, which `shards/*.tar` does not reach."""
    return f"{number:06d}.tar" if split in (None, TRAIN) else f"{split}/{number:06d}.tar"


def manifest_rows(table: pa.Table, plan: Plan) -> pa.Table:
    """A select part's rows as the manifest publishes them."""
    table = put(table, "texts", manifest_texts(table["texts"]))
    if "shard" not in table.column_names:
        table = put(table, "shard", pa.nulls(table.num_rows, pa.string()))
    return table.drop_columns([name for name in _INTERNAL if name in table.column_names])


def _write_manifest(job: Job, name: str, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as one file of the manifest; returns how many rows they have."""
    pieces = iter(tables)
    first = next(pieces)
    about = {IMAGE_SETTINGS: job.recipe.image.model_dump_json().encode()} | _scorer(job)
    schema = first.schema.with_metadata(manifest_metadata() | about)
    with TableWriter(job.attempt.path("manifest", "parquet", name), schema) as writer:
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
