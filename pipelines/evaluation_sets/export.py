"""`curate export` of test sets: matching and retrieval sets made of a sample, by what people said of its pairs."""

import json
from dataclasses import dataclass
from pathlib import Path

from pipelines.evaluation_sets.verified import read_sample, sampled_images
from pipelines.evaluation_sets.votes import LABELS_FOLDER, Votes, read_votes
from pipelines.evaluation_sets.writing import WRITERS, WantedSet
from pipelines.export_folder import appearing_whole, fresh_folder, seal_folder
from shards.errors import UsageError
from shards.export_hub import need_shards
from shards.released import Release, open_release
from shards.storage import put_whole

FACTS = "test-set.json"


@dataclass(frozen=True)
class Order:
    """What is asked for. `labels` is a folder of label files; null is RUN/labels."""

    layout: str
    sample: Path | None
    seed: int = 0
    labels: Path | None = None
    takes_unlabelled: bool = False


def export_test_set(folder: Path, order: Order, out: str) -> list[str]:
    """Write a test set into the fresh folder `out`, and say what went into it."""
    if order.sample is None:
        raise UsageError(
            f"--layout {order.layout} is made of a sample: name it with --sample (`curate sample` draws one)"
        )
    release = open_release(folder)
    need_shards(release, order.layout)
    sample = read_sample(order.sample)
    labels = order.labels or folder / LABELS_FOLDER
    votes = read_votes(labels, sample)
    if not votes.verdicts and not order.takes_unlabelled:
        raise UsageError(
            f"{labels}: has no label of any of the sample's {len(sample):,} images; let people label them "
            "(`curate explore`), or ask for a set that nobody verified with --unlabelled"
        )
    images = sampled_images(release, sample)
    given = WantedSet(release, images, votes, order.seed, order.takes_unlabelled)
    target = fresh_folder(out, release)
    with appearing_whole(target) as staging:
        WRITERS[order.layout](given, staging)
        _refuse_empty(given, release)
        put_whole(staging / FACTS, _facts(given, order, votes).encode())
        seal_folder(staging)
    counts = [f"  {what}: {count:,}" for what, count in sorted(given.counts.items()) if count]
    return [f"{order.layout}: {len(images):,} images of the sample{_flag(order)}", *counts, *_told(votes), "", out]


def _refuse_empty(given: WantedSet, release: Release) -> None:
    if not any(count for what, count in given.counts.items() if "that people" in what or "that nobody" in what):
        raise UsageError(f"{release.folder}: no pair of the sample was found to match; there is nothing to write")


def _facts(given: WantedSet, order: Order, votes: Votes) -> str:
    """What a reader of the set must know of it."""
    facts = {
        "layout": order.layout,
        "is_verified": not order.takes_unlabelled,
        "images_of_the_sample": len(given.images),
        "seed": order.seed,
        "annotators": len(votes.annotators),
        "labelled_pairs": {
            "match": votes.count(True),
            "no_match": votes.count(False),
            "undecided": votes.count(None),
        },
        "counts": {what: count for what, count in sorted(given.counts.items()) if count},
    }
    return json.dumps(facts, ensure_ascii=False, indent=1) + "\n"


def _flag(order: Order) -> str:
    return ", NOT VERIFIED: --unlabelled takes pairs that nobody looked at" if order.takes_unlabelled else ""


def _told(votes: Votes) -> list[str]:
    if not votes.verdicts:
        return []
    labelled = f"{votes.count(True):,} match, {votes.count(False):,} do not, {votes.count(None):,} are undecided"
    return [f"  labelled pairs of the sample, by most of {len(votes.annotators)} annotators: {labelled}"]
