"""The ledger of promises: each of rows 1-34 and 42-48 is named by a test that proves it."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
LEDGER = TESTS.parents[1] / "shared" / "PROMISES.md"
ROWS = [*range(1, 35), *range(42, 49)]
_NAMED = re.compile(r"\bpromises? ((?:\d+)(?:(?:,| and| to) (?:promise )?\d+)*)(?: \(and ([\d, ]+)\))?")


def rows_named_by(source: str) -> set[int]:
    """Numbers that the strings of a file give after the word promise: ids of cases, docstrings of tests.

    >>> sorted(rows_named_by("x = 'promise 7: gone'; y = 'promise 9 (and 10, 11): counted'"))
    [7, 9, 10, 11]
    """
    strings = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    found = [match for text in strings for match in _NAMED.finditer(text)]
    return {int(number) for match in found for number in re.findall(r"\d+", f"{match[1]} {match[2] or ''}")}


def named_rows() -> set[int]:
    rows: set[int] = set()
    for path in sorted(TESTS.rglob("test_*.py")):
        if path != Path(__file__):
            source = path.read_text("utf-8")
            # What the file itself is called proves nothing: only its cases and its tests count.
            rows |= rows_named_by(source.replace(ast.get_docstring(ast.parse(source), clean=False) or "\0", "", 1))
    return rows


def test_every_promise_has_a_test() -> None:
    assert sorted(set(ROWS) - named_rows()) == []


def test_every_row_is_in_the_ledger() -> None:
    if not LEDGER.exists():
        pytest.skip("shared test data is missing")
    text = LEDGER.read_text("utf-8")
    assert [row for row in ROWS if f"\n| {row} |" not in text] == []


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ("'promise 7: gone'", {7}),
        ("'promise 9 (and 10, 11): counted'", {9, 10, 11}),
        ("'a compromise 5: no'", set()),
        ("# promise 5: a comment proves nothing", set()),
        ("'promise of 5'", set()),
    ],
)
def test_rows_are_read_from_strings(source: str, rows: set[int]) -> None:
    assert rows_named_by(source) == rows
