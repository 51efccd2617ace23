"""What a finished run cannot tell under another recipe, found before anything is written."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from filters.clip.asked import deciding_settings
from filters.measures import MEASURES
from filters.models.files import is_of_version
from pipelines.checks import checked_plan
from pipelines.flow.fetch import fetch_settings
from pipelines.flow.holders import rechecks
from pipelines.flow.known_sets import refuse_own_folder
from pipelines.part_of_source import as_of
from pipelines.plan_file import read_plan
from pipelines.problems import Problem, raise_problems
from pipelines.recipe import said_at
from pipelines.tasks import Plan
from shards.catalog import planned_parts
from shards.errors import UsageError
from shards.parts import StepFolder

_DECIDING_SCORES = ("backend", "model", "pretrained", "precision", "batch_size", "cpu_threads")
_STORED = {"collect": "reads the source again", "measure": "measures the stored copies", "score": "scores them"}
"""The stages that store measures, and what `curate run` does where one is missing. All others work theirs out anew."""


def plan_again(mapping: Mapping[str, Any], what: str, run: Path) -> Plan:
    """The plan of a recipe over what a run has. Raises one `UsageError` with all that the run cannot tell."""
    theirs = read_plan(run)
    _check_finished(run, theirs)
    mapping = as_of(theirs.recipe.source, mapping)
    plan = checked_plan(mapping, what, again=True)
    refuse_own_folder(run, plan.recipe.dedup)
    if plan.recipe.source != theirs.recipe.source:
        told = (
            f"is not the source of {run}; only what a run has can be decided again: leave it as the run's recipe has it"
        )
        raise_problems(what, [Problem("source", told)], said_at(mapping))
    raise_problems(
        what, [*_changed_settings(plan, theirs, run), *_missing_measures(plan, theirs, run)], said_at(mapping)
    )
    return plan


def _check_finished(run: Path, plan: Plan) -> None:
    """Every part that the run's latest recipe planned must be there, up to what was scored."""
    planned = planned_parts(run)
    steps = ["collect", "admit", "fetch", "measure", "dedup", *(["score"] if plan.scores else [])]
    is_done = bool(planned.get("release")) and all(
        {(index, mark[:8]) for index, mark in planned.get(step, [])} <= StepFolder(run, step).committed()
        for step in steps
    )
    if not is_done:
        raise UsageError(
            f"{run} is not finished, so that much of it cannot be decided: "
            f"run `curate run {run / 'recipe.yaml'} --out {run}` to its end first"
        )


def _changed_settings(plan: Plan, theirs: Plan, run: Path) -> Iterator[Problem]:
    """Settings that decided what the run stored, and are others now."""
    ours, before = plan.recipe, theirs.recipe
    for section in ("text", "image"):
        yield from _differences(section, getattr(ours, section), getattr(before, section), run, ("store",))
    if plan.scores and theirs.scores and ours.score is not None and before.score is not None:
        others = tuple(name for name in type(ours.score).model_fields if name not in _DECIDING_SCORES)
        yield from _differences("score", ours.score, before.score, run, others)
        new, old = (deciding_settings(plan.measures, score) for score in (ours.score, before.score))
        yield from (_changed(f"score.{name}", new[name], old[name], run) for name in new if new[name] != old[name])
    for section, name in (("crawler", "opt_outs"), ("fetch", "verify_sha256")):
        new, old = (getattr(getattr(recipe, section), name) for recipe in (ours, before))
        if new != old:
            yield _changed(f"{section}.{name}", new, old, run)
    if rechecks(ours) != rechecks(before):
        yield _changed("reuse.recheck", rechecks(ours), rechecks(before), run)
    elif ours.image.store != before.image.store:
        yield _changed("image.store", ours.image.store, before.image.store, run)
    elif ours.image.store == "passing" and fetch_settings(plan) != fetch_settings(theirs):
        told = f"with `passing`, {run} stored what its own rules over downloads let pass; leave those rules as they are"
        yield Problem("image.store", told)


def _differences(
    section: str, ours: BaseModel, theirs: BaseModel, run: Path, but: tuple[str, ...]
) -> Iterator[Problem]:
    new, old = ours.model_dump(exclude=set(but)), theirs.model_dump(exclude=set(but))
    return (_changed(f"{section}.{name}", new[name], old[name], run) for name in new if new[name] != old[name])


def _changed(place: str, new: object, old: object, run: Path) -> Problem:
    told = f"is {new!r} here, and {run} was made with {old!r}; leave it so, or make a run of its own with `curate run`"
    return Problem(place, told)


def _missing_measures(plan: Plan, theirs: Plan, run: Path) -> Iterator[Problem]:
    """Measures that must be stored and are not, at each place that asks for them."""
    outdated = _outdated(plan, theirs, run)
    wanted = [name for name in plan.measures if MEASURES[name].stage in _STORED]
    for name in wanted:
        if name not in theirs.measures or name in outdated:
            lack = "measured by other code or another model than now" if name in outdated else "never measured"
            does = _STORED[MEASURES[name].stage]
            told = f"{name} was {lack} in {run}; `curate run` with this recipe and --out {run} {does}"
            yield from (Problem(place, told) for place in _askers(name, plan))
    if "sem_dup_cos" in plan.measures and theirs.scores and not theirs.embeds:
        told = f"needs embeddings, which {run} did not store; `curate run` with this recipe and --out {run} does"
        yield from (Problem(place, told) for place in _askers("sem_dup_cos", plan))


def _outdated(plan: Plan, theirs: Plan, run: Path) -> set[str]:
    """Measures of stored copies or texts that another version of their code made."""
    return {
        name
        for step, stage in (("collect", "collect"), ("measure", "measure"))
        for versions in _versions(run, step)
        for name in set(plan.measures) & set(theirs.measures)
        if MEASURES[name].stage == stage and not is_of_version(name, versions, plan.recipe.models)
    }


def _versions(run: Path, step: str) -> Iterator[set[str]]:
    """What a part of the latest recipe says of the code that measured it, if it does: they are all of one version."""
    for index, mark in planned_parts(run)[step][:1]:
        said = StepFolder(run, step).record(index, mark).meta.get("measures")
        if said is not None:
            yield set(said)


def _askers(name: str, plan: Plan) -> list[str]:
    """The places in the recipe for which a measure is needed, directly or by way of another."""
    asking = [f"rules.{rule.name}" for rule in plan.rules if name in rule.columns]
    asking += [f"measures.{place}" for place, asked in enumerate(plan.recipe.measures) if asked == name]
    if asking:
        return asking
    if name == plan.recipe.dedup.hash:
        return ["dedup.hash"]
    if name in plan.recipe.dedup.needed_measures:
        return ["dedup.keep"]
    resting = [other for other in plan.measures if name in MEASURES[other].needs]
    return [place for other in resting for place in _askers(other, plan)] or ["release.caption"]
