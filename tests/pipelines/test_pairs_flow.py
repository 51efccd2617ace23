"""Pairs through a run, as COYO has them: the same image stays with other words, and by either hash."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.checks import checked_plan
from pipelines.flow import duplicates
from pipelines.outlook import describe_plan
from pipelines.why import tell_story
from shards.catalog import committed_files
from shards.storage import sha256_of
from shards.tables import read_rows
from tests.crawler.conftest import Server, serve
from tests.pipelines.conftest import InlinePool, photograph, run_inline, table_recipe, write_csv

PAIR = {"repeated": "pair_rank = 1"}


@dataclass(frozen=True)
class Wall:
    """One picture in three sizes, and another, each under the same words; the middle one has others too."""

    server: Server
    folder: Path

    def recipe(self, rules: dict[str, str], **sections: Any) -> dict[str, Any]:
        rows = [(self.server.url(f"/{name}.png"), "长城") for name in ("big", "middle", "little", "other")]
        rows.append((self.server.url("/middle.png"), "城墙"))
        given = {"network": {"allow_private": [self.server.address]}} | sections
        return table_recipe(write_csv(self.folder / "t.csv", rows), rules, **given)

    def manifest(self, rules: dict[str, str], **sections: Any) -> dict[str, dict[str, Any]]:
        """By name of the image. The folder keeps what is fetched and measured for the next recipe."""
        run = self.folder / "run"
        run_inline(self.recipe(rules, **sections), run)
        rows = [row for path in committed_files(run, "release", "manifest") for row in read_rows(path).to_pylist()]
        return {row["url"].rpartition("/")[2].removesuffix(".png"): row for row in rows}

    def files(self) -> dict[str, str]:
        """Digests of what was released."""
        release = self.folder / "run" / "release"
        return {path.name: sha256_of(path) for path in release.rglob("*") if path.suffix in (".parquet", ".tar")}


@pytest.fixture
def wall(tmp_path: Path) -> Iterator[Wall]:
    server = Server()
    for name, seed, side in (("big", 0, 400), ("middle", 0, 320), ("little", 0, 256), ("other", 1, 256)):
        server.pages[f"/{name}.png"] = serve(photograph(seed, side, side))
    yield Wall(server, tmp_path)
    server.close()


def fates(rows: dict[str, dict[str, Any]]) -> dict[str, tuple[str | None, list[tuple[str, str | None]]]]:
    return {
        name: (row["drop_reason"], [(text["text"], text["drop_reason"]) for text in row["texts"]])
        for name, row in rows.items()
    }


EXPECTED = {
    "big": (None, [("长城", None)]),
    "middle": (None, [("城墙", None), ("长城", "repeated")]),
    "little": ("repeated", [("长城", "repeated")]),
    "other": (None, [("长城", None)]),
}


def test_the_same_image_stays_once_with_the_same_words_and_again_with_others(
    wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = wall.manifest(PAIR)
    assert fates(rows) == EXPECTED
    assert {name: (row["text"], row["pair_rank"]) for name, row in rows.items() if row["status"] == "kept"} == {
        **dict.fromkeys(("big", "other"), ("长城", 1)),
        "middle": ("城墙", 1),
    }
    assert rows["little"]["dup_of"] == rows["big"]["uid"]
    lines = tell_story(wall.folder / "run", wall.server.url("/little.png")).splitlines()
    assert lines[2:4] == [
        "  dropped     at dedup: repeated, the rule `pair_rank = 1`",
        "              pair_rank of caption '长城' = 3",
    ]
    assert lines[4].startswith(f"  duplicate   of {wall.server.url('/big.png')} (uid ")
    files = wall.files()
    monkeypatch.setattr(duplicates, "buckets_for", lambda rows: 3)
    wall.manifest(PAIR)
    assert wall.files() == files


def test_a_rule_over_the_group_hands_on_words_and_one_over_pairs_does_not(wall: Wall) -> None:
    near = wall.manifest({"near": "dup_rank = 1"}, measures=["pair_rank"])
    assert {name for name, row in near.items() if row["status"] == "kept"} == {"big", "other"}
    assert [text["text"] for text in near["big"]["texts"]] == ["城墙", "长城"]
    both = wall.manifest({**PAIR, "near": "dup_rank = 1"})
    assert {name: row["drop_reason"] for name, row in both.items()} == {
        **{"big": None, "middle": "near", "little": "repeated", "other": None}
    }
    assert [text["text"] for text in both["big"]["texts"]] == ["城墙", "长城"]


def test_the_best_score_of_the_pair_decides_after_scoring(wall: Wall) -> None:
    pytest.importorskip("torch", reason="the clip extra is not installed")
    score = {"model": "local-dir:package:pipelines/demo/scorer", "pretrained": None}
    given = {"score": score, "dedup": {"keep": "best_score"}}
    rows = wall.manifest(PAIR, **given)
    of_wall = {
        name: next(text for text in rows[name]["texts"] if text["text"] == "长城")
        for name in ("big", "middle", "little")
    }
    best = min(of_wall, key=lambda name: (-of_wall[name]["clip_score"], rows[name]["uid"]))
    assert {name for name, text in of_wall.items() if text["drop_reason"] is None} == {best}
    assert {name for name, row in rows.items() if row["status"] == "kept"} == {best, "middle", "other"}
    plan = describe_plan(checked_plan(wall.recipe(PAIR, **given), "test"))
    assert "pair_rank: " in plan.partition("select ")[2]


def test_the_plan_says_where_pairs_are_ranked_and_by_which_hash(wall: Wall) -> None:
    plan = describe_plan(checked_plan(wall.recipe(PAIR, dedup={"hash": "dhash"}), "test"))
    measured, _, dedup = plan.partition("dedup ")
    assert "dhash: " in measured
    assert "phash: " not in plan
    assert "pair_rank: " in dedup
    assert "repeated: pair_rank = 1 [text]" in dedup


def test_dhash_finds_the_same_groups_and_measures_nothing_else(wall: Wall) -> None:
    by_phash = wall.manifest(PAIR)
    pool = InlinePool()
    run_inline(wall.recipe(PAIR, dedup={"hash": "dhash"}), wall.folder / "run", pool)
    assert "fetch" not in pool.steps()
    assert {"measure", "dedup-shuffle", "dedup-groups"} <= set(pool.steps())
    by_dhash = wall.manifest(PAIR, dedup={"hash": "dhash"})
    assert fates(by_dhash) == fates(by_phash) == EXPECTED
    assert {row["dup_group"] for row in by_dhash.values()} == {row["dup_group"] for row in by_phash.values()}
    assert all(row["phash"] is None and row["dhash"] is not None for row in by_dhash.values())
    assert all(row["phash"] is not None and "dhash" not in row for row in by_phash.values())


def test_with_both_hashes_measured_another_choice_decodes_nothing_again(wall: Wall) -> None:
    wall.manifest(PAIR, measures=["phash", "dhash"])
    pool = InlinePool()
    run_inline(wall.recipe(PAIR, measures=["phash", "dhash"], dedup={"hash": "dhash"}), wall.folder / "run", pool)
    assert not {"fetch", "measure"} & set(pool.steps())
    assert "dedup-shuffle" in pool.steps()
