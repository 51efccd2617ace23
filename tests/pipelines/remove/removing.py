"""How tests take samples down, and look at every byte of a folder for what should be gone or should be the same."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.remove.asked import Options
from pipelines.remove.command import remove
from pipelines.remove.outcome import Removed
from shards.tars import members

Samples = dict[str, tuple[list[tuple[str, str, bytes]], dict[str, Any]]]


def removed(path: Path, told: list[str] | None = None, is_dry: bool = False, **asked: Any) -> Removed:
    """`curate remove` with options by name."""
    return remove(path, Options(**asked), (told if told is not None else []).append, is_dry)


def rows_of(release: Path) -> dict[str, dict[str, Any]]:
    """Rows of the manifest by uid, each there once."""
    rows = [row for path in sorted((release / "manifest").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert len({row["uid"] for row in rows}) == len(rows)
    return {row["uid"]: row for row in rows}


def samples_of(release: Path) -> Samples:
    """By uid the members of each sample with the shard that they lie in, and its row in the manifest."""
    found: dict[str, list[tuple[str, str, bytes]]] = {}
    for path in sorted((release / "shards").rglob("*.tar")):
        for name, data in members(path.read_bytes()):
            found.setdefault(name.partition(".")[0], []).append((str(path.relative_to(release)), name, data))
    return {uid: (found.get(uid, []), row) for uid, row in rows_of(release).items()}


def files_of(folder: Path) -> dict[str, str]:
    """Digest of every file by its name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lasting(files: dict[str, str], passing: tuple[str, ...]) -> dict[str, str]:
    """The files but for those whose places begin so."""
    return {place: digest for place, digest in files.items() if not place.startswith(passing)}


def places_of(needle: bytes, folder: Path) -> list[str]:
    """Files that hold some bytes anywhere: as they are, unzipped, or in a cell of a table."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(needle in data for data in _seen(path))
    ]


def _seen(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    if path.suffix == ".gz":
        yield gzip.decompress(data)
    if path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str).encode()


def assert_others_unchanged(before: Samples, after: Samples, gone: set[str]) -> None:
    """Every sample but the removed ones has the same bytes in the same shard, and the same row."""
    assert before.keys() == after.keys()
    assert gone
    assert gone <= before.keys()
    for uid in before.keys() - gone:
        assert after[uid] == before[uid]
    for uid in gone:
        images, row = after[uid]
        assert images == []
        told = {name: value for name, value in row.items() if value not in (None, []) and name != "dup_group"}
        assert told in (
            {"uid": uid, "status": "dropped", "drop_reason": "removed", "dropped_at": "collect"} | extra
            for extra in ({}, {"num_pages": row.get("num_pages")})
        )
