"""Samples gathered by uid before select: each once and in order, and judged alike in whatever pieces."""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.flow import gather, selection, turns
from shards.catalog import committed_files
from shards.tables import iter_tables, read_rows
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.selecting import Selecting, scored_samples

RULES = {"weak": "clip_score >= 0.2", "lowest": "clip_pct >= 0.1", "small": "original_width * clip_pct > 40"}


def test_every_sample_is_gathered_once_in_order_of_uid(finished: FinishedRun) -> None:
    admitted = pa.concat_tables(
        [read_rows(path, ["uid", "drop_reason"]) for path in committed_files(finished.folder, "admit", "rows")]
    )
    gathered = pa.concat_tables([read_rows(path) for path in committed_files(finished.folder, "select-rows", "rows")])
    assert gathered["uid"].to_pylist() == sorted(admitted["uid"].to_pylist())
    fell_there = {row["uid"] for row in admitted.to_pylist() if row["drop_reason"] is not None}
    assert fell_there
    for row in gathered.to_pylist():
        assert (row["fetch_fingerprint"] is None) == (row["fetch_index"] is None) == (row["uid"] in fell_there)


@pytest.mark.parametrize(("num_parts", "bucket_rows", "group_rows", "piece_rows"), [(3, 100, 16, 40), (2, 240, 7, 7)])
def test_parts_ranges_and_pieces_change_no_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    num_parts: int,
    bucket_rows: int,
    group_rows: int,
    piece_rows: int,
) -> None:
    samples = scored_samples()
    whole = Selecting(tmp_path / "whole", samples, RULES).rows()
    assert {row["drop_reason"] for row in whole.values()} == {None, "too_small", "weak", "lowest", "small"}
    monkeypatch.setattr(gather, "_BUCKET_ROWS", bucket_rows)
    monkeypatch.setattr(gather, "GATHERED_ROWS", group_rows)
    monkeypatch.setattr(selection, "GATHERED_ROWS", group_rows)
    for module in (selection, turns):
        monkeypatch.setattr(module, "iter_tables", partial(iter_tables, rows_at_once=piece_rows))
    cut = Selecting(tmp_path / "cut", samples, RULES, num_parts)
    assert {uid: without_place(row) for uid, row in cut.rows().items()} == {
        uid: without_place(row) for uid, row in whole.items()
    }
    assert cut.pool.steps().count("select-rows") == -(-240 // bucket_rows)


def without_place(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if not name.startswith("fetch_")}


def test_another_rule_over_scores_gathers_nothing_anew(tmp_path: Path) -> None:
    samples = scored_samples()
    Selecting(tmp_path, samples, RULES, 2).rows()
    stricter = Selecting(tmp_path, samples, {**RULES, "weak": "clip_score >= 0.25"}, 2)
    stricter.rows()
    assert set(stricter.pool.steps()) == {"select-judge", "select-tally", "select"}
