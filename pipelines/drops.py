"""The funnel of a release in order of judgement, from its numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from filters.rules import PlacedRule
from shards.schema import STAGES


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
