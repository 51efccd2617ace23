"""Relative measures: shares and ranks over what stands, whatever the parts it lies in."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.flow.tally import best_of_groups, percentiles, repeats_in_pairs, with_relative

SCORES = st.lists(st.none() | st.integers(-10, 10).map(lambda n: n / 10), max_size=30)


def scored(scores: list[float | None], drop: list[str | None] | None = None) -> pa.Table:
    columns = {"clip_score": pa.array(scores, pa.float64())}
    return pa.table(columns | {"drop_reason": pa.array(drop or [None] * len(scores), pa.string())})


def shares(scores: list[float | None]) -> dict[float, float]:
    tally = percentiles([scored(scores)])
    return dict(zip(tally["clip_score"].to_pylist(), tally["clip_pct"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], {}),
        ([None], {}),
        ([0.5], {0.5: 0.0}),
        ([0.1, 0.2, 0.3, 0.4], {0.1: 0.0, 0.2: 0.25, 0.3: 0.5, 0.4: 0.75}),
        ([0.1, 0.1, 0.3, 0.3], {0.1: 0.0, 0.3: 0.5}),
        ([-0.2, None, 0.2], {-0.2: 0.0, 0.2: 0.5}),
    ],
)
def test_a_share_counts_the_lower_scores(scores: list[float | None], expected: dict[float, float]) -> None:
    assert shares(scores) == expected


@given(SCORES, st.integers(1, 5))
def test_shares_do_not_depend_on_parts(scores: list[float | None], size: int) -> None:
    parts = [scored(scores[start : start + size]) for start in range(0, len(scores), size)]
    assert percentiles(parts).to_pydict() == percentiles([scored(scores)]).to_pydict()


@given(SCORES)
def test_a_share_is_what_its_definition_says(scores: list[float | None]) -> None:
    known = [score for score in scores if score is not None]
    for score, share in shares(scores).items():
        assert share == pytest.approx(sum(other < score for other in known) / len(known))


def test_a_tally_fills_only_what_stands_and_has_a_score() -> None:
    table = scored([0.1, 0.2, None, 0.2], [None, None, None, "too_small"])
    filled = with_relative(table, "clip_pct", percentiles([scored([0.1, 0.2])]))
    assert filled["clip_pct"].to_pylist() == [0.0, 0.5, None, None]


def test_the_best_score_of_a_group_ranks_first_across_parts() -> None:
    def part(uids: list[str], groups: list[str], scores: list[float | None]) -> pa.Table:
        return scored(scores).append_column("uid", pa.array(uids)).append_column("dup_group", pa.array(groups))

    tally = best_of_groups([part(["a", "b"], ["g", "g"], [0.1, None]), part(["c", "d"], ["g", "h"], [0.3, 0.2])])
    assert dict(zip(tally["uid"].to_pylist(), tally["dup_rank"].to_pylist(), strict=True)) == {
        "c": 1,
        "a": 2,
        "b": 3,
        "d": 1,
    }


PAIRS = pa.list_(pa.struct([("text", pa.string()), ("clip_score", pa.float64()), ("drop_reason", pa.string())]))


def with_texts(uid: str, group: str | None, texts: list[tuple[str, float | None, str | None]]) -> pa.Table:
    """A standing sample of one part, of its best text's score."""
    entries = [{"text": text, "clip_score": score, "drop_reason": reason} for text, score, reason in texts]
    table = scored([max((score for _, score, _ in texts if score is not None), default=None)])
    table = table.append_column("uid", pa.array([uid])).append_column("dup_group", pa.array([group], pa.string()))
    return table.append_column("texts", pa.array([entries], PAIRS))


def test_a_text_ranks_by_its_own_score_across_parts() -> None:
    parts = [
        with_texts("a", "g", [("一", 0.1, None), ("二", 0.9, None)]),
        with_texts("b", "g", [("一", 0.2, None), ("二", 0.8, "low")]),
        with_texts("c", None, [("一", 0.0, None)]),
        with_texts("d", "g", [("一", None, None)]),
    ]
    tally = repeats_in_pairs(iter(parts))
    assert sorted(tally.to_pylist(), key=lambda row: row["uid"]) == [
        {"uid": "a", "text": "一", "pair_rank": 2},
        {"uid": "d", "text": "一", "pair_rank": 3},
    ]
    filled = [with_relative(part, "pair_rank", tally)["texts"].to_pylist()[0] for part in parts]
    assert [[text["pair_rank"] for text in texts] for texts in filled] == [[2, 1], [1, None], [1], [3]]


def test_a_tally_of_pairs_without_repeats_is_empty_and_all_rank_first() -> None:
    part = with_texts("a", "g", [("一", 0.1, None)])
    tally = repeats_in_pairs([part])
    assert tally.num_rows == 0
    assert with_relative(part, "pair_rank", tally)["texts"].to_pylist()[0][0]["pair_rank"] == 1
