"""One shard of a release and its offsets, written of the stored copies that lie in the tars of fetch parts."""

from collections.abc import Iterator
from functools import cache
from types import TracebackType
from typing import Self

import pyarrow as pa

from pipelines.tasks import Job, PartRef
from shards.json_rows import json_objects
from shards.shard_writer import ShardWriter
from shards.tars import TarReader
from shards.training_indexes import OFFSETS_SUFFIX

_ROWS_AT_ONCE = 1_000
"""Samples whose captions and facts are rendered at a time: some megabytes."""

_MAX_OPEN = 256
"""Tars open at a time, below what a process may open: a shard has samples of nearly every fetch part."""


def write_shard(job: Job, name: str, rows: pa.Table, manifest: pa.Table) -> None:
    """Members in order of uid: the stored copy, the caption, and what the manifest says of the sample."""
    stem = name.removesuffix(".tar")
    shard = ShardWriter(job.attempt.digested(f"shard-{stem}", "tar", f"shards/{name}"))
    facts = manifest.drop_columns(["shard"])
    with _OpenTars(job) as tars:
        for start in range(0, rows.num_rows, _ROWS_AT_ONCE):
            piece = rows.slice(start, _ROWS_AT_ONCE)
            shard.add(_samples(piece, facts.slice(start, _ROWS_AT_ONCE)), tars.copies_of(piece))
    job.attempt.path(f"index-{stem}", "idx", f"shards/{stem}{OFFSETS_SUFFIX}").write_bytes(shard.close())


def _samples(rows: pa.Table, facts: pa.Table) -> pa.RecordBatch:
    names = {"uid": "uid", "stored_format": "extension", "tar_bytes": "num_bytes", "text": "text"}
    columns = {new: rows[name].combine_chunks() for name, new in names.items()}
    (batch,) = facts.combine_chunks().to_batches()
    return pa.record_batch({**columns, "facts": json_objects(batch)})


class _OpenTars:
    """Tars of fetch parts, opened when the first copy is read from them."""

    def __init__(self, job: Job) -> None:
        self._open: dict[tuple[int, str], TarReader] = {}
        self._path = cache(lambda index, mark: job.context.path(PartRef("fetch", index, mark), "tar"))

    def copies_of(self, rows: pa.Table) -> Iterator[tuple[TarReader, int]]:
        """In which tar the stored copy of each row lies, and where."""
        columns = ("fetch_index", "fetch_fingerprint", "tar_offset")
        for index, mark, offset in zip(*(rows[name].to_pylist() for name in columns), strict=True):
            yield self._open.get((index, mark)) or self._opened(index, mark), offset

    def _opened(self, index: int, mark: str) -> TarReader:
        if len(self._open) == _MAX_OPEN:
            self._open.pop(next(iter(self._open))).close()
        tar = self._open[index, mark] = TarReader(self._path(index, mark))
        return tar

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tar in self._open.values():
            tar.close()
