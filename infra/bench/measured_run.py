"""A made-up run that is fetched, measured and scored: real candidates and verdicts over images that nobody has seen."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from caption_table import write_caption_table
from one_process import OneProcess

from dedup.hashes import trust_column
from filters.judge import one_array
from filters.measures import code_version, measures_of
from pipelines import stages
from pipelines.checks import checked_plan
from pipelines.flow.fetch import FETCH_PART, read_samples
from pipelines.flow.holders import uid_ranges
from pipelines.flow.measure import judged_downloads
from pipelines.flow.reuse import copies_form
from pipelines.flow.rows import count_reasons, put
from pipelines.flow.shuffle import uid_words
from pipelines.flow.texts import with_text_field
from pipelines.launch import recipe_text
from pipelines.progress import Progress
from pipelines.runner import Runner
from pipelines.stages import STAGES
from pipelines.tasks import Context, Job, Outcome
from pipelines.workers import Pool
from shards.lease import Lease
from shards.storage import put_whole
from shards.tables import TableWriter, fit, read_rows, write_table
from shards.tars import TarWriter

ROWS_PER_FILE = 250_000
NEAR_SHARE = 10
"""One image in so many has the hash of another."""

RULES = {
    "no_chinese": "zh_chars >= 1",
    "too_long": "zh_chars < 64",
    "repeated_text": "text_count <= 100",
    "too_small": "min_side > 100",
    "plain": "entropy >= 1",
    "near_duplicate": "dup_rank = 1",
    "weak_match": "clip_score >= 0.1",
    "lowest": "clip_pct >= 0.02",
}


def recipe(table: Path) -> dict[str, Any]:
    """The recipe of the run; its model is never looked for."""
    return {
        "name": "measured",
        "source": {"kind": "table", "layout": "wukong", "paths": [str(table / "*.csv")]},
        "crawler": {"user_agent": "bench/1.0 (+http://127.0.0.1/)"},
        "text": {"names": None},
        "score": {"model": "ViT-B-32", "pretrained": "made-up"},
        "rules": dict(RULES),
        "release": {"caption": ["caption"]},
    }


def make_run(
    folder: Path, num_rows: int, pool: Pool | None = None, stages_of_run: Sequence[stages.Stage] = STAGES
) -> Path:
    """A finished run of `num_rows` candidates in `folder`, without shards; one that is there already is taken."""
    run = folder / f"run-{num_rows}"
    if (run / "run.json").exists():
        return run
    write_caption_table(folder / f"table-{num_rows}", num_rows, max(1, num_rows // ROWS_PER_FILE))
    plan = checked_plan(recipe(folder / f"table-{num_rows}"), "measured", again=True)
    run.mkdir(parents=True, exist_ok=True)
    real = dict(stages.WORK)
    with Lease.take(run) as lease:
        put_whole(run / "recipe.yaml", recipe_text(plan).encode())
        _set_work(real | {"fetch": _fetch, "measure": _measure, "score": _score})
        try:
            context = Context(run, plan, lease.token, writes_shards=False)
            Runner(context, pool or OneProcess(), Progress(io.StringIO(), live=False)).run(stages_of_run)
        finally:
            _set_work(real)
    put_whole(run / "run.json", b"{}")
    return run


def _set_work(work: dict[str, Any]) -> None:
    assert isinstance(stages.WORK, dict)
    stages.WORK.update(work)


def _noise(uids: pa.ChunkedArray, what: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each uid, another one for each `what`."""
    with np.errstate(over="ignore"):
        words = (uid_words(uids)[:, 1] + np.uint64(what)) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray((words ^ (words >> np.uint64(29))) >> np.uint64(11), np.float64) / 2**53


def _fetch(job: Job) -> Outcome:
    """Every download succeeds but one in fifty; the copies lie nowhere."""
    uids = read_samples(job)["uid"]
    num = len(uids)
    failed = pa.array(_noise(uids, 1) < 0.02)
    sides = [pa.array((80 * 2 ** (5 * _noise(uids, seed))).astype(np.int32)) for seed in (2, 3)]
    digest = pc.binary_join_element_wise(uids, uids, "")
    columns: dict[str, Any] = {
        "http_status": pa.array(np.full(num, 200, np.int32)),
        "content_type": pa.array(["image/jpeg"] * num),
        "format": pa.array(["jpeg"] * num),
        "bytes": pa.array((4096 + 100_000 * _noise(uids, 4)).astype(np.int64)),
        "sha256": digest,
        "stored_sha256": digest,
        **{"original_width": sides[0], "original_height": sides[1], "width": sides[0], "height": sides[1]},
        "is_animated": pa.array(np.zeros(num, np.bool_)),
        "alpha_share": pa.array(np.zeros(num)),
        "stored_format": pa.array(["jpg"] * num),
        "tar_offset": pa.array(np.arange(num) * 1024),
        "tar_bytes": pa.array(np.full(num, 512)),
    }
    nulled = {name: pc.if_else(failed, pa.scalar(None, column.type), column) for name, column in columns.items()}
    reason = pc.if_else(failed, pa.scalar("http_status"), pa.scalar(None, pa.string()))
    rows = fit(pa.table({"uid": uids, "drop_reason": reason, **nulled}), FETCH_PART)
    counts: dict[str, int] = {}
    count_reasons(counts, rows)
    TarWriter(job.attempt.path("tar", "tar")).close()
    with TableWriter(job.attempt.path("rows", "parquet"), FETCH_PART) as writer:
        writer.write(rows)
    settings = job.task.inputs["settings"].partition(":")[0]
    facts = {"settings": settings, "copies": copies_form(job.recipe.image), "uids": uid_ranges([uids]), "report": None}
    return Outcome(num, counts, facts)


def _measure(job: Job) -> Outcome:
    table = judged_downloads(read_samples(job), job)
    names = measures_of(job.plan.measures, "measure", "image")
    is_standing = pc.is_null(one_array(table["drop_reason"]))
    hashes = uid_words(table["uid"])[:, 1]
    hashes[1:] = np.where(_noise(table["uid"], 5)[1:] < 1 / NEAR_SHARE, hashes[:-1], hashes[1:])
    made = {"phash": pa.array(hashes), trust_column("phash"): pa.array(np.ones(table.num_rows, np.bool_))}
    made["entropy"] = pa.array(8 * np.sqrt(_noise(table["uid"], 6)))
    for name, column in made.items():
        table = put(table, name, pc.if_else(is_standing, column, pa.scalar(None, column.type)))
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    versions = [code_version(name) for name in names]
    return Outcome(table.num_rows, counts, {"fetched": job.task.inputs["fetched"].fingerprint, "measures": versions})


def _score(job: Job) -> Outcome:
    table = read_rows(job.path("dedup"))
    lists = one_array(table["texts"])
    owners = pc.list_parent_indices(lists)
    scores = pa.array(np.round(0.25 + 0.2 * (_noise(table["uid"], 7) - 0.5), 4)).take(owners)
    fell = pc.or_(
        pc.is_valid(lists.flatten().field("drop_reason")), pc.is_valid(one_array(table["drop_reason"])).take(owners)
    )
    table = with_text_field(table, "clip_score", pc.if_else(fell, pa.scalar(None, pa.float64()), scores))
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows, counts)
