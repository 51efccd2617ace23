"""Release: WebDataset shards and manifest files, the same bytes in any attempt, sealed with their digests."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.flow.decided_release import DECIDED, decided_ranges, write_decided
from pipelines.flow.indexes import IN_SHARDS
from pipelines.flow.manifest_files import (
    dropped_name,
    dropped_rows,
    kept_name,
    kept_rows,
    manifest_columns,
    manifest_rows,
    placed_rows,
    shard_name,
    write_manifest,
)
from pipelines.flow.seal import FIGURES, seal, tell_figures
from pipelines.flow.shard_files import write_shard
from pipelines.flow.splits import split_names
from pipelines.flow.taken_down import PLACED
from pipelines.flow.verdicts import decided_parts, lie_apart
from pipelines.tasks import Batch, Flow, Job, Outcome, Task
from shards.parts import fingerprint
from shards.tables import iter_tables

_VERSION = 5
SHARDS_PER_PART = 8


def steps(flow: Flow) -> Iterator[Batch]:
    """Kept samples in runs of shards, dropped ones in uid ranges, then the seal over all files."""
    size = flow.recipe.release.shard_size
    chain = flow.chain("select", "select-order")
    key: list[object] = [_VERSION, size, flow.recipe.release.dropped, chain]
    runs, placed = list(_runs(flow)), list(_runs(flow, as_placed=True))
    if len(runs) != len(placed):  # a takedown left fewer: files by the same numbers would hold something else
        key.append(len(runs))
    ranges = [{"kind": "dropped", "bucket": ref, "file": file} for file, ref in enumerate(flow.refs("select"))]
    if flow.recipe.release.dropped == "none":
        ranges = []
    given = [*runs, *ranges]
    if _in_one_pass(flow):
        given = list(decided_ranges(runs, len(flow.refs("select"))))
        key.append(DECIDED)
    shared = {"selected": flow.refs("select"), "order": flow.refs("select-order")[0], "admit": flow.refs("admit")}
    shared["scored"] = flow.refs("score")[:1]
    for name, step in (("gathered", "select-rows"), ("judged", "select-judge")):
        shared[name] = flow.refs(step) if lie_apart(flow.context) else []
    tasks = tuple(
        Task(
            "release",
            index,
            fingerprint("release", key, index),
            {**inputs, **shared},
        )
        for index, inputs in enumerate(given)
    )
    subsets = list(flow.recipe.release.subsets.items())
    about = flow.recipe.release.about.model_dump(mode="json")
    mark = fingerprint("release-seal", _VERSION, [task.fingerprint for task in tasks], flow.recipe.name, subsets, about)
    files = [task.ref for task in tasks]
    told = _figures(len(tasks), chain, shared) if flow.context.below is not None else None
    inputs = {"kind": "seal", "files": files, "figures": told and told.ref, **shared}
    closing = Task("release", len(tasks) + 1 if told else len(tasks), mark, inputs)
    made = (*tasks, told) if told else tasks
    _forget_others(flow, "release", [*made, closing])
    yield Batch("release", made)
    yield Batch("release", (closing,))


def _in_one_pass(flow: Flow) -> bool:
    """Whether kept samples lie in files as they are gathered: verdicts lie apart, and nobody changes places."""
    num_moved = sum(record.rows for record in flow.records("select-order"))
    return lie_apart(flow.context) and not num_moved


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
    numbers = itertools.count()
    metas = [r.meta.get(PLACED, r.meta) if as_placed else r.meta for r in flow.records("select")]
    size = flow.recipe.release.shard_size * SHARDS_PER_PART
    for split in split_names(flow.recipe.release):
        counts = [meta["kept"] if split is None else meta["splits"][split] for meta in metas]
        for start in range(0, sum(counts), size):
            stop = min(start + size, sum(counts))
            file = next(numbers)
            yield {"kind": "kept", "split": split, "start": start, "stop": stop, "kept": counts, "file": file}


def _forget_others(flow: Flow, step: str, tasks: Sequence[Task]) -> None:
    """Release files carry plain names, so another recipe's records no longer tell the truth about them."""
    folder = flow.context.folder(step)
    current = {(task.index, task.fingerprint[:8]) for task in tasks}
    for index, digits in folder.committed() - current:
        folder.forget(index, digits)


def write_release(job: Job) -> Outcome:
    """One run of shards with its manifest file, one uid range's dropped rows, or the seal over all of them."""
    work = {"kept": _write_kept, "dropped": _write_dropped, DECIDED: write_decided, FIGURES: tell_figures, "seal": seal}
    return work[job.task.inputs["kind"]](job)


def _write_dropped(job: Job) -> Outcome:
    part = decided_parts(job).get(job.task.inputs["bucket"])
    whole = (
        iter_tables(job.path("bucket", "dropped")) if part is None else part.fallen_tables(manifest_columns(job.plan))
    )
    num_rows = write_manifest(job, dropped_name(job.task.inputs["file"]), (dropped_rows(job, rows) for rows in whole))
    return Outcome(num_rows, {"dropped": num_rows})


def _write_kept(job: Job) -> Outcome:
    size, split = job.recipe.release.shard_size, job.task.inputs["split"]
    start, stop = job.task.inputs["start"], job.task.inputs["stop"]
    rows = placed_rows(job, kept_rows(job, start, stop), split, start, stop)
    manifest = manifest_rows(rows, job.plan)
    counts = {}
    for number in range(start // size, -(-stop // size)):
        first, after = number * size - start, min(stop, (number + 1) * size) - start
        if job.context.writes_shards:
            write_shard(job, shard_name(split, number), rows[first:after], manifest[first:after])
        counts[shard_name(split, number)] = after - first
    write_manifest(job, kept_name(job.task.inputs["file"]), [manifest])
    return Outcome(manifest.num_rows, {"kept": manifest.num_rows}, {IN_SHARDS: counts})
