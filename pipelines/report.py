"""The report and the card of a release, from its numbers alone: the same bytes in any run."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from filters.measures import MEASURES
from filters.rules import PlacedRule
from pipelines.charts import HEIGHT, WIDTH, funnel_steps, histograms
from pipelines.recipe import Recipe
from shards.schema import STAGES

_TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<|~&$])")


def funnel_rows(rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The funnel in order of judgement: each reason with how many samples fell for it and how many were left."""
    order = {rule.name: place for place, rule in enumerate(rules)}
    expressions = {rule.name: rule.expression for rule in rules}
    drops = sorted(
        stats["drops"],
        key=lambda drop: (STAGES.index(drop["stage"]), order.get(drop["reason"], -1), drop["reason"]),
    )
    left = stats["samples"]
    rows = []
    for drop in drops:
        left -= drop["samples"]
        rows.append({**drop, "expression": expressions.get(drop["reason"], ""), "left": left})
    return rows


def render_report(recipe: Recipe, rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> str:
    """One self-contained HTML page: the funnel, measures with their spread, texts and hosts.

    Everything is escaped. No script, and no style but the one whose digest the page's policy names.
    """
    style = "\n" + (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    funnel = funnel_rows(rules, stats)
    return (
        _environment(autoescape=True)
        .get_template("report.html")
        .render(
            style=Markup(style),
            style_digest=digest,
            recipe=recipe,
            stats=stats,
            funnel=funnel,
            steps=funnel_steps(funnel, stats["samples"]),
            verdicts=_verdicts(rules, stats),
            histograms=histograms(rules, stats["measures"]),
            units={name: measure.unit for name, measure in MEASURES.items()},
            box=f"0 0 {WIDTH} {HEIGHT}",
            height=HEIGHT,
        )
    )


def render_card(recipe: Recipe, rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> str:
    """The release's README in Markdown, with the front matter that dataset hubs read."""
    yaml_of_rules = _yaml({"rules": {rule.name: rule.expression for rule in rules}})
    runs = re.findall("`+", yaml_of_rules)
    return (
        _environment(autoescape=False)
        .get_template("card.md")
        .render(
            front_matter=_yaml(_front_matter(recipe, stats)),
            recipe=recipe,
            stats=stats,
            funnel=funnel_rows(rules, stats),
            rules_yaml=yaml_of_rules,
            fence="`" * max(3, *(len(run) + 1 for run in runs), 0),
            extensions="jpg|png|webp"
            if recipe.image.keep == "original"
            else recipe.image.format.replace("jpeg", "jpg"),
            measures=[MEASURES[name] for name in stats["measures"] if name in MEASURES],
        )
    )


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"shown": _shown, "md": _markdown, "num": _number}
    return environment


def _verdicts(rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every rule in order of judgement, with the texts and the samples that it cost, none included."""
    texts = {row["reason"]: row["texts"] for row in stats["text_drops"]}
    samples = {row["reason"]: row["samples"] for row in stats["drops"]}
    return [
        {
            "rule": rule,
            "texts": texts.get(rule.name, 0) if rule.level == "text" else None,
            "samples": samples.get(rule.name, 0),
        }
        for rule in rules
    ]


def _front_matter(recipe: Recipe, stats: Mapping[str, Any]) -> dict[str, Any]:
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
    size = next((word for limit, word in sizes if stats["kept"] < limit), "n>10M")
    return {
        "pretty_name": recipe.name,
        "language": ["zh"],
        "task_categories": ["image-to-text", "text-to-image"],
        "size_categories": [size],
    }


def _yaml(value: Mapping[str, Any]) -> str:
    """Chinese as itself; where anything is not printable, all beyond ASCII as escapes."""
    text = yaml.safe_dump(dict(value), allow_unicode=True, sort_keys=False, width=120)
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return yaml.safe_dump(dict(value), allow_unicode=False, sort_keys=False, width=120)


def _shown(value: object) -> str:
    """Text from outside with nothing in it that turns direction, hides, or steers a terminal."""
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _markdown(value: object) -> str:
    """The same, with nothing in it that Markdown or HTML would obey."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", _shown(value)).replace("\\<", "&lt;")


def _number(value: float | None) -> str:
    """Whole numbers with thousands, others with four digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
