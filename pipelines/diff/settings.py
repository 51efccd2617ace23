"""Which settings differ between two recipes, by their dotted keys."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ChangedSetting:
    """One dotted key and its value on both sides; `has_a`, `has_b`: whether the recipe has the key at all."""

    key: str
    a: Any
    b: Any
    has_a: bool = True
    has_b: bool = True


def changed_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[ChangedSetting]:
    """Settings that differ, by key; rules that both have in another order come as one, `rules` (their order judges)."""
    ours, theirs = dict(_flat(a)), dict(_flat(b))
    changed = [
        ChangedSetting(key, ours.get(key), theirs.get(key), key in ours, key in theirs)
        for key in sorted(ours.keys() | theirs.keys())
        if key not in ours or key not in theirs or ours[key] != theirs[key]
    ]
    orders = _common_rules(a, b), _common_rules(b, a)
    return [*changed, ChangedSetting("rules", *orders)] if orders[0] != orders[1] else changed


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys down to what is no mapping, or an empty one."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner


def _common_rules(recipe: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of the rules that both have, in this recipe's order."""
    ours, theirs = ((recipe.get("rules") or {}), (other.get("rules") or {}))
    return [name for name in ours if name in theirs]
