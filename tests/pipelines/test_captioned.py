"""Pairing of images with captions of a list: every row meets its partner, or says that it has none."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.flow.captioned import NO_IMAGE, NO_LINE, paired, uids_of_images
from shards.schema import uid_of
from shards.tables import write_table

COLUMNS = ("uid", "url", "member", "kind", "text", "drop_reason", "detail")


def image(name: str, member: str, reason: str | None = None) -> dict[str, Any]:
    url = f"shard:taisu/{name}"
    return {"uid": uid_of(url), "url": url, "member": member, "drop_reason": reason}


def line(name: str, text: str | None, reason: str | None = None) -> dict[str, Any]:
    url = f"shard:taisu/{name}"
    kind = None if text is None else "caption"
    return {"uid": uid_of(url), "url": url, "kind": kind, "text": text, "drop_reason": reason}


def bad_row(origin: str) -> dict[str, Any]:
    return {"uid": uid_of(origin), "drop_reason": "bad_row", "detail": "as it was"}


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in COLUMNS})


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([image("1", "a"), line("1", "塔")], [("a", "塔", None, None)]),
        (
            [line("1", "塔"), image("1", "b"), line("1", "湖"), image("1", "a")],
            [("a", "塔", None, None), ("a", "湖", None, None)],
        ),
        ([image("1", "a"), line("1", None)], [("a", None, None, None)]),
        ([image("1", "a")], [("a", None, "bad_text", NO_LINE)]),
        ([image("1", "b"), image("1", "a")], [("b", None, "bad_text", NO_LINE), ("a", None, "bad_text", NO_LINE)]),
        ([line("1", "塔")], [(None, "塔", "bad_row", NO_IMAGE)]),
        ([line("1", None, "bad_text"), image("1", "a")], [("a", None, "bad_text", None)]),
        ([line("1", None, "bad_text")], [(None, None, "bad_text", None)]),
        (
            [image("1", "a", "worker_oom"), line("1", "塔")],
            [("a", None, "worker_oom", None), (None, "塔", "bad_row", NO_IMAGE)],
        ),
        (
            [bad_row("a.tar:+"), image("1", "a"), line("1", "塔")],
            [(None, None, "bad_row", "as it was"), ("a", "塔", None, None)],
        ),
    ],
)
def test_each_row_has_its_partner_or_a_reason(rows: list[dict[str, Any]], expected: list[Any]) -> None:
    found = paired(table_of(rows)).to_pylist()
    assert [(row["member"], row["text"], row["drop_reason"], row["detail"]) for row in found] == expected


def test_the_order_of_rows_decides_nothing() -> None:
    rows = [image(str(n), f"{n}") for n in range(0, 60, 2)] + [line(str(n), f"第{n % 7}张") for n in range(0, 60, 3)]
    rows += [image("0", "again"), line("6", "又一张"), bad_row("x:1")]
    shuffled = random.Random(1).sample(rows, len(rows))
    sorting = [(name, "ascending") for name in COLUMNS]
    assert paired(table_of(shuffled)).sort_by(sorting) == paired(table_of(rows)).sort_by(sorting)


def test_the_images_of_some_parts_are_told_from_what_is_none(tmp_path: Path) -> None:
    write_table(tmp_path / "0.parquet", table_of([image("1", "a"), bad_row("a.tar:+")]))
    write_table(tmp_path / "1.parquet", table_of([image("3", "a"), line("5", "塔")]))
    found = uids_of_images([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    assert found.to_pylist() == [uid_of("shard:taisu/1"), uid_of("shard:taisu/3")]
    assert len(uids_of_images([])) == 0
