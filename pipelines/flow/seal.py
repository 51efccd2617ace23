"""The seal of a release: what it holds in numbers, its report, and the digest of every file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.flow.figures import release_numbers
from pipelines.report import render_card, render_report
from pipelines.tasks import Job, Outcome
from shards.catalog import RELEASE_VIEWS
from shards.storage import sha256_of
from shards.tables import iter_batches

_HALVES = np.dtype("<u8,<u8")


def seal(job: Job) -> Outcome:
    """Write stats.json, uids.npy, views.sql, report.html, README.md and, over all files, SHA256SUMS."""
    stats = release_stats(job)
    texts = {
        "stats.json": json.dumps(stats, ensure_ascii=False, indent=1) + "\n",
        "views.sql": RELEASE_VIEWS,
        "report.html": render_report(job.recipe, job.plan.rules, stats),
        "README.md": render_card(job.recipe, job.plan.rules, stats),
    }
    sums = [(file.sha256, file.name) for record in _file_records(job) for file in record.files]
    for name, text in texts.items():
        path = job.attempt.path(name, "", name)
        path.write_text(text, encoding="utf-8")
        sums.append((sha256_of(path), name))
    path = job.attempt.path("uids.npy", "", "uids.npy")
    _write_uids(path, job.paths("selected", "kept"), stats["kept"])
    sums.append((sha256_of(path), "uids.npy"))
    lines = [f"{digest}  {name}\n" for digest, name in sorted(sums, key=lambda pair: pair[1])]
    job.attempt.path("SHA256SUMS", "", "SHA256SUMS").write_text("".join(lines))
    return Outcome(stats["samples"], {"kept": stats["kept"]})


def _file_records(job: Job) -> Iterable[Any]:
    return (job.context.record(ref) for ref in job.task.inputs["files"])


def release_stats(job: Job) -> dict[str, Any]:
    """Everything that the report and the card say in numbers, from records and the rows of the select parts."""
    candidates = sum(job.context.record(ref).meta["candidates"] for ref in job.task.inputs["admit"])
    selected = [*job.paths("selected", "kept"), *job.paths("selected", "dropped")]
    numbers = release_numbers(selected, job.plan.rules, job.attempt.folder)
    roles = [file.role for record in _file_records(job) for file in record.files]
    return {
        "name": job.recipe.name,
        "candidates": candidates,
        "merged": candidates - numbers["samples"],
        "shards": sum(role.startswith("shard-") for role in roles),
        **numbers,
    }


def _write_uids(path: Path, kept: list[Path], num_kept: int) -> None:
    """Kept uids as DataComp writes subsets: sorted, each split in two unsigned 64-bit halves, dtype `u8,u8`."""
    header = {"descr": _HALVES.descr, "fortran_order": False, "shape": (num_kept,)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for batch in iter_batches(kept, ["uid"]):
            file.write(_halves(batch.column("uid")).tobytes())


def _halves(uids: pa.Array) -> npt.NDArray[np.void]:
    return np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids.to_pylist()], _HALVES)
