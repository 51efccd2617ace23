"""What a rule's expression may say: one row-wise SQL expression over columns, read from DuckDB's own parse tree."""

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from filters.ranges import Range, hopeless

MAX_EXPRESSION_CHARS = 4000

_ALLOWED_NODES = {
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON"),
    *("CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA", "OPERATOR", "TYPE"),
}
_REFUSED_NODES = {
    "WINDOW": "a window function looks at other rows",
    "SUBQUERY": "a subquery looks at other rows",
    "STAR": "* stands for no single column",
    "PARAMETER": "a parameter has no value here",
    "POSITIONAL_REFERENCE": "#1 names no column",
    "DEFAULT": "DEFAULT has no meaning here",
}
# duckdb_functions() calls these CONSISTENT (DuckDB 2.0), but they read the clock; `age` does with one argument.
_READS_CLOCK = frozenset({"current_localtimestamp", "current_localtime"})


class RefusedExpressionError(Exception):
    """Why an expression cannot be a rule, in words for its author."""


@dataclass(frozen=True)
class _Function:
    kind: str
    stability: str | None
    parameters: tuple[str, ...]
    macro: str | None


def locked_connection() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads no file, no network, no extension, and lets no query change that."""
    connection = duckdb.connect(config={"threads": 1})
    for setting, value in (
        ("TimeZone", "'UTC'"),
        ("preserve_insertion_order", "true"),
        ("autoinstall_known_extensions", "false"),
        ("autoload_known_extensions", "false"),
        ("enable_external_access", "false"),
        ("lock_configuration", "true"),
    ):
        connection.execute(f"SET {setting} = {value}").fetchall()
    return connection


class ExpressionReader:
    """Reads expressions into the columns they name, refusing what is not row-wise or not repeatable."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._functions: dict[str, list[_Function]] = {}
        query = "SELECT function_name, function_type, stability, parameters, macro_definition FROM duckdb_functions()"
        for name, kind, stability, parameters, macro in connection.execute(query).fetchall():
            found = _Function(kind, stability, tuple(parameters or ()), macro)
            self._functions.setdefault(name.lower(), []).append(found)

    def columns_of(self, expression: str, known_columns: Collection[str]) -> tuple[str, ...]:
        """The columns that `expression` names, sorted. Raises RefusedExpressionError."""
        tree = self._parse(expression)
        columns: set[str] = set()
        for name in self._column_refs(tree, frozenset(), ()):
            if name not in known_columns:
                raise RefusedExpressionError(f"no column is called {name!r}; {_nearest(name, known_columns)}")
            columns.add(name)
        return tuple(sorted(columns))

    def check_comparisons(
        self,
        expression: str,
        numbers: Collection[str],
        ranges: Mapping[str, Range],
        words: Mapping[str, frozenset[str]],
    ) -> None:
        """Refuse a comparison that no row can pass or fail; `numbers` are columns of numbers, `ranges` their ends,
        `words` what columns of words may hold."""
        for told in hopeless(self._parse(expression), numbers, ranges, words):
            raise RefusedExpressionError(told)

    def _parse(self, expression: str) -> dict[str, Any]:
        if len(expression) > MAX_EXPRESSION_CHARS:
            raise RefusedExpressionError(f"is longer than {MAX_EXPRESSION_CHARS} characters")
        if not expression.strip():
            raise RefusedExpressionError("is empty; expected a condition such as zh_chars >= 1")
        if any(kind == duckdb.token_type.comment for _, kind in duckdb.tokenize(expression)):
            raise RefusedExpressionError("holds an SQL comment; write comments as YAML ones")
        # An expression that closes one pair of brackets and opens another fits only that kind of bracket.
        self._select_item(f"SELECT ({expression})", expression)
        items = self._select_item(f"SELECT [{expression}]", expression)["arguments"]
        if len(items) != 1:
            raise RefusedExpressionError(f"holds {len(items)} expressions; expected one")
        tree: dict[str, Any] = items[0]["expression"]
        return tree

    def _select_item(self, query: str, expression: str) -> dict[str, Any]:
        rows = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
        try:
            parsed = json.loads(rows[0][0])
        except RecursionError:
            raise RefusedExpressionError("is nested too deeply") from None
        if parsed["error"]:
            raise RefusedExpressionError(f"is no SQL expression: {_first_line(parsed['error_message'])}")
        statements = parsed["statements"]
        node = statements[0]["node"] if len(statements) == 1 else {}
        if node.get("type") != "SELECT_NODE" or len(node["select_list"]) != 1:
            raise RefusedExpressionError("holds more than one expression")
        item: dict[str, Any] = node["select_list"][0]
        return item

    def _column_refs(self, node: Any, bound: frozenset[str], macros: tuple[str, ...]) -> Iterator[str]:
        """Names of columns under `node`; `bound` are a lambda's or a macro's own names."""
        if isinstance(node, list):
            for child in node:
                yield from self._column_refs(child, bound, macros)
        elif isinstance(node, dict):
            kind = node.get("class")
            if kind is not None and kind not in _ALLOWED_NODES:
                raise RefusedExpressionError(_REFUSED_NODES.get(kind, f"{kind} is not allowed in a rule"))
            if kind == "COLUMN_REF":
                name = str(node["column_names"][0]).lower()
                if name not in bound:
                    yield name
            elif kind == "LAMBDA":
                yield from self._column_refs(node["expr"], bound | _lambda_parameters(node), macros)
            else:
                if kind == "FUNCTION":
                    self._check_function(node, macros)
                elif node.get("type") == "GROUPING_FUNCTION":
                    raise RefusedExpressionError("grouping() looks at other rows")
                yield from self._column_refs(list(node.values()), bound, macros)

    def _check_function(self, node: dict[str, Any], macros: tuple[str, ...]) -> None:
        name = str(node["function_name"]).lower()
        variants = self._functions.get(name)
        if variants is None:
            raise RefusedExpressionError(f"no function is called {name!r}; {_nearest(name, self._functions)}")
        kinds = {variant.kind for variant in variants}
        for kind, what in (("aggregate", "an aggregate"), ("window", "a window function")):
            if kind in kinds:
                raise RefusedExpressionError(f"{name}() is {what}: it looks at other rows")
        if not kinds & {"scalar", "macro"}:
            raise RefusedExpressionError(f"{name}() returns rows, not a value")
        unstable = any(v.kind == "scalar" and v.stability != "CONSISTENT" for v in variants)
        if unstable or name in _READS_CLOCK or (name == "age" and len(node["arguments"]) == 1):
            raise RefusedExpressionError(f"{name}() may give another value another time")
        for variant in variants:
            if variant.kind == "macro":
                self._check_macro(name, variant, macros)

    def _check_macro(self, name: str, macro: _Function, macros: tuple[str, ...]) -> None:
        """A macro is as stable as what it is made of."""
        if name in macros:
            return
        tree = self._select_item(f"SELECT ({macro.macro})", name)
        parameters = frozenset(parameter.lower() for parameter in macro.parameters)
        for free in self._column_refs(tree, parameters, (*macros, name)):
            raise RefusedExpressionError(f"{name}() may give another value another time: it reads {free}")


def _lambda_parameters(node: dict[str, Any]) -> frozenset[str]:
    if node.get("syntax_type") == "SINGLE_ARROW":
        raise RefusedExpressionError("-> is not allowed; write `lambda x: …`, or json_extract(…) for JSON")
    names = json.dumps(node["lhs"])
    return frozenset(name.lower() for name in re.findall(r'"column_names": \["(\w+)"\]', names))


def _nearest(name: str, known: Iterable[str]) -> str:
    plain = sorted(word for word in known if re.fullmatch(r"\w+", word))
    near = difflib.get_close_matches(name, plain, n=3, cutoff=0.5)
    if near:
        return f"the nearest known: {', '.join(near)}"
    return f"a text stands in quotes, as '{name}'; known are {', '.join(plain[:60])}"


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0]
