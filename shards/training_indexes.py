"""Indexes that training loaders read beside shards: wids' JSON, energon's folder `.nv-meta`, and offsets a shard."""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

WIDS_FILE = "wids.json"
ENERGON_FOLDER = ".nv-meta"
OFFSETS_SUFFIX = ".tar.idx"
"""Beside each shard: where each of its samples begins and the last one ends, 64-bit little-endian, as energon reads."""

ENERGON_LEAVINGS = (f"{ENERGON_FOLDER}/index.sqlite", f"{ENERGON_FOLDER}/index.uuid")
"""What `energon prepare --tar-index-only` adds for access by key: SQLite's bytes differ between its versions."""

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Shard:
    """A shard as indexes name it: `name` is its path in the release."""

    name: str
    samples: int
    bytes: int
    sha256: str
    split: str = "train"


def offsets_file(starts: Iterable[int], end: int) -> bytes:
    """The bytes of a shard's `.tar.idx`: offsets of each sample's first header, then of the closing zeros."""
    offsets = [*starts, end]
    return struct.pack(f"<{len(offsets)}Q", *offsets)


def training_indexes(name: str, shards: Sequence[Shard], extensions: Sequence[str]) -> dict[str, str]:
    """File name -> text of every index of a release; none where it has no shards, since no loader takes an empty one.

    Paths are relative to the release, so that it may lie anywhere. `extensions` are those of stored copies.
    """
    if not shards:
        return {}
    of_splits = {split: [shard for shard in shards if shard.split == split] for split in _splits(shards)}
    wids = {wids_file(split): _wids(name, found) for split, found in of_splits.items() if found}
    energon = _energon(shards, extensions)
    return wids | {f"{ENERGON_FOLDER}/{file}": text for file, text in energon.items()}


def wids_file(split: str) -> str:
    """What is held out has a file of its own, so that nobody trains on it by reading the first one."""
    return WIDS_FILE if split == _SPLITS[0] else WIDS_FILE.replace(".", f"-{split}.")


def _wids(name: str, shards: Sequence[Shard]) -> str:
    """A shard a line. wids takes the folder of this file as the base; sha256 is ours, and it lets that be."""
    lines = [
        json.dumps(
            {
                "url": shard.name,
                "nsamples": shard.samples,
                "filesize": shard.bytes,
                "sha256": shard.sha256,
            }
        )
        for shard in shards
    ]
    head = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": name}
    return json.dumps(head, ensure_ascii=False)[:-1] + ', "shardlist": [\n' + ",\n".join(lines) + "\n]}\n"


def _energon(shards: Sequence[Shard], extensions: Sequence[str]) -> dict[str, str]:
    """The three files that energon's loader needs; the version of energon is left out, since none had a part in it."""
    splits = {split: [shard.name for shard in shards if shard.split == split] for split in _splits(shards)}
    dataset = {
        "sample_type": {"__module__": "megatron.energon", "__class__": "CaptioningSample"},
        "field_map": {"image": ",".join(extensions), "caption": "txt"},
    }
    counts = json.dumps({"shard_counts": {shard.name: shard.samples for shard in shards}}, indent=2)
    return {
        ".info.json": counts + "\n",
        "split.yaml": yaml.safe_dump({"split_parts": splits, "exclude": []}, sort_keys=False),
        "dataset.yaml": yaml.safe_dump(dataset, sort_keys=False),
    }


def _splits(shards: Sequence[Shard]) -> list[str]:
    """The names that energon asks for, there or not, then others in order."""
    return list(dict.fromkeys([*_SPLITS, *sorted({shard.split for shard in shards})]))
