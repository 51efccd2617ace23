"""One call of `curate release`: a finished run decided again by another recipe, its release written elsewhere.

The work is done in `DIR/.again`, a run's folder over the run that is only read; the release moves up when it is whole.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipelines.again_checks import plan_again
from pipelines.flow.again import LACKING_STEPS, LACKS
from pipelines.flow.set_marks import MARKS_FILE
from pipelines.flow.takedown_lists import listed_tombstones
from pipelines.launch import make_folder, recipe_text
from pipelines.progress import Progress
from pipelines.retries import RETRIES_FILE
from pipelines.runner import Runner
from pipelines.stages_again import STAGES_AGAIN
from pipelines.tasks import Context, Flow, Plan
from pipelines.workers import Pool
from shards.catalog import PLAN_FILE
from shards.errors import OutputInUseError, UsageError
from shards.lease import Lease, holder_of
from shards.parts import fingerprint
from shards.storage import disk_faults, open_local_folder, put_whole, sha256_of, sync_folder
from shards.tombstones import tombstones_of, write_tombstones
from shards.training_indexes import ENERGON_FOLDER

WORK_FOLDER = ".again"
_MOVING = "moving.json"
_MARK = "mark.json"
_RECIPE = "recipe.yaml"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LAST = "SHA256SUMS"
"""The file that says that the others are there."""


@dataclass(frozen=True)
class ReleasedAgain:
    """A release that was decided again. `lacking`: by stage, the samples that could not be decided for want of it."""

    folder: Path
    plan: Plan
    stats: dict[str, Any]
    lacking: dict[str, int]


def release_again(
    run: Path,
    mapping: Mapping[str, Any],
    what: str,
    out: str,
    writes_shards: bool,
    open_pool: Callable[[], Pool],
    progress: Progress,
) -> ReleasedAgain:
    """Decide a finished run again in the folder `out`, which is new or empty. Nothing is written in the run.

    Raises errors of `shards.errors`; KeyboardInterrupt drains first.
    """
    plan = plan_again(mapping, what, run)
    folder = open_local_folder(out)
    _check_folders(folder, run)
    work = folder / WORK_FOLDER
    make_folder(folder)
    make_folder(work)
    with Lease.take(work) as lease, disk_faults(folder):
        _take_back(folder, work)
        _begin(work, run, plan, writes_shards)
        context = Context(work, plan, lease.token, below=run, writes_shards=writes_shards)
        flow = _decide(context, open_pool, progress)
        stats, lacking = json.loads((work / "release" / "stats.json").read_bytes()), _lacking(flow)
        _move_up(work, folder)
    shutil.rmtree(work)
    return ReleasedAgain(folder, plan, stats, lacking)


def told_lacking(made: ReleasedAgain, run: Path) -> list[str]:
    """What is said of samples that could not be decided: a line a stage, and what to do."""
    lines = []
    for stage, number in made.lacking.items():
        sample, was, stand = ("sample", "it was", "stands") if number == 1 else ("samples", "they were", "stand")
        lines.append(
            f"{number:,} {sample} fell in {run} before {was} {_DONE[stage]} and {stand} here as far as can be told: "
            "dropped as not_attempted"
        )
    remedy = f"`curate run` with this recipe and --out {run} does what is lacking, and releases by it there"
    return [*lines, remedy] if lines else []


_DONE = {"fetch": "fetched", "measure": "measured", "score": "scored with all texts"}


def _check_folders(folder: Path, run: Path) -> None:
    """The release must not lie in the run, nor among anything else; a call that was killed goes on."""
    if folder == run or run in folder.parents:
        raise UsageError(f"--out {folder}: lies in the run that is decided again, which is only read; choose another")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; expected a new or empty folder")
    ours = {WORK_FOLDER, *_moving(folder / WORK_FOLDER)}
    if folder.is_dir() and any(path.name not in ours for path in folder.iterdir()):
        raise UsageError(f"--out {folder}: is not empty; choose a new folder")
    holder = holder_of(run)
    if holder is not None:
        raise OutputInUseError(f"{run} is in use by process {holder.pid} on {holder.host}; wait for its end")


def _begin(work: Path, run: Path, plan: Plan, writes_shards: bool) -> None:
    """What a killed call left is gone on with where it was the same call over the same run, else thrown away.

    So it is after the machine went down: parts of `.again` are not forced to disk.
    """
    digests = [sha256_of(run / name) for name in (PLAN_FILE, _RECIPE)]
    tombstones = tombstones_of(run) | listed_tombstones(plan.recipe.tombstones)
    digests += list(tombstones.lines())
    call = [version("curate"), str(run), digests, plan.recipe.model_dump(mode="json"), writes_shards]
    mark = fingerprint(*call, _BOOT.read_text() if _BOOT.is_file() else "")
    marked = work / _MARK
    if not marked.is_file() or json.loads(marked.read_bytes()) != mark:
        _clear(work)
        put_whole(marked, json.dumps(mark).encode())
    put_whole(work / _RECIPE, recipe_text(plan).encode())
    write_tombstones(work, tombstones)
    for name in (RETRIES_FILE, MARKS_FILE):
        if (run / name).is_file():
            put_whole(work / name, (run / name).read_bytes())


def _clear(work: Path) -> None:
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lease.json":
            path.unlink()


def _decide(context: Context, open_pool: Callable[[], Pool], progress: Progress) -> Flow:
    pool = open_pool()
    runner = Runner(context, pool, progress)
    try:
        return runner.run(STAGES_AGAIN)
    except KeyboardInterrupt:
        progress.note("interrupted: parts in flight are finished (again Ctrl-C: at once)")
        runner.drain()
        raise
    finally:
        pool.close()


def _lacking(flow: Flow) -> dict[str, int]:
    found = {step: sum(record.meta.get(LACKS, 0) for record in flow.records(step)) for step in LACKING_STEPS}
    return {step: number for step, number in found.items() if number}


def _move_up(work: Path, folder: Path) -> None:
    """The release takes its place name by name, the digests last; a list of the names lets a killed call be undone."""
    names = sorted(path.name for path in (work / "release").iterdir() if _is_released(path.name))
    names = [_RECIPE, *sorted(names, key=lambda name: name == _LAST)]
    put_whole(work / _MOVING, json.dumps(names).encode())
    for name in names:
        _home(work, name).rename(folder / name)
    sync_folder(folder)


def _is_released(name: str) -> bool:
    return name == ENERGON_FOLDER or not name.startswith(("_", "."))


def _take_back(folder: Path, work: Path) -> None:
    """Undo the moves of a call that was killed among them."""
    for name in _moving(work):
        if (folder / name).exists():
            (folder / name).rename(_home(work, name))
    (work / _MOVING).unlink(missing_ok=True)


def _moving(work: Path) -> list[str]:
    path = work / _MOVING
    return list(json.loads(path.read_bytes())) if path.is_file() else []


def _home(work: Path, name: str) -> Path:
    return work / name if name == _RECIPE else work / "release" / name
