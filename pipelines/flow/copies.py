"""Stored copies of earlier runs: found by uid for the samples of one part, and read only where they are sound."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.holders import may_overlap, promised_sha256, still_true, uid_ranges
from pipelines.flow.reuse import CopiesPart
from pipelines.flow.rows import put
from pipelines.recipe import Recipe
from shards.errors import BrokenRunError
from shards.manifest import shard_below
from shards.schema import FETCHED
from shards.tables import fit, read_rows
from shards.tars import TarReader

COPY = pa.schema(
    [*FETCHED, ("reused_from", pa.string()), ("copy_tar", pa.string()), ("copy_offset", pa.int64())],
)
"""A row of an earlier run: who had it, and where its stored copy lies; null where there is none of this form."""

_MOST_OPEN = 64
_SHARDS_KNOWN = 64
_NO_IMAGE = (".json", ".txt")
_BLOCK = 512
_SIZE = re.compile(rb"[0-7]{1,11}[\0 ]*")


def earlier_rows(samples: pa.Table, parts: Sequence[CopiesPart], recipe: Recipe) -> pa.Table:
    """Rows of COPY for the samples that `parts` have stored, by uid; the first part that has one counts.

    Reads the uids of the parts that may hold any, and whole rows of those that do, one part at a time.
    """
    missing = samples
    here = uid_ranges([samples["uid"]])
    found = [COPY.empty_table()]
    for part in parts:
        if not missing.num_rows or not may_overlap(here, part.uids):
            continue
        rows = _rows_of(part, missing, recipe)
        if rows.num_rows:
            found.append(rows)
            is_there = pc.is_in(missing["uid"], value_set=rows["uid"].combine_chunks())
            missing = missing.filter(pc.invert(is_there))
    return pa.concat_tables(found).sort_by("uid")


def _rows_of(part: CopiesPart, samples: pa.Table, recipe: Recipe) -> pa.Table:
    wanted = samples["uid"].combine_chunks()
    path = Path(part.rows)
    if not pc.any(pc.is_in(read_rows(path, ["uid"])["uid"], value_set=wanted)).as_py():
        return COPY.empty_table()
    rows = read_rows(path)
    rows = rows.filter(pc.is_in(rows["uid"], value_set=wanted))
    shards = rows["shard"] if part.tar is None else None
    rows = fit(rows, FETCHED)
    has_image = pc.and_(pc.is_null(rows["drop_reason"]), pc.is_valid(rows["stored_sha256"]))
    stands = pc.and_(has_image, still_true(rows, promised_sha256(rows["uid"], samples, recipe), recipe))
    shards = None if shards is None else shards.filter(stands)
    rows = rows.filter(stands)
    placed = _in_tar(rows, part) if shards is None else _in_shards(rows, shards, part)
    if not part.is_same_form:
        placed = put(placed, "copy_offset", pa.nulls(rows.num_rows, pa.int64()))
    if not part.recheck:
        placed = placed.filter(pc.is_valid(placed["copy_offset"]))
    return fit(put(placed, "reused_from", pa.array([part.given] * placed.num_rows, pa.string())), COPY)


def _in_tar(rows: pa.Table, part: CopiesPart) -> pa.Table:
    tars = pa.array([part.tar] * rows.num_rows, pa.string())
    return put(put(rows, "copy_tar", tars), "copy_offset", rows["tar_offset"])


def _in_shards(rows: pa.Table, shards: pa.ChunkedArray, part: CopiesPart) -> pa.Table:
    """A release says in which shard an image is; where in it, the shard itself must say."""
    folder = Path(part.rows).parents[1] / "shards"
    tars = [str(shard_below(folder, shard)) for shard in shards.to_pylist()]
    names = [
        f"{uid}.{form}" for uid, form in zip(*(rows[n].to_pylist() for n in ("uid", "stored_format")), strict=True)
    ]
    places = [places_in_shard(tar).get(name, (None, None)) for tar, name in zip(tars, names, strict=True)]
    rows = put(rows, "copy_tar", pa.array(tars, pa.string()))
    rows = put(rows, "copy_offset", pa.array([offset for offset, _ in places], pa.int64()))
    return put(rows, "tar_bytes", pa.array([size for _, size in places], pa.int64()))


@lru_cache(maxsize=_SHARDS_KNOWN)
def places_in_shard(tar: str) -> dict[str, tuple[int, int]]:
    """Offset and size of each image of a shard; nothing of a shard that is not there."""
    try:
        with Path(tar).open("rb") as file:
            return {name: (offset, size) for name, offset, size in _members(file) if not name.endswith(_NO_IMAGE)}
    except OSError:
        return {}


def _members(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each file of a ustar archive, by its headers alone; stops at what is no header."""
    while len(head := file.read(_BLOCK)) == _BLOCK and _SIZE.fullmatch(head[124:136]) and head[257:262] == b"ustar":
        size, offset = int(head[124:136].strip(b"\0 "), 8), file.tell()
        yield head[:100].partition(b"\0")[0].decode("ascii", "replace"), offset, size
        file.seek(offset + -(-size // _BLOCK) * _BLOCK)


class CopyReader:
    """Reads stored copies of rows of COPY, with a bounded number of tars open."""

    def __init__(self) -> None:
        self._tars: OrderedDict[str, TarReader] = OrderedDict()

    def read(self, tar: str, offset: int, size: int) -> bytes:
        """The copy's bytes. Raises `OSError` or `BrokenRunError` if they are not there any more."""
        if tar not in self._tars:
            self._tars[tar] = TarReader(Path(tar))
            if len(self._tars) > _MOST_OPEN:
                self._tars.popitem(last=False)[1].close()
        self._tars.move_to_end(tar)
        return self._tars[tar].read(offset, size)

    def close(self) -> None:
        while self._tars:
            self._tars.popitem()[1].close()

    def __enter__(self) -> "CopyReader":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def sound_copies(rows: pa.Table, reader: CopyReader) -> pa.Table:
    """The rows of COPY whose stored copy is there, byte for byte: what was lost or has rotted is fetched again."""
    columns = ("copy_tar", "copy_offset", "tar_bytes", "stored_sha256")
    places = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    return rows.filter(pa.array([_is_sound(reader, *place) for place in places], pa.bool_()))


def _is_sound(reader: CopyReader, tar: str, offset: int | None, size: int | None, sha256: str) -> bool:
    if offset is None or size is None:
        return False
    try:
        return hashlib.sha256(reader.read(tar, offset, size)).hexdigest() == sha256
    except (OSError, BrokenRunError):
        return False


def earlier_lookup(rows: pa.Table, reader: CopyReader) -> Callable[[str], tuple[dict[str, object], bytes] | None]:
    """By uid, the row and the stored copy that a re-check compares with; None for what has no sound copy."""
    places = {uid: place for place, uid in enumerate(rows["uid"].to_pylist())}

    def look_up(uid: str) -> tuple[dict[str, object], bytes] | None:
        place = places.get(uid)
        if place is None:
            return None
        (row,) = rows.slice(place, 1).to_pylist()
        tar, offset, size = row["copy_tar"], row["copy_offset"], row["tar_bytes"]
        if not _is_sound(reader, tar, offset, size, row["stored_sha256"]):
            return None
        return {name: row[name] for name in FETCHED.names}, reader.read(tar, offset, size)

    return look_up
