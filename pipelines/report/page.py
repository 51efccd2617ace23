"""The report of a release as one page that opens offline: from its numbers alone, the same bytes in any run."""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from filters.measures import MEASURES
from filters.rules import PlacedRule
from pipelines.drops import funnel_rows
from pipelines.flow.figures import GROUP_SIZES
from pipelines.report.charts import HEIGHT, WIDTH, funnel_steps, histograms, lengths_chart, overlaps
from pipelines.report.samples import Sheets
from pipelines.templating import TEMPLATES, environment
from shards.schema import REASONS

LISTS = (
    ("hosts", "host", "Hosts 站点"),
    ("queries", "query", "Queries 检索词"),
    ("categories", "category", "Categories 类别"),
)
"""Lists of the most frequent values: their name in the numbers, their column, their heading."""


def render_report(rules: Sequence[PlacedRule], stats: Mapping[str, Any], sheets: Sheets | None = None) -> str:
    """The page; `sheets` are pictures of samples, which a release's own report has none of.

    Everything is escaped. No script, and no style but the one whose digest the page's policy names.
    """
    funnel = funnel_rows(rules, stats)
    return render_page(
        "report.html",
        has_pictures=sheets is not None,
        stats=stats,
        funnel=funnel,
        steps=funnel_steps(funnel, stats["samples"]),
        web=_answers_of_the_web(stats),
        verdicts=_verdicts(rules, stats),
        overlaps=overlaps(rules, stats["overlaps"]),
        histograms=histograms(rules, stats["measures"]),
        lengths=[
            lengths_chart(name, stats["captions"][name])
            for name in ("tokens", "characters")
            if stats["captions"][name] is not None
        ],
        units={name: measure.unit for name, measure in MEASURES.items()},
        group_sizes=[_sizes_from(row["from_size"]) for row in stats["group_sizes"]],
        lists=[entry for entry in LISTS if any(row[entry[1]] is not None for row in stats[entry[0]])],
        sheets=sheets,
        box=f"0 0 {WIDTH} {HEIGHT}",
        height=HEIGHT,
    )


def render_page(template: str, has_pictures: bool = False, **values: object) -> str:
    """A page with the report's style and a policy that allows this style, pictures within the page, and nothing else.

    Control characters that turn direction or steer a terminal are written out; what is foreign is escaped.
    """
    style = "\n" + (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    pictures = "img-src data:; " if has_pictures else ""
    policy = f"default-src 'none'; {pictures}style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    made = environment(autoescape=True)
    made.filters["share"] = _share
    return made.get_template(template).render(style=Markup(style), policy=Markup(policy), **values)


def _answers_of_the_web(stats: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Reasons that are no rules, with their samples at any stage, the most frequent first."""
    numbers: Counter[str] = Counter()
    for drop in stats["drops"]:
        if drop["reason"] in REASONS:
            numbers[drop["reason"]] += drop["samples"]
    return sorted(numbers.items(), key=lambda item: (-item[1], item[0]))


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


def _sizes_from(least: int) -> str:
    """The sizes of groups that are counted together, in words."""
    above = [size for size in GROUP_SIZES if size > least]
    if not above:
        return f"{least:,} +"
    return str(least) if above[0] == least + 1 else f"{least:,} – {above[0] - 1:,}"


def _share(part: float, whole: float) -> str:
    """A percentage with one digit behind the point; nothing of nothing is an empty string."""
    return f"{100 * part / whole:.1f} %" if whole else ""
