"""A release's manifest and shards without some samples: only the files that hold them are written again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.flow.shuffle import bucket_of_uids
from pipelines.remove.selected import with_removed
from shards.manifest import shard_below
from shards.storage import publish
from shards.table_purge import num_full, rows_of
from shards.tables import read_rows, write_table
from shards.tar_purge import sample_starts, take_out
from shards.training_indexes import OFFSETS_SUFFIX, offsets_file

_MANIFEST, _SHARDS = "manifest", "shards"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Cut:
    """What goes from a release. `kept`: by manifest file, by shard, the uids; `fallen`: by file of dropped rows."""

    folder: Path
    kept: dict[str, dict[str, list[str]]]
    fallen: dict[str, list[str]]
    prefix: str = ""
    """Before a file's name in what is told."""

    @property
    def num_kept(self) -> int:
        return sum(len(uids) for shards in self.kept.values() for uids in shards.values())

    @property
    def files(self) -> list[str]:
        """Names of the files that change."""
        shards = [name for by_shard in self.kept.values() for shard in by_shard for name in self.shard_files(shard)]
        return [*self.fallen, *shards, *self.kept]

    def shard_files(self, shard: str) -> list[str]:
        """The shard, and the offsets beside it, as far as they are there."""
        tar = shard_below(self.folder / _SHARDS, shard)
        paths = [tar, tar.with_name(tar.name.removesuffix(".tar") + OFFSETS_SUFFIX)]
        return [path.relative_to(self.folder).as_posix() for path in paths if path.is_file()]


def cut_of(folder: Path, uids: pa.Array, prefix: str = "") -> Cut:
    """Where a release holds samples of `uids`: kept ones, which are going to be dropped, and dropped ones."""
    kept: dict[str, dict[str, list[str]]] = {}
    for name in _manifests(folder, "kept"):
        rows = read_rows(folder / name, ["uid", "shard"])
        for row in rows.filter(pa.array(rows_of(rows, uids))).to_pylist():
            kept.setdefault(name, {}).setdefault(row["shard"], []).append(row["uid"])
    fallen: dict[str, list[str]] = {}
    files = list(_manifests(folder, "dropped"))
    for name in files:
        rows = read_rows(folder / name, ["uid"])
        there = rows["uid"].filter(pa.array(rows_of(rows, uids)))
        if len(there) and _num_full(folder / name, uids):
            fallen[name] = there.to_pylist()
    moved = sorted(uid for shards in kept.values() for some in shards.values() for uid in some)
    if files and moved:
        for uid, place in zip(moved, bucket_of_uids(pa.array(moved), len(files)).tolist(), strict=True):
            fallen.setdefault(files[place], []).append(uid)
    return Cut(folder, kept, fallen, prefix)


def _manifests(folder: Path, kind: str) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in sorted((folder / _MANIFEST).glob(f"{kind}-*.parquet")))


def _num_full(path: Path, uids: pa.Array) -> int:
    rows = read_rows(path)
    return num_full(rows.filter(pa.array(rows_of(rows, uids))))


def carry_out(cut: Cut, tell: Tell, is_dry: bool) -> None:
    """Write the files again: dropped rows first, so that a kill leaves no sample without a row, then shard by shard.

    A shard that nothing is left of goes.
    """
    for name, uids in cut.fallen.items():
        _rewrite(cut, name, f"{len(uids):,} rows emptied", tell, is_dry, partial(_with_removed, uids))
    for name, shards in cut.kept.items():
        for shard, uids in shards.items():
            for file in cut.shard_files(shard):
                _cut_shard(cut, file, uids, tell, is_dry)
        gone = [uid for uids in shards.values() for uid in uids]
        _rewrite(cut, name, f"{len(gone):,} rows taken out", tell, is_dry, partial(_without, gone))


def _with_removed(uids: list[str], path: Path) -> pa.Table:
    return with_removed(read_rows(path), pa.array(uids, pa.string()))


def _without(uids: list[str], path: Path) -> pa.Table:
    rows = read_rows(path)
    return rows.filter(pa.array(~rows_of(rows, pa.array(uids, pa.string()))))


def _rewrite(cut: Cut, name: str, what: str, tell: Tell, is_dry: bool, changed: Callable[[Path], pa.Table]) -> None:
    path = cut.folder / name
    if is_dry:
        tell(f"{cut.prefix}{name}: {what}")
        return
    table = changed(path).replace_schema_metadata(pq.read_schema(path).metadata)
    _publish(cut, name, what, tell, lambda target: write_table(target, table))


def _cut_shard(cut: Cut, name: str, uids: list[str], tell: Tell, is_dry: bool) -> None:
    path = cut.folder / name
    if name.endswith(OFFSETS_SUFFIX):  # made of the shard, which comes before it
        tar = path.with_name(path.name.removesuffix(".idx"))
        if is_dry:
            return
        if not tar.is_file():
            path.unlink()
            return
        data = offsets_file(*sample_starts(tar))
        _publish(cut, name, "offsets anew", tell, lambda target: target.write_bytes(data))
    elif is_dry:
        tell(f"{cut.prefix}{name}: {len(uids):,} samples taken out")
    else:
        left = _publish(cut, name, f"{len(uids):,} samples taken out", tell, lambda to: take_out(path, to, set(uids)))
        if not left:
            path.unlink()
            tell(f"{cut.prefix}{name}: nothing is left in it, so it goes")


def _publish(cut: Cut, name: str, what: str, tell: Tell, write: Callable[[Path], object]) -> object:
    path = cut.folder / name
    before = path.stat().st_size
    temporary = path.with_name(f".{path.name}.removing.tmp")
    made = write(temporary)
    publish(temporary, path)
    tell(f"{cut.prefix}{name}: {what}, {before:,} -> {path.stat().st_size:,} bytes")
    return made
