"""Chinese-CLIP's files: images in base64 with the texts beside them, in slices, and nothing lost."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from crawler.lists.encoded_images import encoded_slices, from_base64, read_encoded
from crawler.lists.shards_source import ShardsSource
from shards.errors import BadInputError

IMAGES = {number: bytes([number]) * (40 * number) for number in (7, 3, 12)}


def write(folder: Path, images: bytes | None = None, texts: list[Any] | None = None, name: str = "train") -> Path:
    path = folder / f"{name}_imgs.tsv"
    lines = [b"%d\t%s\n" % (number, base64.b64encode(data)) for number, data in IMAGES.items()]
    path.write_bytes(b"".join(lines) if images is None else images)
    told = texts if texts is not None else [text(1, "古塔", 3), text(2, "湖畔", 7, 3)]
    lines_of_texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in told]
    (folder / f"{name}_texts.jsonl").write_text("\n".join(lines_of_texts), encoding="utf-8")
    return path


def text(number: int, words: str, *images: int) -> dict[str, Any]:
    return {"text_id": number, "text": words, "image_ids": list(images)}


def rows_of(path: Path, slice_bytes: int = 1 << 20, **said: Any) -> list[dict[str, Any]]:
    source = ShardsSource(kind="shards", layout="chinese-clip", paths=[str(path)], **said)
    pieces = encoded_slices(source.paths, slice_bytes)
    return [row for piece in pieces for batch in read_encoded(piece, source) for row in batch.to_pylist()]


def test_each_image_comes_with_its_texts_and_its_place(tmp_path: Path) -> None:
    path = write(tmp_path)
    rows = rows_of(path, strength="strong")
    assert [(row["origin"], row["url"], row["kind"], row["text"]) for row in rows] == [
        ("train_imgs.tsv:7", "shard:train_imgs.tsv/7", "caption", "湖畔"),
        ("train_imgs.tsv:3", "shard:train_imgs.tsv/3", "caption", "古塔"),
        ("train_imgs.tsv:3", "shard:train_imgs.tsv/3", "caption", "湖畔"),
        ("train_imgs.tsv:12", "shard:train_imgs.tsv/12", None, None),
    ]
    assert {row["strength"] for row in rows} == {"strong"}
    data = path.read_bytes()
    for row in rows:
        _, offset, size = row["member"].rsplit(":", 2)
        assert from_base64(data[int(offset) : int(offset) + int(size)]) == IMAGES[int(row["origin"].split(":")[1])]


def test_slices_of_any_size_give_the_same_rows(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = rows_of(path)
    for slice_bytes in (1, 50, 300, 500, 1000):
        assert rows_of(path, slice_bytes) == whole
    pieces = list(encoded_slices([str(path)], 50))
    assert len(pieces) > 2
    sizes = [path.stat().st_size, path.with_name("train_texts.jsonl").stat().st_size]
    assert sum(piece.num_bytes for piece in pieces) == sum(sizes), "what `plan` says is to be read"


def test_a_kind_that_our_export_wrote_is_read(tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path, texts=[text(1, "古塔", 3) | {"kind": "alt"}, text(2, "塔", 3)]), text_kind="title")
    assert [(row["kind"], row["text"]) for row in rows if row["text"]] == [("alt", "古塔"), ("title", "塔")]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (text(1, "塔", 3, 99), "no image has the number 99"),
        (text(1, "塔"), "names no image"),
        ({"text_id": 1, "text": "塔", "image_ids": "3"}, "image_ids are no whole numbers"),
        ({"text_id": 1, "text": "塔", "image_ids": [1.5]}, "image_ids are no whole numbers"),
        ({"text_id": 1, "text": "塔", "image_ids": [2**63]}, "image_ids are no whole numbers"),
        ({"text_id": 1, "text": None, "image_ids": [3]}, "has no text"),
        ("{broken", "not JSON"),
        ("[]", "list, not an object"),
    ],
)
def test_a_text_that_belongs_to_no_image_is_a_bad_row(tmp_path: Path, line: Any, detail: str) -> None:
    rows = rows_of(write(tmp_path, texts=[text(5, "古塔", 12), line]), slice_bytes=1)
    fallen = [row for row in rows if row["drop_reason"]]
    assert [(row["origin"], row["drop_reason"], row["url"]) for row in fallen] == [
        ("train_texts.jsonl:2", "bad_row", None)
    ]
    assert detail in fallen[0]["detail"]


def test_a_line_that_is_none_is_a_bad_row_where_it_lies(tmp_path: Path) -> None:
    path = write(tmp_path, b"1\tAAAA\n\nnonsense\nx\tAAAA\n2\tAAAA")
    assert [(row["origin"], row["drop_reason"]) for row in rows_of(path) if "imgs" in row["origin"]] == [
        ("train_imgs.tsv:1", None),
        ("train_imgs.tsv:+8", "bad_row"),
        ("train_imgs.tsv:+17", "bad_row"),
        ("train_imgs.tsv:2", None),
    ]


@pytest.mark.parametrize("data", [b"", b"<html>", b"1,AAAA\n", b"\x1f\x8b\x08"])
def test_what_is_no_table_of_images_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInputError, match="expected lines of a number, a tab"):
        rows_of(write(tmp_path, data))


def test_a_table_without_its_texts_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "train_texts.jsonl").unlink()
    with pytest.raises(BadInputError, match=r"train_texts\.jsonl: no such file"):
        rows_of(path)
    with pytest.raises(BadInputError, match="name the tables of images"):
        list(encoded_slices([str(write(tmp_path).rename(tmp_path / "train.tsv"))]))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"AAEC", b"\0\1\2"),
        (b"AAEC\r", b"\0\1\2"),
        (b"-_-_", b"\xfb\xff\xbf"),
        (b"AAE", None),
        (b"A*EC", None),
        (b"", b""),
    ],
)
def test_base64_is_read_strictly(data: bytes, expected: bytes | None) -> None:
    assert from_base64(data) == expected
