"""A release as others read it: its kept samples in order, and the stored copy of each."""

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.catalog import PLAN_FILE, committed_files
from shards.errors import BrokenRunError, UsageError
from shards.tables import iter_batches

_SEAL = "SHA256SUMS"


@dataclass(frozen=True)
class Release:
    """A release's folder, its manifest files of kept samples in the release's order, and the model of its scores.

    With a `split`, samples of that one alone.
    """

    folder: Path
    manifests: tuple[Path, ...]
    scorer: str | None = None
    split: str | None = None

    def samples(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Those columns of the kept samples, in the release's order; a batch at a time in memory."""
        wanted = list(dict.fromkeys(columns))
        marks = {"status": "kept"} | ({"split": self.split} if self.split is not None else {})
        try:
            for batch in iter_batches(self.manifests, list(dict.fromkeys([*wanted, *marks]))):
                for name, value in marks.items():
                    batch = batch.filter(pc.equal(batch.column(name), value))
                yield batch.select(wanted)
        except (pa.ArrowException, OSError) as error:
            raise BrokenRunError(f"{self.folder / 'manifest'}: cannot be read: {error}") from error

    def num_samples(self) -> int:
        return sum(batch.num_rows for batch in self.samples(["uid"]))

    def split_names(self) -> list[str]:
        """The splits of the kept samples, in the release's order; none where it has no splits."""
        if not self.manifests or self.missing_columns(["split"]):
            return []
        found: dict[str, None] = {}
        for batch in self.samples(["split"]):
            found |= dict.fromkeys(batch.column("split").drop_null().unique().to_pylist())
        return list(found)

    def missing_columns(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` that a manifest file lacks."""
        try:
            present = [set(pq.read_schema(path).names) for path in self.manifests]
        except (pa.ArrowException, OSError) as error:
            raise BrokenRunError(f"{self.folder / 'manifest'}: cannot be read: {error}") from error
        return [name for name in columns if any(name not in names for names in present)]

    def images(self, samples: pa.RecordBatch, shards: "ShardReader") -> Iterator[bytes]:
        """The stored copy of each sample: columns uid, shard, stored_format and stored_sha256, in order."""
        columns = ("uid", "shard", "stored_format", "stored_sha256")
        rows = zip(*(samples.column(name).to_pylist() for name in columns), strict=True)
        for uid, shard, extension, sha256 in rows:
            path = self.folder / "shards" / (shard or "")
            data = shards.read(path, f"{uid}.{extension}")
            if hashlib.sha256(data).hexdigest() != sha256:
                raise BrokenRunError(f"{path}: {uid}.{extension} is not what was stored there (another sha256)")
            yield data


def open_release(folder: Path) -> Release:
    """The release of a run, or a release itself. Raises `UsageError` for what is neither, or not finished."""
    if (folder / PLAN_FILE).is_file():
        release = folder / "release"
        manifests = [path for path in committed_files(folder, "release", "manifest") if path.name.startswith("kept-")]
        unfinished = "the run has no finished release yet; `curate run` again goes on with it"
    else:
        release = folder
        manifests = sorted((folder / "manifest").glob("kept-*.parquet"))
        unfinished = f"no release of curate: {_SEAL} or manifest/ is not there; name a run's folder, or a release's"
    if not ((release / _SEAL).is_file() and (release / "manifest").is_dir()):
        raise UsageError(f"{folder}: {unfinished}")
    return Release(release, tuple(manifests))


class ShardReader:
    """Members of shards in the order in which they lie there: each shard is read once, from front to back."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._tar: tarfile.TarFile | None = None

    def read(self, path: Path, name: str) -> bytes:
        """One member that lies behind the one that was read last. Raises `BrokenRunError` where it is not."""
        try:
            if path != self._path or self._tar is None:
                self.close()
                self._path, self._tar = path, tarfile.open(path, "r:")  # noqa: SIM115 - closed by `close`
            while (member := self._tar.next()) is not None:
                if member.name == name and (file := self._tar.extractfile(member)) is not None:
                    return file.read()
        except (tarfile.TarError, OSError) as error:
            raise BrokenRunError(f"{path}: cannot be read as a shard: {error}") from error
        raise BrokenRunError(f"{path}: has no {name}, which the manifest names")

    def close(self) -> None:
        if self._tar is not None:
            self._tar.close()
        self._path = self._tar = None

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
