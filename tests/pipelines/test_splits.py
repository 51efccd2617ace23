"""Splits and subsets: whole groups held out in shards of their own, the same ones in every run, and lists of uids."""

import hashlib
import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.recipe import parse_recipe
from shards.draws import draws_of
from shards.released import ShardReader, open_release
from shards.schema import uid_of
from shards.tars import members
from tests.crawler.conftest import Server, serve
from tests.pipelines.conftest import photograph, run_inline, table_recipe, write_csv
from tests.pipelines.test_release_again import decide, digests
from tests.pipelines.verifying import change_table, faults_of, resign

NUM_PHOTOS = 18
SHARD_SIZE = 6
RULES = {"no_chinese": "zh_chars >= 1"}
SPLITS = {"val": 0.2, "test": 0.2}
SUBSETS = {"half": 0.5, "tenth": 0.1}


def alone_in_their_splits(server: Server) -> list[str]:
    """Paths of images that are held out whatever the server's port is, which uids depend on: two for each split."""
    paths = [f"/alone-{number}.png" for number in range(1_000)]
    places = draws_of(pa.array([uid_of(server.url(path)) for path in paths]), "split") / 2**64
    return [
        p
        for low in (0.0, 0.2)
        for p in [p for p, place in zip(paths, places, strict=True) if low < place < low + 0.2][:2]
    ]


class SplitRun:
    """A run that keeps near-duplicates and has splits and subsets."""

    def __init__(self, home: Path) -> None:
        server = Server()
        rows = []
        for number in range(NUM_PHOTOS):
            for shift in range(1 + number % 3):
                server.pages[f"/{number}-{shift}.png"] = serve(photograph(number, shift=shift))
                rows.append((server.url(f"/{number}-{shift}.png"), f"第{number}张照片"))
        for number, path in enumerate(alone_in_their_splits(server)):
            server.pages[path] = serve(photograph(100 + number))
            rows.append((server.url(path), f"另外第{number}张"))
        settings = {"shard_size": SHARD_SIZE, "caption": ["caption"], "splits": SPLITS, "subsets": SUBSETS}
        sections: dict[str, Any] = {"network": {"allow_private": [server.address]}, "release": settings}
        self.recipe = table_recipe(write_csv(home / "t.csv", rows), RULES, **sections)
        self.result = run_inline(self.recipe, home / "run")
        self.folder = home / "run"
        self.num = len(rows)
        server.close()

    def rows(self, kind: str = "kept") -> list[dict[str, Any]]:
        paths = sorted((self.folder / "release" / "manifest").glob(f"{kind}-*.parquet"))
        rows: list[dict[str, Any]] = pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist()
        return rows


@pytest.fixture(scope="module")
def split_run(tmp_path_factory: pytest.TempPathFactory) -> SplitRun:
    return SplitRun(tmp_path_factory.mktemp("splits"))


def test_groups_are_never_parted_and_every_kept_sample_has_one_split(split_run: SplitRun) -> None:
    rows = split_run.rows()
    assert len(rows) == len({row["uid"] for row in rows}) == split_run.num
    of_group, of_bytes = defaultdict(set), defaultdict(set)
    for row in rows:
        of_group[row["dup_group"]].add(row["split"])
        of_bytes[row["sha256"]].add(row["split"])
    assert {len(splits) for splits in (*of_group.values(), *of_bytes.values())} == {1}
    assert {split for splits in of_group.values() for split in splits} == {"train", "val", "test"}
    assert max(sum(row["dup_group"] == group for row in rows) for group in of_group) == 3


def test_a_group_s_split_is_its_leader_s_draw(split_run: SplitRun) -> None:
    for row in split_run.rows():
        place = int(draws_of(pa.array([row["dup_group"]]), "split")[0]) / 2**64
        assert row["split"] == ("val" if place < 0.2 else "test" if place < 0.4 else "train")


def test_each_split_has_full_shards_of_its_own(split_run: SplitRun) -> None:
    release, rows = split_run.folder / "release", split_run.rows()
    found = {str(path.relative_to(release / "shards")): path for path in (release / "shards").rglob("*.tar")}
    assert found.keys() == {row["shard"] for row in rows}
    for split in ("train", "val", "test"):
        names = sorted({row["shard"] for row in rows if row["split"] == split})
        folder = "" if split == "train" else f"{split}/"
        assert names == [f"{folder}{number:06d}.tar" for number in range(len(names))]
        sizes = [sum(row["shard"] == name for row in rows) for name in names]
        assert set(sizes[:-1]) <= {SHARD_SIZE}
        assert 1 <= sizes[-1] <= SHARD_SIZE
    for name, path in found.items():
        uids = [member.split(".")[0] for member, _ in members(path.read_bytes()) if member.endswith(".txt")]
        assert uids == sorted(row["uid"] for row in rows if row["shard"] == name)


def test_images_are_found_in_every_split(split_run: SplitRun) -> None:
    release = open_release(split_run.folder)
    with ShardReader() as shards:
        for batch in release.samples(["uid", "shard", "stored_format", "stored_sha256"]):
            images = list(release.images(batch, shards))
            assert [hashlib.sha256(image).hexdigest() for image in images] == batch["stored_sha256"].to_pylist()


def uids_in(path: Path) -> list[str]:
    return [f"{int(high):016x}{int(low):016x}" for high, low in np.load(path)]


def test_lists_of_uids_are_of_splits_and_of_what_is_left_for_subsets(split_run: SplitRun) -> None:
    release, rows = split_run.folder / "release", split_run.rows()
    for split in SPLITS:
        expected = sorted(row["uid"] for row in rows if row["split"] == split)
        assert uids_in(release / f"uids-{split}.npy") == expected
        assert split_run.result.stats["splits"][split]["samples"] == len(expected)
    train = {row["uid"] for row in rows if row["split"] == "train"}
    half, tenth = (uids_in(release / f"uids-{name}.npy") for name in SUBSETS)
    assert set(tenth) <= set(half) < train
    assert half == sorted(half)
    assert split_run.result.stats["subsets"] == {"half": len(half), "tenth": len(tenth)}
    assert split_run.result.stats["splits"]["train"]["samples"] == len(train)


def test_duplicates_that_lie_close_are_listed_within_their_split(split_run: SplitRun) -> None:
    rows = split_run.rows()
    listed = pq.read_table(split_run.folder / "release" / "close_duplicates.parquet").to_pylist()
    groups = {row["dup_group"] for row in rows}
    assert len(listed) == len(rows) - len(groups)  # far fewer than 10,000 samples: all neighbours are close
    split_of = {row["uid"]: row["split"] for row in rows}
    for pair in listed:
        assert split_of[pair["uid"]] == split_of[pair["next_uid"]] == pair["split"]
        assert 0 < pair["distance"] < 10_000
    assert split_run.result.stats["close_duplicates"] == len(listed)


def test_verify_and_deciding_again_go_on_working(split_run: SplitRun, tmp_path: Path) -> None:
    assert faults_of(split_run.folder) == []
    decide(split_run.folder, split_run.recipe, tmp_path / "out")
    assert digests(tmp_path / "out") == digests(split_run.folder / "release")
    assert faults_of(tmp_path / "out") == []


def test_without_splits_nothing_of_them_is_left(split_run: SplitRun, tmp_path: Path) -> None:
    shutil.copytree(split_run.folder, tmp_path / "run")
    recipe = split_run.recipe | {"release": {"shard_size": 4, "caption": ["caption"]}, "measures": ["dup_group"]}
    result = run_inline(recipe, tmp_path / "run")
    release = tmp_path / "run" / "release"
    assert result.stats["splits"] == result.stats["subsets"] == {}
    assert sorted(path.name for path in release.glob("uids*")) == ["uids.npy"]
    assert not list((release / "shards").glob("*/*.tar"))
    schema = pq.read_schema(release / "manifest" / "kept-000000.parquet")
    assert "split" not in schema.names
    assert faults_of(tmp_path / "run") == []


def moved(release: Path) -> None:
    """One of a group of three says that it is of another split, where its shard lies too."""
    for path in sorted((release / "manifest").glob("kept-*.parquet")):
        rows = pq.read_table(path).to_pylist()
        groups = [row["dup_group"] for row in rows]
        if rows[0]["split"] == "train" and max(groups.count(group) for group in groups) > 1:
            uid = next(row["uid"] for row in rows if groups.count(row["dup_group"]) > 1)
            change_table(path, partial(with_split, uid=uid, split="val"))
            return


def with_split(table: pa.Table, uid: str, split: str) -> pa.Table:
    columns = (table[name].to_pylist() for name in ("uid", "split"))
    values = [split if row == uid else old for row, old in zip(*columns, strict=True)]
    return table.set_column(table.schema.get_field_index("split"), "split", pa.array(values))


def with_other_uids(release: Path) -> None:
    shutil.copy(release / "uids-val.npy", release / "uids-test.npy")


def with_subset_of_val(release: Path) -> None:
    shutil.copy(release / "uids-val.npy", release / "uids-tenth.npy")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (moved, ["has a shard of another split", "has a near-duplicate in another split", "uids-val.npy: lacks 1 "]),
        (with_other_uids, ["uids-test.npy: lists", "uids-test.npy: lacks"]),
        (with_subset_of_val, ["uids-tenth.npy: lists"]),
    ],
)
def test_verify_finds_what_splits_must_not_be(split_run: SplitRun, tmp_path: Path, damage: Any, expected: Any) -> None:
    release = tmp_path / "copied"
    shutil.copytree(split_run.folder / "release", release, ignore=lambda *_: ["_done"])
    assert faults_of(release) == []
    damage(release)
    resign(release)
    told = "\n".join(faults_of(release))
    assert [words for words in expected if words not in told] == [], told


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"splits": {"Val": 0.1}}, "release.splits"),
        ({"splits": {"train": 0.1}}, "release.splits"),
        ({"splits": {"a": 0.6, "b": 0.4}}, "release"),
        ({"splits": {"a": 0}}, "release.splits.a"),
        ({"subsets": {"a": 1}}, "release.subsets.a"),
        ({"splits": {"a": 0.1}, "subsets": {"a": 0.1}}, "release"),
        ({"splits": {"a": True}}, "release.splits.a"),
        ({"subsets": {"../a": 0.5}}, "release.subsets"),
    ],
)
def test_shares_that_cannot_be_are_refused(settings: dict[str, Any], place: str) -> None:
    recipe, problems = parse_recipe(table_recipe(Path("t.csv")) | {"release": settings})
    assert recipe is None
    assert [problem.place for problem in problems] == [place]
