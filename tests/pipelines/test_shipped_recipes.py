"""The shipped recipes: each is whole but for what only its user can know."""

import pytest

from filters.rules import place_rules
from pipelines.checks import checked_plan
from pipelines.recipe import read_recipe, shipped_recipes
from shards.errors import UsageError

WHO = 'crawler.user_agent="mybot/1.0 (+https://example.org/bot)"'


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


def test_wukong_drops_texts_before_anything_is_fetched() -> None:
    plan = checked_plan(read_recipe("wukong", [WHO]), "wukong")
    assert [(rule.name, rule.stage) for rule in plan.rules] == [
        ("no_chinese", "collect"),
        ("too_long", "collect"),
        ("file_name", "collect"),
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
