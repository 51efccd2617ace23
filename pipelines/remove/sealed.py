"""A run's release made true again after a removal: the records of the files that changed, then its seal anew."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.flow.indexes import IN_SHARDS
from pipelines.plan_file import read_plan
from pipelines.stages import WORK
from pipelines.tasks import Context, Job, PartRef, Task
from shards.catalog import planned_parts
from shards.parts import Attempt, PartFile, Record, StepFolder
from shards.storage import put_whole, sha256_of
from shards.tables import read_rows

RELEASE = "release"
_SEAL = "SHA256SUMS"
_RUN_FILE = "run.json"


def mend_records(run: Path, names: frozenset[str]) -> None:
    """The records of release parts whose files are among `names`, after what the files are now."""
    folder = StepFolder(run, RELEASE)
    for record in folder.records():
        files = {file.name for file in record.files}
        if _SEAL not in files and not files.isdisjoint(names):
            folder.replace(_mended(folder, record))


def _mended(folder: StepFolder, record: Record) -> Record:
    paths = [(file, folder.path / file.name) for file in record.files]
    files = tuple(
        PartFile(file.role, file.name, path.stat().st_size, sha256_of(path)) for file, path in paths if path.is_file()
    )
    manifest = next(path for file, path in paths if file.role == "manifest")
    num_rows = pq.read_metadata(manifest).num_rows
    meta = dict(record.meta)
    if IN_SHARDS in meta:
        counted = read_rows(manifest, ["shard"])["shard"].value_counts().to_pylist()
        counts = {entry["values"]: entry["counts"] for entry in counted}
        meta[IN_SHARDS] = {name: counts[name] for name in meta[IN_SHARDS] if name in counts}
    return replace(record, files=files, rows=num_rows, counts=dict.fromkeys(record.counts, num_rows), meta=meta)


def seal_again(run: Path) -> bool:
    """Make the files that speak of the release as a whole anew; returns whether there is a whole release to seal."""
    folder, planned = StepFolder(run, RELEASE), planned_parts(run)
    done = folder.committed()
    parts = planned.get(RELEASE, [])
    if not parts or any((index, mark[:8]) not in done for index, mark in parts):
        return False
    before = folder.record(*parts[-1])
    refs = {step: [PartRef(step, *part) for part in planned[step]] for step in ("select", "select-order", "admit")}
    given = {
        "kind": "seal",
        "files": [PartRef(RELEASE, *part) for part in parts[:-1]],
        **{"selected": refs["select"], "order": refs["select-order"][0], "admit": refs["admit"]},
    }
    task, attempt = Task(RELEASE, *parts[-1], given), Attempt(folder, parts[-1][0])
    outcome = WORK[RELEASE](Job(task, Context(run, read_plan(run), ""), attempt))
    files = attempt.publish()
    folder.replace(replace(before, files=files, rows=outcome.rows, counts=outcome.counts, meta=outcome.meta))
    folder.sweep()  # what there is no more of, as an emptied shard's folder
    _mend_facts(run)
    return True


def _mend_facts(run: Path) -> None:
    """run.json says how many were kept, and why others fell: the same numbers as stats.json."""
    path = run / _RUN_FILE
    if not path.is_file():
        return
    facts = json.loads(path.read_bytes())
    if "funnel" in facts:
        stats = json.loads((run / RELEASE / "stats.json").read_bytes())
        facts |= {"funnel": stats["drops"], "kept": stats["kept"]}
        put_whole(path, json.dumps(facts, ensure_ascii=False, indent=1).encode() + b"\n")
