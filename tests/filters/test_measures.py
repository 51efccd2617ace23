"""The table of measures: what exists where, and what needs what."""

import re

import pyarrow as pa
import pytest

from filters.measures import (
    MEASURES,
    TEXT_LEVEL,
    code_version,
    columns_at,
    compute_function,
    measures_of,
    needed_measures,
)
from filters.rules import JUDGING_STAGES
from shards.schema import STAGES


def test_columns_only_grow_from_stage_to_stage() -> None:
    before: dict[str, pa.DataType] = {}
    for stage in JUDGING_STAGES:
        now = columns_at(stage)
        assert before.items() <= now.items()
        before = now
    assert set(MEASURES) <= set(before)


@pytest.mark.parametrize(
    ("column", "first"),
    [
        ("text", "collect"),
        ("zh_chars", "collect"),
        ("host", "collect"),
        ("query", "admit"),
        ("text_count", "admit"),
        ("bytes", "fetch"),
        ("aspect", "fetch"),
        ("phash", "measure"),
        ("dhash", "measure"),
        ("dup_rank", "dedup"),
        ("pair_rank", "dedup"),
        ("clip_score", "score"),
        ("clip_pct", "select"),
        ("sem_dup_cos", "select"),
    ],
)
def test_column_exists_from_its_stage_on(column: str, first: str) -> None:
    assert next(stage for stage in JUDGING_STAGES if column in columns_at(stage)) == first


@pytest.mark.parametrize("column", ["drop_reason", "detail", "tar_offset", "texts", "nonsense"])
def test_bookkeeping_is_no_column_of_a_rule(column: str) -> None:
    assert column not in columns_at("select")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["bytes", "url"], []),
        (["clip_pct"], ["clip_score", "clip_pct"]),
        (["sem_dup_cos"], ["clip_score", "sem_dup_cos"]),
        (["dup_rank", "zh_chars"], ["zh_chars", "dup_group", "dup_rank"]),
        (["pair_rank", "dhash"], ["dhash", "dup_group", "pair_rank"]),
    ],
)
def test_needed_measures_come_after_what_they_need(names: list[str], expected: list[str]) -> None:
    assert needed_measures(names) == expected


def test_measures_of_a_stage_and_level_keep_the_order_of_the_table() -> None:
    assert measures_of(["is_filename", "zh_chars", "text_count", "min_side"], "collect", "text") == [
        "zh_chars",
        "is_filename",
    ]


def test_every_measure_says_its_unit_and_can_be_computed() -> None:
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.unit
        assert measure.stage in STAGES
        assert all(need in MEASURES for need in measure.needs)
        assert code_version(name) == f"{name}:{measure.version}"
        if ":" in measure.compute:
            assert callable(compute_function(name))


def test_every_number_says_its_range_and_every_measure_its_source() -> None:
    one_end = re.compile(r"\bfrom -?\d|>= -?\d|\b64 bits\b")
    for name, measure in MEASURES.items():
        if pa.types.is_integer(measure.dtype) or pa.types.is_floating(measure.dtype):
            assert measure.range is not None or one_end.search(measure.unit), name
        assert measure.source, name


def test_text_level_is_what_belongs_to_one_text() -> None:
    assert {"kind", "text", "zh_chars", "text_count", "pair_rank", "clip_score"} <= TEXT_LEVEL
    assert not {"clip_pct", "host", "min_side"} & TEXT_LEVEL
