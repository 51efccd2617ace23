"""Fetch: download the images of one part into a tar of stored copies, and say what became of each."""

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from crawler.download import download_images
from filters.image import fetched_measures
from filters.measures import measures_of
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow.narrow import only_taken
from pipelines.flow.rows import count_reasons, put
from pipelines.tasks import Job, Outcome, Plan
from shards.parts import fingerprint
from shards.schema import FETCHED
from shards.tables import TableWriter, fit, read_row_groups

_VERSION = 1


def fetch_settings(plan: Plan) -> str:
    """What decides a stored copy; politeness, timeouts and addresses do not. Where only passing copies are stored,
    the rules they pass decide too."""
    image = plan.recipe.image
    rules = [rule.expression for rule in _rules_of_downloads(plan)] if image.store == "passing" else []
    return fingerprint("fetch", _VERSION, image.model_dump(exclude={"store"}), rules)


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
