"""What is wrong with a recipe beyond its shape, found before anything runs, and the plan of one that is right."""

import difflib
from collections.abc import Mapping
from typing import Any

from crawler.lists.shards_source import ShardsSource
from crawler.sources import TableSource
from filters.clip.weights import check_files
from filters.measures import MEASURES, needed_measures
from filters.models.feed import model_problems
from filters.rules import PlacedRule, place_rules
from pipelines.balance_checks import balance_needs, balance_problems
from pipelines.flow.archive_index import index_problems
from pipelines.flow.known_sets import known_set_problems
from pipelines.flow.reuse import reuse_problems
from pipelines.flow.takedown_lists import tombstone_problems
from pipelines.flow.text_lists import text_list_problems
from pipelines.problems import Problem, raise_problems
from pipelines.recipe import Recipe, parse_recipe, said_at
from pipelines.tasks import Plan
from shards.errors import UsageError
from shards.layouts import LAYOUTS


def checked_plan(mapping: Mapping[str, Any], what: str, bring_models: bool = True, again: bool = False) -> Plan:
    """The plan of a recipe. Raises one `UsageError` with every problem of shape, rules, measures and models.

    `bring_models` loads a hub's weights into the hub's own cache; without it only local files are looked for. Where
    a finished run is decided `again`, neither models nor the runs of `reuse` need to be there any more.
    """
    recipe, problems = parse_recipe(mapping)
    rules, rule_problems = _placed(mapping, recipe)
    problems += rule_problems
    problems += _measure_problems(mapping.get("measures"))
    problems += _identity_problems(mapping)
    problems += _missing_model_problems(mapping, rules)
    if recipe is None:
        raise_problems(what, problems, said_at(mapping))
        raise AssertionError("a recipe without a model has problems")
    plan = Plan(recipe, tuple(rules), measures_needed(recipe, rules))
    problems += _sha256_problems(recipe)
    problems += _recheck_problems(recipe)
    problems += [] if again else reuse_problems(recipe)
    problems += [] if again else text_list_problems(recipe.text)
    problems += tombstone_problems(recipe.tombstones)
    problems += known_set_problems(recipe.dedup)
    problems += _unknown_set_problems(recipe, plan)
    problems += balance_problems(plan)
    problems += index_problems(recipe)
    if not problems and not again:
        problems += _model_problems(plan, bring_models)
        problems += [Problem(*told) for told in model_problems(plan.measures, plan.recipe.models, bring_models)]
    raise_problems(what, problems, said_at(mapping))
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
    if recipe.score is not None and (recipe.release.caption == "best_score" or recipe.score.embeddings):
        names.add("clip_score")
    names |= {name for name, sets in _marks(recipe).items() if sets}
    if recipe.release.splits:
        names.add("dup_group")  # near-duplicates are never parted by a split
    if {"dup_rank", "pair_rank", "dup_group"} & names:
        names |= {"dup_rank", *recipe.dedup.needed_measures}
    names |= balance_needs(recipe, names)
    if "sem_dup_cos" in names:
        names |= {*recipe.dedup.needed_measures}
    needed = needed_measures(names)
    return tuple(needed_measures([*needed, recipe.dedup.hash]) if "dup_group" in needed else needed)


def _marks(recipe: Recipe) -> dict[str, list[str]]:
    """The columns that say which known set has an image, and the sets."""
    return {"seen_in": recipe.dedup.against, "eval_match": recipe.dedup.evaluation}


def _unknown_set_problems(recipe: Recipe, plan: Plan) -> list[Problem]:
    """A rule over a column that no set can fill."""
    sections = {"seen_in": "dedup.against", "eval_match": "dedup.evaluation"}
    empty = [name for name, sets in _marks(recipe).items() if not sets and name in plan.measures]
    return [Problem(sections[name], f"is empty, but {name} is asked for: name what to match with") for name in empty]


def _identity_problems(mapping: Mapping[str, Any]) -> list[Problem]:
    if not _lacks(mapping.get("crawler", {}), "user_agent"):
        return []
    source = mapping.get("source")
    kind = source.get("kind") if isinstance(source, Mapping) else None
    if kind == "shards":  # nobody is asked for anything
        return []
    also = {"crawl": " and pages", "search": " and results"}.get(kind, "") if isinstance(kind, str) else ""
    return [
        Problem(
            "crawler.user_agent",
            f"is required, because images{also} are fetched: name a bot and a contact, "
            'as "mybot/1.0 (+https://example.org/bot; bot@example.org)"',
        )
    ]


def _sha256_problems(recipe: Recipe) -> list[Problem]:
    """What to verify must come from somewhere."""
    if not recipe.fetch.verify_sha256:
        return []
    if not isinstance(recipe.source, TableSource):
        told = f"a {recipe.source.kind} source says nothing of an image's sha256: leave it false"
        return [Problem("fetch.verify_sha256", told)]
    if "expected_sha256" in recipe.source.resolved().columns:
        return []
    carrying = ", ".join(name for name, layout in LAYOUTS.items() if layout.columns.sha256)
    told = f"the source has no sha256 column: name it in `source.columns: {{sha256: …}}` (layouts with one: {carrying})"
    return [Problem("fetch.verify_sha256", told)]


def _recheck_problems(recipe: Recipe) -> list[Problem]:
    """Images of shards are asked of nobody, so nobody can be asked again."""
    if not isinstance(recipe.source, ShardsSource):
        return []
    told = "`recheck` asks servers again, and a shards source asks none: leave it out"
    return [Problem(f"reuse.{place}", told) for place, entry in enumerate(recipe.reused) if entry.recheck]


def _missing_model_problems(mapping: Mapping[str, Any], rules: list[PlacedRule]) -> list[Problem]:
    if not _lacks(mapping, "score"):
        return []
    asking = [rule.name for rule in rules if _SCORES.intersection(rule.columns)]
    measures = mapping.get("measures")
    named = isinstance(measures, list) and any(name in _SCORES for name in measures if isinstance(name, str))
    if not asking and not named:
        return []
    who = f"the rules {', '.join(asking)} need" if asking else "`measures` asks for"
    return [Problem("score", f"is required, because {who} clip_score: name a model, or drop them")]


_SCORES = frozenset(name for name in MEASURES if "clip_score" in needed_measures([name]))


def _lacks(section: object, key: str) -> bool:
    return isinstance(section, Mapping) and section.get(key) is None


def _model_problems(plan: Plan, bring_models: bool) -> list[Problem]:
    if not plan.scores or plan.recipe.score is None:
        return []
    try:
        if bring_models:
            from filters.clip.scorer import check_scorer

            check_scorer(plan.recipe.score)
        else:
            check_files(plan.recipe.score)
    except UsageError as error:
        return [Problem("score", str(error))]
    from filters.clip.asked import problems_of

    found = problems_of(plan.measures, plan.recipe.score, bring_models)
    return [Problem(place, message) for place, message in found]
