"""What a rule compares with a measure that can never come near it, such as a share of 30 for 0.3, or a word."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

Range = tuple[float, float]

_SIDES = {"COMPARISON": ("left", "right"), "BETWEEN": ("input", "lower", "upper")}
_EQUALS = frozenset({"COMPARE_EQUAL", "COMPARE_NOTEQUAL", "COMPARE_IN", "COMPARE_NOT_IN"})
_MOST_TOLD = 8


def hopeless(
    node: Any, numbers: Collection[str], ranges: Mapping[str, Range], words: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    """What is wrong with each comparison under a node of DuckDB's parse tree, in words for the rule's author.

    `numbers` are the columns of numbers; `ranges` gives the least and the greatest value of those that have both,
    `words` all that a column of words may hold.
    """
    if isinstance(node, list):
        for child in node:
            yield from hopeless(child, numbers, ranges, words)
    elif isinstance(node, dict):
        sides = [node[side] for side in _SIDES.get(node.get("class", ""), ())]
        for column in _columns(sides):
            for number, text in _numbers(sides):
                least, greatest = ranges.get(column, (number, number))
                if not least <= number <= greatest:
                    yield f"compares {column} with {text}, but its values lie between {least} and {greatest}"
            for text in _words(sides) if column in numbers else ():
                yield f"compares {column}, which is a number, with {text!r}"
        yield from _never_said(node, words)
        yield from hopeless(list(node.values()), numbers, ranges, words)


def _never_said(node: dict[str, Any], words: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Words that a column is compared with, as equal or not, and never holds."""
    if node.get("type") not in _EQUALS:
        return
    sides = node["children"] if "children" in node else [node["left"], node["right"]]
    for column in words.keys() & _columns(sides):
        for text in _texts(sides):
            if text not in words[column]:
                yield f"compares {column} with {text!r}, which it never is; {_instead(text, words[column])}"


def _instead(text: str, known: frozenset[str]) -> str:
    if len(known) <= _MOST_TOLD:
        return f"it is one of {', '.join(sorted(known))}"
    near = difflib.get_close_matches(text.lower(), sorted(known), n=3)
    return f"the nearest that it may be: {', '.join(near)}" if near else f"it is a word such as {min(known)}"


def _columns(nodes: list[dict[str, Any]]) -> list[str]:
    return [str(node["column_names"][0]).lower() for node in nodes if node.get("class") == "COLUMN_REF"]


def _numbers(nodes: list[dict[str, Any]]) -> Iterator[tuple[float, str]]:
    for node in nodes:
        literal = node.get("literal", {})
        if node.get("class") == "CONSTANT" and literal.get("kind") in ("INTEGER", "NUMERIC"):
            yield float(literal["text"]), literal["text"]


def _words(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Texts that are no numbers; DuckDB reads `'3'` as 3."""
    return (text for text in _texts(nodes) if not _is_number(text))


def _texts(nodes: list[dict[str, Any]]) -> Iterator[str]:
    for node in nodes:
        literal = node.get("literal", {})
        if node.get("class") == "CONSTANT" and literal.get("kind") == "STRING":
            yield literal["text"]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
