"""Fetch lanes: which part each standing sample is fetched in, so that every host has one worker at a time."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.flow.fetch import fetch_settings
from pipelines.flow.holders import holders, owners
from pipelines.flow.rows import standing
from pipelines.flow.shuffle import grouped_by_rows
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Task, tasks_of
from shards.parts import fingerprint
from shards.tables import TableWriter, read_rows

_VERSION = 1


@dataclass(frozen=True)
class SamplePart:
    """A fetch part and the samples that now stand on it: row groups of `fetch-lanes` files."""

    fetched: PartRef
    samples: tuple[tuple[PartRef, int], ...]
    num_rows: int


def steps(flow: Flow) -> Iterator[Batch]:
    """Deal samples out to parts, then fetch the parts that are new; one part of a lane at a time."""
    records = list(flow.records("admit"))
    num_standing = sum(record.counts.get("standing", 0) for record in records)
    fetch = flow.recipe.fetch
    lanes = min(flow.recipe.crawler.lanes, max(1, -(-num_standing // fetch.part_rows)))
    settings = fetch_settings(flow.plan)
    known, first_index = holders(flow, settings)
    given: list[dict[str, Any]] = [
        {
            "admit": group,
            "lanes": lanes,
            "known": known,
            "first_index": first_index,
        }
        for group in grouped_by_rows(flow.refs("admit"), [record.rows for record in records])
    ]
    keys = [[ref.fingerprint for ref in entry["admit"]] for entry in given]
    yield tasks_of("fetch-lanes", _VERSION, [settings, lanes, fetch.part_rows], given, keys)
    yield Batch("fetch", tuple(_fetch_tasks(flow, settings)))


def sample_parts(flow: Flow) -> list[SamplePart]:
    """Every fetch part that holds samples of this run, by index, with where its samples are listed."""
    lists: dict[PartRef, list[tuple[PartRef, int]]] = {}
    rows: dict[PartRef, int] = {}
    for fetched, _, samples, num_rows in _dealt_parts(flow, fetch_settings(flow.plan)):
        lists.setdefault(fetched, []).append(samples)
        rows[fetched] = rows.get(fetched, 0) + num_rows
    parts = [SamplePart(fetched, tuple(lists[fetched]), rows[fetched]) for fetched in lists]
    return sorted(parts, key=lambda part: (part.fetched.index, part.fetched.fingerprint))


def _fetch_tasks(flow: Flow, settings: str) -> Iterator[Task]:
    for fetched, lane, samples, num_rows in _dealt_parts(flow, settings):
        if lane is not None:
            given = {"samples": (samples,), "settings": settings}
            yield Task("fetch", fetched.index, fetched.fingerprint, given, num_rows, lane)


def _dealt_parts(flow: Flow, settings: str) -> Iterator[tuple[PartRef, int | None, tuple[PartRef, int], int]]:
    """(fetch part, lane or None if it was there before, where its samples are, how many) as the lanes files say."""
    index = 0
    for ref in flow.refs("fetch-lanes"):
        meta = flow.context.record(ref).meta
        index = max(index, meta["first_index"])
        for row_group, part in enumerate(meta["parts"]):
            if part["known"] is not None:
                yield PartRef("fetch", *part["known"]), None, (ref, row_group), part["rows"]
            else:
                fetched = PartRef("fetch", index, fingerprint("fetch", settings, part["uids"]))
                yield fetched, part["lane"], (ref, row_group), part["rows"]
                index += 1


def deal_lanes(job: Job) -> Outcome:
    """Write this uid range's standing samples part by part, a row group each: what was fetched before, then by lane."""
    samples = standing(pa.concat_tables([read_rows(path) for path in job.paths("admit")]))
    parts: list[dict[str, Any]] = []
    with TableWriter(job.attempt.path("rows", "parquet"), samples.schema) as writer:
        for part, table in _dealt(samples, job):
            parts.append(part)
            writer.write_row_group(table)
    return Outcome(samples.num_rows, meta={"parts": parts, "first_index": job.task.inputs["first_index"]})


def _dealt(samples: pa.Table, job: Job) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    owner = owners(samples, job)
    for number, ref in enumerate(job.task.inputs["known"]):
        there = np.flatnonzero(owner == number)
        if len(there):
            table = samples.take(pa.array(there))
            yield {"known": [ref.index, ref.fingerprint], "lane": None, "rows": len(there), "uids": None}, table
    new = np.flatnonzero(owner < 0)
    lane_of = _lanes_of(samples["host"], job.task.inputs["lanes"])[new]
    for lane in range(job.task.inputs["lanes"]):
        rows = new[lane_of == lane]
        for start in range(0, len(rows), job.recipe.fetch.part_rows):
            table = samples.take(pa.array(rows[start : start + job.recipe.fetch.part_rows]))
            yield {"known": None, "lane": lane, "rows": table.num_rows, "uids": _digest(table["uid"])}, table


def _lanes_of(hosts: pa.ChunkedArray, lanes: int) -> npt.NDArray[np.int64]:
    encoded = hosts.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    digests = [hashlib.blake2b((name or "").encode(), digest_size=8).digest() for name in names]
    lane_of_name = np.array([int.from_bytes(digest) % lanes for digest in digests] or [0], np.int64)
    indices = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(lane_of_name[indices], np.int64)


def _digest(uids: pa.ChunkedArray) -> str:
    return fingerprint(uids.to_pylist())
