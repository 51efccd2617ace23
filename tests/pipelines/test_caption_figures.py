"""The table that released sets print of their captions: lengths, different tokens, scripts, categories."""

import statistics
from pathlib import Path

import pyarrow as pa

from pipelines.flow.caption_figures import caption_figures
from pipelines.flow.sample_rows import StoredRows
from shards.tables import write_table


def written(folder: Path, *parts: list[tuple[str | None, str | None]]) -> list[Path]:
    paths = []
    for number, rows in enumerate(parts):
        path = folder / f"{number}.parquet"
        columns = [pa.array([row[place] for row in rows], pa.string()) for place in (0, 1)]
        write_table(path, pa.table(columns, names=["text", "category"]))
        paths.append(path)
    return paths


def test_lengths_are_those_of_all_parts_and_of_each_category(tmp_path: Path) -> None:
    rows: list[tuple[str | None, str | None]] = [
        ("湖畔的古塔", "风景"),
        ("猫", "动物"),
        (None, "动物"),
        ("cat 猫咪咪咪咪咪", "动物"),
        ("a red cup", None),
    ]
    found = caption_figures(StoredRows(written(tmp_path, rows[:2], rows[2:], []), []), ["动物", "风景", "建筑"])
    lengths = [5, 1, 7, 3]
    tokens = found["tokens"]
    assert (found["captions"], tokens["n"], tokens["median"]) == (4, 4, 3)
    assert tokens["mean"] == statistics.mean(lengths)
    assert tokens["std"] == round(statistics.pstdev(lengths), 4)
    assert sum(number for _, _, number in tokens["histogram"]) == 4
    assert found["scripts"] == {"mostly_han": 3, "some_han": 0, "no_han": 1}
    assert found["categories"]["动物"]["tokens"]["n"] == 2
    assert found["categories"]["风景"]["characters"]["mean"] == 5
    assert [found["categories"][name]["different_tokens"] for name in ("动物", "风景", "建筑")] == [3, 5, 0]
    assert found["different_tokens"] == 11
    nothing = {"characters": None, "tokens": None, "different_tokens": 0, "different_tokens_exact": True}
    assert found["categories"]["建筑"] == nothing
    assert found["tokens_measured"] is False


def test_categories_are_those_of_the_column_that_is_named(tmp_path: Path) -> None:
    columns = [pa.array(["猫咪", "古塔", "湖"]), pa.array(["a", "a", None]), pa.array(["动物", "建筑", "建筑"])]
    path = tmp_path / "kept.parquet"
    write_table(path, pa.table(columns, names=["text", "category", "keyword_category"]))
    found = caption_figures(StoredRows([path], []), ["建筑"], "keyword_category")
    assert found["categories"]["建筑"]["characters"]["n"] == 2


def test_tokens_are_as_they_were_measured_where_they_were(tmp_path: Path) -> None:
    texts = ["猫", "cat 猫", "unbelievable", None]
    columns = [pa.array(texts), pa.nulls(4, pa.string()), pa.array([1, 2, 5, None], pa.int32())]
    path = tmp_path / "kept.parquet"
    write_table(path, pa.table(columns, names=["text", "category", "num_tokens"]))
    found = caption_figures(StoredRows([path], []), [])
    assert (found["tokens"]["n"], found["tokens"]["greatest"], found["tokens"]["median"]) == (3, 5, 2)
    assert found["tokens"]["mean"] == round(8 / 3, 4)
    assert found["tokens_measured"] is True


def test_the_order_and_the_cut_of_parts_change_nothing(tmp_path: Path) -> None:
    rows: list[tuple[str | None, str | None]] = [(f"第{number}张 photo{number % 7}", "x") for number in range(50)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = caption_figures(StoredRows(written(tmp_path / "a", rows), []), ["x"])
    other = caption_figures(StoredRows(written(tmp_path / "b", rows[30:], rows[:30]), []), ["x"])
    assert one == other
