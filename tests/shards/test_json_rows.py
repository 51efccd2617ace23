"""Rows as JSON: to the byte what the standard library writes of the same rows."""

import json

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shards.json_rows import json_rows

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.fixed_dictionaries(
    {
        "text": TEXTS,
        "%s 100%": TEXTS,
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "phash": st.none() | st.integers(0, 2**64 - 1),
        "score": st.none() | st.floats(),
        "flag": st.none() | st.booleans(),
        "names": st.none() | st.lists(TEXTS, max_size=2),
        "texts": st.none() | st.lists(st.fixed_dictionaries({"kind": TEXTS, "clip_score": st.floats()}), max_size=2),
    }
)
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("number", pa.int64()),
        ("%s 100%", pa.string()),
        ("phash", pa.uint64()),
        ("score", pa.float64()),
        ("flag", pa.bool_()),
        ("names", pa.list_(pa.string())),
        ("texts", pa.list_(pa.struct([("kind", pa.string()), ("clip_score", pa.float64())]))),
    ]
)


@given(st.lists(ROWS, max_size=5), st.integers(0, 2))
def test_rows_are_written_as_the_standard_library_writes_them(rows: list[dict[str, object]], start: int) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA).slice(start)
    expected = [json.dumps(row, ensure_ascii=False, sort_keys=True).encode() for row in table.to_pylist()]
    assert list(json_rows(table)) == expected


def test_a_table_without_rows_gives_none() -> None:
    assert list(json_rows(SCHEMA.empty_table())) == []
