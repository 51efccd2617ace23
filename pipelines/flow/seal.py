"""The seal of a release: what it holds in numbers, its report, and the digest of every file."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.about.card import render_card
from pipelines.about.croissant import ListedFile
from pipelines.flow.figures import numbers_of, release_numbers
from pipelines.flow.held_apart import figures_apart, write_lists
from pipelines.flow.indexes import croissant_file, index_files
from pipelines.flow.sample_rows import DecidedRows
from pipelines.flow.verdicts import decided_parts
from pipelines.part_of_source import STATS_KEY, told_source
from pipelines.recipe import Recipe
from pipelines.report.page import render_report
from pipelines.tasks import Job, Outcome
from shards.parts import Record
from shards.storage import sha256_of
from shards.tables import iter_batches
from shards.uid_lists import write_uids

UIDS_FILE = "uids.npy"
FIGURES = "figures"
"""In a record's facts: what the release holds in numbers, where that was told before the seal."""


def seal(job: Job) -> Outcome:
    """Write everything that is said of the release as a whole and, over all files, SHA256SUMS."""
    stats, records = release_stats(job), list(_file_records(job))
    texts = {
        "stats.json": json.dumps(stats, ensure_ascii=False, indent=1) + "\n",
        "report.html": render_report(job.plan.rules, stats),
        "README.md": render_card(job.recipe, job.plan.rules, stats),
        **index_files(job, records),
    }
    written = [_write(job, name, text) for name, text in texts.items()]
    path = job.attempt.path(UIDS_FILE, "", UIDS_FILE)
    uids = (batch.column("uid") for batch in iter_batches(job.paths("selected", "kept"), ["uid"]))
    write_uids(path, uids, stats["kept"])
    written += [_listed(name, path) for name, path in ((UIDS_FILE, path), *write_lists(job, stats))]
    written += [_write(job, name, text) for name, text in croissant_file(job, stats, records, written).items()]
    sums = [(file.name, file.sha256) for file in written]
    sums += [(file.name, file.sha256) for record in records for file in record.files]
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums)]
    job.attempt.path("SHA256SUMS", "", "SHA256SUMS").write_text("".join(lines))
    return Outcome(stats["samples"], {"kept": stats["kept"]})


def _write(job: Job, name: str, text: str) -> ListedFile:
    path = job.attempt.path(name, "", name)
    path.write_text(text, encoding="utf-8")
    return _listed(name, path)


def _listed(name: str, path: Path) -> ListedFile:
    return ListedFile(name, path.stat().st_size, sha256_of(path))


def tell_figures(job: Job) -> Outcome:
    """A part without files: the numbers of all samples, as text in its record, which would not keep their order."""
    return Outcome(0, {}, {FIGURES: json.dumps(_numbers(job))})


def _numbers(job: Job) -> dict[str, Any]:
    by = job.recipe.balance.category
    decided = list(decided_parts(job).values())
    if decided:
        return numbers_of(DecidedRows(decided), job.plan.rules, job.attempt.folder, by)
    kept, dropped = job.paths("selected", "kept"), job.paths("selected", "dropped")
    return release_numbers(kept, dropped, job.plan.rules, job.attempt.folder, by)


def _file_records(job: Job) -> Iterable[Record]:
    return (job.context.record(ref) for ref in job.task.inputs["files"])


def _part(recipe: Recipe) -> dict[str, str]:
    """What the numbers are of, where that is not all of the source."""
    told = told_source(recipe.source)
    return {} if told is None else {STATS_KEY: told}


def release_stats(job: Job) -> dict[str, Any]:
    """Everything that the report and the card say in numbers, from records and the rows of the select parts."""
    candidates = sum(job.context.record(ref).meta["candidates"] for ref in job.task.inputs["admit"])
    told = job.task.inputs.get(FIGURES)
    numbers = _numbers(job) if told is None else json.loads(job.context.record(told).meta[FIGURES])
    roles = [file.role for record in _file_records(job) for file in record.files]
    return {
        "name": job.recipe.name,
        "candidates": candidates,
        "merged": candidates - numbers["samples"],
        "shards": sum(role.startswith("shard-") for role in roles),
        "rules": [asdict(rule) for rule in job.plan.rules],
        **_part(job.recipe),
        **numbers,
        **figures_apart(job),
    }
