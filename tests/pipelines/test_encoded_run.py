"""A run over Chinese-CLIP's files: images out of base64, stored anew, without a request."""

import base64
import json
from pathlib import Path
from typing import Any

from shards.catalog import open_catalog
from shards.schema import uid_of
from tests.pipelines.conftest import photograph, run_inline
from tests.pipelines.test_launch import release_bytes


def recipe(path: Path) -> dict[str, Any]:
    return {
        "name": "encoded",
        "source": {"kind": "shards", "layout": "chinese-clip", "paths": [str(path)]},
        "fetch": {"max_bytes": 200_000},
        "release": {"shard_size": 2, "caption": ["caption"]},
    }


def write(folder: Path, images: dict[int, bytes]) -> Path:
    folder.mkdir()
    path = folder / "valid_imgs.tsv"
    path.write_bytes(b"".join(b"%d\t%s\n" % (number, data) for number, data in images.items()))
    texts = [{"text_id": number, "text": f"第{number}张", "image_ids": [number]} for number in images]
    (folder / "valid_texts.jsonl").write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    return path


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(run) as catalog:
        answer = catalog.sql(query)
        assert answer is not None
        return answer.fetchall()


def test_images_are_decoded_and_released(tmp_path: Path) -> None:
    images = {number: base64.b64encode(photograph(number)) for number in (4, 9)}
    images |= {
        5: base64.b64encode(b"<html>"),
        6: b"not base64!",
        7: base64.b64encode(b"\x89PNG\r\n" + b"\0" * 300_000),
        8: b"",
    }
    path = write(tmp_path / "in", images)
    run_inline(recipe(path), tmp_path / "run")
    found = rows(tmp_path / "run", "SELECT url, text, drop_reason, bytes FROM manifest ORDER BY text")
    assert [(url.rpartition("/")[2], text, reason) for url, text, reason, _ in found] == [
        ("4", "第4张", None),
        ("5", "第5张", "not_an_image"),
        ("6", "第6张", "decode_error"),
        ("7", "第7张", "too_large"),
        ("8", "第8张", "empty_body"),
        ("9", "第9张", None),
    ]
    assert [size for *_, reason, size in found if reason is None] == [len(photograph(4)), len(photograph(9))]
    kept = rows(tmp_path / "run", "SELECT uid FROM manifest WHERE status = 'kept' ORDER BY url")
    assert kept == [(uid_of(f"shard:valid_imgs.tsv/{number}"),) for number in (4, 9)]


def test_the_order_of_lines_changes_no_shard(tmp_path: Path) -> None:
    images = {number: base64.b64encode(photograph(number)) for number in range(3)}
    for name, order in (("a", [0, 1, 2]), ("b", [2, 0, 1])):
        run_inline(recipe(write(tmp_path / name, {key: images[key] for key in order})), tmp_path / f"run-{name}")
    first, second = (
        {name: data for name, data in release_bytes(tmp_path / f"run-{run}").items() if name.endswith(".tar")}
        for run in "ab"
    )
    assert first == second
    assert first
