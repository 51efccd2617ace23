"""The recipe: one YAML file that says a run in full, checked whole before anything runs."""

import os.path
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from crawler.sources import Source
from dedup.settings import DedupSettings
from filters.balance_settings import BalanceSettings
from filters.clip.settings import ScoreSettings
from filters.models.settings import ModelSettings
from filters.settings import TextSettings
from pipelines.cluster.settings import ResourceSettings
from pipelines.problems import Problem, explained
from pipelines.release_settings import ReleaseSettings
from pipelines.strict_yaml import load_with_lines, load_yaml
from shards.errors import UsageError
from shards.image_settings import ImageSettings
from shards.settings import Section

RECIPES = Path(__file__).parent / "recipes"
_RULE_NAME = r"^[a-z][a-z0-9_]{0,63}$"


class ReuseSettings(Section):
    """An earlier run, or a release, whose stored copies may be taken."""

    run: str = Field(min_length=1, description="The folder of the run or of the release.")
    recheck: bool = Field(
        default=False,
        description="Ask the servers again, conditionally: what is gone or has changed since is dropped.",
    )


class RecipeMapping(dict[str, Any]):
    """What recipe files and overrides say together, and where each of its dotted places was said."""

    def __init__(self, sections: Mapping[str, Any], said_at: Mapping[str, str]) -> None:
        super().__init__(sections)
        self.said_at = said_at


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
    models: ModelSettings = Field(default_factory=ModelSettings, description="Models that look at stored copies.")
    dedup: DedupSettings = Field(default_factory=DedupSettings, description="How duplicates are found and kept.")
    balance: BalanceSettings = Field(default_factory=BalanceSettings, description="What measures of balance count by.")
    measures: list[str] = Field(default=[], description="Measures to compute beyond what rules name.")
    reuse: list[str | ReuseSettings] = Field(
        default=[],
        max_length=100,
        description="Earlier runs or releases whose stored copies are taken by uid, in order.",
    )
    tombstones: list[str] = Field(
        default=[],
        max_length=1000,
        description="Takedown lists to honour: files that `curate remove` wrote, or folders of runs or releases.",
    )
    resources: ResourceSettings = Field(default_factory=ResourceSettings, description="Nodes and memory by stage.")
    rules: dict[str, str] = Field(default={}, description="Drop reasons and the SQL a row must satisfy, in order.")
    release: ReleaseSettings = Field(default_factory=ReleaseSettings, description="Shards and manifest.")

    @property
    def reused(self) -> tuple[ReuseSettings, ...]:
        """`reuse` with every entry in its long form."""
        return tuple(ReuseSettings(run=entry) if isinstance(entry, str) else entry for entry in self.reuse)

    @field_validator("rules", mode="before")
    @classmethod
    def _rules_are_texts(cls, value: object) -> object:
        if isinstance(value, dict):
            return {name: _as_sql(expression) for name, expression in value.items()}
        return value


def read_recipe(name: str, overrides: Sequence[str] = ()) -> RecipeMapping:
    """The recipe's mapping with `extends` resolved and `--set` overrides applied; not yet validated.

    `name` is a path or the name of a shipped recipe. Raises `UsageError`.
    """
    mapping, places = _with_bases(name, seen=())
    for override in overrides:
        place = _apply_override(mapping, override)
        places |= dict.fromkeys([place, *_sections_of(place, places)], "--set")
    return RecipeMapping(mapping, places)


def _sections_of(place: str, places: Mapping[str, str]) -> Iterator[str]:
    """The sections around a place that no file said."""
    while (place := place.rpartition(".")[0]) and place not in places:
        yield place


def said_at(mapping: Mapping[str, Any]) -> Mapping[str, str]:
    """Where each dotted place of a recipe was said, as `line 7`; empty for a mapping that no file said."""
    return mapping.said_at if isinstance(mapping, RecipeMapping) else {}


def parse_recipe(mapping: Mapping[str, Any]) -> tuple[Recipe | None, list[Problem]]:
    """The validated recipe, or None and every problem that its shape has."""
    try:
        return Recipe.model_validate(dict(mapping)), []
    except ValidationError as error:
        return None, explained(error, mapping, Recipe.model_json_schema())


def shipped_recipes() -> dict[str, Path]:
    """Name and file of each recipe that the package carries."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}


def _with_bases(name: str, seen: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    if name in seen:
        raise UsageError(f"recipe {name}: `extends` comes back to itself ({' -> '.join((*seen, name))})")
    path = _recipe_path(name)
    mapping, lines = load_with_lines(path)
    places = {place: f"{path.name} line {line}" if seen else f"line {line}" for place, line in lines.items()}
    base = mapping.pop("extends", None)
    if base is None:
        return mapping, places
    if not isinstance(base, str):
        raise UsageError(f"recipe {path}: extends: expected the name of a recipe, got {type(base).__name__}")
    beside = path.parent / base
    below, places_below = _with_bases(str(beside) if beside.is_file() else base, (*seen, name))
    return _merge(below, mapping), places_below | places


def _recipe_path(name: str) -> Path:
    if os.path.isfile(name):  # unlike Path's, it knows that a whole recipe in place of a name is no file
        return Path(name)
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


def _apply_override(mapping: dict[str, Any], override: str) -> str:
    """Put the value of `PLACE=VALUE` into the mapping; returns the place."""
    place, equals, text = override.partition("=")
    if not equals or not place.strip():
        raise UsageError(f"--set {override}: expected PLACE=VALUE, as in --set rules.too_small='min_side > 256'")
    keys = [key.strip() for key in place.split(".")]
    if not all(keys):
        raise UsageError(f"--set {override}: {place!r} is no dotted place, as in rules.too_small")
    target = mapping
    for key in keys[:-1]:
        nested = target.setdefault(key, {})
        if not isinstance(nested, dict):
            raise UsageError(f"--set {override}: {key} is not a section of the recipe")
        target[key] = nested = dict(nested)
        target = nested
    is_rule = keys[0] == "rules" and len(keys) == 2
    value = text if is_rule else load_yaml(text, what=f"--set {place}")
    if is_rule and text.strip() in ("", "null"):
        target.pop(keys[-1], None)
    else:
        target[keys[-1]] = value
    return ".".join(keys)


def _as_sql(expression: object) -> object:
    """YAML reads a bare `true` as a flag; as a rule it is SQL."""
    return str(expression).lower() if isinstance(expression, bool) else expression
