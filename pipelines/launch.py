"""One call of `curate run`: check, take the folder, run the flow, write down what happened, end with the funnel."""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from crawler.search.key import SearchKey
from crawler.search.source import SearchSource
from crawler.sources import CrawlSource, Source
from pipelines.checks import checked_plan
from pipelines.flow.archive_index import reach_of
from pipelines.flow.collect import source_slices
from pipelines.flow.known_sets import refuse_own_folder
from pipelines.flow.reuse import write_index
from pipelines.flow.search import query_slices
from pipelines.flow.takedown_lists import listed_tombstones
from pipelines.known_parts import KNOWN_FOLDER
from pipelines.part_of_source import is_whole_alike, refuse_other_part, told_source
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.remove.command import finish_removal, refuse_removal_there
from pipelines.report.health import write_health
from pipelines.retries import begin_retry
from pipelines.run_facts import start_facts
from pipelines.runner import Runner
from pipelines.strict_yaml import load_yaml
from pipelines.tasks import Context, Plan
from pipelines.workers import Pool
from shards.errors import UsageError
from shards.lease import Lease, noticing_loss
from shards.storage import disk_faults, open_run_folder, put_whole, read_current
from shards.stores.mirrors import mirror_at

_RECIPE_FILE = "recipe.yaml"
_FIRST_FILES = ("lease.json", ".lease.json", ".recipe.yaml", ".writable", ".probe")
"""What a run that is killed in its first moments leaves in its folder (and the beginnings of temporary names)."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    run: Path
    stats: dict[str, Any]
    num_dead: int


def run_recipe(
    mapping: Mapping[str, Any],
    what: str,
    out: str,
    open_pool: Callable[[], Pool],
    progress: Progress,
    retry: tuple[str, ...] = (),
    opens_first: bool = False,
) -> RunResult:
    """Run or resume a recipe in the folder `out`, attempting again the downloads that ended in a reason of `retry`.

    With `opens_first` nothing is written before the pool is open, which may refuse the folder. Raises errors of
    `shards.errors`; KeyboardInterrupt drains first.
    """
    plan = checked_plan(mapping, what)
    _check_source(plan.recipe)
    run = open_run_folder(out)
    _check_folder(run, plan)
    refuse_own_folder(run, plan.recipe.dedup)
    refuse_removal_there(run, listed_tombstones(plan.recipe.tombstones))
    with ExitStack() as held:
        pool = held.enter_context(closing(open_pool())) if opens_first else None
        make_folder(run)
        lease = held.enter_context(Lease.take(run))
        held.enter_context(noticing_loss(run))
        _clear_leavings(run)
        prepare(run, plan, progress, retry)
        facts = start_facts(plan, recipe_text(plan))
        put_whole(run / "run.json", _as_json(facts))
        url = begin_on_store(run, lease.token)
        runner = _run(Context(run, plan, lease.token, _fetch_ends(plan), url=url), pool or open_pool(), progress)
        stats = json.loads(read_current(run / "release" / "stats.json"))
        facts |= {
            "finished": time.time(),
            "dead_rows": runner.num_dead,
            "funnel": stats["drops"],
            "kept": stats["kept"],
        }
        put_whole(run / "run.json", _as_json(facts))
        write_health(run)
    return RunResult(run, stats, _count_dead(run))


def _check_source(recipe: Recipe) -> None:
    """What can be found wrong with a source's files, or with a secret that it needs, before a folder is made."""
    source = recipe.source
    if isinstance(source, SearchSource):
        query_slices(source)
        SearchKey.read(source.described)
    elif not isinstance(source, CrawlSource):
        source_slices(source, reach_of(recipe))


def prepare(run: Path, plan: Plan, progress: Progress, retry: tuple[str, ...] = ()) -> None:
    """Write down what the run's tasks look up in its folder: earlier runs' copies, the recipe, what is retried."""
    part = told_source(plan.recipe.source)
    if part is not None:
        progress.note(f"source   {part}")
    for line in write_index(run, plan.recipe):
        progress.note(line)
    finish_removal(run, listed_tombstones(plan.recipe.tombstones), progress.note)
    put_whole(run / _RECIPE_FILE, recipe_text(plan).encode())
    if retry:
        progress.note(f"retry    {begin_retry(run, retry):,} downloads that ended in {', '.join(retry)}")


def _run(context: Context, pool: Pool, progress: Progress) -> Runner:
    runner = Runner(context, pool, progress)
    try:
        runner.run()
    except KeyboardInterrupt:
        progress.note("interrupted: parts in flight are finished and committed (again Ctrl-C: at once)")
        runner.drain()
        raise
    finally:
        pool.close()
    return runner


def begin_on_store(run: Path, token: str) -> str | None:
    """The URL of a run whose folder is a mirror: forgets there what a kill left, and what this node has of before."""
    mirror = mirror_at(run)
    if mirror is None:
        return None
    mirror.clear_leavings()
    mirror.lead(token)
    return mirror.url


def _clear_leavings(run: Path) -> None:
    """Delete what a kill left half written beside the run's own files and records; steps sweep their own folders."""
    for pattern in (".*.tmp", "*/_done/.*.tmp", "dead/.*.tmp", f"{KNOWN_FOLDER}/.*.tmp"):
        for path in run.glob(pattern):
            path.unlink(missing_ok=True)


def _fetch_ends(plan: Plan) -> float | None:
    hours = plan.recipe.crawler.deadline_h
    return None if hours is None else time.time() + 3600 * hours


def _check_folder(run: Path, plan: Plan) -> None:
    """The folder must be new, empty, or a run of the same source."""
    if os.path.exists(run) and not run.is_dir():  # unlike Path's, it takes a name that is too long for one of nothing
        raise UsageError(f"--out {run}: is a file; expected a folder, new or of an earlier run")
    if not os.path.exists(run) or all(path.name.startswith(_FIRST_FILES) for path in run.iterdir()):
        return
    recipe = run / _RECIPE_FILE
    before = load_yaml(recipe) if recipe.is_file() else {}
    if "source" not in before:
        raise UsageError(f"--out {run}: is neither empty nor a run of curate; choose a new folder")
    source = _read_source(before["source"])
    if source is None or not is_whole_alike(source, plan.recipe.source):
        raise UsageError(
            f"--out {run}: holds a run of another source; a changed `source:` needs a folder of its own "
            "(new files under the same paths do not)"
        )
    refuse_other_part(run, source, plan.recipe.source)


def _read_source(before: object) -> Source | None:
    """A run folder's source, None if it is none; keys that an earlier version did not know have their defaults."""
    try:
        return TypeAdapter[Source](Source).validate_python(before)
    except ValidationError:
        return None


def make_folder(run: Path) -> None:
    """Make a run's folder, and see that it can be written. Raises `UsageError`."""
    try:
        with disk_faults(run):
            run.mkdir(parents=True, exist_ok=True)
            probe = run / ".writable"
            probe.touch()
            probe.unlink()
            mirror = mirror_at(run)
            if mirror is not None:
                mirror.probe()
    except OSError as error:  # a file in place of a parent, a name too long, ...
        raise UsageError(f"--out {run}: cannot be made: {error.strerror}; choose another folder") from error


def recipe_text(plan: Plan) -> str:
    """The recipe with every default written out."""
    mapping = json.loads(plan.recipe.model_dump_json())
    return str(yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False, width=120))


def _as_json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, indent=1).encode() + b"\n"


def _count_dead(run: Path) -> int:
    dead = run / "dead"
    return sum(1 for path in dead.iterdir() if path.suffix == ".json") if dead.is_dir() else 0
