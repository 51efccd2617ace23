"""Shards as they are released: of each sample its stored copy, its caption and its facts, as members of one tar.

What stands between two copies is made for many samples at a time; a copy is read to the place it is written from.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from tarfile import BLOCKSIZE

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shards.digested_writer import DigestedWriter
from shards.errors import BrokenRunError
from shards.tars import TarReader, end_of_archive, member_headers, padding
from shards.training_indexes import offsets_file

_UID, _EXTENSION = "^[0-9a-f]{32}$", "^[a-z0-9]{1,8}$"


class ShardWriter:
    """Appends samples in the order they are given, and ends the tar."""

    def __init__(self, file: DigestedWriter) -> None:
        self._file = file
        self._starts: list[int] = []

    def add(self, samples: pa.RecordBatch, copies: Iterable[tuple[TarReader, int]]) -> None:
        """Append samples, a row each: `uid`, `extension`, `num_bytes` of the copy, `text` (null is none), `facts`.

        `copies` says for each row in which tar its stored copy lies, and where in it. Raises `BrokenRunError` for a
        member that is not named `<uid>.<extension>`, and as `TarReader` does.
        """
        if not samples.num_rows:
            return
        sizes, names = samples.column("num_bytes").to_numpy(), _names(samples)
        heads = member_headers(names[0], sizes)
        members = [(names[1], _bytes_of(samples, "text")), (names[2], _bytes_of(samples, "facts"))]
        self._note_starts(sizes, *(_lengths(data) for _, data in members))
        self._file.write(heads[0].as_py())
        for size, (tar, offset), data in zip(sizes.tolist(), copies, _behind(sizes, members, heads), strict=True):
            tar.copy_to(self._file, offset, size)
            self._file.write(data)

    def _note_starts(self, *sizes: npt.NDArray[np.int64]) -> None:
        """Where samples begin, whose members have these sizes: each takes a header and as many blocks as it needs."""
        blocks = np.sum([1 + -(-of_members // BLOCKSIZE) for of_members in sizes], axis=0)
        self._starts += (self._file.num_bytes + BLOCKSIZE * (np.cumsum(blocks) - blocks)).tolist()

    def close(self) -> bytes:
        """End the tar; returns the bytes of its `.tar.idx`."""
        offsets = offsets_file(self._starts, self._file.num_bytes)
        self._file.write(end_of_archive(self._file.num_bytes))
        self._file.close()
        return offsets


def _names(samples: pa.RecordBatch) -> list[pa.Array]:
    uids, extensions = samples.column("uid"), samples.column("extension")
    for column, pattern in ((uids, _UID), (extensions, _EXTENSION)):
        wrong = column.filter(pc.invert(pc.fill_null(pc.match_substring_regex(column, pattern), False)))
        if len(wrong):
            raise BrokenRunError(f"{wrong[0].as_py()!r} cannot be in a tar member's name: <32 hex digits>.<extension>")
    return [pc.binary_join_element_wise(uids, extension, ".") for extension in (extensions, "txt", "json")]


def _bytes_of(samples: pa.RecordBatch, name: str) -> pa.Array:
    return pc.fill_null(samples.column(name), "").cast(pa.binary())


def _behind(
    sizes: npt.NDArray[np.int64], members: Sequence[tuple[pa.Array, pa.Array]], heads: pa.Array
) -> Iterator[memoryview]:
    """What stands behind each copy: its padding, the other members, and the head of the next copy."""
    pieces = [padding(sizes)]
    for names, data in members:
        pieces += [member_headers(names, _lengths(data)), data, padding(_lengths(data))]
    next_heads = pa.concat_arrays([heads[1:], pa.array([b""], pa.binary())])
    return _values(pc.binary_join_element_wise(*pieces, next_heads, b""))


def _lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(pc.binary_length(column).to_numpy(), np.int64)


def _values(column: pa.Array) -> Iterator[memoryview]:
    """The bytes of each value, not copied."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset :][: len(column) + 1].tolist()
    view = memoryview(b"" if data is None else data).cast("B")
    for start, end in pairwise(ends):
        yield view[start:end]
