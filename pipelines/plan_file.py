"""The plan of an existing run, read back from the recipe that it wrote down."""

from pathlib import Path

from filters.rules import place_rules
from pipelines.checks import measures_needed
from pipelines.recipe import parse_recipe
from pipelines.strict_yaml import load_yaml
from pipelines.tasks import Plan
from shards.errors import UsageError


def read_plan(run: Path) -> Plan:
    """The run's recipe with its rules placed; models and sources are not looked for. Raises `UsageError`."""
    path = recipe_path(run)
    recipe, problems = parse_recipe(load_yaml(path))
    if recipe is None:
        raise UsageError(f"{path}: written by another version of curate ({problems[0]})")
    rules, _ = place_rules(recipe.rules, recipe.dedup.dup_rank_stage)
    return Plan(recipe, tuple(rules), measures_needed(recipe, rules))


def recipe_path(run: Path) -> Path:
    """Where a run wrote down its recipe. Raises `UsageError` for a folder that is no run."""
    path = run / "recipe.yaml"
    if not path.is_file():
        raise UsageError(f"{run} is no run of curate: recipe.yaml is not there")
    return path
