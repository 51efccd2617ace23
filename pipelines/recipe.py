"""The recipe: one YAML file that says a run in full, checked whole before anything runs."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from crawler.sources import Source
from dedup.settings import DedupSettings
from filters.clip_settings import ScoreSettings
from filters.settings import TextSettings
from pipelines.strict_yaml import load_yaml
from shards.errors import UsageError
from shards.image_settings import ImageSettings
from shards.settings import Section

RECIPES = Path(__file__).parent / "recipes"
_RULE_NAME = r"^[a-z][a-z0-9_]{0,63}$"


class ReleaseSettings(Section):
    """What the release looks like on disk."""

    shard_size: int = Field(default=10_000, ge=1, le=1_000_000, description="Samples a shard.")
    caption: Literal["best_score"] | list[str] = Field(
        default="best_score", description="The caption: the text of the best score, or the first of these kinds."
    )
    dropped: Literal["all", "narrow", "none"] = Field(
        default="all", description="Columns of dropped rows in the manifest: all, few, or no dropped files."
    )


class Recipe(Section):
    """One run in full. Settings that decide what is in the dataset are fingerprinted; the others are not."""

    name: str = Field(min_length=1, max_length=200, description="What the dataset is called.")
    source: Source = Field(description="Where pairs come from.")
    crawler: CrawlerSettings = Field(default_factory=CrawlerSettings, description="Identity and politeness.")
    network: NetworkSettings = Field(default_factory=NetworkSettings, description="Which addresses may be contacted.")
    fetch: FetchSettings = Field(default_factory=FetchSettings, description="Limits of one download.")
    text: TextSettings = Field(default_factory=TextSettings, description="How texts are normalised.")
    image: ImageSettings = Field(default_factory=ImageSettings, description="The stored copy.")
    score: ScoreSettings | None = Field(default=None, description="The model behind clip_score.")
    dedup: DedupSettings = Field(default_factory=DedupSettings, description="How duplicates are found and kept.")
    measures: list[str] = Field(default=[], description="Measures to compute beyond what rules name.")
    reuse: list[str] = Field(default=[], max_length=0, description="Earlier runs to take stored copies from (not yet).")
    tombstones: list[str] = Field(default=[], max_length=0, description="Takedown lists to honour (not yet).")
    rules: dict[str, str] = Field(default={}, description="Drop reasons and the SQL a row must satisfy, in order.")
    release: ReleaseSettings = Field(default_factory=ReleaseSettings, description="Shards and manifest.")

    @field_validator("rules", mode="before")
    @classmethod
    def _rules_are_texts(cls, value: object) -> object:
        if isinstance(value, dict):
            return {name: _as_sql(expression) for name, expression in value.items()}
        return value


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe: the dotted place, and what was expected."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


def read_recipe(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The recipe's mapping with `extends` resolved and `--set` overrides applied; not yet validated.

    `name` is a path or the name of a shipped recipe. Raises `UsageError`.
    """
    mapping = _with_bases(name, seen=())
    for override in overrides:
        _apply_override(mapping, override)
    return mapping


def parse_recipe(mapping: Mapping[str, Any]) -> tuple[Recipe | None, list[Problem]]:
    """The validated recipe, or None and every problem that its shape has."""
    try:
        return Recipe.model_validate(dict(mapping)), []
    except ValidationError as error:
        return None, [_problem_of(dict(details), mapping) for details in error.errors(include_url=False)]


def raise_problems(what: str, problems: Sequence[Problem]) -> None:
    """Raise one `UsageError` that lists every problem; nothing if there is none."""
    if problems:
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(f"{what} has {count}; nothing was run:\n{lines}")


def shipped_recipes() -> dict[str, Path]:
    """Name and file of each recipe that the package carries."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}


def _with_bases(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise UsageError(f"recipe {name}: `extends` comes back to itself ({' -> '.join((*seen, name))})")
    path = _recipe_path(name)
    mapping: dict[str, Any] = load_yaml(path)
    base = mapping.pop("extends", None)
    if base is None:
        return mapping
    if not isinstance(base, str):
        raise UsageError(f"recipe {path}: extends: expected the name of a recipe, got {type(base).__name__}")
    beside = path.parent / base
    return _merge(_with_bases(str(beside) if beside.is_file() else base, (*seen, name)), mapping)


def _recipe_path(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if name in shipped:
        return shipped[name]
    raise UsageError(f"recipe {name}: no such file, nor a shipped recipe ({', '.join(shipped)})")


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Sections merge key by key, rules keep the base's order; a `source` of another kind replaces the base's."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        replaces = key == "source" and isinstance(value, dict) and "kind" in value
        if isinstance(old, dict) and isinstance(value, dict) and not replaces:
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged if "rules" not in merged else {**merged, "rules": _without_nulls(merged["rules"])}


def _without_nulls(rules: Any) -> Any:
    """A recipe that extends another takes a rule away by setting it to null."""
    return {name: rule for name, rule in rules.items() if rule is not None} if isinstance(rules, dict) else rules


def _apply_override(mapping: dict[str, Any], override: str) -> None:
    place, equals, text = override.partition("=")
    if not equals or not place.strip():
        raise UsageError(f"--set {override}: expected PLACE=VALUE, as in --set rules.too_small='min_side > 256'")
    keys = place.strip().split(".")
    target = mapping
    for key in keys[:-1]:
        nested = target.setdefault(key, {})
        if not isinstance(nested, dict):
            raise UsageError(f"--set {override}: {key} is not a section of the recipe")
        target[key] = nested = dict(nested)
        target = nested
    is_rule = keys[0] == "rules"
    value = text if is_rule else load_yaml(text, what=f"--set {place}")
    if is_rule and text.strip() in ("", "null"):
        target.pop(keys[-1], None)
    else:
        target[keys[-1]] = value


def _as_sql(expression: object) -> object:
    """YAML reads a bare `true` as a flag; as a rule it is SQL."""
    return str(expression).lower() if isinstance(expression, bool) else expression


def _problem_of(details: dict[str, Any], mapping: Mapping[str, Any]) -> Problem:
    location = [str(step) for step in details["loc"] if str(step) not in _UNION_TAGS]
    place = ".".join(location)
    if details["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return Problem(place, f"unknown key{_nearest(location[-1], known)}; known here: {', '.join(known)}")
    if details["type"] == "missing":
        return Problem(place, "is required")
    return Problem(place, f"{details['msg'].removeprefix('Value error, ')}{_got(details)}")


_UNION_TAGS = frozenset({"table", "warc", "crawl", "literal['best_score']", "list[str]"})


def _got(details: dict[str, Any]) -> str:
    value = details.get("input")
    return f" (got {value!r})" if isinstance(value, str | int | float | bool) or value is None else ""


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _known_keys(location: Sequence[str]) -> list[str]:
    """Names of the keys that a place of the recipe may hold, from its JSON schema."""
    schema = Recipe.model_json_schema()
    definitions = schema.get("$defs", {})
    keys = set(schema["properties"])
    nodes = [schema]
    for step in location:
        nodes = [found for node in nodes for found in _descend(node, step, definitions)]
        keys = {key for node in nodes for key in node.get("properties", {})}
    return sorted(keys)


def _descend(node: Mapping[str, Any], step: str, definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    child = node.get("properties", {}).get(step, node.get("additionalProperties"))
    return _resolve(child, definitions) if isinstance(child, dict) else []


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
    choices = [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]
    return [dict(node)] if not choices else [found for choice in choices for found in _resolve(choice, definitions)]
