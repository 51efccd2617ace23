"""Paths into a search answer: a documented part of JSONPath, and nothing that is taken for it by mistake."""

from typing import Any

import pytest

from crawler.search.json_path import MAX_FOUND, parse_path, select

ANSWER = {"a": {"b": [{"u": 1}, {"u": 2}, {}]}, "键": {"x y": "z"}, "n": None, "0": "zero"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", [ANSWER]),
        ("$.a.b[*].u", [1, 2]),
        ("$.a.b[0].u", [1]),
        ("$.a.b[-2].u", [2]),
        ("$.a.b[3]", []),
        ("$.a.b[-4]", []),
        ("$.a.*[0].u", [1]),
        ("$.a[*][1].u", [2]),
        ("$['键']['x y']", ["z"]),
        ('$.键["x y"]', ["z"]),
        ("$['0']", ["zero"]),
        ("$[0]", []),  # an index leads nowhere in an object
        ("$.n", [None]),
        ("$.n.m", []),
        ("$.missing[*].u", []),
    ],
)
def test_a_path_leads_where_it_says(path: str, expected: list[Any]) -> None:
    assert select(ANSWER, parse_path(path)) == expected


@pytest.mark.parametrize(
    "path", ["", "a.b", "$a", "$.", "$..u", "$.a[", "$.a[?@.u]", "$.a[0:2]", "$[01]", "$['']", "$.a b", "$.0", "$.a "]
)
def test_what_is_not_understood_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no path that is understood"):
        parse_path(path)


def test_a_path_finds_a_bounded_number_of_things() -> None:
    assert len(select([[0] * 1000] * 1000, parse_path("$[*][*]"))) == MAX_FOUND
