"""What is checked of a recipe before anything runs: everything at once, and nothing is made."""

from typing import Any

import pytest

from pipelines.checks import checked_plan
from shards.errors import UsageError
from tests.pipelines.conftest import AGENT

TABLE = {"kind": "table", "layout": "wukong", "paths": ["a.csv"]}
WHOLE = {"name": "x", "source": TABLE, "crawler": {"user_agent": AGENT}, "release": {"caption": ["caption"]}}


def refusal(mapping: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as caught:
        checked_plan(mapping, "recipe test")
    first, *lines = str(caught.value).splitlines()
    assert first == f"recipe test has {len(lines)} problem{'s' if len(lines) > 1 else ''}; nothing was run:"
    return [line.removeprefix("  ") for line in lines]


def test_all_problems_are_told_at_once() -> None:
    found = refusal(
        {
            "name": 7,
            "source": TABLE | {"paths": []},
            "fetch": {"retrys": 3},
            "measures": ["sharpnes"],
            "rules": {
                "few": "zh_char >= 1",
                "many": "count(*) > 1",
                "number": "zh_chars",
                "timeout": "zh_chars > 1",
                "match": "clip_score > 0.3",
            },
        }
    )
    assert found == [
        "name: expected a text (got 7)",
        "source.paths: expected 1 or more entries (got an empty list)",
        found[2],
        "rules.few: no column is called 'zh_char'; the nearest known: zh_chars, host_share, alpha_share",
        "rules.many: count_star() is an aggregate: it looks at other rows",
        "rules.number: is INTEGER, expected a BOOLEAN condition such as zh_chars >= 1",
        "rules.timeout: is the web's own drop reason; choose another name",
        "measures.0: no measure is called 'sharpnes'; did you mean sharpness?",
        "crawler.user_agent: is required, because images are fetched: name a bot and a contact, "
        'as "mybot/1.0 (+https://example.org/bot; bot@example.org)"',
        "score: is required, because the rules match need clip_score: name a model, or drop them",
    ]
    assert found[2].startswith("fetch.retrys: unknown key, did you mean retries?; known here: backoff_s, ")


@pytest.mark.parametrize(
    ("sections", "place", "message"),
    [
        ({"crawler": {}}, "crawler.user_agent", "because images are fetched"),
        ({"crawler": {"user_agent": None}}, "crawler.user_agent", "is required"),
        (
            {"crawler": {}, "source": {"kind": "crawl", "seeds": ["http://a.cn/"]}},
            "crawler.user_agent",
            "images and pages are fetched",
        ),
        ({"measures": ["clip_score"]}, "score", "because `measures` asks for clip_score"),
        ({"rules": {"low": "clip_pct >= 0.1"}}, "score", "because the rules low need clip_score"),
        ({"rules": {"alike": "sem_dup_cos < 0.9"}}, "score", "because the rules alike need clip_score"),
        ({"measures": ["zzz"]}, "measures.0", "known: zh_chars"),
        ({"rules": {"Upper": "true"}}, "rules.Upper", "is no name for a rule"),
        ({"rules": {"a": ""}}, "rules.a", "is empty"),
        ({"rules": {"a": "zh_chars >"}}, "rules.a", "is no SQL expression"),
        ({"rules": {"a": "random() > 0.5"}}, "rules.a", "another value another time"),
        ({"rules": {"a": "sum(zh_chars) OVER () > 1"}}, "rules.a", "looks at other rows"),
        ({"rules": {"a": "(SELECT true)"}}, "rules.a", "a subquery looks at other rows"),
        ({"rules": {"a": "read_text('/etc/passwd') IS NULL"}}, "rules.a", "returns rows"),
        ({"score": {"model": "local-dir:/nowhere"}, "measures": ["clip_score"]}, "score", "/nowhere"),
    ],
)
def test_one_problem_is_told_with_its_place(sections: dict[str, Any], place: str, message: str) -> None:
    (problem,) = refusal(WHOLE | sections)
    assert problem.startswith(f"{place}: ")
    assert message in problem


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TABLE, "the source has no sha256 column"),
        ({"kind": "table", "paths": ["a.csv"], "columns": {"url": "u"}}, "(layouts with one: datacomp, img2dataset)"),
        ({"kind": "warc", "paths": ["a.warc.gz"]}, "a warc source says nothing of an image's sha256"),
        ({"kind": "crawl", "seeds": ["http://a.cn/"]}, "a crawl source says nothing"),
    ],
)
def test_a_sha256_to_verify_must_come_from_the_source(source: dict[str, Any], message: str) -> None:
    (problem,) = refusal(WHOLE | {"source": source, "fetch": {"verify_sha256": True}})
    assert problem.startswith("fetch.verify_sha256: ")
    assert message in problem


@pytest.mark.parametrize("how", [{"layout": "datacomp"}, {"columns": {"url": "u", "sha256": "s"}}])
def test_a_source_with_hashes_may_be_verified(how: dict[str, Any]) -> None:
    source = {"kind": "table", "paths": ["a.csv"]} | how
    assert checked_plan(WHOLE | {"source": source, "fetch": {"verify_sha256": True}}, "recipe test").recipe


def test_a_plan_knows_where_rules_run_and_what_they_need() -> None:
    rules = {"near": "dup_rank = 1", "small": "min_side > 200", "few": "zh_chars >= 1"}
    plan = checked_plan(WHOLE | {"rules": rules, "measures": ["sharpness"]}, "recipe test")
    assert [(rule.name, rule.stage) for rule in plan.rules] == [
        ("few", "collect"),
        ("small", "fetch"),
        ("near", "dedup"),
    ]
    assert set(plan.measures) == {"zh_chars", "min_side", "sharpness", "phash", "dup_group", "dup_rank"}
    assert not plan.scores


@pytest.mark.parametrize("name", ["phash", "dhash"])
@pytest.mark.parametrize(
    ("sections", "others"),
    [
        ({"rules": {"near": "dup_rank = 1"}}, {"dup_rank"}),
        ({"rules": {"repeated": "pair_rank = 1"}}, {"dup_rank", "pair_rank"}),
        ({"measures": ["dup_group"]}, {"dup_rank"}),
    ],
)
def test_groups_need_the_hash_that_the_recipe_names(name: str, sections: dict[str, Any], others: set[str]) -> None:
    plan = checked_plan(WHOLE | {"dedup": {"hash": name}} | sections, "recipe test")
    assert set(plan.measures) == {name, "dup_group", *others}


@pytest.mark.parametrize("odd", [{"rules": []}, {"rules": None}, {"measures": None}, {"measures": [None, [1]]}])
def test_odd_sections_are_problems_and_no_crash(odd: dict[str, Any]) -> None:
    assert refusal(WHOLE | odd)
