"""The score stage over stored copies: damage names its row, and nothing but the part decides a score."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.clip.scorer import Scorer
from filters.clip.settings import ScoreSettings
from filters.clip.towers import Embedded, ImageBatch
from pipelines.checks import checked_plan
from pipelines.demo.train import SCORER_FOLDER
from pipelines.flow.embeddings import embedding_rows
from pipelines.flow.score import steps
from pipelines.flow.score_columns import with_scores
from pipelines.flow.stored import StoredCopies
from pipelines.tasks import Batch, Context, Flow, RowFilter, Task
from shards.errors import BrokenRunError, UsageError
from shards.parts import StepFolder
from shards.schema import uid_of
from shards.tars import TarWriter
from tests.crawler.conftest import Server, serve
from tests.filters.clip.test_feed import PlainTowers
from tests.filters.clip.test_heads import saved, weights
from tests.pipelines.conftest import (
    FinishedRun,
    InlinePool,
    run_inline,
    table_recipe,
    write_csv,
)
from tests.pipelines.test_release_again import manifest


def jpeg(level: int, side: int = 16) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (level, 255 - level, 7)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def part(
    folder: Path, images: Sequence[bytes], texts: Sequence[Sequence[str]], side: int = 16
) -> tuple[pa.Table, Path]:
    """The rows and the tar of a part whose samples stand, each with its texts; the last text of each has fallen."""
    path = folder / "part.tar"
    uids = sorted(uid_of(f"http://a.cn/{number}") for number in range(len(images)))
    with TarWriter(path) as tar:
        offsets = [tar.add(f"{uid}.jpg", image) for uid, image in zip(uids, images, strict=True)]
    rows = [[{"kind": "alt", "text": text, "drop_reason": None} for text in own] for own in texts]
    fallen = {"kind": "title", "text": "x", "drop_reason": "too_long"}
    kind = pa.struct([("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string())])
    table = pa.table(
        {
            "uid": uids,
            "texts": pa.array([[*own, fallen] for own in rows], pa.list_(kind)),
            **{name: pa.nulls(len(images), pa.string()) for name in ("drop_reason", "dropped_at", "detail")},
            "tar_offset": offsets,
            "tar_bytes": [len(image) for image in images],
            "stored_sha256": [hashlib.sha256(image).hexdigest() for image in images],
            **{name: pa.array([side] * len(images), pa.int32()) for name in ("height", "width")},
        }
    )
    return table, path


def plain_scorer(towers: PlainTowers | None = None) -> Scorer:
    return Scorer(towers or PlainTowers(side=16), ScoreSettings(batch_size=2, decode_threads=2))


def scores(table: pa.Table) -> list[list[float | None]]:
    return [[text["clip_score"] for text in own] for own in table["texts"].to_pylist()]


IMAGES = [jpeg(level) for level in (0, 60, 120, 180, 240)]
TEXTS = [["一只猫"], ["", "月球"], ["塔"], [f"第{number}句" for number in range(200)], ["塔"]]


def test_each_standing_text_has_a_score_and_others_have_none(tmp_path: Path) -> None:
    table, vectors = with_scores(*part(tmp_path, IMAGES, TEXTS), plain_scorer())
    found = scores(table)
    assert [len(own) for own in found] == [2, 3, 2, 201, 2]
    assert all(own[-1] is None for own in found)
    assert all(isinstance(score, float) for own in found for score in own[:-1])
    assert table["drop_reason"].null_count == 5
    assert vectors.shape == (5, 3)


def test_samples_that_fell_before_are_left_as_they_are(tmp_path: Path) -> None:
    table, tar = part(tmp_path, IMAGES, TEXTS)
    whole, _ = with_scores(table, tar, plain_scorer())
    fell = table.set_column(2, "drop_reason", pa.array([None, "too_small", None, None, "plain"], pa.string()))
    some, vectors = with_scores(fell, tar, plain_scorer())
    expected = [own if row not in (1, 4) else [None] * len(own) for row, own in enumerate(scores(whole))]
    assert scores(some) == expected
    assert len(vectors) == 3


def test_part_without_standing_samples_needs_no_tar_entries(tmp_path: Path) -> None:
    table, tar = part(tmp_path, IMAGES, TEXTS)
    fell = table.set_column(2, "drop_reason", pa.array(["plain"] * 5))
    made, vectors = with_scores(fell, tar, plain_scorer())
    assert {score for own in scores(made) for score in own} == {None}
    assert len(vectors) == 0


def _flip(data: bytearray, table: pa.Table, row: int) -> None:
    data[table["tar_offset"][row].as_py() + 200] ^= 255


def _cut(data: bytearray, table: pa.Table, row: int) -> None:
    del data[table["tar_offset"][row].as_py() + 100 :]


@pytest.mark.parametrize(
    ("damage", "row", "lost", "detail"),
    [
        (_flip, 1, [1], "the stored copy is not what fetch wrote: its tar is damaged"),
        (_flip, 4, [4], "the stored copy is not what fetch wrote: its tar is damaged"),
        (_cut, 4, [4], "the stored copy's tar ends before it does"),
        (_cut, 3, [3, 4], "the stored copy's tar ends before it does"),
    ],
)
def test_damaged_copy_names_its_row_and_changes_no_other_score(
    tmp_path: Path, damage: Any, row: int, lost: list[int], detail: str
) -> None:
    table, tar = part(tmp_path, IMAGES, TEXTS)
    whole, all_vectors = with_scores(table, tar, plain_scorer())
    data = bytearray(tar.read_bytes())
    damage(data, table, row)
    tar.write_bytes(data)
    made, vectors = with_scores(table, tar, plain_scorer())
    fell = [place for place, reason in enumerate(made["drop_reason"].to_pylist()) if reason]
    assert fell == lost
    for place in lost:
        assert made.slice(place, 1).select(["drop_reason", "dropped_at", "detail"]).to_pylist() == [
            {"drop_reason": "hash_mismatch", "dropped_at": "score", "detail": detail}
        ]
    assert [own for place, own in enumerate(scores(made)) if place not in lost] == [
        own for place, own in enumerate(scores(whole)) if place not in lost
    ]
    np.testing.assert_array_equal(vectors, np.delete(all_vectors, lost, axis=0))


@pytest.mark.parametrize(
    ("image", "reason", "detail"),
    [
        (b"no image at all", "decode_error", "a stored copy is no image: its shard is damaged"),
        (IMAGES[2][:-60], "decode_error", "a stored copy cannot be decoded"),
        (jpeg(3, side=8), "decode_error", "the stored copy is 8x8 pixels"),
    ],
)
def test_copy_that_cannot_be_decoded_falls_alone(tmp_path: Path, image: bytes, reason: str, detail: str) -> None:
    made, vectors = with_scores(*part(tmp_path, [*IMAGES[:2], image], TEXTS[:3]), plain_scorer())
    assert made["drop_reason"].to_pylist() == [None, None, reason]
    assert made["detail"][2].as_py().startswith(detail)
    assert scores(made)[2] == [None, None]
    assert len(vectors) == 2


def test_tar_of_which_nothing_can_be_read_is_not_the_samples_fault(tmp_path: Path) -> None:
    table, tar = part(tmp_path, IMAGES, TEXTS)
    tar.write_bytes(b"")
    with pytest.raises(
        BrokenRunError, match=r"part\.tar: no stored copy in it can be decoded; the first: the stored copy's tar ends"
    ):
        with_scores(table, tar, plain_scorer())


def test_missing_tar_fails_the_part(tmp_path: Path) -> None:
    table, tar = part(tmp_path, IMAGES, TEXTS)
    with pytest.raises(FileNotFoundError):
        StoredCopies(table, tar.with_name("other.tar"))


def test_embedding_that_is_no_number_leaves_scores_and_embedding_null(tmp_path: Path) -> None:
    class Broken(PlainTowers):
        def embed_images(self, batch: ImageBatch) -> Embedded:
            vectors = super().embed_images(batch)
            return np.where(batch.pixels[:, :1, 0, 0] < 30, np.nan, vectors).astype(np.float32)

    table, vectors = with_scores(*part(tmp_path, IMAGES[:3], TEXTS[:3]), plain_scorer(Broken(side=16)))
    assert table["drop_reason"].null_count == 3
    assert [own[0] is None for own in scores(table)] == [True, False, False]
    assert embedding_rows(table["uid"], vectors)["embedding"].null_count == 1


torch = pytest.importorskip("torch", reason="the clip extra is not installed")
pytest.importorskip("skimage", reason="the demo extra is not installed")

CUT = 0.4
OF_TEXTS = ("clip_flip_score", "group_text_rank", "group_image_rank")
OF_IMAGES = ("aesthetic", "zero_shot_category", "zero_shot_score")
CATEGORIES = {"动物": ["一只猫", "一只狗"], "别的": ["月球表面"]}
NUM_PHOTOS = 9
NUM_TRUE = 5
"""The first photographs have a caption of their own, the others each that of the one before it."""


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Nine photographs of the demo in parts of four, some with a caption of another's, with all that score can say."""
    from pipelines.demo.captions import HELD_OUT
    from pipelines.demo.photos import NAMES, load_photo

    home, server = tmp_path_factory.mktemp("scored"), Server()
    for number in range(NUM_PHOTOS):
        buffer = io.BytesIO()
        load_photo(NAMES[number]).save(buffer, "PNG")
        server.pages[f"/{number}.png"] = serve(buffer.getvalue(), Content_Type="image/png")
    told = [HELD_OUT[NAMES[number - (number >= NUM_TRUE)]][0] for number in range(NUM_PHOTOS)]
    rows = [(server.url(f"/{number}.png"), text) for number, text in enumerate(told)]
    score: dict[str, Any] = {
        "model": f"local-dir:{SCORER_FOLDER}",
        "pretrained": None,
        "batch_size": 7,
        "device": "cpu",
    }
    score |= {"group_size": 4, "categories": CATEGORIES, "heads": {"aesthetic": {"path": saved(home, weights(64, 1))}}}
    rules = {"weak": f"clip_score >= {CUT}"}
    recipe = table_recipe(
        write_csv(home / "t.csv", rows), rules, network={"allow_private": [server.address]}, score=score
    )
    recipe["fetch"] = recipe["fetch"] | {"part_rows": 4}
    recipe["measures"] = [*OF_TEXTS, *OF_IMAGES]
    result = run_inline(recipe, home / "run")
    yield FinishedRun(home / "run", recipe, server, result.stats["kept"])
    server.close()


def score_files(run: Path) -> list[tuple[int, list[str]]]:
    """Of each committed score part, its number and the digests of its files."""
    return sorted((r.index, [file.sha256 for file in r.files]) for r in StepFolder(run, "score").records())


def test_scores_are_the_same_with_one_and_two_workers_and_after_a_kill(tmp_path: Path, scored: FinishedRun) -> None:
    expected = score_files(scored.folder)
    assert len(expected) == 3
    one = scored.copy(tmp_path / "one", "dedup")
    run_inline(scored.recipe, one, InlinePool(slots=1))
    assert score_files(one) == expected

    killed = scored.copy(tmp_path / "killed", "dedup")

    def die_at_the_second(task: Task, rows: RowFilter) -> None:
        if task.step == "score" and len(score_files(killed)) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_inline(scored.recipe, killed, InlinePool(slots=2, fault=die_at_the_second))
    assert len(score_files(killed)) == 1
    run_inline(scored.recipe, killed, InlinePool(slots=2))
    assert score_files(killed) == expected


@pytest.mark.parametrize("batch_size", [1, 64])
def test_batches_of_other_sizes_keep_the_same_samples(tmp_path: Path, scored: FinishedRun, batch_size: int) -> None:
    rows = manifest(scored.folder / "release")
    assert min(abs(row["clip_score"] - CUT) for row in rows) > 2e-4
    assert scored.kept == NUM_TRUE
    run = scored.copy(tmp_path, "dedup")
    run_inline(scored.recipe | {"score": scored.recipe["score"] | {"batch_size": batch_size}}, run)
    others = manifest(run / "release")
    assert [(row["uid"], row["status"]) for row in others] == [(row["uid"], row["status"]) for row in rows]
    for name, atol in (("clip_score", 2e-4), ("clip_flip_score", 2e-4), ("zero_shot_score", 2e-4), ("aesthetic", 1e-3)):
        np.testing.assert_allclose([row[name] for row in others], [row[name] for row in rows], atol=atol)
    for name in ("zero_shot_category", "group_text_rank", "group_image_rank"):
        assert [row[name] for row in others] == [row[name] for row in rows]


def test_swapped_captions_score_lower_than_true_ones(scored: FinishedRun) -> None:
    by_number = {
        int(row["url"].rpartition("/")[2][0]): row["clip_score"] for row in manifest(scored.folder / "release")
    }
    assert sorted(by_number) == list(range(NUM_PHOTOS))
    swapped = [score for number, score in by_number.items() if number >= NUM_TRUE]
    assert min(score for number, score in by_number.items() if number < NUM_TRUE) > max(swapped) + 0.2


def test_manifest_and_records_name_the_model(scored: FinishedRun) -> None:
    path = next((scored.folder / "release" / "manifest").glob("kept-*.parquet"))
    told = json.loads(pq.read_schema(path).metadata[b"scorer"])
    assert told["name"] == "local model"
    assert len(told["weights_sha256"]) == 64
    assert told["preprocessing"].startswith("shortest to 64x64, bicubic, mean [")
    assert str(SCORER_FOLDER) not in json.dumps(told)
    assert all(record.meta["scorer"] == told for record in StepFolder(scored.folder, "score").records())
    assert {name: len(head["sha256"]) for name, head in told["heads"].items()} == {"aesthetic": 64}


def test_records_tell_how_long_the_model_had_work_and_no_release_does(scored: FinishedRun) -> None:
    told = [record.meta["worked"] for record in StepFolder(scored.folder, "score").records()]
    assert [one["device"] for one in told] == ["cpu"] * 3
    assert all(0 < one["busy_s"] < one["seconds"] for one in told)
    small = [path for path in (scored.folder / "release").iterdir() if path.is_file()]
    assert not [path.name for path in small if b"busy_s" in path.read_bytes()]


def test_true_captions_come_first_in_their_groups_and_mirrored_ones_score_as_well(scored: FinishedRun) -> None:
    rows = {int(row["url"].rpartition("/")[2][0]): row for row in manifest(scored.folder / "release")}
    true, swapped = list(range(NUM_TRUE)), list(range(NUM_TRUE, NUM_PHOTOS))
    assert {rows[number]["group_text_rank"] for number in true} == {1}
    assert {rows[number]["group_image_rank"] for number in true} == {1}
    assert min(rows[n]["clip_flip_score"] for n in true) > max(rows[n]["clip_flip_score"] for n in swapped)
    assert {rows[number]["zero_shot_category"] for number in rows} <= set(CATEGORIES)
    assert None not in {rows[number][name] for number in rows for name in OF_IMAGES}


def test_recipe_that_asks_for_less_scores_nothing_again(tmp_path: Path, scored: FinishedRun) -> None:
    run = scored.copy(tmp_path, "score")
    before, pool = score_files(run), InlinePool()
    less = scored.recipe | {"measures": ["clip_flip_score"], "score": without_head(scored.recipe)}
    run_inline(less, run, pool)
    assert "score" not in pool.steps()
    assert score_files(run) == before
    names = set(manifest(run / "release")[0])
    assert "clip_flip_score" in names
    assert not names & {*OF_IMAGES, "group_text_rank"}
    path = next((run / "release" / "manifest").glob("kept-*.parquet"))
    assert "heads" not in json.loads(pq.read_schema(path).metadata[b"scorer"])


def without_head(recipe: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe["score"].items() if name != "heads"}


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"heads": {"aesthetic": {"path": "WIDE"}}}, ["score.heads.aesthetic: it takes embeddings of 65 numbers"]),
        ({"heads": {}}, ["score.heads.aesthetic: is required, because aesthetic is asked for"]),
        (
            {"heads": {"aesthetic": {"path": "/no/such"}}, "categories": {}},
            ["no file at '/no/such'", "score.categories"],
        ),
    ],
)
def test_head_that_does_not_fit_is_told_before_anything_is_fetched(
    tmp_path: Path, scored: FinishedRun, change: dict[str, Any], places: list[str]
) -> None:
    wide = saved(tmp_path, weights(65, 1))
    told = json.loads(json.dumps(change).replace("WIDE", wide))
    asked_before = len(scored.site.log)
    with pytest.raises(UsageError) as raised:
        run_inline(scored.recipe | {"score": scored.recipe["score"] | told}, tmp_path / "run")
    assert all(place in str(raised.value) for place in places)
    assert not (tmp_path / "run").exists()
    assert len(scored.site.log) == asked_before


def test_another_head_scores_again_and_the_same_elsewhere_does_not(tmp_path: Path, scored: FinishedRun) -> None:
    run = scored.copy(tmp_path, "score")
    for seed, expected in ((1, 0), (2, 3)):
        pool, folder = InlinePool(), tmp_path / f"head-{seed}"
        folder.mkdir()
        heads = {"aesthetic": {"path": saved(folder, weights(64, 1, seed=seed))}}
        run_inline(scored.recipe | {"score": scored.recipe["score"] | {"heads": heads}}, run, pool)
        assert pool.steps().count("score") == expected


def test_damaged_tar_of_a_run_loses_no_row(tmp_path: Path, scored: FinishedRun) -> None:
    run = scored.copy(tmp_path, "dedup")
    tars = sorted((run / "fetch").glob("*.tar"), key=lambda path: path.stat().st_size)
    data = bytearray(tars[-1].read_bytes())
    data[600] ^= 255
    tars[-1].write_bytes(data)
    run_inline(scored.recipe, run)
    fell = [row for row in manifest(run / "release") if row["drop_reason"] == "hash_mismatch"]
    assert len(manifest(run / "release")) == NUM_PHOTOS
    assert [row["dropped_at"] for row in fell] == ["score"]


@pytest.mark.parametrize(("device", "share"), [("auto", 0.25), ("cuda:1", 0.25), ("cpu", 0.0), ("mps", 0.0)])
def test_score_parts_ask_for_their_share_of_a_gpu(scored: FinishedRun, device: str, share: float) -> None:
    score = scored.recipe["score"] | {"device": device, "gpu_share": 0.25}
    plan = checked_plan(scored.recipe | {"score": score}, "test")
    flow = Flow(Context(scored.folder, plan, "token"))
    flow.finish(Batch("dedup", (Task("dedup", 0, "0" * 32, {"fetched": None}),)))
    ((task,),) = (batch.tasks for batch in steps(flow))
    assert (task.gpus, task.needs_gpu) == (share, device == "cuda:1")
