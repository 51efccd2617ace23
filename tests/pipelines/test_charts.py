"""The report's pictures as numbers: bins, bars, thresholds, and the steps of the funnel."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.rules import PlacedRule, place_rules
from pipelines.flow.figures import release_numbers
from pipelines.flow.histograms import NUM_BINS, bin_edges
from pipelines.report.charts import HEIGHT, WIDTH, Overlaps, comparisons, funnel_steps, histograms, overlaps
from shards.tables import write_table

ROWS = pa.schema(
    [
        ("status", pa.string()),
        ("dropped_at", pa.string()),
        ("drop_reason", pa.string()),
        ("failed_rules", pa.list_(pa.string())),
        ("host", pa.string()),
        ("query", pa.string()),
        ("category", pa.string()),
        ("keyword_category", pa.string()),
        ("text", pa.string()),
        ("text_kind", pa.string()),
        ("texts", pa.list_(pa.struct([("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string())]))),
        ("min_side", pa.int32()),
        ("aspect", pa.float64()),
        ("bytes", pa.int64()),
        ("entropy", pa.float64()),
        ("http_status", pa.int32()),
        ("is_animated", pa.bool_()),
        ("dup_group", pa.string()),
    ]
)


def row(reason: str | None, **values: Any) -> dict[str, Any]:
    texts = [{"kind": "alt", "text": "湖畔的古塔", "drop_reason": None}]
    status = {"status": "kept"} if reason is None else {"status": "dropped", "dropped_at": "fetch"}
    caption = {"text": "湖畔的古塔", "text_kind": "alt", "texts": texts}
    return {"host": "a.cn", **caption, "drop_reason": reason, **status, **values}


def numbers_of(
    rows: list[dict[str, Any]], rules: list[PlacedRule], folder: Path, categories_by: str = "category"
) -> dict[str, Any]:
    """Over two files, since a run has many."""
    paths = [folder / "kept.parquet", folder / "dropped.parquet"]
    for path, status in zip(paths, ("kept", "dropped"), strict=True):
        write_table(path, pa.Table.from_pylist([each for each in rows if each["status"] == status], ROWS))
    return release_numbers(paths[:1], paths[1:], rules, folder, categories_by)


RULES, _ = place_rules({"too_small": "min_side > 200", "bad_aspect": "aspect <= 3 and min_side > 100"})


def test_numbers_of_a_release_account_for_every_row(tmp_path: Path) -> None:
    rows = [
        row(None, min_side=300, aspect=1.0),
        row(None, min_side=400, aspect=2.0, host="b.cn"),
        row("too_small", min_side=100, aspect=1.5),
        row("http_status", host=None),
    ]
    numbers = numbers_of(rows, RULES, tmp_path)
    assert (numbers["samples"], numbers["kept"], numbers["dropped"], numbers["num_hosts"]) == (4, 2, 2, 2)
    assert numbers["drops"] == [
        {"stage": "fetch", "reason": "http_status", "samples": 1},
        {"stage": "fetch", "reason": "too_small", "samples": 1},
    ]
    assert numbers["text_kinds"] == [{"kind": "alt", "texts": 2, "standing": 2, "captions": 2}]
    assert [(host["host"], host["samples"], host["kept"]) for host in numbers["hosts"]] == [
        ("a.cn", 2, 1),
        ("b.cn", 1, 1),
        (None, 1, 0),
    ]
    spread = numbers["measures"]["min_side"]
    assert (spread["n"], spread["least"], spread["quartiles"][1], spread["greatest"]) == (3, 100, 300, 400)
    assert spread["histogram"] == [[0, "cut", 1], [12, "kept", 1], [18, "kept", 1]]
    assert numbers["measures"]["entropy"] is None


def test_a_release_without_rows_has_numbers_too(tmp_path: Path) -> None:
    numbers = numbers_of([], RULES, tmp_path)
    assert (numbers["samples"], numbers["drops"], numbers["hosts"]) == (0, [], [])
    assert (numbers["captions"]["captions"], numbers["captions"]["tokens"]) == (0, None)
    assert histograms(RULES, numbers["measures"]) == []
    assert funnel_steps([], 0) == []


@pytest.mark.parametrize(
    ("least", "median", "greatest", "is_whole", "scale", "num_bins"),
    [
        (1, 1, 1, True, "each", 1),
        (0, 3, 19, True, "each", 20),
        (0, 3, 20, True, "linear", 11),
        (0, 30, 99, True, "linear", 20),
        (0, 300, 400, True, "linear", 20),
        (0.0, 0.5, 1.0, False, "linear", 20),
        (2.5, 2.5, 2.5, False, "linear", 1),
        (0.0, 0.0, 9.0, False, "log", 20),
        (10, 1000, 1_000_000, True, "log", 20),
        (-5.0, 0.1, 90.0, False, "linear", 20),
    ],
)
def test_bins_suit_the_values(
    least: float, median: float, greatest: float, is_whole: bool, scale: str, num_bins: int
) -> None:
    found, edges = bin_edges(least, median, greatest, is_whole)
    assert (found, len(edges) - 1) == (scale, num_bins)
    assert edges == sorted(edges)
    assert edges[0] <= least <= greatest <= edges[-1]
    assert num_bins <= NUM_BINS


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("aspect <= 3", [("<=", 3.0)]),
        ("aspect<3.5", [("<", 3.5)]),
        ("aspect >= -1 AND aspect < 2", [(">=", -1.0), ("<", 2.0)]),
        ("min_side > 200 and aspect <= 3", [("<=", 3.0)]),
        ("aspect = 1", [("<=", 1.0), (">=", 1.0)]),
        ("min_side > 200", []),
        ("aspect <= 3 or min_side > 200", []),
        ("not aspect <= 3", []),
        ("aspect between 1 and 3", []),
        ("aspect <= min_side", []),
        ("", []),
    ],
)
def test_only_plain_comparisons_are_drawn_as_thresholds(expression: str, expected: list[tuple[str, float]]) -> None:
    assert comparisons("aspect", expression) == expected


def spread(edges: list[float], histogram: list[list[Any]], scale: str = "linear") -> dict[str, Any]:
    return {"n": 1, "edges": edges, "histogram": histogram, "scale": scale, "quartiles": [1, 1, 1]}


@pytest.mark.parametrize(
    ("expression", "scale", "edges", "places"),
    [
        ("aspect <= 3", "linear", [1.0, 5.0], [(100.0, 100.0, 100.0)]),
        ("aspect >= 3", "linear", [1.0, 5.0], [(100.0, 0.0, 100.0)]),
        ("aspect = 1", "each", [0.5, 1.5, 2.5], [(100.0, 100.0, 100.0), (0.0, 0.0, 0.0)]),
        ("aspect > 9", "log", [0.0, 99.0], [(100.0, 0.0, 100.0)]),
        ("aspect > 5", "linear", [1.0, 4.0], []),
        ("aspect > 1", "linear", [1.0, 1.0], []),
    ],
)
def test_a_threshold_lies_where_its_value_does(
    expression: str, scale: str, edges: list[float], places: list[tuple[float, float, float]]
) -> None:
    rules, _ = place_rules({"cut": expression})
    (chart,) = histograms(rules, {"aspect": spread(edges, [[0, "kept", 1]], scale)})
    assert [(cut.x, cut.rejected_x, cut.rejected_width) for cut in chart.cuts] == places


def test_bars_stand_on_each_other_and_fill_the_box() -> None:
    counts = [[0, "kept", 3], [0, "cut", 1], [1, "dropped", 2]]
    (chart,) = histograms([], {"aspect": spread([0.0, 1.0, 2.0], counts)})
    kept, cut, dropped = chart.bars
    assert (kept.fate, kept.y, kept.height) == ("kept", HEIGHT / 4, HEIGHT * 3 / 4)
    assert (cut.fate, cut.y, cut.height) == ("cut", 0, HEIGHT / 4)
    assert (dropped.x, dropped.height) == (WIDTH / 2 + 0.5, HEIGHT / 2)


def test_measures_that_rules_name_come_first_in_order_of_judgement() -> None:
    each = spread([0.0, 1.0], [[0, "kept", 1]])
    charts = histograms(RULES, {"entropy": each, "aspect": each, "bytes": None, "min_side": each})
    assert [chart.name for chart in charts] == ["min_side", "aspect", "entropy"]
    assert [rule.name for rule in charts[0].rules] == ["too_small", "bad_aspect"]


def test_bins_of_whole_numbers_hold_equally_many_of_them() -> None:
    _, edges = bin_edges(3, 20, 52, is_whole=True)
    assert {after - before for before, after in itertools.pairwise(edges)} == {3}
    assert all(edge % 1 == 0.5 for edge in edges)


def test_rules_that_fail_together_are_counted_in_pairs_and_a_web_failure_is_none() -> None:
    pairs = [
        {"a": "bad_aspect", "b": "bad_aspect", "samples": 10},
        {"a": "bad_aspect", "b": "too_small", "samples": 1},
        {"a": "plain", "b": "plain", "samples": 7},
        {"a": "too_small", "b": "too_small", "samples": 2},
    ]
    found = overlaps(RULES, pairs)
    assert found == Overlaps(("too_small", "bad_aspect"), (((2, 5), (1, 3)), ((1, 1), (10, 5))), 0)
    assert overlaps(RULES, pairs, most=1).num_left_out == 1
    assert overlaps(RULES, pairs[:1]) == Overlaps((), (), 0)


def test_overlaps_groups_words_and_statuses_are_asked_of_the_rows(tmp_path: Path) -> None:
    both = ["bad_aspect", "too_small"]
    rows = [
        row(None, dup_group="a", is_animated=False, query="古塔"),
        row("near", dup_group="a", failed_rules=["near"], is_animated=True),
        row("near", dup_group="a", failed_rules=["near"]),
        row(None, dup_group="b"),
        row("too_small", failed_rules=both[::-1]),
        row("too_small", failed_rules=both),
        row("http_status", http_status=404, text=None, text_kind=None),
    ]
    numbers = numbers_of(rows, RULES, tmp_path)
    assert numbers["overlaps"] == [
        {"a": "bad_aspect", "b": "bad_aspect", "samples": 2},
        {"a": "bad_aspect", "b": "too_small", "samples": 2},
        {"a": "near", "b": "near", "samples": 2},
        {"a": "too_small", "b": "too_small", "samples": 2},
    ]
    assert numbers["group_sizes"] == [{"from_size": 3, "groups": 1, "samples": 3, "kept": 1}]
    assert numbers["status_codes"] == [{"code": 404, "samples": 1}]
    assert numbers["kinds_an_image"] == [{"kinds": 1, "samples": 2}]
    assert numbers["words"]["is_animated"] == [
        {"value": "false", "samples": 1, "kept": 1},
        {"value": "true", "samples": 1, "kept": 0},
    ]
    assert numbers["queries"][1] == {"query": "古塔", "samples": 1, "kept": 1}
    assert (numbers["num_queries"], numbers["num_categories"]) == (1, 0)
    assert numbers["per_value"]["queries"] == {"mean": 1.0, "most": 1, "at_most": 1}
    assert numbers["per_value"]["categories"] == {"mean": None, "most": None, "at_most": 0}


def test_categories_are_counted_by_the_column_that_balances_them(tmp_path: Path) -> None:
    rows = [
        row(None, keyword_category="建筑", category="x"),
        row(None, keyword_category="动物"),
        row("too_small", keyword_category="动物"),
    ]
    numbers = numbers_of(rows, RULES, tmp_path, "keyword_category")
    assert numbers["categories_by"] == "keyword_category"
    assert numbers["categories"] == [
        {"category": "动物", "samples": 2, "kept": 1},
        {"category": "建筑", "samples": 1, "kept": 1},
    ]
    assert numbers["captions"]["categories"]["建筑"]["different_tokens"] == 5
    assert numbers["category_texts"] == {"动物": {"alt": 1}, "建筑": {"alt": 1}}


def test_a_release_without_that_column_is_counted_by_the_sources_categories(tmp_path: Path) -> None:
    numbers = numbers_of([row(None, category="x")], RULES, tmp_path, "zero_shot_category")
    assert (numbers["categories_by"], numbers["categories"][0]["category"]) == ("category", "x")


def test_the_funnel_narrows_stage_by_stage() -> None:
    funnel = [{"stage": "fetch", "samples": 1}, {"stage": "fetch", "samples": 2}, {"stage": "dedup", "samples": 3}]
    steps = funnel_steps(funnel, 12)
    assert [(step.stage, step.came, step.dropped, step.left) for step in steps] == [
        ("fetch", 12, 3, 9),
        ("dedup", 9, 3, 6),
    ]
    assert (steps[0].share_in, steps[1].share_out) == (100.0, 50.0)
