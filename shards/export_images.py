"""Chinese-CLIP, written: images in base64 beside their texts, as its own dataset builder reads them."""

import base64
from dataclasses import replace
from pathlib import Path

from shards.export_hub import need_shards
from shards.export_losses import Losses, standing_texts
from shards.export_text import json_line
from shards.released import Release, ShardReader

_COLUMNS = ("uid", "shard", "stored_format", "stored_sha256", "texts")


def write_chinese_clip(release: Release, folder: Path, losses: Losses) -> None:
    """`<split>_imgs.tsv` (number, base64), `<split>_texts.jsonl` (every text that stood), and which uid a number is.

    The split is `train` where the release has none. `<split>_uids.tsv` and the texts' `kind` are ours:
    `build_lmdb_dataset.py` reads neither.
    """
    need_shards(release, "chinese-clip")
    splits = release.split_names()
    losses.say(f"no URLs: {splits[0] if splits else 'train'}_uids.tsv says which uid each image's number is")
    for split in splits or ["train"]:
        _write_split(replace(release, split=split) if splits else release, split, folder, losses)


def _write_split(release: Release, split: str, folder: Path, losses: Losses) -> None:
    number = num_texts = 0
    with (
        (folder / f"{split}_imgs.tsv").open("wb") as images,
        (folder / f"{split}_texts.jsonl").open("w", encoding="utf-8", newline="") as texts,
        (folder / f"{split}_uids.tsv").open("w", encoding="utf-8", newline="") as uids,
        ShardReader() as shards,
    ):
        for batch in release.samples(_COLUMNS):
            rows = zip(
                batch.column("uid").to_pylist(), release.images(batch, shards), standing_texts(batch), strict=True
            )
            for uid, image, stood in rows:
                number += 1
                images.write(b"%d\t%s\n" % (number, base64.b64encode(image)))
                uids.write(f"{number}\t{uid}\n")
                losses.count(not stood, "samples without a text, whose images are in no pair")
                for kind, text in stood:
                    num_texts += 1
                    record = {"text_id": num_texts, "text": text, "image_ids": [number], "kind": kind}
                    texts.write(json_line(record) + "\n")
