"""What is wrong with a recipe beyond its shape, found before anything runs, and the plan of one that is right."""

import difflib
from collections.abc import Mapping
from typing import Any

from crawler.sources import CrawlSource
from filters.measures import MEASURES, needed_measures
from filters.rules import PlacedRule, place_rules
from pipelines.recipe import Problem, Recipe, parse_recipe, raise_problems
from pipelines.tasks import Plan
from shards.errors import UsageError


def checked_plan(mapping: Mapping[str, Any], what: str) -> Plan:
    """The plan of a recipe. Raises one `UsageError` with every problem of shape, rules, measures and models."""
    recipe, problems = parse_recipe(mapping)
    rules, rule_problems = _placed(mapping, recipe)
    problems += rule_problems
    problems += _measure_problems(mapping.get("measures"))
    if recipe is None:
        raise_problems(what, problems)
        raise AssertionError("a recipe without a model has problems")
    plan = Plan(recipe, tuple(rules), measures_needed(recipe, rules))
    problems += _identity_problems(recipe)
    if not problems:
        problems += _model_problems(plan)
    raise_problems(what, problems)
    return plan


def _placed(mapping: Mapping[str, Any], recipe: Recipe | None) -> tuple[list[PlacedRule], list[Problem]]:
    """Rules are placed even where the recipe's shape is wrong, so that their problems are told in the same go."""
    rules = recipe.rules if recipe else mapping.get("rules")
    if not isinstance(rules, dict):
        return [], []
    texts = {name: rule for name, rule in rules.items() if isinstance(name, str) and isinstance(rule, str)}
    placed, problems = place_rules(texts, recipe.dedup.dup_rank_stage if recipe else "dedup")
    return placed, [Problem(f"rules.{problem.name}", problem.message) for problem in problems]


def _measure_problems(names: object) -> list[Problem]:
    if not isinstance(names, list):
        return []
    problems = []
    for place, name in enumerate(names):
        if isinstance(name, str) and name not in MEASURES:
            close = difflib.get_close_matches(name, list(MEASURES), n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(MEASURES)}"
            problems.append(Problem(f"measures.{place}", f"no measure is called {name!r}; {hint}"))
    return problems


def measures_needed(recipe: Recipe, rules: list[PlacedRule]) -> tuple[str, ...]:
    """What must be computed: what rules and `measures` name, and what they rest on."""
    names = {column for rule in rules for column in rule.columns} | set(recipe.measures)
    if recipe.score is not None and recipe.release.caption == "best_score":
        names.add("clip_score")
    if {"dup_rank", "dup_group"} & names:
        names |= {"dup_rank", *recipe.dedup.needed_measures}
    return tuple(needed_measures(names))


def _identity_problems(recipe: Recipe) -> list[Problem]:
    if recipe.crawler.user_agent is not None:
        return []
    crawls = " and pages" if isinstance(recipe.source, CrawlSource) else ""
    example = '"mybot/1.0 (+https://example.org/bot; bot@example.org)"'
    return [
        Problem(
            "crawler.user_agent",
            f"is required, because images{crawls} are fetched: name a bot and a contact, as {example}",
        )
    ]


def _model_problems(plan: Plan) -> list[Problem]:
    if not plan.scores:
        return []
    if plan.recipe.score is None:
        asking = [rule.name for rule in plan.rules if {"clip_score", "clip_pct"} & set(rule.columns)]
        who = f"rules {', '.join(asking)} need" if asking else "measures ask for"
        return [Problem("score", f"is required, because {who} clip_score: name a model, or drop them")]
    from filters.clip import check_scorer

    try:
        check_scorer(plan.recipe.score)
    except UsageError as error:
        return [Problem("score", str(error))]
    return []
