"""Measure: one decode of each stored copy gives its image measures and its perceptual hash."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.phash import hash_and_information
from filters.image import fetched_measures, image_measures
from filters.judge import judge_samples
from filters.measures import MEASURES, code_version, measures_of
from filters.rules import RuleEngine
from pipelines.flow.fetch import read_samples, sample_parts
from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.rows import blank_drop, count_reasons, looked_up, put
from pipelines.flow.stored import stored_images
from pipelines.tasks import Batch, Flow, Job, Outcome, Plan, Task
from shards.parts import fingerprint
from shards.schema import FETCHED
from shards.tables import read_rows, write_table

_VERSION = 1
INFORMATIVE = "phash_is_informative"
"""Whether the image has enough structure for its hash to mean anything: dedup asks, nobody else."""

_FETCHED_COLUMNS = [field.name for field in FETCHED if field.name not in ("uid", "drop_reason", "detail")]


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per fetch part: its samples, as fetch left them, with what their pixels say."""
    names = [code_version(name) for name in [*_at_fetch(flow.plan), *_at_measure(flow.plan)]]
    rules = [(rule.name, rule.expression) for rule in flow.plan.rules_at("fetch")]
    settings = [_VERSION, names, rules]
    tasks = [
        Task(
            "measure",
            part.fetched.index,
            fingerprint("measure", settings, part.fetched.fingerprint, [(r.fingerprint, n) for r, n in part.samples]),
            {"samples": part.samples, "fetched": part.fetched},
            num_rows=part.num_rows,
        )
        for part in sample_parts(flow)
    ]
    yield Batch("measure", tuple(tasks))


def measure(job: Job) -> Outcome:
    """Join samples with their downloads, judge what fetch recorded, measure what stands."""
    samples = only_taken(read_samples(job), job.rows)
    table = with_downloads(samples, read_rows(job.path("fetched")))
    for name, column in fetched_measures(table, _at_fetch(job.plan)).items():
        table = put(table, name, column)
    table = judge_samples(table, job.plan.rules_at("fetch"), "fetch", RuleEngine())
    table = mark_skipped(table, job.rows)
    table = with_pixels(table, job)
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows, counts)


def with_downloads(samples: pa.Table, fetched: pa.Table) -> pa.Table:
    """Samples with the columns of their download; what the web refused drops its sample."""
    fetched = fetched.append_column("web_reason", fetched["drop_reason"]).append_column("web_detail", fetched["detail"])
    table = looked_up(samples, fetched, [*_FETCHED_COLUMNS, "web_reason", "web_detail"])
    table = blank_drop(table, pc.is_valid(table["web_reason"]), table["web_reason"], "fetch", table["web_detail"])
    return table.drop_columns(["web_reason", "web_detail"])


def with_pixels(table: pa.Table, job: Job) -> pa.Table:
    """Measures of the stored copies of standing samples; null for the others."""
    names = _at_measure(job.plan)
    if not names:
        return table
    rows = np.flatnonzero(pc.is_null(table["drop_reason"]).to_numpy(zero_copy_only=False))
    pixel_names = [name for name in names if name != "phash"]
    values: dict[str, list[object]] = {name: [None] * table.num_rows for name in [*names, INFORMATIVE]}
    images = stored_images(table.take(pa.array(rows)), job.path("fetched", "tar"))
    for row, pixels in zip(rows, images, strict=True):
        for name, value in image_measures(pixels, pixel_names).items():
            values[name][row] = value
        if "phash" in names:
            values["phash"][row], values[INFORMATIVE][row] = hash_and_information(pixels)
    for name, column in values.items():
        table = put(table, name, pa.array(column, pa.bool_() if name == INFORMATIVE else MEASURES[name].dtype))
    return table


def _at_fetch(plan: Plan) -> list[str]:
    return measures_of(plan.measures, "fetch", "image")


def _at_measure(plan: Plan) -> list[str]:
    return measures_of(plan.measures, "measure", "image")
