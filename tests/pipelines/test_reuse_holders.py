"""Which rows of an earlier fetch still answer for their uids, and which parts are opened to find out."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.flow.holders import as_ranges, may_overlap, promised_sha256, still_true, uid_ranges
from pipelines.recipe import Recipe
from tests.pipelines.photo_shop import fetch, open_shop

A, B = "a" * 64, "b" * 64


def recipe_of(verify: bool = False, opt_outs: str = "obey", recheck: bool = False) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "x",
            "source": {"kind": "table", "paths": ["t.csv"], "columns": {"url": "u", "sha256": "s"}},
            "crawler": {"opt_outs": opt_outs},
            "fetch": {"verify_sha256": verify},
            "reuse": [{"run": "old", "recheck": recheck}],
        }
    )


@pytest.mark.parametrize(
    ("row", "promised", "settings", "expected"),
    [
        ({"sha256": A}, None, {}, True),
        ({"sha256": A}, A, {"verify": True}, True),
        ({"sha256": A}, B, {"verify": True}, False),
        ({"sha256": A}, B, {}, True),
        ({"sha256": A}, None, {"verify": True}, True),
        ({"drop_reason": "http_status"}, B, {"verify": True}, True),
        ({"drop_reason": "hash_mismatch"}, B, {"verify": True}, True),
        ({"drop_reason": "hash_mismatch"}, None, {"verify": True}, False),
        ({"drop_reason": "hash_mismatch"}, B, {}, False),
        ({"drop_reason": "hash_mismatch"}, None, {"recheck": True}, True),
        ({"sha256": A, "opt_out": "noai"}, None, {"opt_outs": "record"}, True),
        ({"sha256": A, "opt_out": "noai"}, None, {}, False),
        ({"drop_reason": "opt_out", "opt_out": "noai"}, None, {}, True),
        ({"drop_reason": "opt_out", "opt_out": "noai"}, None, {"opt_outs": "record"}, False),
        ({"drop_reason": "timeout", "opt_out": "noai"}, None, {}, True),
        ({"drop_reason": "timeout"}, None, {"opt_outs": "record"}, True),
    ],
)
def test_a_row_answers_while_a_fetch_of_today_would_say_the_same(
    row: dict[str, Any], promised: str | None, settings: dict[str, Any], expected: bool
) -> None:
    kinds = {"drop_reason": pa.string(), "opt_out": pa.string(), "sha256": pa.string()}
    rows = pa.table({"uid": ["0" * 32]} | {name: pa.array([row.get(name)], kind) for name, kind in kinds.items()})
    samples = pa.table({"uid": ["0" * 32], "expected_sha256": pa.array([promised], pa.string())})
    recipe = recipe_of(**settings)
    assert still_true(rows, promised_sha256(rows["uid"], samples, recipe), recipe).to_pylist() == [expected]


@pytest.mark.parametrize(
    ("some", "others", "expected"),
    [
        ([["a", "c"]], [["c", "d"]], True),
        ([["a", "c"]], [["d", "e"]], False),
        ([["a", "b"], ["e", "f"]], [["c", "d"]], False),
        ([["a", "b"], ["e", "f"]], [["c", "d"], ["f", "g"]], True),
        ([], [["a", "z"]], False),
        ([["a", "b"]], [], False),
        ([["a", "b"]], None, True),
    ],
)
def test_parts_are_opened_only_where_uids_may_meet(some: Any, others: Any, expected: bool) -> None:
    assert may_overlap(as_ranges(some) or (), as_ranges(others)) is expected


def test_ranges_are_of_the_pieces_that_hold_something() -> None:
    pieces = [pa.chunked_array([["b", "a"], ["c"]]), pa.chunked_array([[]], pa.string())]
    assert uid_ranges(pieces) == (("a", "c"),)


@pytest.mark.slow
def test_opt_outs_that_are_obeyed_later_fall_without_a_fetch_of_the_others(tmp_path: Path) -> None:
    with open_shop() as shop:
        body = shop.body(2)
        shop.server.pages["/2.png"] = lambda request: request.answer(body, headers={"X-Robots-Tag": "noai"})
        recipe = shop.recipe(tmp_path)
        lenient = recipe | {"crawler": recipe["crawler"] | {"opt_outs": "record"}}
        fetch(lenient, tmp_path / "run")
        since = shop.mark()
        fetch(recipe, tmp_path / "run")
        assert shop.asked(since) == ["/2.png"]
        fetch(lenient, tmp_path / "run")
        assert shop.asked(since) == ["/2.png"]  # the copy that was only recorded answers again
