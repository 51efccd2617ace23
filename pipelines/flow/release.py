"""Release: WebDataset shards and manifest files, the same bytes in any attempt, sealed with their digests."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.flow.final import manifest_texts
from pipelines.flow.reuse import IMAGE_SETTINGS
from pipelines.flow.rows import put
from pipelines.flow.seal import seal
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Plan, Task
from shards.manifest import manifest_metadata, narrow_columns
from shards.parts import fingerprint
from shards.tables import TableWriter, read_rows, read_slice
from shards.tars import TarReader, TarWriter

_VERSION = 2
SHARDS_PER_PART = 8
_INTERNAL = ("canonical_url", "tar_offset", "tar_bytes", "fetch_index", "fetch_fingerprint")


def steps(flow: Flow) -> Iterator[Batch]:
    """Kept samples in runs of shards, dropped ones in uid ranges, then the seal over all files."""
    kept = [record.meta["kept"] for record in flow.records("select")]
    size = flow.recipe.release.shard_size
    chain = flow.chain("select", "select-order")
    key = [_VERSION, size, flow.recipe.release.dropped, chain]
    run_size = size * SHARDS_PER_PART
    runs = [
        {"kind": "kept", "start": start, "stop": min(start + run_size, sum(kept)), "kept": kept}
        for start in range(0, sum(kept), run_size)
    ]
    ranges = [{"kind": "dropped", "bucket": ref} for ref in flow.refs("select")]
    if flow.recipe.release.dropped == "none":
        ranges = []
    shared = {"selected": flow.refs("select"), "order": flow.refs("select-order")[0], "admit": flow.refs("admit")}
    tasks = tuple(
        Task(
            "release",
            index,
            fingerprint("release", key, index),
            {**given, **shared, "file": index if given["kind"] == "kept" else index - len(runs)},
        )
        for index, given in enumerate([*runs, *ranges])
    )
    mark = fingerprint("release-seal", _VERSION, [task.fingerprint for task in tasks], flow.recipe.name)
    files = [task.ref for task in tasks]
    closing = Task("release", len(tasks), mark, {"kind": "seal", "files": files, **shared})
    _forget_others(flow, "release", [*tasks, closing])
    yield Batch("release", tasks)
    yield Batch("release", (closing,))


def _forget_others(flow: Flow, step: str, tasks: Sequence[Task]) -> None:
    """Release files carry plain names, so another recipe's records no longer tell the truth about them."""
    folder = flow.context.folder(step)
    current = {(task.index, task.fingerprint[:8]) for task in tasks}
    for index, digits in folder.committed() - current:
        folder.forget(index, digits)


@dataclass(frozen=True)
class _Slot:
    """A kept sample's place in the release and its rank by uid."""

    place: int
    rank: int


def write_release(job: Job) -> Outcome:
    """One run of shards with its manifest file, one uid range's dropped rows, or the seal over all of them."""
    work = {"kept": _write_kept, "dropped": _write_dropped, "seal": seal}
    return work[job.task.inputs["kind"]](job)


def _write_dropped(job: Job) -> Outcome:
    path = job.context.path(job.task.inputs["bucket"], "dropped")
    table = manifest_rows(read_rows(path), job.plan)
    if job.recipe.release.dropped == "narrow":
        table = table.select(narrow_columns(table.column_names))
    name = f"manifest/dropped-{job.task.inputs['file']:06d}.parquet"
    _write_manifest(job, "manifest", name, table)
    return Outcome(table.num_rows, {"dropped": table.num_rows})


def _write_kept(job: Job) -> Outcome:
    size = job.recipe.release.shard_size
    start, stop = job.task.inputs["start"], job.task.inputs["stop"]
    rows = kept_rows(job, start, stop)
    shards = np.arange(start, stop) // size
    rows = put(rows, "shard", pa.array([f"{shard:06d}.tar" for shard in shards], pa.string()))
    manifests = []
    for number in range(start // size, -(-stop // size)):
        shard = rows.filter(pa.array(shards == number)).sort_by("uid")
        manifest = manifest_rows(shard, job.plan)
        if job.context.writes_shards:
            _write_shard(job, number, shard, manifest)
        manifests.append(manifest)
    table = pa.concat_tables(manifests)
    _write_manifest(job, "manifest", f"manifest/kept-{job.task.inputs['file']:06d}.parquet", table)
    return Outcome(table.num_rows, {"kept": table.num_rows})


def kept_rows(job: Job, start: int, stop: int) -> pa.Table:
    """Kept samples in their places `start` to `stop` of the release."""
    moved = read_rows(job.path("order"))
    ranks = np.arange(start, stop)
    for rank, place in zip(moved["rank"].to_pylist(), moved["place"].to_pylist(), strict=True):
        if start <= place < stop:
            ranks[place - start] = rank
    by_rank = np.argsort(ranks, kind="stable")
    tables = list(_rows_of_ranks(job, ranks[by_rank]))
    back = np.empty(len(ranks), np.int64)
    back[by_rank] = np.arange(len(ranks))
    return pa.concat_tables(tables).take(pa.array(back))


def _rows_of_ranks(job: Job, ranks: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Iterator[pa.Table]:
    """Rows of sorted ranks, bucket after bucket, reading only the row groups that hold them."""
    first = 0
    for ref, count in zip(job.task.inputs["selected"], job.task.inputs["kept"], strict=True):
        inside = ranks[(ranks >= first) & (ranks < first + count)] - first
        if len(inside):
            yield read_slice(job.context.path(ref, "kept"), inside)
        first += count


def _write_shard(job: Job, number: int, rows: pa.Table, manifest: pa.Table) -> None:
    """Members in order of uid: the stored copy, the caption, and what the manifest says of the sample."""
    path = job.attempt.path(f"shard-{number:06d}", "tar", f"shards/{number:06d}.tar")
    images = _images(rows, job)
    facts = manifest.drop_columns(["shard"]).to_pylist()
    with TarWriter(path) as tar:
        for image, extension, row in zip(images, rows["stored_format"].to_pylist(), facts, strict=True):
            tar.add(f"{row['uid']}.{extension}", image)
            tar.add(f"{row['uid']}.txt", (row["text"] or "").encode())
            tar.add(f"{row['uid']}.json", json.dumps(row, ensure_ascii=False, sort_keys=True).encode())


def _images(rows: pa.Table, job: Job) -> Iterator[bytes]:
    readers: dict[PartRef, TarReader] = {}
    columns = ("fetch_index", "fetch_fingerprint", "tar_offset", "tar_bytes")
    try:
        for index, mark, offset, size in zip(*(rows[name].to_pylist() for name in columns), strict=True):
            ref = PartRef("fetch", index, mark)
            if ref not in readers:
                readers[ref] = TarReader(job.context.path(ref, "tar"))
            yield readers[ref].read(offset, size)
    finally:
        for reader in readers.values():
            reader.close()


def manifest_rows(table: pa.Table, plan: Plan) -> pa.Table:
    """A select part's rows as the manifest publishes them."""
    table = put(table, "texts", manifest_texts(table["texts"]))
    if "shard" not in table.column_names:
        table = put(table, "shard", pa.nulls(table.num_rows, pa.string()))
    return table.drop_columns([name for name in _INTERNAL if name in table.column_names])


def _write_manifest(job: Job, role: str, name: str, table: pa.Table) -> None:
    image = {IMAGE_SETTINGS: job.recipe.image.model_dump_json().encode()}
    schema = table.schema.with_metadata(manifest_metadata() | image)
    with TableWriter(job.attempt.path(role, "parquet", name), schema) as writer:
        writer.write(table)
