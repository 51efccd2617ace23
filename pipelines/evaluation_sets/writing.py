"""Test sets, written: matching and retrieval as Zero has them, retrieval as Chinese-CLIP has it."""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.evaluation_sets.hard_negatives import hard_negatives, normal_text
from pipelines.evaluation_sets.verified import SampledImage, all_texts, chosen_text
from pipelines.evaluation_sets.votes import Votes
from shards.export_text import append_text, json_line
from shards.released import Release, ShardReader

IMAGES = "images"
SPLIT = "val"
"""The folder that R2D2's loaders read for `val` and for `test` alike."""

_IMAGE_COLUMNS = ("uid", "shard", "stored_format", "stored_sha256")


@dataclass
class WantedSet:
    """What goes into a test set, and what is counted while it is written."""

    release: Release
    images: Sequence[SampledImage]
    votes: Votes
    seed: int
    takes_unlabelled: bool
    counts: Counter[str] = field(default_factory=Counter)


def write_zero_matching(given: WantedSet, folder: Path) -> None:
    """`ICM/val/long_itm_val.json`, `IQM/val/short_itm_val.json`: lines of {text, image_path, label}, label 1 or 0.

    A line for each pair that matches and one for its hard negative; `verified` is ours: whether people looked at the
    pair. Long texts are all but queries; IQM is there if any image has a query.
    """
    used: set[str] = set()
    for name, prefix, texts_of in _kinds("M"):
        pairs = list(_pairs(given, name, texts_of))
        negatives = hard_negatives([image.paired(text) for image, text, _ in pairs], given.seed)
        wrong = {negative.image: negative for negative in negatives}
        lines = []
        for place, (image, text, is_verified) in enumerate(pairs):
            lines.append(_record(text, image, label=1, verified=is_verified))
            if place in wrong:
                lines.append(_record(pairs[wrong[place].text][1], image, label=0, verified=False))
                given.counts[f"{name} negatives: {_NEARNESS[wrong[place].nearness]}"] += 1
        given.counts[f"{name} pairs without a negative"] += len(pairs) - len(negatives)
        used |= {image.uid for image, _, _ in pairs}
        _write_lines(folder / name / SPLIT / f"{prefix}_itm_{SPLIT}.json", lines)
    _write_images(given.release, folder / IMAGES, used)


_NEARNESS = {"stratum": "of the same stratum", "score": "of a near score", "any": "a text that comes twice"}


def write_zero_retrieval(given: WantedSet, folder: Path) -> None:
    """`ICR/val/long_itr_val.json`, `IQR/val/short_itr_val.json`: lines of {text, image_path}, one for each image."""
    used: set[str] = set()
    for name, prefix, texts_of in _kinds("R"):
        pairs = list(_pairs(given, name, texts_of))
        lines = [_record(text, image, verified=is_verified) for image, text, is_verified in pairs]
        used |= {image.uid for image, _, _ in pairs}
        _write_lines(folder / name / SPLIT / f"{prefix}_itr_{SPLIT}.json", lines)
    _write_images(given.release, folder / IMAGES, used)


def write_clip_retrieval(given: WantedSet, folder: Path) -> None:
    """`test_imgs.tsv` (number, base64), `test_texts.jsonl` (text_id, text, image_ids), `test_uids.tsv` (number, uid).

    A text that several images share is one record that names all of them.
    """
    numbers: dict[str, int] = {}
    records: dict[str, dict[str, Any]] = {}
    for image in given.images:
        texts = list(all_texts(image, given.votes, given.takes_unlabelled))
        for text, is_verified in texts:
            number = numbers.setdefault(image.uid, len(numbers) + 1)
            fresh = {"text_id": len(records) + 1, "text": text, "image_ids": [], "verified": True}
            record = records.setdefault(normal_text(text), fresh)
            record["image_ids"] += [number] if number not in record["image_ids"] else []
            record["verified"] &= is_verified
            given.counts[_looked_at(is_verified)] += 1
        given.counts["images left out, for want of a text that matches"] += not texts
    _write_lines(folder / "test_texts.jsonl", records.values())
    with (folder / "test_imgs.tsv").open("wb") as images, (folder / "test_uids.tsv").open("w") as uids:
        for uid, _, data in _read_images(given.release, numbers.keys()):
            images.write(b"%d\t%s\n" % (numbers[uid], base64.b64encode(data)))
            uids.write(f"{numbers[uid]}\t{uid}\n")


WRITERS: dict[str, Callable[[WantedSet, Path], None]] = {
    "zero-matching": write_zero_matching,
    "zero-retrieval": write_zero_retrieval,
    "chinese-clip-retrieval": write_clip_retrieval,
}
"""Format of a test set -> what writes it."""

_Texts = Callable[[SampledImage], tuple[str, ...]]


def _kinds(task: str) -> tuple[tuple[str, str, _Texts], ...]:
    return (f"IC{task}", "long", lambda image: image.long), (f"IQ{task}", "short", lambda image: image.short)


def _pairs(given: WantedSet, name: str, texts_of: _Texts) -> Iterator[tuple[SampledImage, str, bool]]:
    """One pair for each image that has a text of the kind which matches, or may be taken to."""
    for image in given.images:
        texts = texts_of(image)
        chosen = chosen_text(image.uid, texts, given.votes, given.takes_unlabelled)
        if chosen is not None:
            given.counts[f"{name} pairs {_looked_at(chosen[1])}"] += 1
            yield image, *chosen
        elif texts:
            given.counts[f"{name} images left out, for want of a text that matches"] += 1


def _looked_at(is_verified: bool) -> str:
    return "that people found to match" if is_verified else "that nobody looked at"


def _record(text: str, image: SampledImage, **more: Any) -> dict[str, Any]:
    return {"text": text, "image_path": f"{IMAGES}/{image.file}", **more}


def _write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """No file where there is nothing to say."""
    lines = [json_line(record) + "\n" for record in records]
    if lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        append_text(path, lines)


def _write_images(release: Release, folder: Path, uids: set[str]) -> None:
    folder.mkdir()
    for uid, extension, data in _read_images(release, uids):
        (folder / f"{uid}.{extension}").write_bytes(data)


def _read_images(release: Release, uids: Iterable[str]) -> Iterator[tuple[str, str, bytes]]:
    """uid, extension and stored copy of each of these images, in the release's order."""
    wanted = pa.array(sorted(uids), pa.string())
    with ShardReader() as shards:
        for batch in release.samples(_IMAGE_COLUMNS):
            rows = batch.filter(pc.is_in(batch.column("uid"), value_set=wanted))
            names = (rows.column(name).to_pylist() for name in ("uid", "stored_format"))
            yield from zip(*names, release.images(rows, shards), strict=True)
