"""Fetch: give standing samples to parts by lane of their host, and download what no earlier part holds."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crawler.download import download_images
from filters.image import fetched_measures
from filters.measures import measures_of
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow.narrow import only_taken
from pipelines.flow.rows import count_reasons, put, standing
from pipelines.flow.shuffle import grouped_by_rows
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Plan, Task, tasks_of
from shards.parts import fingerprint
from shards.schema import FETCHED
from shards.tables import TableWriter, fit, read_row_groups, read_rows

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
    known = [record for record in flow.context.folder("fetch").records() if record.meta.get("settings") == settings]
    given: list[dict[str, Any]] = [
        {
            "admit": group,
            "lanes": lanes,
            "known": [PartRef("fetch", record.index, record.fingerprint) for record in known],
            "first_index": max((record.index + 1 for record in known), default=0),
        }
        for group in grouped_by_rows(flow.refs("admit"), [record.rows for record in records])
    ]
    keys = [[ref.fingerprint for ref in entry["admit"]] for entry in given]
    yield tasks_of("fetch-lanes", _VERSION, [settings, lanes, fetch.part_rows], given, keys)
    yield Batch("fetch", tuple(_fetch_tasks(flow, settings)))


def fetch_settings(plan: Plan) -> str:
    """What decides a stored copy; politeness, timeouts and addresses do not. Where only passing copies are stored,
    the rules they pass decide too."""
    image = plan.recipe.image
    rules = [rule.expression for rule in _rules_of_downloads(plan)] if image.store == "passing" else []
    return fingerprint("fetch", _VERSION, image.model_dump(exclude={"store"}), rules)


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
    owner = _owners(samples, job)
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


def _owners(samples: pa.Table, job: Job) -> npt.NDArray[np.int64]:
    """Which of the known parts holds each sample's uid; -1 for none. int64 [n]."""
    owner = np.full(samples.num_rows, -1, np.int64)
    for number, ref in enumerate(job.task.inputs["known"]):
        uids = read_rows(job.context.path(ref), ["uid"])["uid"].combine_chunks()
        held = pa.compute.is_in(samples["uid"], value_set=uids).to_numpy(zero_copy_only=False)
        owner[held & (owner < 0)] = number
    return owner


def _lanes_of(hosts: pa.ChunkedArray, lanes: int) -> npt.NDArray[np.int64]:
    encoded = hosts.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    digests = [hashlib.blake2b((name or "").encode(), digest_size=8).digest() for name in names]
    lane_of_name = np.array([int.from_bytes(digest) % lanes for digest in digests] or [0], np.int64)
    indices = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(lane_of_name[indices], np.int64)


def _digest(uids: pa.ChunkedArray) -> str:
    return fingerprint(uids.to_pylist())


def read_samples(job: Job) -> pa.Table:
    """The samples that a task's part stands for, sorted by uid."""
    tables = [read_row_groups(job.context.path(ref), [group]) for ref, group in job.task.inputs["samples"]]
    return pa.concat_tables(tables).sort_by("uid")


def fetch(job: Job) -> Outcome:
    """Download one part's images into a tar of stored copies, sorted by uid, and say what became of each."""
    samples = only_taken(read_samples(job).select(["uid", "canonical_url", "host"]), job.rows)
    taken = [place for place in range(samples.num_rows) if place not in job.rows.skip]
    recipe = job.recipe
    spool = job.attempt.folder / f".part-{job.task.index:06d}-{job.task.fingerprint[:8]}.spool"
    fetched = download_images(
        samples.take(pa.array(taken, pa.int64())),
        recipe.crawler,
        recipe.fetch,
        recipe.network,
        recipe.image,
        tar_path=job.attempt.path("tar", "tar"),
        spool_path=spool,
        deadline_s=None if job.context.fetch_ends is None else max(0.0, job.context.fetch_ends - time.time()),
        stands=_passing(job.plan) if recipe.image.store == "passing" else None,
    )
    rows = pa.concat_tables([fit(fetched, FETCHED), _set_aside(samples, job.rows.skip)]).sort_by("uid")
    counts: dict[str, int] = {}
    count_reasons(counts, rows)
    with TableWriter(job.attempt.path("rows", "parquet"), FETCHED) as writer:
        writer.write(rows)
    return Outcome(rows.num_rows, counts, {"settings": job.task.inputs["settings"]})


def _passing(plan: Plan) -> Callable[[pa.Table], pa.Array]:
    """Which downloads stand by the fetch rules that look at nothing but the download."""
    rules = _rules_of_downloads(plan)

    def stands(fetched: pa.Table) -> pa.Array:
        for name, column in fetched_measures(fetched, measures_of(plan.measures, "fetch", "image")).items():
            fetched = put(fetched, name, column)
        verdicts = RuleEngine().evaluate(fetched, rules)
        passing = np.ones(fetched.num_rows, np.bool_)
        for column in verdicts.columns:
            passing &= column.to_numpy()
        return pa.array(passing)

    return stands


def _rules_of_downloads(plan: Plan) -> list[PlacedRule]:
    known = {field.name for field in FETCHED} | set(measures_of(plan.measures, "fetch", "image"))
    return [rule for rule in plan.rules_at("fetch") if set(rule.columns) <= known]


def _set_aside(samples: pa.Table, skip: dict[int, str]) -> pa.Table:
    places = sorted(skip)
    rows = samples.select(["uid"]).take(pa.array(places, pa.int64()))
    rows = rows.append_column("drop_reason", pa.array([skip[place] for place in places], pa.string()))
    details = pa.array(["set aside in dead/" for _ in places], pa.string())
    return fit(rows.append_column("detail", details), FETCHED)
