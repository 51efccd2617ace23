"""Runs with the demo's tiny model: embeddings beside the scores, mirror images found by them, and what `why` says."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.demo.photos import load_photo
from pipelines.flow.embeddings import read_embeddings
from pipelines.why import tell_story
from shards.catalog import committed_files, open_catalog
from shards.parts import StepFolder
from shards.tables import read_rows
from tests.crawler.conftest import Server, serve
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline, table_recipe, write_csv

for module in ("torch", "skimage", "sklearn"):
    pytest.importorskip(module, reason="the clip and demo extras are not installed")

NAMES = ("cat", "coffee", "rocket", "temple", "moon")
MIRRORED = ("cat", "coffee", "rocket")
RULES = {"weak": "clip_score >= -1", "near_duplicate": "dup_rank = 1", "alike": "sem_dup_cos < 0.95"}
SCORE = {"model": "local-dir:package:pipelines/demo/scorer", "pretrained": None, "batch_size": 4, "device": "cpu"}


def photo(name: str, is_mirrored: bool = False) -> bytes:
    """A photograph at 400 px, or its mirror image at 300: no perceptual hash takes one for the other."""
    from PIL import Image, ImageOps

    image = load_photo(name).convert("RGB")
    image.thumbnail((300, 300) if is_mirrored else (400, 400), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    (ImageOps.mirror(image) if is_mirrored else image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def scored_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    """Five photographs and three mirror images, in parts of three, with a rule over `sem_dup_cos`."""
    home, server = tmp_path_factory.mktemp("alike"), Server()
    for name in NAMES:
        server.pages[f"/{name}.png"] = serve(photo(name), Content_Type="image/png")
    for name in MIRRORED:
        server.pages[f"/{name}-mirrored.png"] = serve(photo(name, is_mirrored=True), Content_Type="image/png")
    rows = [(server.url(path), f"照片{path}") for path in server.pages if path.endswith(".png")]
    recipe = table_recipe(
        write_csv(home / "t.csv", rows), RULES, network={"allow_private": [server.address]}, score=SCORE
    )
    recipe["fetch"] |= {"part_rows": 3}
    recipe["dedup"] = {"semantic_clusters": 1}
    result = run_inline(recipe, home / "run")
    yield FinishedRun(home / "run", recipe, server, result.stats["kept"])
    server.close()


def manifest(run: Path) -> dict[str, dict[str, Any]]:
    """By path of the URL."""
    rows = pa.concat_tables([read_rows(path) for path in committed_files(run, "release", "manifest")]).to_pylist()
    return {row["url"].rpartition("/")[2].removesuffix(".png"): row for row in rows}


def test_mirror_images_fall_and_name_whom_they_resemble(scored_run: FinishedRun) -> None:
    rows = manifest(scored_run.folder)
    assert {name for name, row in rows.items() if row["drop_reason"] == "alike"} == {f"{n}-mirrored" for n in MIRRORED}
    assert scored_run.kept == len(NAMES)
    for name in MIRRORED:
        fallen = rows[f"{name}-mirrored"]
        assert 0.95 <= fallen["sem_dup_cos"] <= 1.0
        assert fallen["sem_dup_of"] == rows[name]["uid"]
        assert fallen["dup_group"] == fallen["uid"], "the hash sees another picture"
    assert all(0.0 <= rows[name]["sem_dup_cos"] < 0.95 for name in NAMES)


def test_why_names_the_cosine_and_the_other_image(scored_run: FinishedRun) -> None:
    story = tell_story(scored_run.folder, scored_run.site.url("/cat-mirrored.png"))
    assert "dropped     at select: alike, the rule `sem_dup_cos < 0.95`" in story
    assert "sem_dup_cos = 0.9" in story
    assert f"looks like  {scored_run.site.url('/cat.png')} (uid " in story


def test_embeddings_lie_beside_the_rows_and_not_in_them(scored_run: FinishedRun) -> None:
    rows, vectors = (
        committed_files(scored_run.folder, "score", "rows"),
        committed_files(scored_run.folder, "score", "embeddings"),
    )
    assert len(rows) == len(vectors) == 3
    for narrow, wide in zip(rows, vectors, strict=True):
        table = read_rows(wide)
        assert table.schema.types == [pa.string(), pa.list_(pa.float16(), 64)]
        assert "embedding" not in read_rows(narrow).column_names
        uids, halves = read_embeddings(wide)
        assert uids.to_pylist() == sorted(read_rows(narrow)["uid"].to_pylist())
        assert np.allclose(np.linalg.norm(halves.astype(np.float64), axis=1), 1.0, atol=1e-3)
    with open_catalog(scored_run.folder) as catalog:
        assert "embedding" not in catalog.sql("FROM scores").columns


def without(recipe: dict[str, Any], rule: str) -> dict[str, Any]:
    return recipe | {"rules": {name: text for name, text in recipe["rules"].items() if name != rule}}


def test_a_recipe_without_the_rule_scores_nothing_anew(tmp_path: Path, scored_run: FinishedRun) -> None:
    run, pool = scored_run.copy(tmp_path), InlinePool()
    assert run_inline(without(scored_run.recipe, "alike"), run, pool).stats["kept"] == 8
    assert not {"score", "select-shuffle", "select-rows", "select-cluster"} & set(pool.steps())
    assert "sem_dup_cos" not in next(iter(manifest(run).values()))


def test_embeddings_are_stored_only_where_asked_for(tmp_path: Path, scored_run: FinishedRun) -> None:
    run = scored_run.copy(tmp_path, "dedup")
    recipe = without(scored_run.recipe, "alike") | {"rules": {}}
    run_inline(recipe | {"score": SCORE | {"embeddings": True}}, run)
    assert len(committed_files(run, "score", "embeddings")) == 3
    bare = scored_run.copy(tmp_path / "bare", "dedup")
    run_inline(without(scored_run.recipe, "alike"), bare)
    assert [record.files[0].role for record in StepFolder(bare, "score").records()] == ["rows"] * 3
    assert manifest(bare).keys() == manifest(run).keys()
