"""What a rule compares with a measure that can never come near it, such as a share of 30 for 0.3, or a word."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Range = tuple[float, float]

_SIDES = {"COMPARISON": ("left", "right"), "BETWEEN": ("input", "lower", "upper")}


def hopeless(node: Any, numbers: Collection[str], ranges: Mapping[str, Range]) -> Iterator[str]:
    """What is wrong with each comparison under a node of DuckDB's parse tree, in words for the rule's author.

    `numbers` are the columns of numbers; `ranges` gives the least and the greatest value of those that have both.
    """
    if isinstance(node, list):
        for child in node:
            yield from hopeless(child, numbers, ranges)
    elif isinstance(node, dict):
        sides = [node[side] for side in _SIDES.get(node.get("class", ""), ())]
        for column in _columns(sides):
            for number, text in _numbers(sides):
                least, greatest = ranges.get(column, (number, number))
                if not least <= number <= greatest:
                    yield f"compares {column} with {text}, but its values lie between {least} and {greatest}"
            for text in _words(sides) if column in numbers else ():
                yield f"compares {column}, which is a number, with {text!r}"
        yield from hopeless(list(node.values()), numbers, ranges)


def _columns(nodes: list[dict[str, Any]]) -> list[str]:
    return [str(node["column_names"][0]).lower() for node in nodes if node.get("class") == "COLUMN_REF"]


def _numbers(nodes: list[dict[str, Any]]) -> Iterator[tuple[float, str]]:
    for node in nodes:
        literal = node.get("literal", {})
        if node.get("class") == "CONSTANT" and literal.get("kind") in ("INTEGER", "NUMERIC"):
            yield float(literal["text"]), literal["text"]


def _words(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Texts that are no numbers; DuckDB reads `'3'` as 3."""
    for node in nodes:
        literal = node.get("literal", {})
        if node.get("class") == "CONSTANT" and literal.get("kind") == "STRING" and not _is_number(literal["text"]):
            yield literal["text"]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
