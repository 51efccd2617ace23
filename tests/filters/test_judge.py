"""Judging: who falls, where, for which reason, and what else they failed."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.falls import fell_by_texts
from filters.judge import judge_candidates, judge_samples
from filters.rules import PlacedRule, RuleEngine
from shards.schema import kind_rank

ENGINE = RuleEngine()
NAMES = pa.list_(pa.string())
TEXT = pa.struct(
    [
        ("kind", pa.string()),
        ("text", pa.string()),
        ("zh_chars", pa.int32()),
        ("clip_score", pa.float64()),
        ("drop_reason", pa.string()),
        ("failed_rules", NAMES),
    ]
)
SAMPLE = pa.schema(
    [
        ("uid", pa.string()),
        ("min_side", pa.int32()),
        ("texts", pa.list_(TEXT)),
        ("drop_reason", pa.string()),
        ("failed_rules", NAMES),
        ("dropped_at", pa.string()),
        ("detail", pa.string()),
    ]
)


def rules_of(rules: dict[str, str]) -> list[PlacedRule]:
    placed, problems = ENGINE.place(rules)
    assert problems == []
    return placed


def text(
    zh_chars: int | None, reason: str | None = None, score: float | None = None, kind: str = "alt"
) -> dict[str, Any]:
    return {
        "kind": kind,
        "text": "字",
        "zh_chars": zh_chars,
        "clip_score": score,
        "drop_reason": reason,
        "failed_rules": None,
    }


def samples_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{"uid": f"{n:032x}", **row} for n, row in enumerate(rows)], SAMPLE)


RULES = {"no_zh": "zh_chars >= 1", "small": "min_side > 200", "long": "zh_chars < 5", "odd_size": "min_side <> 7"}


@pytest.mark.parametrize(
    ("row", "reason", "failed", "text_reasons"),
    [
        ({"min_side": 201, "texts": [text(1)]}, None, None, [None]),
        ({"min_side": 200, "texts": [text(1)]}, "small", ["small"], [None]),
        ({"min_side": None, "texts": [text(1)]}, "small", ["small", "odd_size"], [None]),
        ({"min_side": 300, "texts": [text(0)]}, "no_zh", ["no_zh"], ["no_zh"]),
        ({"min_side": 300, "texts": [text(None)]}, "no_zh", ["no_zh", "long"], ["no_zh"]),
        ({"min_side": 7, "texts": [text(0)]}, "no_zh", ["no_zh", "small", "odd_size"], ["no_zh"]),
        ({"min_side": 300, "texts": [text(0), text(2)]}, None, None, ["no_zh", None]),
        # The text that stood longest gives the reason; no rule was failed by both.
        ({"min_side": 300, "texts": [text(0), text(9)]}, "long", [], ["no_zh", "long"]),
        # The sample's own rule comes before the loss of the last text.
        ({"min_side": 100, "texts": [text(0), text(9)]}, "small", ["small"], ["no_zh", "long"]),
        ({"min_side": 300, "texts": [text(0, "bad_text"), text(9)]}, "long", ["long"], ["bad_text", "long"]),
        ({"min_side": 300, "texts": [text(3, "bad_text")]}, "bad_text", None, ["bad_text"]),
        ({"min_side": 300, "texts": []}, "bad_text", None, []),
        ({"min_side": 300, "texts": None}, "bad_text", None, None),
    ],
)
def test_sample_falls_at_the_first_rule_that_it_or_its_last_text_fails(
    row: dict[str, Any], reason: str | None, failed: list[str] | None, text_reasons: list[str | None] | None
) -> None:
    # All of one stage, as if every column were known there.
    rules = sorted(rules_of(RULES), key=lambda rule: list(RULES).index(rule.name))
    judged = judge_samples(samples_of(row), rules, "fetch", ENGINE).to_pylist()[0]
    assert (judged["drop_reason"], judged["failed_rules"]) == (reason, failed)
    assert judged["dropped_at"] == ("fetch" if reason else None)
    found = None if judged["texts"] is None else [t["drop_reason"] for t in judged["texts"]]
    assert found == text_reasons


def test_rows_that_fell_before_are_left_as_they_are() -> None:
    fallen = {"min_side": None, "texts": [text(0)], "drop_reason": "timeout", "dropped_at": "fetch", "detail": "30 s"}
    table = samples_of(fallen, {"min_side": 1, "texts": [text(1)]}, fallen)
    judged = judge_samples(table, rules_of({"small": "min_side > 200"}), "fetch", ENGINE)
    assert judged.schema == table.schema
    assert judged.take([0, 2]) == table.take([0, 2])
    assert judged["drop_reason"].to_pylist() == ["timeout", "small", "timeout"]


@pytest.mark.parametrize("num_rows", [0, 2])
def test_without_rules_nothing_changes(num_rows: int) -> None:
    table = samples_of(*[{"min_side": 1, "texts": [text(1)]}] * num_rows)
    assert judge_samples(table, [], "fetch", ENGINE) == table
    rules = rules_of({"small": "min_side > 0"})
    assert judge_samples(table, rules, "fetch", ENGINE) == table


def test_text_rule_may_name_columns_of_the_sample() -> None:
    table = samples_of({"min_side": 300, "texts": [text(1), text(9)]}, {"min_side": 100, "texts": [text(9)]})
    judged = judge_samples(table, rules_of({"mixed": "zh_chars < 5 or min_side < 200"}), "fetch", ENGINE)
    assert judged["drop_reason"].to_pylist() == [None, None]
    assert [[t["drop_reason"] for t in texts] for texts in judged["texts"].to_pylist()] == [[None, "mixed"], [None]]


def test_slices_and_chunks_are_judged_alike() -> None:
    rows = [{"min_side": 100 * n, "texts": [text(n), text(9 - n)]} for n in range(8)]
    rules = rules_of(RULES)
    whole = judge_samples(samples_of(*rows), rules, "fetch", ENGINE)
    parts = samples_of(*rows)
    chunked = pa.concat_tables([parts.slice(0, 3), parts.slice(3, 0), parts.slice(3)])
    assert judge_samples(chunked, rules, "fetch", ENGINE).combine_chunks() == whole.combine_chunks()
    assert judge_samples(parts.slice(2, 3), rules, "fetch", ENGINE).to_pylist() == whole.slice(2, 3).to_pylist()


def test_relative_measure_is_redone_over_what_stands_when_its_turn_comes() -> None:
    rules = rules_of({"small": "min_side > 200", "best": "clip_pct >= 0.5", "tall": "min_side <> 555"})
    seen: list[list[str | None]] = []

    def refresh(table: pa.Table, rule: PlacedRule) -> pa.Table:
        assert rule.relative == ("clip_pct",)
        seen.append(table["drop_reason"].to_pylist())
        standing = [reason is None for reason in seen[-1]]
        shares = [n / sum(standing) if stands else None for n, stands in enumerate(standing)]
        return table.append_column("clip_pct", pa.array(shares))

    # The rules of one stage in this order; the last is absolute and so known before the relative one's turn.
    order = [next(rule for rule in rules if rule.name == name) for name in ("small", "best", "tall")]
    table = samples_of(*[{"min_side": side, "texts": [text(1)]} for side in (100, 300, 555, 555, 400)])
    judged = judge_samples(table, order, "select", ENGINE, refresh)
    assert seen == [["small", None, None, None, None]]
    assert judged["drop_reason"].to_pylist() == ["small", "best", "tall", "tall", None]
    assert judged["failed_rules"].to_pylist() == [["small"], ["best"], ["tall"], ["tall"], None]
    assert judged["clip_pct"].to_pylist() == [None, 0.25, 0.5, 0.75, 1.0]


def test_relative_measure_of_texts_is_redone_over_the_texts_that_stand() -> None:
    rules = rules_of({"short": "zh_chars >= 2", "first": "pair_rank = 1"})
    seen: list[list[list[str | None]]] = []

    def refresh(table: pa.Table, rule: PlacedRule) -> pa.Table:
        assert rule.relative == ("pair_rank",)
        rows = table["texts"].to_pylist()
        seen.append([[text["drop_reason"] for text in texts or []] for texts in rows])
        count = iter(range(1, 9))
        ranked = [
            None
            if texts is None
            else [{**t, "pair_rank": next(count) if t["drop_reason"] is None else None} for t in texts]
            for texts in rows
        ]
        texts_type = pa.list_(pa.struct([*table.schema.field("texts").type.value_type, ("pair_rank", pa.int32())]))
        return table.set_column(table.schema.get_field_index("texts"), "texts", pa.array(ranked, texts_type))

    table = samples_of(
        {"min_side": 1, "texts": [text(1), text(2), text(3)]}, {"texts": None}, {"min_side": 2, "texts": [text(4)]}
    )
    judged = judge_samples(table, rules, "dedup", ENGINE, refresh)
    assert seen == [[["short", None, None], [], [None]]]
    assert judged["drop_reason"].to_pylist() == [None, "bad_text", "first"]
    assert judged["failed_rules"].to_pylist()[2] == ["first"]
    found = [[(t["drop_reason"], t["pair_rank"]) for t in texts or []] for texts in judged["texts"].to_pylist()]
    assert found == [[("short", None), (None, 1), ("first", 2)], [], [("first", 3)]]


def test_relative_rule_does_not_judge_what_no_longer_stands() -> None:
    rules = rules_of({"best": "clip_pct >= 0.5"})
    table = samples_of(
        {"min_side": 1, "texts": [text(1)], "drop_reason": "timeout"}, {"min_side": 1, "texts": [text(1)]}
    )
    table = table.append_column("clip_pct", pa.array([0.0, 0.0]))
    judged = judge_samples(table, rules, "select", ENGINE)
    assert judged["drop_reason"].to_pylist() == ["timeout", "best"]
    assert judged["failed_rules"].to_pylist() == [None, ["best"]]


CANDIDATE_RULES = {"no_zh": "zh_chars >= 1", "long": "zh_chars < 5", "common": "text_count <= 10"}


def candidates_of(rows: list[tuple[str, str | None, int | None, int, str | None]]) -> pa.Table:
    uid, kind, zh_chars, text_count, reason = (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 5
    return pa.table(
        {
            "uid": pa.array(uid, pa.string()),
            "kind": pa.array(kind, pa.string()),
            "zh_chars": pa.array(zh_chars, pa.int32()),
            "text_count": pa.array(text_count, pa.int64()),
            "drop_reason": pa.array(reason, pa.string()),
        }
    )


def test_candidates_fail_the_rules_of_the_stage_they_fall_at() -> None:
    rules = rules_of(CANDIDATE_RULES)
    table = candidates_of(
        [
            ("a", "alt", 3, 1, None),
            ("a", "alt", None, 99, None),
            ("a", "alt", 9, 99, None),
            ("b", "alt", 3, 99, None),
            ("b", "alt", 0, 99, "opt_out"),
        ]
    )
    judged = judge_candidates(table, rules, ENGINE)
    assert judged["drop_reason"].to_pylist() == [None, "no_zh", "long", "common", "opt_out"]
    assert judged["failed_rules"].to_pylist() == [None, ["no_zh", "long"], ["long"], ["common"], None]


@pytest.mark.parametrize(
    ("rows", "reason", "failed", "stage", "decider"),
    [
        ([("alt", 3, 1, None), ("title", 0, 1, None)], None, None, None, 0),
        ([("alt", 0, 1, None)], "no_zh", ["no_zh"], "collect", 0),
        ([("alt", 0, 1, None), ("title", 9, 1, None)], "long", [], "collect", 1),
        ([("alt", 0, 1, None), ("title", 3, 11, None)], "common", ["common"], "admit", 1),
        ([("title", 0, 1, "opt_out"), ("alt", 0, 1, "bad_text")], "bad_text", [], "collect", 1),
        ([("alt", 0, 1, "opt_out"), ("alt", 0, 1, "bad_text")], "opt_out", [], "collect", 0),
        ([("alt", 0, 1, "opt_out"), ("title", 0, 1, None)], "no_zh", ["no_zh"], "collect", 1),
        ([("zz", 0, 1, "opt_out"), (None, 0, 1, "bad_text")], "bad_text", [], "collect", 1),
    ],
)
def test_image_falls_for_the_reason_of_the_text_that_stood_longest(
    rows: list[tuple[str | None, int, int, str | None]],
    reason: str | None,
    failed: list[str] | None,
    stage: str | None,
    decider: int,
) -> None:
    rules = rules_of(CANDIDATE_RULES)
    others = [("0", "alt", 3, 1, None)]
    table = candidates_of([*others, *[("1", *row) for row in rows], ("2", "alt", 3, 1, None)])
    falls = fell_by_texts(judge_candidates(table, rules, ENGINE), rules)
    assert falls["uid"].to_pylist() == ["0", "1", "2"]
    assert falls["num_rows"].to_pylist() == [1, len(rows), 1]
    found = falls.to_pylist()[1]
    assert (found["drop_reason"], found["failed_rules"], found["dropped_at"]) == (reason, failed, stage)
    assert (found["first_row"], found["decider"]) == (1, 1 + decider)
    assert (found["num_standing"] == 0) == (reason is not None)


def test_no_candidates_make_no_samples() -> None:
    rules = rules_of(CANDIDATE_RULES)
    judged = judge_candidates(candidates_of([]), rules, ENGINE)
    assert fell_by_texts(judged, rules).num_rows == 0
    assert fell_by_texts(judge_candidates(candidates_of([]), [], ENGINE), []).num_rows == 0


candidate_rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["alt", "title", "caption", "zz"]),
        st.sampled_from([None, 0, 3, 9]),
        st.sampled_from([1, 99]),
        st.sampled_from([None, None, None, "bad_text", "opt_out"]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(candidate_rows)
def test_verdicts_agree_with_the_rules_read_word_for_word(
    rows: list[tuple[str, str | None, int | None, int, str | None]],
) -> None:
    rules = rules_of(CANDIDATE_RULES)
    rows = sorted(rows, key=lambda row: row[0])
    falls = fell_by_texts(judge_candidates(candidates_of(rows), rules, ENGINE), rules).to_pylist()
    assert [fall["uid"] for fall in falls] == sorted({row[0] for row in rows})
    for fall in falls:
        own = [_fate(row) for row in rows if row[0] == fall["uid"]]
        last = max(order for order, *_ in own)
        if last == 3:
            assert fall["drop_reason"] is None
        else:
            first = min((kind_rank(kind), n) for n, (order, kind, _) in enumerate(own) if order == last)[1]
            assert fall["drop_reason"] == own[first][2]


def _fate(row: tuple[str, str | None, int | None, int, str | None]) -> tuple[int, str, str | None]:
    _, kind, zh_chars, text_count, reason = row
    if reason is not None:
        return -1, kind or "", reason
    checks = [zh_chars is not None and zh_chars >= 1, zh_chars is not None and zh_chars < 5, text_count <= 10]
    names = list(CANDIDATE_RULES)
    return next(((n, kind or "", names[n]) for n, holds in enumerate(checks) if not holds), (3, kind or "", None))
