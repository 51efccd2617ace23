"""Agreement of annotators, against figures that were published or reckoned by hand."""

from collections.abc import Sequence

import pytest

from pipelines.explore.agreement import agreements, cohen, fleiss

# Two raters over 50 proposals: 20 both yes, 15 both no, 5 and 10 apart; kappa 0.4 (Cohen's kappa, textbook example).
GRANTS = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15

# Fourteen raters, ten subjects, five categories: the counts and the kappa 0.210 that text books of Fleiss' kappa give.
PSYCHIATRY = (
    *((0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1)),
    *((7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7)),
)


def test_cohen_s_kappa() -> None:
    share, kappa = cohen(GRANTS)
    assert share == 0.7
    assert kappa == pytest.approx(0.4)


def test_fleiss_kappa() -> None:
    rows = [[str(label) for label, number in enumerate(row) for _ in range(number)] for row in PSYCHIATRY]
    share, kappa = fleiss(rows)
    assert share == pytest.approx(0.378, abs=5e-4)
    assert kappa == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], (None, None)),
        ([("a", "a")], (1.0, None)),
        ([("a", "a"), ("b", "b")], (1.0, 1.0)),
        ([("a", "b"), ("b", "a")], (0.0, -1.0)),
        ([("a", "a"), ("a", "b")], (0.5, 0.0)),
    ],
)
def test_edges_of_cohen(pairs: Sequence[tuple[str, str]], expected: tuple[float | None, float | None]) -> None:
    assert cohen(pairs) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([], (None, None)), ([["a", "a", "a"]], (1.0, None)), ([["a", "a", "a"], ["b", "b", "b"]], (1.0, 1.0))],
)
def test_edges_of_fleiss(rows: Sequence[Sequence[str]], expected: tuple[float | None, float | None]) -> None:
    assert fleiss(rows) == expected


def test_only_what_all_answered_is_compared() -> None:
    a, b, c = (("1" * 32, "一"), ("2" * 32, "二"), ("3" * 32, "三"))
    answers = {"wu": {a: "match", b: "match"}, "li": {a: "match", b: "no_match", c: "unsure"}, "an": {a: "match"}}
    found = agreements(answers)
    assert [(one.annotators, one.items, one.share) for one in found] == [
        (("an", "li"), 1, 1.0),
        (("an", "wu"), 1, 1.0),
        (("li", "wu"), 2, 0.5),
        (("an", "li", "wu"), 1, 1.0),
    ]
    assert agreements({"wu": {a: "match"}}) == []
