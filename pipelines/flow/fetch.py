"""Fetch: one part's images, from earlier runs or the network, into a tar of stored copies; and what became of each."""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crawler.blocklist import Blocklist
from crawler.fetch_report import FetchReport
from crawler.input_files import find_files
from crawler.lanes import LanePlan
from crawler.lists.shards_source import ShardsSource
from filters.image import fetched_measures
from filters.measures import measures_of
from filters.rules import PlacedRule, RuleEngine
from pipelines.fetch_meter import live_report_path
from pipelines.flow.copies import COPY, CopyReader, earlier_lookup, earlier_rows, sound_copies
from pipelines.flow.holders import rechecks, uid_ranges
from pipelines.flow.narrow import only_taken
from pipelines.flow.reuse import copies_form, read_index
from pipelines.flow.rows import count_reasons, put
from pipelines.flow.taken_down import with_empty_rows, without_copies
from pipelines.tasks import Job, Outcome, Plan, lane_memory
from shards.parts import fingerprint
from shards.schema import FETCHED
from shards.tables import TableWriter, fit, read_row_groups
from shards.tars import TarWriter

FETCH_PART = pa.schema([*FETCHED, ("reused_from", pa.string())])
"""Columns of a fetch part: `reused_from` is the entry of `reuse:` that had the stored copy; null for a download."""


def fetch_settings(plan: Plan) -> str:
    """What decides a stored copy, then behind a colon what decides which of the copies that are there still count.

    Politeness, timeouts and addresses decide neither. Where only passing copies are stored, the rules that they pass
    decide too.
    """
    recipe = plan.recipe
    rules = [rule.expression for rule in _rules_of_downloads(plan)] if recipe.image.store == "passing" else []
    copies = fingerprint("fetch", copies_form(recipe.image), rules)
    choice = fingerprint(recipe.fetch.verify_sha256, recipe.crawler.opt_outs, rechecks(recipe))
    return f"{copies}:{choice}"


def read_samples(job: Job) -> pa.Table:
    """The samples that a task's part stands for, sorted by uid."""
    return pa.concat_tables(_sample_pieces(job)).sort_by("uid")


def _sample_pieces(job: Job) -> list[pa.Table]:
    return [read_row_groups(job.context.path(ref), [group]) for ref, group in job.task.inputs["samples"]]


def fetch(job: Job) -> Outcome:
    """Fetch one part: what earlier runs have is copied, the rest is downloaded; rows and tar are sorted by uid."""
    pieces = _sample_pieces(job)
    columns = ["uid", "canonical_url", "host", "expected_sha256", "member", "drop_reason"]
    samples = only_taken(pa.concat_tables(pieces).sort_by("uid").select(columns), job.rows)
    is_standing = pc.is_null(samples["drop_reason"]).to_pylist()  # none has fallen here but who was taken down since
    taken = [place for place in range(samples.num_rows) if place not in job.rows.skip and is_standing[place]]
    live = _LiveReport(job)
    try:
        fetched = _fetched(samples.take(pa.array(taken, pa.int64())), job, live)
    finally:
        live.path.unlink(missing_ok=True)
    fetched = without_copies(fetched, _tar_of(job), job.context.run)
    rows = pa.concat_tables([fetched, _set_aside(samples, job.rows.skip)]).sort_by("uid")
    rows = with_empty_rows(rows, samples.filter(pc.invert(pa.array(is_standing, pa.bool_()))))
    counts: dict[str, int] = {}
    count_reasons(counts, rows)
    with TableWriter(job.attempt.path("rows", "parquet"), FETCH_PART) as writer:
        writer.write(rows)
    return Outcome(rows.num_rows, counts, _facts(job, pieces, rows, live))


def _tar_of(job: Job) -> Path:
    """The part's tar, an empty one where nothing was asked for."""
    path = job.attempt.path("tar", "tar")
    if not path.exists():
        TarWriter(path).close()
    return path


def _facts(job: Job, pieces: list[pa.Table], rows: pa.Table, live: "_LiveReport") -> dict[str, Any]:
    """What the record says for later runs: under which settings copies were made, where uids lie, whence they came."""
    return {
        "settings": job.task.inputs["settings"].partition(":")[0],
        "copies": copies_form(job.recipe.image),
        "rechecked": rechecks(job.recipe),
        "uids": uid_ranges([piece["uid"] for piece in pieces]),
        "reused": dict(sorted(Counter(rows["reused_from"].drop_null().to_pylist()).items())),
        "report": live.last.as_json() if live.last is not None else None,
    }


def _fetched(samples: pa.Table, job: Job, live: "_LiveReport") -> pa.Table:
    """Rows of FETCH_PART for the samples, by uid; their stored copies lie in the attempt's tar."""
    parts = read_index(job.context.run) if job.recipe.reused else []
    tar_path = job.attempt.path("tar", "tar")
    with ExitStack() as stack:
        reader = stack.enter_context(CopyReader())
        allowed = _not_blocked(samples, job)
        reused = earlier_rows(allowed, [part for part in parts if part.is_same_form and not part.recheck], job.recipe)
        reused = sound_copies(reused, reader)
        rest = samples.filter(pc.invert(pc.is_in(samples["uid"], value_set=reused["uid"].combine_chunks())))
        asked = earlier_rows(rest, [part for part in parts if part.recheck], job.recipe)
        if not reused.num_rows:
            return fit(_downloaded(rest, asked, reader, job, tar_path, live), FETCH_PART)
        side_path = tar_path.with_name(f"{tar_path.name}.side")
        stack.callback(side_path.unlink, missing_ok=True)
        downloaded = _downloaded(rest, asked, reader, job, side_path, live)
        return _joined(_passing_copies(reused, job), downloaded, side_path, tar_path, reader)


def _not_blocked(samples: pa.Table, job: Job) -> pa.Table:
    """What a blocklist names is not taken from an earlier run either; the downloader says why it falls."""
    blocklist = Blocklist.read(job.recipe.crawler.blocklist)
    hosts = samples["host"].unique().to_pylist()
    blocked = pa.array([host for host in hosts if host is not None and host in blocklist], pa.string())
    return samples.filter(pc.invert(pc.is_in(samples["host"], value_set=blocked)))


def _downloaded(
    samples: pa.Table, asked: pa.Table, reader: CopyReader, job: Job, tar_path: Path, live: "_LiveReport"
) -> pa.Table:
    """Rows of FETCHED from the network, or from the source's own tars.

    `asked`: what earlier runs know of samples that are checked again.
    """
    if not samples.num_rows:
        return FETCHED.empty_table()
    from crawler.download import download_images  # aiohttp and decoders come with them
    from crawler.lists.shard_images import take_images

    recipe, fetch = job.recipe, job.recipe.fetch
    stands = _passing(job.plan) if recipe.image.store == "passing" else None
    if isinstance(recipe.source, ShardsSource):
        tars = {file.name: file.path for file in find_files(recipe.source.paths)}
        blocklist = Blocklist.read(recipe.crawler.blocklist)
        return take_images(samples, tars, fetch, recipe.image, blocklist, tar_path=tar_path, stands=stands)
    if rechecks(recipe):
        samples = _with_earlier(samples, asked, fetch.verify_sha256)
        fetch = fetch.model_copy(update={"verify_sha256": True})
    lanes: LanePlan = job.task.inputs.get("plan", LanePlan(1))
    lane, memory = job.task.lane, lane_memory(job.task)
    return download_images(
        samples,
        recipe.crawler,
        fetch,
        recipe.network,
        recipe.image,
        tar_path=tar_path,
        spool_path=job.attempt.folder / f".part-{job.task.index:06d}-{job.task.fingerprint[:8]}.spool",
        deadline_s=None if job.context.fetch_ends is None else max(0.0, job.context.fetch_ends - time.time()),
        stands=stands,
        owns_host=None if lane is None else lambda host: lanes.lane_of(host) == lane,
        num_lanes=lanes.total,
        memory_path=None if memory is None else job.attempt.folder / memory,
        report=live,
        earlier=earlier_lookup(asked, reader) if rechecks(recipe) else None,
    )


def _with_earlier(samples: pa.Table, asked: pa.Table, verifies: bool) -> pa.Table:
    """Samples with the validators of their earlier answers, and with the sha256 that it must still have."""
    place = pc.index_in(samples["uid"], value_set=asked["uid"].combine_chunks())
    promised = samples["expected_sha256"] if verifies else pa.nulls(samples.num_rows, pa.string())
    samples = put(samples, "expected_sha256", pc.coalesce(asked["sha256"].take(place), promised))
    return put(put(samples, "etag", asked["etag"].take(place)), "last_modified", asked["last_modified"].take(place))


class _LiveReport:
    """Shows how the downloads get on in a file beside the part, for whoever watches the run; keeps the last one."""

    def __init__(self, job: Job) -> None:
        self.path = live_report_path(job.attempt.folder, job.task)
        self.last: FetchReport | None = None

    def __call__(self, report: FetchReport) -> None:
        self.last = report
        beside = self.path.with_name(f"{self.path.name}.tmp")
        beside.write_text(json.dumps(report.as_json(), ensure_ascii=False), encoding="utf-8")
        beside.replace(self.path)


def _passing_copies(reused: pa.Table, job: Job) -> pa.Table:
    """Where only passing copies are stored: those that do not pass by this recipe lose theirs, as a download would."""
    if job.recipe.image.store == "all":
        return reused
    passes = _passing(job.plan)(fit(reused, FETCHED))
    return put(reused, "tar_bytes", pc.if_else(passes, reused["tar_bytes"], pa.scalar(None, pa.int64())))


def _joined(reused: pa.Table, downloaded: pa.Table, side: Path, tar_path: Path, reader: CopyReader) -> pa.Table:
    """Rows of both by uid, and one tar of their stored copies in the same order."""
    there = put(fit(downloaded, COPY), "copy_tar", pa.array([str(side)] * downloaded.num_rows, pa.string()))
    rows = pa.concat_tables([reused, put(there, "copy_offset", downloaded["tar_offset"])]).sort_by("uid")
    columns = ("uid", "stored_format", "copy_tar", "copy_offset", "tar_bytes")
    offsets: list[int | None] = []
    with TarWriter(tar_path) as tar:
        for uid, form, source, offset, size in zip(*(rows[name].to_pylist() for name in columns), strict=True):
            stored = None if size is None else reader.read(source, offset, size)
            offsets.append(None if stored is None else tar.add(f"{uid}.{form}", stored))
    return fit(put(rows, "tar_offset", pa.array(offsets, pa.int64())), FETCH_PART)


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
    return fit(rows.append_column("detail", details), FETCH_PART)
