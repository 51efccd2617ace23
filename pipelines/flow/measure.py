"""Measure: one decode of each stored copy gives its image measures and its hashes."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.hashes import HASHES, trust_column
from filters.image import Pixels, fetched_measures, image_measures
from filters.judge import judge_samples
from filters.measures import MEASURES, measures_of
from filters.models.feed import Found, ModelFeed
from filters.models.files import MODEL_MEASURES, measure_version, models_behind
from filters.models.settings import ModelSettings
from filters.rules import RuleEngine
from pipelines.flow.fetch import read_samples
from pipelines.flow.lanes import sample_parts
from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.rows import blank_drop, count_reasons, looked_up, put, standing
from pipelines.flow.stored import stored_images
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Plan, Task
from shards.errors import UsageError
from shards.parts import fingerprint
from shards.schema import FETCHED
from shards.tables import read_rows, write_table

_VERSION = 1
_FETCHED_COLUMNS = [field.name for field in FETCHED if field.name not in ("uid", "drop_reason", "detail")]


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per fetch part: its samples, as fetch left them, with what their pixels say."""
    names = [_version(name, flow.plan) for name in [*_at_fetch(flow.plan), *_at_measure(flow.plan)]]
    rules = [(rule.name, rule.expression) for rule in flow.plan.rules_at("fetch")]
    settings = [_VERSION, names, rules]
    earlier = _measured_before(flow)
    versions = versions_at_measure(flow.plan)
    tasks = [
        Task(
            "measure",
            part.fetched.index,
            fingerprint("measure", settings, part.fetched.fingerprint, [(r.fingerprint, n) for r, n in part.samples]),
            {
                "samples": part.samples,
                "fetched": part.fetched,
                "earlier": earlier.get(part.fetched.fingerprint),
                "versions": versions,
            },
            num_rows=part.num_rows,
        )
        for part in sample_parts(flow)
    ]
    yield Batch("measure", tuple(tasks))


def _measured_before(flow: Flow) -> dict[str, PartRef]:
    """By fetch part, the measure part of any earlier recipe that knows most of what is wanted now."""
    wanted = set(versions_at_measure(flow.plan))
    best: dict[str, tuple[int, PartRef]] = {}
    folder = flow.context.folder("measure")
    for record in folder.records():
        if not folder.is_whole(record):  # the runner forgets it, and does its part again
            continue
        common = len(wanted & set(record.meta["measures"]))
        fetched = record.meta["fetched"]
        if common > best.get(fetched, (0, None))[0]:
            best[fetched] = (common, PartRef("measure", record.index, record.fingerprint))
    return {fetched: ref for fetched, (_, ref) in best.items()}


def measure(job: Job) -> Outcome:
    """Join samples with their downloads, judge what fetch recorded, measure what stands."""
    versions = _checked_versions(job)
    table = judged_downloads(only_taken(read_samples(job), job.rows), job)
    table = mark_skipped(table, job.rows, stage="measure")
    table = with_pixels(table, job)
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows, counts, {"fetched": job.task.inputs["fetched"].fingerprint, "measures": versions})


def _checked_versions(job: Job) -> list[str]:
    """What this worker would measure with. Raises UsageError where its models are not those that were planned with."""
    versions = versions_at_measure(job.plan)
    others = sorted(set(versions) ^ set(job.task.inputs["versions"]))
    if others:
        raise UsageError(
            f"this worker has other models or other code than the run was planned with ({', '.join(others)}); "
            "install the same versions and the same files of `models:` on every machine"
        )
    return versions


def judged_downloads(samples: pa.Table, job: Job) -> pa.Table:
    """Samples joined with the task's downloads, judged by what fetch recorded."""
    table = with_downloads(samples, read_rows(job.path("fetched")))
    for name, column in fetched_measures(table, _at_fetch(job.plan)).items():
        table = put(table, name, column)
    return judge_samples(table, job.plan.rules_at("fetch"), "fetch", RuleEngine())


def with_downloads(samples: pa.Table, fetched: pa.Table) -> pa.Table:
    """Samples with the columns of their download; what the web refused drops its sample."""
    fetched = fetched.append_column("web_reason", fetched["drop_reason"]).append_column("web_detail", fetched["detail"])
    table = looked_up(samples, fetched, [*_FETCHED_COLUMNS, "web_reason", "web_detail"])
    table = blank_drop(table, pc.is_valid(table["web_reason"]), table["web_reason"], "fetch", table["web_detail"])
    return table.drop_columns(["web_reason", "web_detail"])


def with_pixels(table: pa.Table, job: Job) -> pa.Table:
    """Measures of the stored copies of standing samples; null for the others.

    What an earlier recipe measured with the same code is taken over, and its image is decoded only for the rest.
    """
    names = _at_measure(job.plan)
    if not names:
        return table
    known = _known_values(table["uid"], job)
    values: dict[str, list[object]] = {name: [None] * table.num_rows for name in [*names, *_trusts(names)]}
    rows = np.flatnonzero(pc.is_null(table["drop_reason"]).to_numpy(zero_copy_only=False)).tolist()
    for row in rows:
        for name, value in known.get(row, {}).items():
            values[name][row] = value
    missing = {row: [name for name in names if name not in known.get(row, {})] for row in rows}
    undone = [row for row in rows if missing[row]]
    images = stored_images(table.take(pa.array(undone, pa.int64())), job.path("fetched", "tar"))
    for row, found in _found(zip(undone, images, strict=True), missing, job.recipe.models):
        for name, value in found.items():
            values[name][row] = value
    for name, column in values.items():
        table = put(table, name, pa.array(column, MEASURES[name].dtype if name in MEASURES else pa.bool_()))
    return table


def _found(
    images: Iterable[tuple[int, npt.NDArray[np.uint8]]], missing: dict[int, list[str]], models: ModelSettings
) -> Iterator[Found]:
    """What is missing of each row, from one decode: at once, or when a model's batch is full."""
    wanted = {name for names in missing.values() for name in names}
    feeds = [ModelFeed(name, models) for name in models_behind(wanted)]
    for row, rgb in images:
        yield row, measured(rgb, missing[row])
        for feed in feeds:
            yield from feed.give(row, rgb, missing[row])
    for feed in feeds:
        yield from feed.rest()


def measured(rgb: npt.NDArray[np.uint8], names: Sequence[str], shared: Pixels | None = None) -> dict[str, object]:
    """Those of `names` that need no model, of one decoded image; `shared` has what was worked out of it before."""
    pixels = shared or Pixels(rgb)
    by_pixels = [name for name in names if name not in HASHES and name not in MODEL_MEASURES]
    found: dict[str, object] = dict(image_measures(pixels, by_pixels))
    for name in HASHES.keys() & names:
        found[name], found[trust_column(name)] = HASHES[name](pixels.grey, pixels.turned_grey)
    return found


def _trusts(names: list[str]) -> list[str]:
    return [trust_column(name) for name in names if name in HASHES]


def _known_values(uids: pa.ChunkedArray, job: Job) -> dict[int, dict[str, object]]:
    """By row, what an earlier part measured of the same stored copy with the same code."""
    ref = job.task.inputs["earlier"]
    if ref is None:
        return {}
    versions = set(job.context.record(ref).meta["measures"])
    names = [name for name in _at_measure(job.plan) if _version(name, job.plan) in versions]
    columns = [*names, *_trusts(names)]
    earlier = standing(read_rows(job.context.path(ref), ["uid", "drop_reason", *columns])).select(["uid", *columns])
    places = {uid: row for row, uid in enumerate(uids.to_pylist())}
    found = {}
    for values in earlier.to_pylist():
        row = places.get(values.pop("uid"))
        if row is not None:
            found[row] = values
    return found


def versions_at_measure(plan: Plan) -> list[str]:
    """What the measures of stored copies are made with: their code, and the models behind them."""
    return [_version(name, plan) for name in _at_measure(plan)]


def _version(name: str, plan: Plan) -> str:
    return measure_version(name, plan.recipe.models)


def _at_fetch(plan: Plan) -> list[str]:
    return measures_of(plan.measures, "fetch", "image")


def _at_measure(plan: Plan) -> list[str]:
    return measures_of(plan.measures, "measure", "image")
