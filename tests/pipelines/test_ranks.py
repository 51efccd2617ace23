"""Rules over the rank of a pair: a text repeated on the same image falls, and with its last text its sample."""

import functools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.settings import DedupSettings
from filters.rules import PlacedRule, RuleProblem, place_rules
from pipelines.flow.ranks import judge_with_ranks
from pipelines.flow.texts import merged_texts

NAMES = pa.list_(pa.string())
TEXT = pa.struct([("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string()), ("failed_rules", NAMES)])
SAMPLES = pa.schema(
    [
        *[(name, pa.string()) for name in ("uid", "dup_group", "drop_reason")],
        *[(name, pa.int32()) for name in ("original_width", "original_height")],
        ("texts", pa.list_(TEXT)),
    ]
)
PAIR = {"repeated": "pair_rank = 1"}


def sample(uid: str, group: str | None, side: int, *words: str, reason: str | None = None) -> dict[str, Any]:
    texts = [{"kind": "alt", "text": one} for one in words]
    sides = {"original_width": side, "original_height": side}
    return {"uid": uid, "dup_group": group, "drop_reason": reason, "texts": texts} | sides


@functools.cache
def _placed(rules: tuple[tuple[str, str], ...]) -> tuple[list[PlacedRule], list[RuleProblem]]:
    return place_rules(dict(rules))


def judged(rules: dict[str, str], *rows: dict[str, Any], order: list[int] | None = None) -> list[dict[str, Any]]:
    """Rows by uid, as they were given unless `order` says otherwise, judged by the rules of dedup."""
    placed, problems = _placed(tuple(rules.items()))
    assert problems == []
    assert {rule.stage for rule in placed} <= {"dedup"}
    table = pa.Table.from_pylist([rows[place] for place in order or range(len(rows))], SAMPLES)
    judged = judge_with_ranks(table, placed, "dedup", DedupSettings(), ("dup_rank", "pair_rank"))
    return list(merged_texts(judged).sort_by("uid").to_pylist())


def fates(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Reason and survivor of each sample, reason and rank of each of its texts."""
    return [
        (
            row["drop_reason"],
            row["dup_of"],
            {text["text"]: (text["drop_reason"], text["pair_rank"]) for text in row["texts"] or []},
        )
        for row in rows
    ]


KEPT = (None, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [sample("a", "a", 9, "一"), sample("b", "a", 5, "一")],
            [(None, None, {"一": KEPT}), ("repeated", "a", {"一": ("repeated", 2)})],
        ),
        # The same image with other words stays, and so does the same text on another image.
        (
            [sample("a", "a", 9, "一"), sample("b", "a", 5, "二"), sample("c", "c", 5, "一")],
            [(None, None, {"一": KEPT}), (None, None, {"二": KEPT}), (None, None, {"一": KEPT})],
        ),
        # A sample stays with the words that nobody has before it.
        (
            [sample("a", "a", 9, "一"), sample("b", "a", 5, "一", "二"), sample("c", "a", 7, "二")],
            [
                (None, None, {"一": KEPT}),
                ("repeated", "a", {"一": ("repeated", 2), "二": ("repeated", 2)}),
                (None, None, {"二": KEPT}),
            ],
        ),
        ([sample("a", None, 9, "一"), sample("b", None, 5, "一")], [(None, None, {"一": KEPT})] * 2),
        (
            [sample("a", "a", 9, "一", reason="small"), sample("b", "a", 5, "一")],
            [("small", None, {"一": (None, None)}), (None, None, {"一": KEPT})],
        ),
    ],
)
def test_the_repeated_text_falls_and_with_its_last_text_its_sample(
    rows: list[dict[str, Any]], expected: list[tuple[Any, ...]]
) -> None:
    assert fates(judged(PAIR, *rows)) == expected
    assert fates(judged(PAIR, *rows, order=list(range(len(rows)))[::-1])) == expected


def test_a_fallen_sample_says_which_rule_and_keeps_its_words() -> None:
    rows = judged(PAIR, sample("a", "a", 9, "一"), sample("b", "a", 5, "一"))
    assert rows[1]["failed_rules"] == ["repeated"]
    assert rows[1]["dropped_at"] == "dedup"
    assert [text["text"] for text in rows[0]["texts"]] == ["一"]


def test_without_a_rule_ranks_are_told_and_nothing_falls() -> None:
    rows = judged({}, sample("a", "a", 9, "一"), sample("b", "a", 5, "一"))
    assert fates(rows) == [(None, None, {"一": KEPT}), (None, None, {"一": (None, 2)})]
    assert [row["dup_rank"] for row in rows] == [1, 2]


def test_pairs_are_ranked_among_what_an_earlier_rule_left() -> None:
    rules = {"wide": "original_width < 9 OR dup_rank > 9", **PAIR}
    found = fates(judged(rules, sample("a", "a", 9, "一"), sample("b", "a", 5, "一")))
    assert found == [("wide", None, {"一": (None, None)}), (None, None, {"一": KEPT})]


def test_after_pairs_the_rest_of_a_group_may_fall_and_hand_on_its_words() -> None:
    rows = judged(
        PAIR | {"near": "dup_rank = 1"},
        sample("a", "a", 9, "一"),
        sample("b", "a", 5, "一", "二"),
        sample("c", "a", 3, "二"),
    )
    assert [(row["drop_reason"], row["dup_of"]) for row in rows] == [(None, None), ("near", "a"), ("repeated", "b")]
    assert [text["text"] for text in rows[0]["texts"]] == ["一", "二"]


def test_nobody_survives_himself() -> None:
    rows = judged({"none": "pair_rank = 1 AND text <> '一'"}, sample("a", "a", 9, "一"), sample("b", "a", 5, "一"))
    assert [(row["drop_reason"], row["dup_of"]) for row in rows] == [("none", None), ("none", "a")]


some_rows = st.lists(
    st.tuples(
        st.sampled_from([None, "g", "h"]),
        st.integers(1, 3),
        st.sets(st.sampled_from(["一", "二", "三"]), min_size=1),
        st.sampled_from([None, None, "small"]),
    ),
    max_size=7,
)


@settings(max_examples=12, deadline=None)  # each opens two connections
@given(some_rows, st.randoms())
def test_every_pair_that_stood_is_kept_once_whatever_the_order(values: Any, random: Any) -> None:
    rows = [
        sample(f"{number:02d}", group, side, *sorted(words), reason=reason)
        for number, (group, side, words, reason) in enumerate(values)
    ]
    order = list(range(len(rows)))
    random.shuffle(order)
    found = judged(PAIR, *rows, order=order)
    assert found == judged(PAIR, *rows)
    stood = {
        (row["dup_group"] or row["uid"], t["text"]) for row in rows if not row["drop_reason"] for t in row["texts"]
    }
    kept = [
        (row["dup_group"] or row["uid"], text["text"])
        for row in found
        if row["drop_reason"] is None
        for text in row["texts"]
        if text["drop_reason"] is None
    ]
    assert sorted(kept) == sorted(stood)
    uids = {row["uid"]: row for row in found}
    for row in found:
        if row["drop_reason"] == "repeated":
            assert uids[row["dup_of"]]["drop_reason"] is None
            assert uids[row["dup_of"]]["dup_group"] == row["dup_group"]
