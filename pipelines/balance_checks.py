"""What a recipe's `balance` section must say for the measures that it asks for, found before anything runs."""

import difflib
from collections.abc import Collection, Iterator
from pathlib import Path

from filters.balance_settings import JIEBA, BalanceSettings
from filters.keywords import read_keywords
from filters.measures import MEASURES
from pipelines.flow.balanced import BAD_SHARE, BALANCE, KEYED
from pipelines.problems import Problem
from pipelines.recipe import Recipe
from pipelines.tasks import Plan
from shards.errors import CurateError
from shards.schema import REASONS

KEYWORD_CATEGORY = "keyword_category"


def balance_needs(recipe: Recipe, names: Collection[str]) -> set[str]:
    """The measures that those of balance rest on, as the section says."""
    needed = set[str]()
    if recipe.balance.first == "best_score" and _ranks(names):
        needed.add("clip_score")
    if recipe.balance.category in MEASURES and any(name in KEYED for name in names if "category" in name):
        needed.add(recipe.balance.category)
    return needed


def _ranks(names: Collection[str]) -> bool:
    """Whether any place by query, host or category is asked for."""
    return any(name in KEYED and name.endswith("_rank_kept") for name in names)


def balance_problems(plan: Plan) -> list[Problem]:
    """What is asked for and cannot be told."""
    balance = plan.recipe.balance
    problems = list(_unknown_reasons(plan))
    if BAD_SHARE in plan.measures and not balance.bad:
        problems.append(
            Problem("balance.bad", f"is empty, but {BAD_SHARE} is asked for: name reasons that speak against a host")
        )
    if KEYWORD_CATEGORY in plan.measures:
        problems += _keyword_problems(balance)
    if BALANCE in plan.measures:
        problems += _entry_problems(balance)
    if balance.first == "best_score" and plan.recipe.score is None and _ranks(plan.measures):
        problems += [Problem("balance.first", "is best_score, but no model scores: name one in `score`, or choose uid")]
    return problems


def _unknown_reasons(plan: Plan) -> Iterator[Problem]:
    known = [*plan.recipe.rules, *REASONS]
    for place, reason in enumerate(plan.recipe.balance.bad):
        if reason not in known:
            close = difflib.get_close_matches(reason, known, n=3)
            known_ones = "expected the name of a rule, or a reason of the web"
            hint = f"did you mean {' or '.join(close)}?" if close else known_ones
            yield Problem(f"balance.bad.{place}", f"no drop reason is called {reason!r}; {hint}")


def _keyword_problems(balance: BalanceSettings) -> Iterator[Problem]:
    if balance.keywords is None:
        yield Problem("balance.keywords", f"is required, because {KEYWORD_CATEGORY} is asked for: wudaomm, or a file")
        return
    try:
        read_keywords(balance.keywords)
    except CurateError as error:
        yield Problem("balance.keywords", str(error))


def _entry_problems(balance: BalanceSettings) -> Iterator[Problem]:
    if balance.words is None and not balance.entries:
        yield Problem("balance.entries", f"is empty and `words` is null, but {BALANCE} is asked for: name one of them")
    named = {f"entries.{place}": path for place, path in enumerate(balance.entries)}
    if balance.words not in (None, JIEBA):
        named["words"] = str(balance.words)
    for place, path in named.items():
        if "://" not in path and not Path(path).is_file():
            yield Problem(f"balance.{place}", f"{path}: no such file")
