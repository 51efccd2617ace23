"""All checks of one release: digests, folder, manifest, shards, uids and counts, each file read once or twice."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pipelines.verify.counts import STATS, Tally, check_counts, read_stats
from pipelines.verify.faults import Faults, HeldFaults
from pipelines.verify.listing import SUMS, Release, check_digest, check_folder, compare_digest, read_listing
from pipelines.verify.manifest_files import DROPPED, KEPT, UnreadableError, manifest_batches, rows_of, wrong_rows
from pipelines.verify.meter import Meter
from pipelines.verify.records import check_release_record, check_sums
from pipelines.verify.shard_files import Row, check_shard
from pipelines.verify.splits import check_splits
from pipelines.verify.uids import UIDS, check_uids
from shards.digests import DigestingFile
from shards.errors import BrokenRunError
from shards.parts import Record
from shards.tar_stream import walk

RELEASE = "release"
_SHARD = r"shards/([a-z][a-z0-9_]*/)?\d{6,}\.tar"
_UID = re.compile(r"[0-9a-f]{32}\Z")
_REMEDY = "shard and manifest are not of one release: make or copy it again"


@dataclass(frozen=True)
class ReleaseFound:
    """What a release was found to hold."""

    stats: Mapping[str, Any]
    has_manifest: bool
    num_samples: int
    num_kept: int
    num_in_shards: int
    num_shards: int


def check_release(folder: Path, records: Sequence[Record], faults: Faults, meter: Meter) -> ReleaseFound:
    """Tell every fault of the release in a folder, and of its commit records where it has them.

    Raises `BadInputError` if the folder cannot be read.
    """
    release = Release(folder, faults, meter)
    check_sums(release, records)
    read_listing(release)
    check_folder(release)
    has_manifest = _has_manifest(release)
    shards = set(release.matching(_SHARD)) if has_manifest else set[str]()
    for name in release.listed:
        if name not in shards:
            check_digest(name, release)
    if not has_manifest:
        return ReleaseFound({}, False, 0, 0, 0, 0)
    _check_needed(release)
    tally = Tally()
    readable = _check_manifest(release, shards, tally)
    stats = read_stats(release)
    if stats:
        check_counts(release, stats, tally, len(shards))
    if "kept" in tally.known:
        check_uids(release, readable, tally.rows["kept"])
        check_splits(release, [name for name, kind in readable if kind == "kept"])
    for record in records:
        check_release_record(release, record, stats)
    return ReleaseFound(stats, True, tally.rows.total(), tally.rows["kept"], tally.samples_in_shards, len(shards))


def _check_needed(release: Release) -> None:
    """What every release lists, but no export."""
    for name in (STATS, UIDS):
        if release.listed and name not in release.listed:
            release.faults.add(SUMS, f"does not list {name}, which every release has")


def _has_manifest(release: Release) -> bool:
    return bool(release.matching(rf"manifest/.*|{STATS}")) or (release.folder / "manifest").exists()


def _check_manifest(release: Release, shards: set[str], tally: Tally) -> list[tuple[str, str]]:
    """Kept rows beside their shards, then dropped ones. Returns name and kind of the files that could be read."""
    seen = set[str]()
    names = {"kept": release.matching(KEPT), "dropped": release.matching(DROPPED)}
    readable = [
        (name, kind)
        for kind in names
        for name in names[kind]
        if name in release.sound and _is_readable(release, name, kind, shards, seen, tally)
    ]
    there = set(readable)
    for kind in names:
        # Without dropped files the recipe may have wanted none; without kept ones nothing was kept.
        if all((name, kind) in there for name in names[kind]) and (names[kind] or kind == "kept"):
            tally.known.add(kind)
    for name in sorted(shards - seen):
        if "kept" in tally.known:
            release.faults.add(name, "no row of the manifest lies in it", _REMEDY)
        _check_shard(release, name, None, tally)
    return readable


def _is_readable(release: Release, name: str, kind: str, shards: set[str], seen: set[str], tally: Tally) -> bool:
    """Check one manifest file, and the shards that its rows lie in."""
    rows = _rows(release, name, kind, tally)
    try:
        for shard, group in groupby(rows, lambda row: row["shard"]):
            _check_group(release, name, shard, group, shards, seen, tally)
    except UnreadableError as error:
        release.faults.add(name, str(error))
        return False
    return True


def _rows(release: Release, name: str, kind: str, tally: Tally) -> Iterator[Row]:
    """Kept rows that have a uid; dropped ones are only looked at in batches."""
    for batch in manifest_batches(release.folder / name, kind):
        tally.add(kind, batch)
        for fault in wrong_rows(batch, kind):
            release.faults.add(name, fault, _REMEDY)
        if kind == "kept":
            yield from (row for row in rows_of(batch) if row["uid"] and _UID.match(row["uid"]))


def _check_group(
    release: Release, name: str, shard: str | None, rows: Iterator[Row], shards: set[str], seen: set[str], tally: Tally
) -> None:
    """Rows that follow each other in a manifest file and lie in one shard."""
    file = f"shards/{shard}"
    if file in seen:
        release.faults.add(name, f"rows of {file} do not all follow each other", _REMEDY)
    elif file in shards:
        seen.add(file)
        _check_shard(release, file, rows, tally)
    elif shards:
        release.faults.add(name, f"says that samples lie in {file}, which {SUMS} does not list", _REMEDY)


def _check_shard(release: Release, name: str, rows: Iterator[Row] | None, tally: Tally) -> None:
    held = HeldFaults()
    try:
        with DigestingFile(release.folder / name, release.meter.seen) as file:
            try:
                tally.samples_in_shards += check_shard(walk(file), rows, held)
            except BrokenRunError as error:
                held.add(f"is no shard: {error}")
            finally:
                compare_digest(name, file.finish(), release)
                release.faults.add_held(name, held, _REMEDY if name in release.sound else None)
    except FileNotFoundError:
        pass  # told before
    except OSError as error:
        release.faults.add(name, f"cannot be read: {error.strerror or error}")
