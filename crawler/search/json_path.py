"""The part of JSONPath (RFC 9535) that search answers need: names, indexes and wildcards, from a value downwards."""

import re
from typing import Any

Path = tuple[str | int | None, ...]
"""One step down each: a member's name, an element's index, or None for every child."""

MAX_FOUND = 10_000

# RFC 9535, sections 2.5.1 and 2.3: shorthand names begin with no digit; quoted ones hold no escapes here.
_NAME = r"[A-Za-z_\u0080-\U0010FFFF][0-9A-Za-z_\u0080-\U0010FFFF]*"
_STEP = re.compile(
    rf"\.(?P<name>{_NAME})|(?P<every>\.\*|\[\*\])|\[(?P<index>0|-?[1-9][0-9]{{0,8}})\]"
    r"|\['(?P<single>[^'\\]+)'\]|\[\"(?P<double>[^\"\\]+)\"\]"
)


def parse_path(text: str) -> Path:
    """The steps of a path such as `$.results[*].url`. Raises ValueError, saying what is understood.

    >>> parse_path("$.query.pages[*]['a b'][0]")
    ('query', 'pages', None, 'a b', 0)
    """
    steps: list[str | int | None] = []
    place = 1
    while text[:1] == "$" and place < len(text) and (found := _STEP.match(text, place)):
        place = found.end()
        index = found["index"]
        steps.append(int(index) if index else found["name"] or found["single"] or found["double"])
    if text[:1] != "$" or place < len(text):
        raise ValueError(
            f"{text!r} is no path that is understood: write $, then names and indexes, as in $.results[*].url, "
            "$['a name'] or $.pages[0]; filters, slices and `..` are not read"
        )
    return tuple(steps)


def select(value: Any, path: Path) -> list[Any]:
    """What the path leads to, in the document's order: nothing where there is no such member, MAX_FOUND at most."""
    found = [value]
    for step in path:
        found = [child for parent in found for child in _children(parent, step)][:MAX_FOUND]
    return found


def _children(parent: Any, step: str | int | None) -> list[Any]:
    if step is None:
        return list(parent.values()) if isinstance(parent, dict) else parent if isinstance(parent, list) else []
    if isinstance(step, str):
        return [parent[step]] if isinstance(parent, dict) and step in parent else []
    is_there = isinstance(parent, list) and -len(parent) <= step < len(parent)
    return [parent[step]] if is_there else []
