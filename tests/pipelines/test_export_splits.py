"""Exports of a release with splits: one split alone, each in files of its own, or told that they lie together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.export import WRITERS, export
from shards.errors import BrokenRunError, UsageError
from shards.hub_card import front_matter
from shards.released import open_release
from shards.tars import members
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.exports import SEVERAL, collected
from tests.pipelines.made_release import Sample, make_release
from tests.pipelines.verifying import faults_of, flipped


def made(folder: Path) -> Path:
    """Splits of 6, 2 and 1 samples, all in one shard."""
    names = ["train"] * 6 + ["val"] * 2 + ["test"]
    samples = [Sample(f"http://a.cn/{n}", [("alt", f"第{n}")], more={"split": split}) for n, split in enumerate(names)]
    return make_release(folder, samples, rows_a_file=4)


@pytest.mark.parametrize("layout", [name for name in WRITERS if name != "hf-webdataset"])
def test_one_split_alone(tmp_path: Path, layout: str) -> None:
    done = export(made(tmp_path / "r"), layout, str(tmp_path / "out"), "val")
    assert done.samples == 2
    assert not any("together" in line for line in done.losses)
    if layout == "zero":
        assert {url for url, _, _ in collected(layout, tmp_path / "out")} == {"http://a.cn/6", "http://a.cn/7"}
    if layout == "datacomp":
        assert len(np.load(tmp_path / "out" / "uids.npy")) == 2


def test_where_splits_lie_together_it_is_told(tmp_path: Path) -> None:
    done = export(made(tmp_path / "r"), "laion", str(tmp_path / "out"))
    assert done.samples == 9
    (told,) = (line for line in done.losses if "lie in it together" in line)
    assert "--split " in told
    assert {"train", "val", "test"} <= set(told.replace(",", " ").replace(":", " ").split())


def test_chinese_clip_has_files_for_each_split(tmp_path: Path) -> None:
    export(made(tmp_path / "r"), "chinese-clip", str(tmp_path / "out"))
    for split, num in (("train", 6), ("val", 2), ("test", 1)):
        for name in (f"{split}_imgs.tsv", f"{split}_texts.jsonl", f"{split}_uids.tsv"):
            assert len((tmp_path / "out" / name).read_text().splitlines()) == num
        first = json.loads((tmp_path / "out" / f"{split}_texts.jsonl").read_text().splitlines()[0])
        assert (first["text_id"], first["image_ids"]) == (1, [1])


def test_a_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    release = made(tmp_path / "r")
    with pytest.raises(UsageError, match=r"--split dev: .* has no such split, it has "):
        export(release, "zero", str(tmp_path / "out"), "dev")
    other = make_release(tmp_path / "other", SEVERAL)
    with pytest.raises(UsageError, match=r"it has none; `release.splits` makes them"):
        export(other, "zero", str(tmp_path / "out"), "val")
    ended = CliRunner().invoke(
        app, ["export", str(release), "--layout", "zero", "--split", "val", "--out", str(tmp_path / "out")]
    )
    assert ended.exit_code == 0
    assert ended.stdout.startswith("zero: 2 samples in 1 file")


def test_hf_webdataset_is_the_shards_under_a_card_that_loads_them(tmp_path: Path, finished: FinishedRun) -> None:
    done = export(finished.folder, "hf-webdataset", str(tmp_path / "out"))
    assert done.samples == finished.kept
    release = finished.folder / "release"
    for shard in sorted((release / "shards").glob("*.tar")):
        assert (tmp_path / "out" / "shards" / shard.name).read_bytes() == shard.read_bytes()
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    files = [{"split": "train", "path": "shards/*.tar"}]
    assert front["configs"] == [{"config_name": "default", "data_files": files}]
    declared = {entry["name"]: entry["dtype"] for entry in front["dataset_info"]["features"]}
    first = (release / "shards" / "000000.tar").read_bytes()
    fields = {name.split(".")[1] for name, _ in members(first)}
    assert declared.keys() == fields | {"__key__", "__url__"}
    assert declared["jpg"] == "image"
    assert declared["json"] == "json"
    assert front["pretty_name"] == front_matter(release / "README.md")["pretty_name"]
    assert faults_of(tmp_path / "out") == []


def test_hf_imagefolder_has_a_row_of_metadata_for_each_image(tmp_path: Path, finished: FinishedRun) -> None:
    export(finished.folder, "hf-imagefolder", str(tmp_path / "out"))
    release = open_release(finished.folder)
    columns = ["uid", "text", "phash", "stored_sha256", "shard"]
    expected = {row["uid"]: row for batch in release.samples(columns) for row in batch.to_pylist()}
    found = {}
    for path in sorted((tmp_path / "out" / "train").glob("*/metadata.parquet")):
        for row in pq.read_table(path).to_pylist():
            found[row["uid"]] = row
            assert path.parent.name == Path(expected[row["uid"]]["shard"]).stem
            assert (path.parent / row["file_name"]).is_file()
    assert found.keys() == expected.keys()
    for uid, row in found.items():
        assert row["text"] == expected[uid]["text"]
        assert int(row["phash"], 16) == expected[uid]["phash"]
        assert {"status", "drop_reason", "shard"}.isdisjoint(row)
        assert [text["text"] for text in row["texts"]]
    images = sorted(path.name for path in (tmp_path / "out").rglob("*.jpg"))
    assert images == sorted(row["file_name"] for row in found.values())
    assert faults_of(tmp_path / "out") == []


def test_each_split_is_one_of_the_card_s_configuration(tmp_path: Path) -> None:
    names = {"train": "000000.tar", "val": "val/000000.tar"}
    samples = [
        Sample(f"http://a.cn/{split}", [("alt", split)], more={"split": split, "shard": shard})
        for split, shard in names.items()
    ]
    release = make_release(tmp_path / "r", samples)
    (release / "shards" / "val").mkdir()
    (release / "shards" / "val" / "000000.tar").write_bytes((release / "shards" / "000000.tar").read_bytes())
    export(release, "hf-webdataset", str(tmp_path / "shards"))
    export(release, "hf-imagefolder", str(tmp_path / "images"))
    found = {}
    for out in ("shards", "images"):
        front = yaml.safe_load((tmp_path / out / "README.md").read_text().split("---\n")[1])
        found[out] = {entry["split"]: entry["path"] for entry in front["configs"][0]["data_files"]}
    assert found["shards"] == {"train": "shards/*.tar", "val": "shards/val/*.tar"}
    assert found["images"] == {"train": "train/**", "val": "val/**"}
    assert sorted(path.parent.name for path in (tmp_path / "images" / "val").rglob("*.jpg")) == ["000000"]
    export(release, "hf-webdataset", str(tmp_path / "val"), "val")
    assert [p.relative_to(tmp_path / "val").as_posix() for p in (tmp_path / "val").rglob("*.tar")] == [
        "shards/val/000000.tar"
    ]


@pytest.mark.parametrize("layout", ["hf-webdataset", "hf-imagefolder"])
def test_what_carries_images_refuses_a_release_without_or_with_other_ones(
    tmp_path: Path, finished: FinishedRun, layout: str
) -> None:
    copy = finished.copy(tmp_path) / "release"
    shard = copy / "shards" / "000000.tar"
    with flipped(shard, 600), pytest.raises(BrokenRunError, match="another sha256"):
        export(copy, layout, str(tmp_path / "out"))
    shard.rename(tmp_path / "away.tar")
    with pytest.raises(BrokenRunError, match=r"000000\.tar"):
        export(copy, layout, str(tmp_path / "out"))
    (copy / "shards").rename(tmp_path / "away")
    with pytest.raises(UsageError, match="has no shards; make them with"):
        export(copy, layout, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_card_that_cannot_be_read_adds_nothing(tmp_path: Path) -> None:
    for text in ("", "no front matter", "---\n[1]\n---\n", "---\na: [\n---\n", "---\nnever closed"):
        (tmp_path / "README.md").write_text(text)
        assert front_matter(tmp_path / "README.md") == {}
    (tmp_path / "README.md").write_bytes(b"---\n\xff\n---\n")
    assert front_matter(tmp_path / "README.md") == {}
    assert front_matter(tmp_path / "none") == {}
    (tmp_path / "README.md").write_text("---\nlicense: cc0-1.0\nconfigs: []\n---\n# x\n")
    assert front_matter(tmp_path / "README.md") == {"license": "cc0-1.0"}


def test_a_release_with_one_split_reads_that_one(tmp_path: Path) -> None:
    release = open_release(made(tmp_path / "r"))
    assert sorted(release.split_names()) == ["test", "train", "val"]
    assert replace(release, split="val").num_samples() == 2
