"""What is wrong with a recipe, in words for its author: the dotted place, what was expected and what was found."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from shards.errors import UsageError

Place = tuple[str, ...]
Schema = Mapping[str, Any]

_SHOWN_CHARS = 80
_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text like {pattern}",
    "too_short": "{min_length} or more entries",
    "too_long": "at most {max_length} entries",
}
"""What pydantic's kinds of error ask for; braces are filled from the error's context."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe: the dotted place, and what was expected."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


@dataclass(frozen=True)
class _Found:
    """One error of pydantic's. `is_choice`: it is about one of several forms that the place may have."""

    place: Place
    details: Mapping[str, Any]
    is_choice: bool


def raise_problems(what: str, problems: Sequence[Problem], said_at: Mapping[str, str]) -> None:
    """Raise one `UsageError` that lists every problem and where its place was `said_at`; nothing if there is none."""
    if problems:
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        lines = "\n".join(f"  {_nearest_place(problem.place, said_at)}{problem}" for problem in problems)
        raise UsageError(f"{what} has {count}; nothing was run:\n{lines}")


def _nearest_place(place: str, said_at: Mapping[str, str]) -> str:
    """`line 7: ` for a place that was said there, or whose section was; nothing where none of it was said."""
    while place and place not in said_at:
        place = place.rpartition(".")[0]
    return f"{said_at[place]}: " if place else ""


def explained(error: ValidationError, mapping: Mapping[str, Any], schema: Schema) -> list[Problem]:
    """One problem for each place of `mapping` that pydantic found fault with. `schema` is the JSON schema."""
    found = [_located(details, mapping) for details in error.errors(include_url=False)]
    problems: dict[Place, list[_Found]] = {}
    for fault in found:
        if not (fault.is_choice and any(_lies_inside(other.place, fault.place) for other in found)):
            problems.setdefault(fault.place, []).append(fault)
    return [_problem(place, faults, mapping, schema) for place, faults in problems.items()]


def _located(details: Any, mapping: Mapping[str, Any]) -> _Found:
    """Pydantic's location without the names that it gives to the forms of a union: no key of the recipe."""
    place: list[str] = []
    value: Any = mapping
    is_choice = False
    steps = details["loc"]
    for number, step in enumerate(steps):
        is_missing = details["type"] == "missing" and number == len(steps) - 1
        is_choice = not (is_missing or _holds(value, step))
        if not is_choice:
            place.append(str(step))
            value = None if is_missing else value[step]
    return _Found(tuple(place), details, is_choice)


def _holds(value: object, step: str | int) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _lies_inside(inner: Place, outer: Place) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _problem(place: Place, faults: Sequence[_Found], mapping: Mapping[str, Any], schema: Schema) -> Problem:
    details = faults[0].details
    dotted = ".".join(place)
    if details["type"] == "extra_forbidden":
        known = _known_keys(place[:-1], mapping, schema)
        return Problem(dotted, f"unknown key{_nearest(place[-1], known)}; known here: {', '.join(known)}")
    if details["type"] == "missing":
        return Problem(dotted, "is required")
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _kind_problem(dotted, details, mapping, schema)
    if details["type"] == "too_long" and details["ctx"]["max_length"] == 0:
        return Problem(dotted, "is not there yet in this version: leave it out")
    if details["type"] == "value_error":
        return Problem(dotted, f"{details['ctx']['error']}{_got(details['input'])}")
    wanted = list(dict.fromkeys(_wanted(fault.details) for fault in faults))
    return Problem(dotted, f"expected {', or '.join(wanted)}{_got(details['input'])}")


def _kind_problem(dotted: str, details: Mapping[str, Any], mapping: Mapping[str, Any], schema: Schema) -> Problem:
    """A source whose `kind` is missing or unknown."""
    kinds = _kinds(_nodes(tuple(dotted.split(".")), {}, schema))
    name = details["ctx"].get("tag")
    hint = f"unknown kind {name!r}{_nearest(name, kinds)}" if name else "is required"
    return Problem(f"{dotted}.kind", f"{hint}; known: {', '.join(kinds)}")


def _wanted(details: Mapping[str, Any]) -> str:
    words = _EXPECTED.get(details["type"])
    return words.format(**details.get("ctx", {})) if words else str(details["msg"]).removeprefix("Input should be ")


def _got(value: object) -> str:
    if isinstance(value, Mapping):
        return " (got a mapping)"
    if isinstance(value, list):
        return " (got a list)" if value else " (got an empty list)"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return f" (got {shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + '…'})"


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _known_keys(place: Place, mapping: Mapping[str, Any], schema: Schema) -> list[str]:
    """Names of the keys that a place of the recipe may hold."""
    return sorted({key for node in _nodes(place, mapping, schema) for key in node.get("properties", {})})


def _nodes(place: Place, mapping: Mapping[str, Any], schema: Schema) -> list[Schema]:
    """The parts of the JSON schema that describe a place: those of the source's own kind, where it says one."""
    nodes: list[Schema] = [schema]
    value: Any = mapping
    for step in place:
        nodes = [found for node in nodes for found in _descend(node, step, schema.get("$defs", {}))]
        value = value[step] if isinstance(value, Mapping) and step in value else None
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if kind in _kinds(nodes):
            nodes = [node for node in nodes if kind in _kinds([node])]
    return nodes


def _kinds(nodes: Sequence[Schema]) -> list[str]:
    kinds = [node.get("properties", {}).get("kind", {}).get("const") for node in nodes]
    return [kind for kind in kinds if kind is not None]


def _descend(node: Schema, step: str, definitions: Schema) -> list[Schema]:
    child = node.get("properties", {}).get(step, node.get("additionalProperties", node.get("items")))
    return _resolve(child, definitions) if isinstance(child, Mapping) else []


def _resolve(node: Schema, definitions: Schema) -> list[Schema]:
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
    choices = [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]
    return [node] if not choices else [found for choice in choices for found in _resolve(choice, definitions)]
