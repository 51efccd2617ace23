"""All checks of one run: the files of every commit record, the plan, the counts from stage to stage, the release."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.plan_file import read_plan
from pipelines.verify.counts import STATS
from pipelines.verify.faults import Faults
from pipelines.verify.meter import Meter
from pipelines.verify.records import check_files, read_records
from pipelines.verify.release import RELEASE, ReleaseFound, check_release
from shards.catalog import KEPT, PLAN_FILE, planned_parts
from shards.errors import OutputInUseError, UsageError
from shards.lease import holder_of
from shards.parts import Record

_RUN_AGAIN = "run again: what is missing is redone"

Planned = dict[str, list[tuple[int, str]]]
"""Step -> index and fingerprint of each part that the latest recipe planned."""

Parts = dict[str, list[Record]]
"""Step -> its records, of every recipe that ever ran here."""


@dataclass(frozen=True)
class RunFound:
    """What a run was found to hold. `release` is None where there is none yet."""

    num_parts: int
    missing: dict[str, int]
    release: ReleaseFound | None


def check_run(run: Path, faults: Faults, meter: Meter, remake: str) -> RunFound:
    """Tell every fault of the run in a folder; `remake` is what to do about a damaged file of its release.

    Raises `OutputInUseError` while somebody writes there.
    """
    holder = holder_of(run)
    if holder is not None:
        raise OutputInUseError(f"{run} is being written by process {holder.pid} on {holder.host}; wait for its end")
    in_release = faults.within(RELEASE, remake)
    _check_recipe(run, faults)
    parts = _check_parts(run, faults, meter)
    parts[RELEASE] = list(read_records(run / RELEASE, RELEASE, in_release))
    planned = _plan(run, faults)
    missing = _missing(planned, parts, faults)
    _check_finished(run, missing, faults)
    num_parts = sum(map(len, parts.values()))
    if missing.get(RELEASE) or not (run / RELEASE).is_dir():
        return RunFound(num_parts, missing, None)
    found = check_release(run / RELEASE, parts[RELEASE], in_release, meter)
    if RELEASE in planned and found.stats:
        _check_flow(planned, parts, found.stats, faults)
    return RunFound(num_parts, missing, found)


def _check_recipe(run: Path, faults: Faults) -> None:
    try:
        read_plan(run)
    except UsageError as error:
        faults.add("recipe.yaml", " ".join(str(error).split())[:300], "run again with the recipe: it is written anew")


def _check_parts(run: Path, faults: Faults, meter: Meter) -> Parts:
    """Records of all stages but the release, each beside its files."""
    steps = sorted(path.parent.name for path in run.glob("*/_done") if path.parent.name != RELEASE)
    parts = {step: list(read_records(run / step, step, faults.within(step))) for step in steps}
    meter.expect(sum(file.bytes for records in parts.values() for record in records for file in record.files))
    for step, records in parts.items():
        for record in records:
            check_files(run / step, record, faults.within(step), meter)
    return parts


def _plan(run: Path, faults: Faults) -> Planned:
    """The parts of the latest recipe, if they can be read."""
    try:
        return planned_parts(run)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        faults.add(PLAN_FILE, f"is no plan ({' '.join(str(error).split())[:100]})", "run again: it is written anew")
        return {}


def _missing(planned: Planned, parts: Parts, faults: Faults) -> dict[str, int]:
    """How many planned parts of each step have no record; a record whose fingerprint is another is told."""
    missing = {}
    for step, wanted in planned.items():
        records = {(record.index, record.fingerprint) for record in parts.get(step.removesuffix(KEPT), [])}
        alike = {(index, mark[:8]) for index, mark in records}
        lost = [(index, mark) for index, mark in wanted if (index, mark) not in records]
        for index, mark in lost:
            if (index, mark[:8]) in alike:
                name = f"{step.removesuffix(KEPT)}/_done/{index:06d}-{mark[:8]}.json"
                faults.add(name, f"has another fingerprint than {PLAN_FILE}, {mark}")
        if lost:
            missing[step] = len(lost)
    return missing


def _check_finished(run: Path, missing: Mapping[str, int], faults: Faults) -> None:
    """A run that says that it was finished has all of its records."""
    try:
        facts = json.loads((run / "run.json").read_bytes())
        is_finished = "finished" in facts
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, RecursionError) as error:
        faults.add("run.json", f"cannot be read: {error}", "run again: it is written anew")
        return
    for step, count in missing.items() if is_finished else ():
        faults.add(f"{step}/_done", f"{count} of its planned parts have no commit record", _RUN_AGAIN)


def _check_flow(planned: Planned, parts: Parts, stats: Mapping[str, Any], faults: Faults) -> None:
    """What goes into a stage comes out of the one before: candidates, samples, what is kept."""
    admit, select = (_current(step, planned, parts) for step in ("admit", "select"))
    for told, found, name in (
        ("candidates of admit", sum(record.meta.get("candidates", 0) for record in admit), "candidates"),
        ("rows of collect", sum(record.rows for record in _current("collect", planned, parts)), "candidates"),
        ("rows of admit", sum(record.rows for record in admit), "samples"),
        ("rows of select", sum(record.rows for record in select), "samples"),
        ("kept by select", sum(record.meta.get("kept", 0) for record in select), "kept"),
    ):
        if found != stats[name]:
            faults.add(f"{RELEASE}/{STATS}", f"{name} is {stats[name]:,}, {told} {found:,}", _RUN_AGAIN)


def _current(step: str, planned: Planned, parts: Parts) -> list[Record]:
    """The records of the parts that the latest recipe planned."""
    wanted = set(planned.get(step, []))
    return [record for record in parts.get(step, []) if (record.index, record.fingerprint) in wanted]
