"""Uids of a release: each in the manifest once, and those that are kept in uids.npy, sorted."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.verify.listing import Release
from pipelines.verify.manifest_files import manifest_batches
from shards.database import scratch_database

UIDS = "uids.npy"
HALVES = np.dtype("<u8,<u8")

Halves = npt.NDArray[np.void]
"""Uids as uids.npy has them: each two unsigned 64-bit numbers, the higher first."""

_SCHEMA = pa.schema([("high", pa.uint64()), ("low", pa.uint64()), ("is_kept", pa.bool_())])
_BATCH_ROWS = 100_000
_REMEDY = "the release contradicts itself: make or copy it again"


def check_uids(release: Release, manifests: Iterable[tuple[str, str]], num_kept: int) -> None:
    """Sort the uids of manifest files (name, kind), spilling to the system's temporary folder; tell what differs."""
    batches = pa.RecordBatchReader.from_batches(_SCHEMA, _all_uids(release.folder, manifests))
    try:
        with scratch_database(Path(tempfile.gettempdir())) as database:
            database.register("uids", batches)
            found = database.sql("SELECT * FROM uids ORDER BY high, low").to_arrow_reader(_BATCH_ROWS)
            _compare(release, _each_once(release, found), num_kept)
    except duckdb.Error as error:
        release.faults.add("manifest", f"its uids could not be sorted: {' '.join(str(error).split())[:200]}", _REMEDY)


def _all_uids(folder: Path, manifests: Iterable[tuple[str, str]]) -> Iterator[pa.RecordBatch]:
    for name, kind in manifests:
        for batch in manifest_batches(folder / name, kind, ("uid",)):
            uids = batch["uid"].filter(pc.fill_null(pc.match_substring_regex(batch["uid"], "^[0-9a-f]{32}$"), False))
            halves = np.frombuffer(bytes.fromhex("".join(uids.to_pylist())), ">u8").reshape(-1, 2).astype("<u8")
            is_kept = pa.array(np.full(len(halves), kind == "kept"))
            yield pa.record_batch([pa.array(halves[:, 0]), pa.array(halves[:, 1]), is_kept], schema=_SCHEMA)


def _each_once(release: Release, batches: Iterable[pa.RecordBatch]) -> Iterator[Halves]:
    """Kept uids of sorted batches; a uid that is there twice is told."""
    last = np.empty(0, HALVES)
    for batch in batches:
        halves = np.empty(batch.num_rows, HALVES)
        halves["f0"], halves["f1"] = batch["high"].to_numpy(), batch["low"].to_numpy()
        chain = np.concatenate([last, halves])
        for twice in chain[1:][chain[1:] == chain[:-1]][:10]:
            release.faults.add("manifest", f"sample {_hex(twice)} is there more than once", _REMEDY)
        last = halves[-1:]
        yield halves[batch["is_kept"].to_numpy(zero_copy_only=False)]


def _compare(release: Release, kept: Iterator[Halves], num_kept: int) -> None:
    """Read uids.npy beside the manifest's kept uids, and tell the first that differ."""
    if UIDS not in release.sound:
        for _ in kept:  # each is there once all the same
            pass
        return
    place = 0
    with (release.folder / UIDS).open("rb") as file:
        fault = _header_fault(file, num_kept)
        for expected in kept:
            found = np.frombuffer(file.read(expected.nbytes), HALVES) if fault is None else expected
            if fault is None and not np.array_equal(found, expected):
                fault = _first_difference(found, expected, place)
            place += len(expected)
    if fault is not None:
        release.faults.add(UIDS, fault, _REMEDY)


def _header_fault(file: BinaryIO, num_kept: int) -> str | None:
    """What is wrong with a .npy header; behind it the numbers begin."""
    try:
        version = np.lib.format.read_magic(file)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file) if version == (1, 0) else ((), False, None)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        return f"is no .npy file: {error}"
    if dtype != HALVES or is_fortran or shape != (num_kept,):
        return f"holds {dtype} {shape}; expected {num_kept:,} uids as {HALVES}"
    return None


def _first_difference(found: Halves, expected: Halves, place: int) -> str:
    if len(found) < len(expected):
        return f"ends at uid {place + len(found):,}, the manifest keeps more"
    wrong = int(np.flatnonzero(found != expected)[0])
    return f"uid {place + wrong:,} is {_hex(found[wrong])}, the manifest's kept uids have {_hex(expected[wrong])} there"


def _hex(halves: np.void) -> str:
    return f"{int(halves['f0']):016x}{int(halves['f1']):016x}"
