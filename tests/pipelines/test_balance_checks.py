"""What a recipe must say for the measures of balance that it asks for."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.checks import checked_plan
from tests.pipelines.test_checks import WHOLE, refusal


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        (
            {"rules": {"bad_host": "host_bad_share <= 0.05"}},
            "balance.bad: is empty, but host_bad_share is asked for: name reasons that speak against a host",
        ),
        (
            {"balance": {"bad": ["time_out"]}},
            "balance.bad.0: no drop reason is called 'time_out'; did you mean timeout",
        ),
        (
            {"balance": {"bad": ["xxxxxx"]}},
            "balance.bad.0: no drop reason is called 'xxxxxx'; expected the name of a rule",
        ),
        ({"measures": ["keyword_category"]}, "balance.keywords: is required, because keyword_category is asked for"),
        (
            {"measures": ["category_rank_kept"], "balance": {"category": "keyword_category"}},
            "balance.keywords: is required",
        ),
        (
            {"measures": ["keyword_category"], "balance": {"keywords": "no.tsv"}},
            "balance.keywords: no.tsv: no such file, nor a shipped table (wudaomm)",
        ),
        (
            {"measures": ["balance_prob"], "balance": {"words": None}},
            "balance.entries: is empty and `words` is null, but balance_prob is asked for",
        ),
        (
            {"measures": ["balance_prob"], "balance": {"entries": ["no.txt"]}},
            "balance.entries.0: no.txt: no such file",
        ),
        ({"measures": ["balance_prob"], "balance": {"words": "no.tsv"}}, "balance.words: no.tsv: no such file"),
        ({"balance": {"tail_share": 1.0}}, "balance.tail_share: "),
        ({"balance": {"first": "random"}}, "balance.first: "),
    ],
)
def test_what_is_asked_for_must_be_sayable(sections: dict[str, Any], told: str) -> None:
    (problem,) = refusal(WHOLE | sections)
    assert problem.startswith(told)


def test_the_best_score_needs_a_model() -> None:
    problems = refusal(WHOLE | {"measures": ["host_rank_kept"], "balance": {"first": "best_score"}})
    assert "balance.first: is best_score, but no model scores: name one in `score`, or choose uid" in problems


def test_what_is_not_asked_for_is_not_needed(tmp_path: Path) -> None:
    plan = checked_plan(WHOLE | {"balance": {"words": None, "keywords": "no.tsv"}}, "x")
    assert plan.measures == ()


def test_places_by_score_bring_the_score_and_places_by_keyword_the_keywords() -> None:
    model = {"model": "local-dir:package:pipelines/demo/scorer", "pretrained": None}
    asked = {"score": model, "measures": ["category_rank_kept"]}
    balance = {"first": "best_score", "category": "keyword_category", "keywords": "wudaomm"}
    plan = checked_plan(WHOLE | asked | {"balance": balance}, "x")
    assert {"clip_score", "keyword_category", "category_rank_kept"} == set(plan.measures)
    counts = checked_plan(WHOLE | {"measures": ["category_count_kept"], "balance": {"first": "best_score"}}, "x")
    assert set(counts.measures) == {"category_count_kept"}
