"""The numbers of a release: those of stats.json among themselves, and beside what its files hold."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines.verify.listing import Release

STATS = "stats.json"

_NUMBERS = ("candidates", "merged", "samples", "kept", "dropped", "shards")
_MOST_BYTES = 1 << 26
_MOST_REASONS = 10_000
_REMEDY = "the release contradicts itself: make or copy it again"


@dataclass
class Tally:
    """What was counted in the manifest's files. Counts of a kind are known if all of its files could be read."""

    rows: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    reasons: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    samples_in_shards: int = 0

    def add(self, kind: str, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch of `kept` or `dropped` samples."""
        self.rows[kind] += batch.num_rows
        if kind == "dropped" and len(self.reasons) < _MOST_REASONS:
            fates = pa.table({"stage": batch["dropped_at"], "reason": batch["drop_reason"]})
            for fate in fates.group_by(["stage", "reason"]).aggregate([([], "count_all")]).to_pylist():
                self.reasons[fate["stage"], fate["reason"]] += fate["count_all"]


def read_stats(release: Release) -> dict[str, Any]:
    """The numbers of stats.json; empty where they cannot be read, which is told."""
    if STATS not in release.sound:
        return {}
    with (release.folder / STATS).open("rb") as file:
        data = file.read(_MOST_BYTES)
    try:
        stats = json.loads(data)
        wrong = [name for name in _NUMBERS if not _is_count(stats[name])]
        wrong += ["drops" for drop in stats["drops"] if not _is_count(drop["samples"]) or not drop["reason"]]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError, MemoryError) as error:
        release.faults.add(STATS, f"does not hold a release's numbers ({type(error).__name__}: {error})", _REMEDY)
        return {}
    for name in dict.fromkeys(wrong):
        release.faults.add(STATS, f"{name} holds no count", _REMEDY)
    return {} if wrong else stats


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_counts(release: Release, stats: Mapping[str, Any], tally: Tally, num_shards: int) -> None:
    """Tell every sum that does not come out."""
    for left, right in (
        (("candidates", stats["candidates"]), ("merged + samples", stats["merged"] + stats["samples"])),
        (("samples", stats["samples"]), ("kept + dropped", stats["kept"] + stats["dropped"])),
        (("shards", stats["shards"]), ("shards in SHA256SUMS", num_shards)),
        *(((kind, stats[kind]), (f"rows of manifest/{kind}-*", tally.rows[kind])) for kind in sorted(tally.known)),
    ):
        if left[1] != right[1]:
            release.faults.add(STATS, f"{left[0]} is {left[1]:,}, {right[0]} {right[1]:,}", _REMEDY)
    if "dropped" in tally.known:
        for fault in _differing_reasons(stats, tally):
            release.faults.add(STATS, fault, _REMEDY)


def _differing_reasons(stats: Mapping[str, Any], tally: Tally) -> Iterator[str]:
    said = Counter({(drop["stage"], drop["reason"]): drop["samples"] for drop in stats["drops"]})
    for stage, reason in sorted(said.keys() | tally.reasons.keys(), key=str):
        fate = (stage, reason)
        if said[fate] != tally.reasons[fate]:
            yield f"{said[fate]:,} dropped at {stage} for {reason}, rows of manifest/dropped-* {tally.reasons[fate]:,}"
