"""The card: what hubs read of it, what it says of captions, rules and terms, and its limits."""

from typing import Any

import pytest
import yaml

from filters.rules import place_rules
from pipelines.about.card import render_card
from pipelines.about.terms import croissant_license, hub_license
from pipelines.recipe import parse_recipe

LENGTHS = {"n": 2, "mean": 7.5, "std": 1.25, "median": 7, "least": 6, "greatest": 9}
CAPTIONS = {
    "captions": 2,
    "different_tokens": 1234,
    "different_tokens_exact": True,
    "characters": LENGTHS,
    "tokens": LENGTHS,
    "scripts": {"mostly_han": 1, "some_han": 1, "no_han": 0},
    "categories": {"动物|x": {"characters": LENGTHS, "tokens": LENGTHS}},
}
NUMBERS: dict[str, Any] = {
    **{"candidates": 5, "merged": 1, "samples": 4, "kept": 2, "dropped": 2, "shards": 1},
    "drops": [{"stage": "fetch", "reason": name, "samples": 1} for name in ("http_status", "too_small")],
    "text_kinds": [{"kind": "alt", "texts": 3, "standing": 2, "captions": 2}],
    "hosts": [{"host": "a.cn", "samples": 3, "kept": 2}, {"host": None, "samples": 1, "kept": 0}],
    "measures": {"min_side": {"n": 3}, "entropy": None},
    "captions": CAPTIONS,
    "categories": [{"category": "动物|x", "samples": 3, "kept": 2}, {"category": None, "samples": 1, "kept": 0}],
    "num_categories": 1,
    "kinds_an_image": [{"kinds": 1, "samples": 1}, {"kinds": 2, "samples": 1}],
}


def card_of(about: dict[str, Any] | None = None, more: dict[str, Any] | None = None, **sections: Any) -> str:
    mapping = {
        "name": "my-photos",
        "source": {"kind": "table", "paths": ["*.csv"], "layout": "wukong"},
        "rules": {"too_small": "min_side > 200"},
        "release": {"about": about or {}},
        **sections,
    }
    recipe, problems = parse_recipe(mapping)
    assert recipe is not None, problems
    rules, _ = place_rules(recipe.rules)
    return render_card(recipe, rules, NUMBERS | (more or {}))


def front_matter(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n", 2)[1])
    return found


SPLITS = {name: {"samples": 1, "shards": shards} for name, shards in (("train", 2), ("val", 1), ("test", 0))}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"train": "shards/*.tar"}),
        ({"splits": SPLITS}, {"train": "shards/*.tar", "val": "shards/val/*.tar"}),
        ({"shards": 0}, {"kept": "manifest/kept-*.parquet"}),
    ],
)
def test_hubs_find_the_shards_of_each_split_or_the_manifest(more: dict[str, Any], expected: dict[str, str]) -> None:
    (config,) = front_matter(card_of(more=more))["configs"]
    assert {entry["split"]: entry["path"] for entry in config["data_files"]} == expected


def test_a_release_of_nothing_names_no_files() -> None:
    assert "configs" not in front_matter(card_of(more={"kept": 0, "shards": 0, "captions": CAPTIONS | {"captions": 0}}))


@pytest.mark.parametrize(
    ("kept", "size"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**7, "10M<n<100M"), (10**9 - 1, "100M<n<1B"), (10**10, "n>1T")],
)
def test_the_size_is_one_of_the_hubs_words(kept: int, size: str) -> None:
    assert front_matter(card_of(more={"kept": kept}))["size_categories"] == [size]


@pytest.mark.parametrize(
    ("said", "hub", "croissant"),
    [
        (None, {"license": "unknown"}, "none stated; the images belong to those who made them"),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}, "https://spdx.org/licenses/CC-BY-4.0"),
        (
            "https://a.cn/terms",
            {"license": "other", "license_name": "see-link", "license_link": "https://a.cn/terms"},
            "https://a.cn/terms",
        ),
        ("for research", {"license": "other", "license_name": "for research"}, "for research"),
        ("other", {"license": "other"}, "other"),
    ],
)
def test_terms_are_named_as_hub_and_croissant_want_them(said: str | None, hub: dict[str, str], croissant: str) -> None:
    assert hub_license(said) == hub
    assert croissant_license(said) == croissant
    front = front_matter(card_of({"license": said} if said else {}))
    assert {name: value for name, value in front.items() if name.startswith("license")} == hub


def test_captions_and_categories_are_told_in_numbers() -> None:
    card = card_of()
    assert "| 2 | 1,234 | 7.5 | 1.25 | 7 | 7.5 | 1.25 | 7 |" in card
    assert "| 动物\\|x | 3 | 2 | 7.5 | 1.25 | 7 |" in card
    assert "Images by how many kinds of text stand: 1: 1, 2: 1." in card
    assert "about 1,234" in card_of(more={"captions": CAPTIONS | {"different_tokens_exact": False}})


def test_rules_have_their_sources_where_the_recipe_gives_them() -> None:
    assert "where it comes from" not in card_of()
    assert "| `too_small` | Wukong \\[F2\\] |" in card_of({"rule_sources": {"too_small": "Wukong [F2]"}})


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({}, "Opt-outs were obeyed"),
        ({"crawler": {"opt_outs": "record"}}, "recorded in the column"),
        ({"text": {"names": None}}, "Names of people in texts were not masked."),
        ({"text": {"contacts": "mask"}}, "identity numbers in texts were masked."),
        ({}, "No model looked at whether image and text belong together."),
        ({}, "100% of the kept images come from one host, a.cn."),
        ({"dedup": {"evaluation": ["coco"]}}, "No rule looks for unsafe"),
    ],
)
def test_policies_and_limits_follow_from_the_recipe(sections: dict[str, Any], said: str) -> None:
    assert said in card_of(**sections)


def test_limits_that_a_recipe_deals_with_are_not_told() -> None:
    card = card_of(dedup={"evaluation": ["coco"]})
    assert "benchmark images" not in card
    assert "benchmark images" in card_of()


def test_whom_to_ask_and_how_to_cite_are_the_recipes() -> None:
    card = card_of({"contact": "mail@a.cn", "cite": "@misc{a}", "description": "Photos."})
    assert "write to mail@a.cn and name its URL or uid" in card
    assert "## Citation\n\n@misc{a}" in card
    assert "\nPhotos.\n" in card


@pytest.mark.parametrize(
    ("about", "kept"),
    [({"date_published": "2026-11-22"}, "2026-11-22"), (yaml.safe_load("date_published: 2026-11-22"), "2026-11-22")],
)
def test_a_date_may_be_written_without_quotes(about: dict[str, Any], kept: str) -> None:
    recipe, _ = parse_recipe(
        {"name": "a", "source": {"kind": "table", "paths": ["a"], "layout": "wukong"}, "release": {"about": about}}
    )
    assert recipe is not None
    assert recipe.release.about.date_published == kept
