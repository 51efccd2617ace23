"""The card of a release: its README, from its numbers alone, so that it is the same bytes in any run."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from filters.measures import MEASURES
from filters.rules import PlacedRule
from pipelines.about import statements
from pipelines.about.terms import hub_license
from pipelines.drops import funnel_rows
from pipelines.recipe import Recipe
from pipelines.templating import environment
from shards.hub_card import shard_features
from shards.training_indexes import WIDS_FILE

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
)


def render_card(recipe: Recipe, rules: Sequence[PlacedRule], stats: Mapping[str, Any]) -> str:
    """The release's README in Markdown, with the front matter that dataset hubs read."""
    yaml_of_rules = _yaml({"rules": {rule.name: rule.expression for rule in rules}})
    runs = re.findall("`+", yaml_of_rules)
    return (
        environment(autoescape=False)
        .get_template("card.md")
        .render(
            front_matter=_yaml(_front_matter(recipe, stats)),
            recipe=recipe,
            stats=stats,
            captions=stats.get("captions"),
            splits=stats.get("splits") or {},
            categories=_categories(stats),
            funnel=funnel_rows(rules, stats),
            rules_yaml=yaml_of_rules,
            rule_sources=_rule_sources(recipe, rules),
            fence="`" * max(3, *(len(run) + 1 for run in runs), 0),
            extensions="|".join(stored_extensions(recipe)),
            measures=[MEASURES[name] for name in stats["measures"] if name in MEASURES],
            wids_file=WIDS_FILE,
            collection=statements.collection(recipe),
            opt_outs=statements.opt_outs(recipe),
            people=statements.people(recipe),
            limits=statements.limits(recipe, stats),
            removal=statements.removal(recipe),
            owners=statements.OWNERS,
            license_column=statements.LICENSE_COLUMN,
        )
    )


def stored_extensions(recipe: Recipe) -> list[str]:
    """Extensions that stored copies can have."""
    if recipe.image.keep == "original":
        return ["jpg", "png", "webp"]
    return [recipe.image.format.replace("jpeg", "jpg")]


def _front_matter(recipe: Recipe, stats: Mapping[str, Any]) -> dict[str, Any]:
    """What the Hugging Face hub reads of a dataset's README."""
    return {
        "pretty_name": recipe.name,
        **hub_license(recipe.release.about.license),
        "language": ["zh"],
        "task_categories": ["image-to-text", "text-to-image", "zero-shot-image-classification"],
        "size_categories": [next((word for limit, word in _SIZES if stats["kept"] < limit), "n>1T")],
        "tags": ["image-text", "chinese", "webdataset", "croissant"],
        **({"configs": [_config(stats)]} if stats["kept"] else {}),
        **({"dataset_info": {"features": shard_features(stored_extensions(recipe))}} if stats["shards"] else {}),
    }


def _config(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Which files `load_dataset` takes: the shards of each split, or the manifest where there are no shards."""
    paths = {"kept": "manifest/kept-*.parquet"}
    if stats["shards"]:
        held_out = {
            name: f"shards/{name}/*.tar"
            for name, split in (stats.get("splits") or {}).items()
            if split["shards"] and name != "train"
        }
        paths = {"train": "shards/*.tar"} | held_out
    files = [{"split": split, "path": path} for split, path in paths.items()]
    return {"config_name": "default", "data_files": files}


def _categories(stats: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Categories with their samples and the lengths of their captions; none where the source gave none."""
    lengths = (stats.get("captions") or {}).get("categories", {})
    named = [row for row in stats.get("categories", []) if row["category"] is not None]
    return [{**row, "tokens": (lengths.get(row["category"]) or {}).get("tokens")} for row in named]


def _rule_sources(recipe: Recipe, rules: Sequence[PlacedRule]) -> list[tuple[str, str]]:
    """Each rule and where it comes from, if the recipe says so of any."""
    said = recipe.release.about.rule_sources
    return [(rule.name, said.get(rule.name, "")) for rule in rules] if said else []


def _yaml(value: Mapping[str, Any]) -> str:
    """Chinese as itself; where anything is not printable, all beyond ASCII as escapes."""
    text = yaml.safe_dump(dict(value), allow_unicode=True, sort_keys=False, width=120)
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return yaml.safe_dump(dict(value), allow_unicode=False, sort_keys=False, width=120)
