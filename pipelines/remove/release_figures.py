"""stats.json of a release without its run: counted anew where the manifest holds enough, else as far as counts go."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.rules import PlacedRule
from pipelines.flow.figures import release_numbers
from shards.storage import put_whole
from shards.table_purge import REMOVED
from shards.tables import iter_batches

STATS_FILE = "stats.json"


def mend_numbers(folder: Path) -> bool:
    """Write the numbers after what the release holds now; returns whether all of them are of now.

    Where dropped rows are narrow or not there, figures over all samples cannot be counted again: then only the counts
    of samples change, and what is listed by host, query or category goes.
    """
    stats: dict[str, Any] = json.loads((folder / STATS_FILE).read_bytes())
    kept = sorted((folder / "manifest").glob("kept-*.parquet"))
    dropped = sorted((folder / "manifest").glob("dropped-*.parquet"))
    is_whole = bool(dropped) and all(_is_wide(path, kept) for path in dropped)
    if is_whole:
        by = stats.get("categories_by", "category")
        numbers = release_numbers(kept, dropped, rules_of(stats), folder, by)
        known = {name: value for name, value in numbers.items() if name in stats or name in ("samples", "kept")}
        stats |= known
    else:
        _count(stats, kept, dropped)
    stats["shards"] = sum(1 for _ in (folder / "shards").rglob("*.tar"))
    _count_apart(stats, folder, kept)
    put_whole(folder / STATS_FILE, (json.dumps(stats, ensure_ascii=False, indent=1) + "\n").encode())
    return is_whole


def _is_wide(path: Path, kept: list[Path]) -> bool:
    names = set(pq.read_schema(path).names)
    return all(set(pq.read_schema(other).names) <= names | {"split"} for other in kept[:1])


def rules_of(stats: dict[str, Any]) -> list[PlacedRule]:
    """The rules by which the release was decided, as its numbers name them."""
    names = {field.name for field in fields(PlacedRule)}
    rules = [{name: rule[name] for name in names} for rule in stats.get("rules", [])]
    return [PlacedRule(**rule | {name: tuple(rule[name]) for name in ("columns", "relative")}) for rule in rules]


def _count(stats: dict[str, Any], kept: list[Path], dropped: list[Path]) -> None:
    """Who left the kept rows is dropped as removed; who had been dropped before changed its reason, where rows say."""
    num_kept = sum(pq.read_metadata(path).num_rows for path in kept)
    num_before = stats["kept"]
    stats |= {"kept": num_kept, "dropped": stats["samples"] - num_kept}
    if dropped:
        stats["drops"] = _drops(dropped)
    elif num_before > num_kept:
        gone = next((drop for drop in stats["drops"] if drop["reason"] == REMOVED), None)
        if gone is None:
            gone = {"stage": "collect", "reason": REMOVED, "samples": 0}
            stats["drops"].append(gone)
        gone["samples"] += num_before - num_kept
    for name in ("hosts", "queries", "categories"):
        if name in stats:
            stats[name] = []


def _drops(dropped: list[Path]) -> list[dict[str, Any]]:
    counts: dict[tuple[str | None, str | None], int] = {}
    for batch in iter_batches(dropped, ["dropped_at", "drop_reason"]):
        for fate in zip(batch["dropped_at"].to_pylist(), batch["drop_reason"].to_pylist(), strict=True):
            counts[fate] = counts.get(fate, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return [{"stage": stage, "reason": reason, "samples": number} for (stage, reason), number in ordered]


def _count_apart(stats: dict[str, Any], folder: Path, kept: list[Path]) -> None:
    """Splits by the rows, subsets by their lists."""
    if stats.get("splits"):
        for name, split in stats["splits"].items():
            split["samples"] = sum(
                pc.sum(pc.equal(batch["split"], name)).as_py() or 0 for batch in iter_batches(kept, ["split"])
            )
            below = folder / "shards" if name == "train" else folder / "shards" / name
            split["shards"] = sum(1 for _ in below.glob("*.tar"))
    for name in stats.get("subsets") or {}:
        path = folder / f"uids-{name}.npy"
        if path.is_file():
            stats["subsets"][name] = len(np.load(path, mmap_mode="r"))
