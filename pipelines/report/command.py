"""`curate report`: the page of a finished run, with pictures of its samples, or of a release folder."""

import json
import tempfile
from pathlib import Path
from typing import Any

from filters.rules import PlacedRule
from pipelines.flow.figures import release_numbers
from pipelines.plan_file import read_plan
from pipelines.report.health import write_health
from pipelines.report.page import render_report
from pipelines.report.pictures import ReleasePictures, RunPictures
from pipelines.report.samples import choose_sheets
from shards.catalog import PLAN_FILE, committed_files, planned_parts
from shards.errors import BadInputError, OutputInUseError, UsageError
from shards.lease import holder_of
from shards.parts import StepFolder
from shards.released import open_release
from shards.storage import disk_faults, put_whole

PAGE = "report.html"
_STATS = "stats.json"
_NOT_SAID_BEFORE: dict[str, Any] = {"splits": {}, "subsets": {}}
"""Numbers that no row tells and that earlier versions of curate did not write down."""


def write_report(path: Path, output: Path | None = None) -> Path:
    """Write the page of a run or of a release, and say where; beside it in a run, health.html is written anew.

    A run's numbers are asked of its rows again; a release's are those of its stats.json. Raises `UsageError` for what
    is neither or is not finished, and for an `output` inside a release, whose digests would no longer be true.
    """
    if path.name == "release" and (path.parent / PLAN_FILE).is_file():
        path = path.parent
    is_run = (path / PLAN_FILE).is_file()
    release = path / "release" if is_run else path
    if is_run:
        _check_finished(path)
    open_release(path)
    target = _checked_output(output or (path / PAGE if is_run else path.parent / f"{path.name}-{PAGE}"), release)
    with disk_faults(target), tempfile.TemporaryDirectory(prefix=".report-", dir=target.parent) as spill:
        page = _page_of_run(path, Path(spill)) if is_run else _page_of_release(path, Path(spill))
        put_whole(target, page.encode())
        if is_run and output is None:
            write_health(path)
    return target


def _check_finished(run: Path) -> None:
    """The release must be the one that the latest recipe planned, and nobody may be at work on it."""
    holder = holder_of(run)
    if holder is not None:
        raise OutputInUseError(f"{run} is in use by process {holder.pid} on {holder.host}; wait for its end")
    planned = {(index, mark[:8]) for index, mark in planned_parts(run).get("release", [])}
    if not planned or not planned <= StepFolder(run, "release").committed():
        raise UsageError(f"{run}: the run has no finished release yet; `curate run` again goes on with it")


def _checked_output(target: Path, release: Path) -> Path:
    target = target.resolve()
    if target.is_dir() or not target.parent.is_dir():
        why = "is a folder" if target.is_dir() else f"{target.parent} is no folder"
        raise UsageError(f"-o {target}: {why}; name a file in a folder that is there")
    if release.resolve() in target.parents:
        raise UsageError(f"-o {target}: lies in a release, whose SHA256SUMS would not list it; choose another place")
    return target


def _page_of_run(run: Path, spill: Path) -> str:
    plan = read_plan(run)
    rules, by = plan.rules, plan.recipe.balance.category
    kept, dropped = (committed_files(run, "select", role) for role in ("kept", "dropped"))
    sealed = _read_stats(run / "release")
    stats = {**_NOT_SAID_BEFORE, **sealed, **release_numbers(kept, dropped, rules, spill, by)}
    return render_report(rules, stats, choose_sheets([*kept, *dropped], rules, stats["drops"], RunPictures(run), spill))


def _page_of_release(release: Path, spill: Path) -> str:
    stats = _read_stats(release)
    if "rules" not in stats:
        raise UsageError(f"{release}: was made by a version of curate that drew no such page; name its run instead")
    rules = [_rule(entry) for entry in stats["rules"]]
    files = sorted((release / "manifest").glob("*.parquet"))
    if not files:
        return render_report(rules, stats)
    return render_report(rules, stats, choose_sheets(files, rules, stats["drops"], ReleasePictures(release), spill))


def _rule(entry: dict[str, Any]) -> PlacedRule:
    lists = {name: tuple(entry[name]) for name in ("columns", "relative")}
    return PlacedRule(**{**entry, **lists})


def _read_stats(release: Path) -> dict[str, Any]:
    path = release / _STATS
    try:
        stats: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path}: cannot be read ({error}); make or copy the release again") from error
    return stats
