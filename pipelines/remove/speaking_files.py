"""Files that speak of a release as a whole, made to fit what is left of it: indexes, Croissant, report and card."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from pipelines.about.croissant import CROISSANT_FILE
from pipelines.release_settings import TRAIN
from pipelines.remove.release_figures import STATS_FILE, rules_of
from pipelines.report.page import render_report
from shards.storage import put_whole
from shards.tar_purge import sample_starts
from shards.training_indexes import ENERGON_FOLDER, WIDS_FILE, Shard, training_indexes

_REPORT, _CARD = "report.html", "README.md"
_HEADING = "\n## Taken down after the release\n"


def mend_indexes(folder: Path, sums: Mapping[str, str], changed: frozenset[str]) -> list[str]:
    """wids' files and energon's folder after what the shards are now; returns the names of all that were there."""
    wids = [path.name for path in sorted(folder.glob(WIDS_FILE.replace(".", "*.")))]
    if not wids:
        return []
    indexes = [json.loads((folder / name).read_bytes()) for name in wids]
    dataset = folder / ENERGON_FOLDER / "dataset.yaml"
    described = yaml.safe_load(dataset.read_text(encoding="utf-8")) if dataset.is_file() else None
    extensions = described["field_map"]["image"].split(",") if described else []
    entries = [entry for index in indexes for entry in index["shardlist"] if (folder / entry["url"]).is_file()]
    texts = training_indexes(
        indexes[0]["name"], [_shard(folder, entry, sums, changed) for entry in entries], extensions
    )
    names = [*wids, *sorted(f"{ENERGON_FOLDER}/{file.name}" for file in (folder / ENERGON_FOLDER).glob("*"))]
    for name in names:
        if name in texts:
            put_whole(folder / name, texts[name].encode())
        elif name in wids or not entries:
            (folder / name).unlink(missing_ok=True)
    return names


def _shard(folder: Path, entry: Mapping[str, object], sums: Mapping[str, str], changed: frozenset[str]) -> Shard:
    """A shard as it lies there now; a split's lie in a folder of its name."""
    name = str(entry["url"])
    path, samples = folder / name, int(str(entry["nsamples"]))
    if name in changed:
        offsets = path.with_name(path.name + ".idx")
        samples = offsets.stat().st_size // 8 - 1 if offsets.is_file() else _num_samples(path)
    split = TRAIN if path.parent == folder / "shards" else path.parent.name
    return Shard(name, samples, path.stat().st_size, sums.get(name, str(entry.get("sha256", ""))), split)


def _num_samples(path: Path) -> int:
    return len(sample_starts(path)[0])


def mend_croissant(folder: Path, sums: Mapping[str, str]) -> str | None:
    """Sizes and digests of the files, and none of files that are gone; returns its name where there is one."""
    path = folder / CROISSANT_FILE
    if not path.is_file():
        return None
    croissant = json.loads(path.read_bytes())
    left = []
    for entry in croissant.get("distribution", []):
        name = entry.get("contentUrl")
        if "sha256" in entry and name in sums:
            entry["sha256"], entry["contentSize"] = sums[name], f"{(folder / name).stat().st_size} B"
        if "sha256" not in entry or name in sums:
            left.append(entry)
    croissant["distribution"] = left
    put_whole(path, (json.dumps(croissant, ensure_ascii=False, indent=2) + "\n").encode())
    return CROISSANT_FILE


def mend_report(folder: Path) -> None:
    """The report anew, from the numbers alone; where they are of an older version, which it cannot show, it goes."""
    path = folder / _REPORT
    if not path.is_file():
        return
    stats = json.loads((folder / STATS_FILE).read_bytes())
    try:
        put_whole(path, render_report(rules_of(stats), stats).encode())
    except (KeyError, TypeError):
        path.unlink()


def append_note(folder: Path, is_counted_anew: bool) -> None:
    """The card says how many are gone, and that its figures are of before; once, however often it is called."""
    path = folder / _CARD
    if not path.is_file():
        return
    stats = json.loads((folder / STATS_FILE).read_bytes())
    number = sum(drop["samples"] for drop in stats["drops"] if drop["reason"] == "removed")
    card = path.read_text(encoding="utf-8").partition(_HEADING)[0]
    where = "report.html and stats.json are of now." if is_counted_anew else "stats.json counts what is left."
    note = (
        f"\nSamples dropped as `removed`: {number:,}. They were taken down, and nothing of them is left here but their "
        f"uids. The figures above are of before; {where}\n"
    )
    put_whole(path, (card + _HEADING + note).encode())
