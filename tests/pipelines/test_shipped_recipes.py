"""The shipped recipes: each is whole but for what only its user can know, and says where its rules come from."""

from pathlib import Path

import pytest

from filters.rules import place_rules
from pipelines.checks import checked_plan
from pipelines.recipe import read_recipe, shipped_recipes
from pipelines.recipes_page import MARKS, recipes_page, rule_remarks
from shards.errors import UsageError

WHO = 'crawler.user_agent="mybot/1.0 (+https://example.org/bot)"'
PAGE = Path(__file__).parents[2] / "infra" / "docs" / "recipes.md"
OF_RELEASES = ("wukong", "zero", "wudaomm", "wenlan", "danqing", "datacomp-zh", "commoncrawl-zh")
"""Recipes that follow somebody's: their card says where each rule comes from, too."""


def test_the_recipes_of_the_releases_are_shipped_beside_the_demo_and_a_template() -> None:
    assert set(shipped_recipes()) == {*OF_RELEASES, "demo", "template"}


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_rules_of_a_shipped_recipe_can_be_placed(name: str) -> None:
    rules = read_recipe(name)["rules"]
    placed, problems = place_rules(rules)
    assert problems == []
    assert {rule.name for rule in placed} == set(rules)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_shipped_recipe_begins_with_a_line_about_itself(name: str) -> None:
    first = shipped_recipes()[name].read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_shipped_recipe_can_be_planned(name: str) -> None:
    plan = checked_plan(read_recipe(name, [WHO]), name, bring_models=False)
    assert {rule.name for rule in plan.rules} == set(plan.recipe.rules)
    assert plan.recipe.name.replace("my-dataset", "template") == name


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_each_rule_of_every_recipe_carries_its_mark(name: str) -> None:
    remarks = rule_remarks(shipped_recipes()[name])
    assert list(remarks) == list(read_recipe(name)["rules"])
    assert [rule for rule, remark in remarks.items() if not any(mark in remark for mark in MARKS)] == []
    assert "[R-]" not in shipped_recipes()[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OF_RELEASES)
def test_each_rule_says_where_it_comes_from(name: str) -> None:
    mapping = read_recipe(name)
    remarks = rule_remarks(shipped_recipes()[name])
    assert list(remarks) == list(mapping["rules"]) == list(mapping["release"]["about"]["rule_sources"])
    for rule, remark in remarks.items():
        told = mapping["release"]["about"]["rule_sources"][rule]
        assert ("ours" in told) == ("ours" in remark), rule
        assert ("remembered" in told) == ("[R+]" in remark), rule
        assert ("second-hand" in told) == remark.startswith("[F2]"), rule


@pytest.mark.parametrize("name", ["wudaomm", "wenlan"])
def test_where_nothing_was_published_no_threshold_is_called_the_authors(name: str) -> None:
    remarks = rule_remarks(shipped_recipes()[name])
    own = {rule for rule, remark in remarks.items() if remark.startswith("[F")}
    assert own <= {"few_of_kind", "full_category"}


def test_the_page_of_recipes_is_what_the_files_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == recipes_page(), (
        "run `python -m pipelines.recipes_page > infra/docs/recipes.md`"
    )


def test_wukong_drops_texts_before_anything_is_fetched() -> None:
    plan = checked_plan(read_recipe("wukong", [WHO]), "wukong")
    assert [(rule.name, rule.stage) for rule in plan.rules] == [
        ("no_chinese", "collect"),
        ("too_long", "collect"),
        ("file_name", "collect"),
        ("sensitive", "collect"),
        ("repeated_text", "admit"),
        ("too_small", "fetch"),
        ("bad_aspect", "fetch"),
        ("near_duplicate", "dedup"),
    ]
    assert not plan.scores


def test_wukong_asks_who_fetches() -> None:
    with pytest.raises(UsageError, match=r"crawler\.user_agent"):
        checked_plan(read_recipe("wukong"), "wukong")


def test_wukong_goes_without_near_duplicates_where_asked() -> None:
    plan = checked_plan(read_recipe("wukong", [WHO, "rules.near_duplicate=null"]), "wukong")
    assert not plan.finds_duplicates
