"""What score adds beside `clip_score`: of the mirrored and the masked image, of groups, heads and categories."""

import gc
import io
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from filters.clip.asked import Asked
from filters.clip.categories import Categories
from filters.clip.heads import Head
from filters.clip.scorer import Scorer
from filters.clip.settings import ScoreSettings
from filters.clip.towers import Embedded, ImageBatch, Tokens
from filters.measures import BOX_SIDES, MEASURES
from pipelines.flow.rows import put
from pipelines.flow.score_columns import with_scores
from tests.filters.clip.test_feed import PlainTowers
from tests.pipelines.test_score_flow import part

Row = Mapping[str, Any]

SIDE = 16
NAMES = ("clip_score", "clip_flip_score", "masked_clip_score", "group_text_rank", "group_image_rank")
RED, BLUE = (200, 20, 20), (20, 20, 200)


class LeftTowers(PlainTowers):
    """An image's vector is the mean colour of its left half, so that a mirrored one has another."""

    def embed_images(self, batch: ImageBatch) -> Embedded:
        self.batches.append(batch)
        pixels = batch.pixels[:, :, ::-1] if batch.is_mirrored else batch.pixels
        return np.asarray(pixels[:, :, : SIDE // 2].reshape(len(batch), -1, 3).mean(axis=1), np.float32)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    from PIL import Image

    made, buffer = Image.new("RGB", (SIDE, SIDE), left), io.BytesIO()
    made.paste(right, (SIDE // 2, 0, SIDE, SIDE))
    made.save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = [halves(RED, BLUE), halves(BLUE, RED), halves((30, 200, 60), RED), halves(BLUE, BLUE), halves(RED, RED)]
TEXTS = [["abc"], ["bcd", "xyz"], ["cde"], ["def"], ["efg"]]
HEAD = Head("aesthetic", ((np.array([[10.0, 0.0, 0.0]]), np.array([0.5])),), "none", "linear", "0" * 64)
CATEGORIES = Categories(("红", "绿", "蓝"), np.eye(3))
WRITING = {"x": 0.0, "y": 0.0, "w": 0.5, "h": 0.5}


def made_part(folder: Path, boxes: Sequence[Any] | None = None) -> tuple[pa.Table, Path]:
    table, tar = part(folder, IMAGES, TEXTS, SIDE)
    kind = pa.list_(pa.struct([(side, pa.float64()) for side in BOX_SIDES]))
    return put(table, "text_boxes", pa.array(boxes or [None] * len(IMAGES), kind)), tar


def scorer(towers: PlainTowers | None = None, batch_size: int = 2) -> Scorer:
    return Scorer(towers or LeftTowers(side=SIDE), ScoreSettings(batch_size=batch_size, decode_threads=2))


def asked(*names: str, **others: Any) -> Asked:
    return replace(Asked(frozenset({"clip_score", *names}), group_size=2), **others)


def told(table: pa.Table, name: str) -> list[list[Any]]:
    return [[text[name] for text in own] for own in table["texts"].to_pylist()]


def test_nothing_is_added_that_is_not_asked_for(tmp_path: Path) -> None:
    towers = LeftTowers(side=SIDE)
    table, _ = with_scores(*made_part(tmp_path), scorer(towers))
    assert [field.name for field in table.schema.field("texts").type.value_type][-1] == "clip_score"
    assert table.column_names == made_part(tmp_path)[0].column_names
    assert len(towers.batches) == 3
    assert not any(batch.is_mirrored for batch in towers.batches)


def test_mirrored_score_is_that_of_the_other_way_round(tmp_path: Path) -> None:
    table, vectors = with_scores(*made_part(tmp_path), scorer(), asked("clip_flip_score"))
    scores, mirrored = told(table, "clip_score"), told(table, "clip_flip_score")
    assert vectors.shape == (5, 3)
    assert mirrored[0][0] != scores[0][0]
    assert mirrored[3:] == scores[3:]  # the same on both sides
    (swapped, _) = with_scores(*part(tmp_path, [halves(BLUE, RED)], [["abc"]], SIDE), scorer())
    assert told(swapped, "clip_score") == [mirrored[0]]


def test_masked_score_is_of_the_image_without_its_writing(tmp_path: Path) -> None:
    boxes = [[WRITING], [], None, [{"x": 0.0, "y": 0.0, "w": 0.0, "h": 0.1}], [WRITING]]
    towers = LeftTowers(side=SIDE)
    table, _ = with_scores(*made_part(tmp_path, boxes), scorer(towers), asked("masked_clip_score"))
    scores, masked = told(table, "clip_score"), told(table, "masked_clip_score")
    assert masked[1] == scores[1]  # there is none
    assert masked[2] == [None, None]  # nobody looked
    assert masked[3:] == scores[3:]  # a box of nothing; and one like all around it
    assert masked[0][0] != scores[0][0]  # beside red stands blue
    assert [len(batch) for batch in towers.batches] == [2, 2, 1, 2, 1]


def test_masked_score_needs_the_boxes_that_measure_stored() -> None:
    assert "text_boxes" in MEASURES["masked_clip_score"].needs


def test_ranks_are_of_neighbours_by_uid_whatever_the_order_of_rows(tmp_path: Path) -> None:
    table, tar = made_part(tmp_path)
    names = ("group_text_rank", "group_image_rank")
    straight, _ = with_scores(table, tar, scorer(), asked(*names))
    order = pa.array([3, 0, 4, 2, 1])
    mixed, _ = with_scores(table.take(order), tar, scorer(), asked(*names))
    for name in names:
        assert straight.schema.field("texts").type.value_type.field(name).type == pa.int32()
        assert told(straight.take(order), name) == told(mixed, name)
        assert {type(own[0]) for own in told(straight, name)} == {int}
        assert {own[-1] for own in told(straight, name)} == {None}  # fell before


def test_heads_and_categories_are_columns_of_images(tmp_path: Path) -> None:
    every = asked(
        "aesthetic", "zero_shot_category", "zero_shot_score", heads={"aesthetic": HEAD}, categories=CATEGORIES
    )
    table, vectors = with_scores(*made_part(tmp_path), scorer(), every)
    assert table["zero_shot_category"].to_pylist() == ["红", "蓝", "绿", "蓝", "红"]
    np.testing.assert_allclose(table["aesthetic"].to_numpy(), 0.5 + 10 * vectors[:, 0], atol=1e-4)
    np.testing.assert_allclose(table["zero_shot_score"].to_numpy(), vectors.max(axis=1), atol=1e-4)
    assert [table.schema.field(name).type for name in ("aesthetic", "zero_shot_category")] == [
        pa.float64(),
        pa.string(),
    ]


EVERYTHING = asked(
    *NAMES, "aesthetic", "zero_shot_category", "zero_shot_score", heads={"aesthetic": HEAD}, categories=CATEGORIES
)
OF_IMAGES = ("aesthetic", "zero_shot_category", "zero_shot_score")
BOXES = [[WRITING], [], [WRITING], [WRITING], None]


def rows_of(table: pa.Table) -> list[Row]:
    columns = ["uid", "texts", *OF_IMAGES]
    rows: list[Row] = table.select(columns).to_pylist()
    return rows


def test_sample_that_does_not_stand_has_none_of_it(tmp_path: Path) -> None:
    table, tar = made_part(tmp_path, BOXES)
    fell = put(table, "drop_reason", pa.array([None, "too_small", None, None, "plain"], pa.string()))
    made, _ = with_scores(fell, tar, scorer(), EVERYTHING)
    for row in (1, 4):
        assert {made[name][row].as_py() for name in OF_IMAGES} == {None}
        assert {text[name] for text in made["texts"][row].as_py() for name in NAMES} == {None}
    assert made["aesthetic"].null_count == 2
    nobody = put(table, "drop_reason", pa.array(["plain"] * 5, pa.string()))
    none, vectors = with_scores(nobody, tar, scorer(), EVERYTHING)
    assert {none[name].null_count for name in OF_IMAGES} == {5}
    assert len(vectors) == 0


@pytest.mark.parametrize("row", [0, 1, 3])
def test_damaged_copy_changes_nothing_of_others_but_a_rank_that_it_took(tmp_path: Path, row: int) -> None:
    table, tar = made_part(tmp_path, BOXES)
    alone = replace(EVERYTHING, names=EVERYTHING.names - {"group_text_rank", "group_image_rank"})
    whole, _ = with_scores(table, tar, scorer(), alone)
    ranked, _ = with_scores(table, tar, scorer(), EVERYTHING)
    data = bytearray(tar.read_bytes())
    data[table["tar_offset"][row].as_py() + 20] ^= 255
    tar.write_bytes(data)
    made, _ = with_scores(table, tar, scorer(), alone)
    assert made["drop_reason"].to_pylist() == [None if place != row else "hash_mismatch" for place in range(5)]
    others = [place for place in range(5) if place != row]
    assert [rows_of(made)[place] for place in others] == [rows_of(whole)[place] for place in others]
    assert {text[name] for text in made["texts"][row].as_py() for name in NAMES[:3]} == {None}
    again, _ = with_scores(table, tar, scorer(), EVERYTHING)
    for name in ("group_text_rank", "group_image_rank"):
        pairs = zip(told(again, name), told(ranked, name), strict=True)
        assert all((new or 0) <= (old or 0) for own, had in pairs for new, old in zip(own, had, strict=True))


def test_embedding_that_is_no_number_leaves_all_of_its_image_null(tmp_path: Path) -> None:
    class Broken(LeftTowers):
        def embed_images(self, batch: ImageBatch) -> Embedded:
            vectors = super().embed_images(batch)
            return np.where(vectors[:, 1:2] > 100, np.nan, vectors).astype(np.float32)  # the third is green

    made, _ = with_scores(*made_part(tmp_path, BOXES), scorer(Broken(side=SIDE)), EVERYTHING)
    assert made["drop_reason"].null_count == 5
    assert [made[name][2].as_py() for name in OF_IMAGES] == [None] * 3
    first = made["texts"][2].as_py()[0]
    assert first["clip_score"] is None
    assert [first[name] for name in NAMES[3:]] == [None, None]
    assert made["aesthetic"].null_count == 1


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_of_other_sizes_say_the_same(tmp_path: Path, batch_size: int) -> None:
    table, tar = made_part(tmp_path, BOXES)
    one, _ = with_scores(table, tar, scorer(), EVERYTHING)
    other, _ = with_scores(table, tar, scorer(batch_size=batch_size), EVERYTHING)
    assert rows_of(other) == rows_of(one)


class Forgetful(LeftTowers):
    """Remembers nothing of what it was asked."""

    def embed_images(self, batch: ImageBatch) -> Embedded:
        vectors = super().embed_images(batch)
        self.batches.clear()
        return vectors

    def tokens(self, texts: Sequence[str]) -> Tokens:
        made = super().tokens(texts)
        self.texts.clear()
        return made


def test_memory_does_not_grow_with_the_number_of_parts(tmp_path: Path) -> None:
    table, tar = made_part(tmp_path, BOXES)
    many, one = table.take(pa.array(np.arange(60) % 5)), scorer(Forgetful(side=SIDE), batch_size=16)

    def held_after(num_parts: int) -> int:
        for _ in range(num_parts):
            with_scores(many, tar, one, EVERYTHING)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] + int(pa.total_allocated_bytes())

    tracemalloc.start()
    try:
        held_after(2)  # what is made once: caches, threads
        first = held_after(1)
        assert held_after(4) - first < 60 * SIDE * SIDE * 3  # not the pixels of a single part
    finally:
        tracemalloc.stop()
