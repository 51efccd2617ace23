"""Chinese-CLIP, written: images in base64 beside their texts, as its own dataset builder reads them."""

import base64
from pathlib import Path

from shards.errors import UsageError
from shards.export_losses import Losses, standing_texts
from shards.export_text import json_line
from shards.released import Release, ShardReader

_COLUMNS = ("uid", "shard", "stored_format", "stored_sha256", "texts")


def write_chinese_clip(release: Release, folder: Path, losses: Losses) -> None:
    """`train_imgs.tsv` (number, base64), `train_texts.jsonl` (every text that stood), and which uid a number is.

    The last file and the texts' `kind` are ours: `build_lmdb_dataset.py` reads neither.
    """
    if release.manifests and not (release.folder / "shards").is_dir():
        raise UsageError(
            f"--layout chinese-clip carries images, and {release.folder} has no shards; "
            "make them with `curate release --shards`, or name a release that has them"
        )
    losses.say("no URLs: train_uids.tsv says which uid each image's number is")
    number = num_texts = 0
    with (
        (folder / "train_imgs.tsv").open("wb") as images,
        (folder / "train_texts.jsonl").open("w", encoding="utf-8", newline="") as texts,
        (folder / "train_uids.tsv").open("w", encoding="utf-8", newline="") as uids,
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
