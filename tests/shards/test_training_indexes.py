"""Indexes of shards: offsets as a tar reader finds them, each split by itself, nothing where there are no shards."""

import json
import struct
import tarfile
from pathlib import Path

import pytest
import yaml

from shards.tars import TarWriter
from shards.training_indexes import Shard, offsets_file, training_indexes, wids_file

SHARDS = [
    Shard("shards/000000.tar", 3, 10240, "a" * 64),
    Shard("shards/000001.tar", 1, 20480, "b" * 64),
    Shard("shards/val/000000.tar", 2, 30720, "c" * 64, "val"),
]


@pytest.mark.parametrize("num_samples", [0, 1, 3])
def test_offsets_are_where_samples_begin_and_where_the_last_one_ends(tmp_path: Path, num_samples: int) -> None:
    starts, path = [], tmp_path / "a.tar"
    with TarWriter(path) as tar:
        for number in range(num_samples):
            starts.append(tar.position)
            tar.add(f"{number:032x}.jpg", bytes(700 * number))
            tar.add(f"{number:032x}.txt", b"")
        written = offsets_file(starts, tar.position)
    with tarfile.open(path) as opened:
        found = [member.offset for member in opened if member.name.endswith(".jpg")]
        assert struct.unpack(f"<{num_samples + 1}Q", written) == (*found, opened.offset)


def test_wids_gets_the_training_shards_and_what_is_held_out_has_a_file_of_its_own() -> None:
    texts = training_indexes("名 a", SHARDS, ["jpg"])
    train, val = json.loads(texts["wids.json"]), json.loads(texts["wids-val.json"])
    assert (train["wids_version"], train["name"]) == (1, "名 a")
    assert [shard["url"] for shard in train["shardlist"]] == ["shards/000000.tar", "shards/000001.tar"]
    assert val["shardlist"] == [{"url": "shards/val/000000.tar", "nsamples": 2, "filesize": 30720, "sha256": "c" * 64}]
    assert [wids_file(split) for split in ("train", "val")] == ["wids.json", "wids-val.json"]


def test_energon_gets_counts_splits_and_where_image_and_caption_are() -> None:
    texts = training_indexes("a", SHARDS, ["jpg", "png", "webp"])
    counts = json.loads(texts[".nv-meta/.info.json"])["shard_counts"]
    assert counts == {"shards/000000.tar": 3, "shards/000001.tar": 1, "shards/val/000000.tar": 2}
    assert yaml.safe_load(texts[".nv-meta/split.yaml"]) == {
        "split_parts": {
            "train": ["shards/000000.tar", "shards/000001.tar"],
            "val": ["shards/val/000000.tar"],
            "test": [],
        },
        "exclude": [],
    }
    assert yaml.safe_load(texts[".nv-meta/dataset.yaml"])["field_map"] == {"image": "jpg,png,webp", "caption": "txt"}


def test_a_release_without_shards_has_no_index() -> None:
    assert training_indexes("a", [], ["jpg"]) == {}
