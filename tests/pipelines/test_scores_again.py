"""A scored run decided again: scores and embeddings are taken as they lie there, and no model is looked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.demo.train import SCORER_FOLDER
from shards.errors import UsageError
from tests.crawler.conftest import Server, serve
from tests.filters.clip.test_heads import saved, weights
from tests.pipelines.conftest import FinishedRun, photograph, run_inline, table_recipe, write_csv
from tests.pipelines.test_release_again import changed, decide, digests, manifest

for module in ("torch", "skimage"):
    pytest.importorskip(module, reason="the clip and demo extras are not installed")

RULES = {
    "too_long": "zh_chars < 7",
    "weak": "clip_score >= -1",
    "near_duplicate": "dup_rank = 1",
    "lowest": "clip_pct >= 0",
    "alike": "sem_dup_cos < 0.9999",
}
NUM_PHOTOS = 6


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    """Six photographs, a copy of the first, and a text that is too long beside a short one."""
    home, server = tmp_path_factory.mktemp("scored"), Server()
    for number in range(NUM_PHOTOS):
        server.pages[f"/{number}.png"] = serve(photograph(number), Content_Type="image/png")
    server.pages["/copy.png"] = serve(photograph(0, 300, 300, shift=1), Content_Type="image/png")
    rows = [(server.url(f"/{number}.png"), f"第{number}张照片") for number in range(NUM_PHOTOS)]
    rows += [
        (server.url("/copy.png"), "同一张"),
        (server.url("/1.png"), "这是很长的一句话"),
        (server.url("/2.png"), "塔"),
    ]
    score: dict[str, Any] = {
        "model": f"local-dir:{SCORER_FOLDER}",
        "pretrained": None,
        "batch_size": 4,
        "device": "cpu",
    }
    score |= {"group_size": 3, "categories": {"一": ["照片"], "二": ["塔"]}}
    score |= {"heads": {"aesthetic": {"path": saved(home, weights(64, 1))}}}
    recipe = table_recipe(
        write_csv(home / "t.csv", rows), RULES, network={"allow_private": [server.address]}, score=score
    )
    recipe |= {"measures": ["clip_flip_score", "zero_shot_category", "aesthetic"]}
    recipe |= {"dedup": {"keep": "best_score", "merge_texts": False}, "release": {"shard_size": 2}}
    result = run_inline(recipe, home / "run")
    yield FinishedRun(home / "run", recipe, server, result.stats["kept"])
    server.close()


CASES: dict[str, dict[str, Any]] = {
    "stricter scores": {"rules": {"weak": "clip_score >= 0", "lowest": "clip_pct >= 0.4"}},
    "another who stays": {"dedup": {"keep": "largest", "merge_texts": False}},
    "less alike": {"rules": {"alike": "sem_dup_cos < 0.9"}},
    "fewer texts": {"rules": {"too_long": "zh_chars < 4"}},
    "no scores": {"rules": {"weak": None, "lowest": None, "alike": None}, "dedup": {}, "score": None, "measures": []},
    "fewer measures": {"measures": ["zero_shot_category"]},
    "a rule over a head": {"rules": {"ugly": "aesthetic >= 0"}},
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_a_run_would_release_to_the_byte(tmp_path: Path, scored: FinishedRun, case: str) -> None:
    recipe = changed(scored.recipe, CASES[case])
    before = digests(scored.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.flow.score.load_scorer", None)
        patch.setattr("pipelines.flow.score.score_identity", None)
        made = decide(scored.folder, recipe, tmp_path / "out")
    assert digests(scored.folder) == before
    assert made.lacking == {}
    run = scored.copy(tmp_path)
    run_inline(recipe, run)
    assert digests(tmp_path / "out") == digests(run / "release")


def test_a_sample_with_a_text_that_was_never_scored_is_told(tmp_path: Path, scored: FinishedRun) -> None:
    made = decide(scored.folder, changed(scored.recipe, {"rules": {"too_long": None}}), tmp_path / "out", shards=False)
    assert made.lacking == {"score": 1}
    fell = [row for row in manifest(tmp_path / "out") if row["drop_reason"] == "not_attempted"]
    assert [(row["url"].rpartition("/")[2], row["dropped_at"]) for row in fell] == [("1.png", "score")]


@pytest.mark.parametrize("name", ["model", "batch_size"])
def test_another_model_is_refused(tmp_path: Path, scored: FinishedRun, name: str) -> None:
    score = scored.recipe["score"] | {"model": "ViT-B-32", "batch_size": 8}
    one = scored.recipe["score"] | {name: score[name]}
    with pytest.raises(UsageError, match=rf"score\.{name}: is "):
        decide(scored.folder, scored.recipe | {"score": one}, tmp_path / "out")


def test_a_run_without_embeddings_cannot_compare_them(tmp_path: Path, scored: FinishedRun) -> None:
    run = scored.copy(tmp_path, "dedup")
    run_inline(changed(scored.recipe, {"rules": {"alike": None}}), run)
    with pytest.raises(UsageError, match=r"rules\.alike: needs embeddings, which"):
        decide(run, scored.recipe, tmp_path / "out")


def test_places_in_groups_hold_only_while_the_same_samples_stand(tmp_path: Path, scored: FinishedRun) -> None:
    recipe = changed(scored.recipe, {"measures": ["group_text_rank"], "rules": {"alike": None}})
    run = scored.copy(tmp_path, "dedup")
    run_inline(recipe, run)
    same = decide(run, changed(recipe, {"rules": {"weak": "group_text_rank <= 2"}}), tmp_path / "same")
    assert same.lacking == {}
    fewer = decide(run, changed(recipe, {"rules": {"too_long": "zh_chars < 4"}}), tmp_path / "fewer", shards=False)
    fell = [row for row in manifest(tmp_path / "fewer") if row["drop_reason"] == "not_attempted"]
    assert fewer.lacking == {"score": len(fell)}
    assert len(fell) > 0
    assert {row["group_text_rank"] for row in manifest(tmp_path / "same") if row["status"] == "kept"} <= {1, 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": {"一": ["照片"], "三": ["塔"]}}, r"score\.categories: is "),
        ({"heads": {"aesthetic": {"path": "other.pth"}}}, r"score\.heads\.aesthetic: is "),
    ],
)
def test_another_head_or_label_is_refused(
    tmp_path: Path, scored: FinishedRun, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        decide(scored.folder, scored.recipe | {"score": scored.recipe["score"] | change}, tmp_path / "out")


def test_settings_of_what_is_not_asked_for_may_change(tmp_path: Path, scored: FinishedRun) -> None:
    score = scored.recipe["score"] | {"group_size": 9, "decode_threads": 2}
    assert decide(scored.folder, scored.recipe | {"score": score}, tmp_path / "out", shards=False).lacking == {}
