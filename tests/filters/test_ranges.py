"""Comparisons that can never tell rows apart are refused with the measure's range."""

import pytest

from filters.measures import MEASURES, RANGES
from filters.rules import place_rules


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("clip_score >= 30", "compares clip_score with 30, but its values lie between -1.0 and 1.0"),
        ("30 <= clip_score", "compares clip_score with 30,"),
        ("CLIP_SCORE > 28.5", "compares clip_score with 28.5,"),
        ("zh_chars > 3 AND zh_ratio >= 50", "compares zh_ratio with 50, but its values lie between 0.0 and 1.0"),
        ("zh_ratio BETWEEN 10 AND 0.9", "compares zh_ratio with 10,"),
        ("zh_ratio > -0.1", "compares zh_ratio with -0.1,"),
        ("NOT (entropy < 80)", "compares entropy with 80, but its values lie between 0.0 and 8.0"),
        ("clip_pct >= 1e1", "compares clip_pct with 1e1,"),
        ("zh_chars > 'many'", "compares zh_chars, which is a number, with 'many'"),
    ],
)
def test_a_number_that_a_measure_never_reaches_is_refused(expression: str, told: str) -> None:
    placed, (problem,) = place_rules({"low": expression})
    assert not placed
    assert problem.message.startswith(told)


@pytest.mark.parametrize(
    "expression",
    [
        "clip_score >= 0.3",
        "clip_score BETWEEN -1 AND 1",
        "zh_ratio = 0 OR zh_ratio = 1",
        "zh_ratio * 100 >= 30",
        "zh_chars >= 30",
        "sharpness > 1000",
        "zh_chars > '3'",
        "kind = 'alt' OR zh_ratio > 0.5",
    ],
)
def test_other_numbers_are_not(expression: str) -> None:
    assert not place_rules({"low": expression})[1]


def test_ranges_come_from_the_units() -> None:
    assert RANGES["contrast"] == (0.0, 0.5)
    assert RANGES["clip_score"] == (-1.0, 1.0)
    assert MEASURES["zh_chars"].range is None
    assert MEASURES["sharpness"].range is None
