"""The report and the card of a release, from its numbers alone: the same bytes in any run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from filters.rules import PlacedRule
from pipelines.recipe import Recipe

_TEMPLATES = Path(__file__).parent / "templates"


def funnel_rows(rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The funnel in order of judgement: each reason with how many samples fell for it and how many were left."""
    order = {rule.name: place for place, rule in enumerate(rules)}
    expressions = {rule.name: rule.expression for rule in rules}
    stages = ["collect", "admit", "fetch", "measure", "dedup", "score", "select"]
    drops = sorted(
        stats["drops"],
        key=lambda drop: (stages.index(drop["stage"]), order.get(drop["reason"], -1), drop["reason"]),
    )
    left = stats["samples"]
    rows = []
    for drop in drops:
        left -= drop["samples"]
        rows.append({**drop, "expression": expressions.get(drop["reason"], ""), "left": left})
    return rows


def render_report(recipe: Recipe, rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> str:
    """One self-contained HTML page: the funnel, measures with their spread, texts and hosts. Everything is escaped."""
    return _render("report.html", recipe, rules, stats, autoescape=True)


def render_card(recipe: Recipe, rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> str:
    """The release's README in Markdown."""
    return _render("card.md", recipe, rules, stats, autoescape=False)


def _render(
    template: str, recipe: Recipe, rules: Sequence[PlacedRule], stats: Mapping[str, Any], autoescape: bool
) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(
        recipe=recipe,
        recipe_yaml=yaml.safe_dump({"rules": dict(recipe.rules)}, allow_unicode=True, sort_keys=False, width=120),
        rules=rules,
        stats=stats,
        funnel=funnel_rows(rules, stats),
        bars={name: _bars(spread) for name, spread in stats["measures"].items() if spread},
    )


def _bars(spread: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Twenty bins with kept and dropped counts, as heights of 0-100."""
    bins = [{"kept": 0, "dropped": 0} for _ in range(20)]
    for place, status, number in spread["histogram"]:
        bins[place][status] += number
    tallest = max(entry["kept"] + entry["dropped"] for entry in bins) or 1
    return [
        {
            "x": place * 10,
            "kept": round(100 * entry["kept"] / tallest, 2),
            "dropped": round(100 * entry["dropped"] / tallest, 2),
        }
        for place, entry in enumerate(bins)
    ]
