"""Relative measures: shares and ranks over what stands, whatever the parts it lies in."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.survivors import group_rows, pair_rows, rank_rows
from pipelines.flow.tally import percentiles, with_later, with_shares

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
    filled = with_shares(table, percentiles([scored([0.1, 0.2])]))
    assert filled["clip_pct"].to_pylist() == [0.0, 0.5, None, None]


def later_than_first(rows: pa.Table, name: str) -> pa.Table:
    """Who comes second or later of members that lie in several parts, as the flow tells it."""
    standing = rows.filter(rows["is_standing"])
    ranked = standing.append_column(name, rank_rows(standing))
    return ranked.filter(pc.greater(ranked[name], 1))


def test_the_best_score_of_a_group_ranks_first_across_parts() -> None:
    def part(uids: list[str], groups: list[str | None], scores: list[float | None], fell: list[str | None]) -> pa.Table:
        table = scored(scores, fell).append_column("uid", pa.array(uids))
        return table.append_column("dup_group", pa.array(groups, pa.string()))

    parts = [
        part(["a", "b", "x"], ["g", "g", "g"], [0.1, None, 0.9], [None, None, "early"]),
        part(["c", "d", "e"], ["g", "h", None], [0.3, 0.2, 0.1], [None, None, None]),
    ]
    later = later_than_first(pa.concat_tables([group_rows(part, "best_score") for part in parts]), "dup_rank")
    filled = [with_later(part, "dup_rank", later, "best_score")["dup_rank"].to_pylist() for part in parts]
    assert filled == [[2, 3, None], [1, 1, None]]


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
    later = later_than_first(pa.concat_tables([pair_rows(part, "best_score") for part in parts]), "pair_rank")
    told = later.select(["uid", "text", "pair_rank"])
    assert sorted(told.to_pylist(), key=lambda row: row["uid"]) == [
        {"uid": "a", "text": "一", "pair_rank": 2},
        {"uid": "d", "text": "一", "pair_rank": 3},
    ]
    filled = [with_later(part, "pair_rank", later, "best_score")["texts"].to_pylist()[0] for part in parts]
    assert [[text["pair_rank"] for text in texts] for texts in filled] == [[2, 1], [1, None], [1], [3]]


def test_without_repeats_all_pairs_rank_first() -> None:
    part = with_texts("a", "g", [("一", 0.1, None)])
    later = later_than_first(pair_rows(part, "best_score"), "pair_rank")
    assert later.num_rows == 0
    assert with_later(part, "pair_rank", later, "best_score")["texts"].to_pylist()[0][0]["pair_rank"] == 1


def test_parts_of_which_nothing_was_scored_have_no_shares() -> None:
    unscored = pa.table({"drop_reason": pa.array(["timeout", None])})
    tally = percentiles([unscored])
    assert tally.num_rows == 0
    assert with_shares(unscored, tally)["clip_pct"].to_pylist() == [None, None]
