"""Splits of a release: each in its own shards, no group of near-duplicates in two, and lists of uids that fit."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.release_settings import TRAIN
from pipelines.verify.listing import Release
from pipelines.verify.manifest_files import UnreadableError, column_names, manifest_batches
from shards.database import scratch_database
from shards.draws import group_keys
from shards.uid_lists import HALVES

_LIST = re.compile(r"uids-([a-z][a-z0-9_]*)\.npy")
_COLUMNS = ("uid", "sha256", "dup_group", "shard")
_BATCH_UIDS = 100_000
_REMEDY = "the release contradicts itself: make or copy it again"


def check_splits(release: Release, kept: Iterable[str]) -> None:
    """Tell what is wrong with the splits and the lists of uids of a release, if it has any.

    `kept` are manifest files that could be read. Spills to the system's temporary folder.
    """
    lists = {match[1]: name for name in sorted(release.listed) if (match := _LIST.fullmatch(name))}
    files = list(kept)
    try:
        if not lists and not any("split" in column_names(release.folder / name) for name in files):
            return
        with scratch_database(Path(tempfile.gettempdir())) as database:
            _fill(database, release, files)
            _check_rows(database, release)
            for name, file in lists.items():
                if file in release.sound:
                    _check_list(database, release, name, file)
    except (duckdb.Error, UnreadableError) as error:
        release.faults.add("manifest", f"its splits could not be read: {' '.join(str(error).split())[:200]}", _REMEDY)


def _fill(database: duckdb.DuckDBPyConnection, release: Release, files: list[str]) -> None:
    """The table `kept`: uid, split (train without splits), folder of the shard, and the key that keeps groups whole."""
    schema = pa.schema([(name, pa.string()) for name in ("uid", "split", "folder", "key")])
    batches = (batch for name in files for batch in _rows(release.folder / name, schema))
    database.register("found", pa.RecordBatchReader.from_batches(schema, batches))
    database.execute("CREATE TABLE kept AS SELECT * FROM found")


def _rows(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    names = column_names(path)
    columns = tuple(name for name in (*_COLUMNS, "split") if name in names)
    for batch in manifest_batches(path, "kept", columns):
        missing = pa.nulls(batch.num_rows, pa.string())
        found = {name: batch[name] if name in columns else missing for name in (*_COLUMNS, "split")}
        split = found["split"] if "split" in columns else pa.array([TRAIN] * batch.num_rows, pa.string())
        folder = pc.if_else(pc.match_substring(found["shard"], "/"), _folders(found["shard"]), TRAIN)
        key = group_keys(pa.table(found)).cast(pa.string())
        yield pa.record_batch([found["uid"], split, folder, key], schema=schema)


def _folders(shards: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(shards, "/[^/]*$", "")


def _check_rows(database: duckdb.DuckDBPyConnection, release: Release) -> None:
    """Shards that are not of the row's split, and groups that are parted."""
    for fault, query in (
        ("no split", "SELECT uid FROM kept WHERE split IS NULL"),
        ("a shard of another split", "SELECT uid FROM kept WHERE folder <> split"),
        (
            "a near-duplicate in another split",
            "SELECT min(uid) AS uid FROM kept GROUP BY key HAVING min(split) <> max(split)",
        ),
    ):
        ((count, uid),) = database.execute(f"SELECT count(*), min(uid) FROM ({query})").fetchall()
        if count:
            more = f", and {count - 1:,} beside it" if count > 1 else ""
            release.faults.add("manifest", f"sample {str(uid)[:40]!r} has {fault}{more}", _REMEDY)


def _check_list(database: duckdb.DuckDBPyConnection, release: Release, name: str, file: str) -> None:
    """A split's list has its uids and no others; a subset's has some of those that no split holds out."""
    try:
        halves = np.load(release.folder / file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        release.faults.add(file, f"is no .npy file: {error}", _REMEDY)
        return
    if halves.dtype != HALVES or halves.ndim != 1:
        release.faults.add(file, f"holds {halves.dtype} {halves.shape}; expected uids as {HALVES}", _REMEDY)
        return
    schema = pa.schema([("uid", pa.string())])
    database.register("found", pa.RecordBatchReader.from_batches(schema, _uid_batches(halves, schema)))
    database.execute("CREATE OR REPLACE TABLE list AS SELECT uid FROM found")
    is_split = _counted(database, "SELECT count(*), NULL FROM kept WHERE split = ?", name)[0] > 0
    for fault in _faults_of_list(database, name if is_split else TRAIN, is_split):
        release.faults.add(file, fault, _REMEDY)


def _faults_of_list(database: duckdb.DuckDBPyConnection, split: str, is_whole: bool) -> Iterator[str]:
    strange, uid = _counted(
        database, "SELECT count(*), min(uid) FROM (FROM list ANTI JOIN (FROM kept WHERE split = ?) USING (uid))", split
    )
    if strange:
        yield f"lists {strange:,} uids that are not kept in the split {split}, such as {uid}"
    twice, _ = _counted(database, "SELECT count(*) - count(DISTINCT uid), ? FROM list", "")
    if twice:
        yield f"lists {twice:,} uids more than once"
    missing, uid = _counted(
        database, "SELECT count(*), min(uid) FROM (FROM (FROM kept WHERE split = ?) ANTI JOIN list USING (uid))", split
    )
    if missing and is_whole:
        yield f"lacks {missing:,} uids of the split {split}, such as {uid}"


def _counted(database: duckdb.DuckDBPyConnection, query: str, value: str) -> tuple[int, str | None]:
    ((count, example),) = database.execute(query, [value]).fetchall()
    return int(count), example


def _uid_batches(halves: "np.ndarray[tuple[int], np.dtype[np.void]]", schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(halves), _BATCH_UIDS):
        some = halves[start : start + _BATCH_UIDS].tolist()
        yield pa.record_batch([pa.array([f"{high:016x}{low:016x}" for high, low in some])], schema=schema)
