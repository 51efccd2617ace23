"""Embeddings of images as score parts hold them: in a file of their own, so that readers of rows never meet them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shards.tables import TableWriter, iter_batches, read_rows

ROLE = "embeddings"
_ROW_GROUP_ROWS = 4096

Halves = npt.NDArray[np.float16]
"""float16 [n, d], L2-normalised to half precision."""


def embedding_rows(uids: pa.ChunkedArray, vectors: npt.NDArray[np.float64]) -> pa.Table:
    """Rows of (uid, embedding: float16 of fixed size), by uid; null where the model overflowed or saw no direction."""
    has_direction = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    halves = np.where(has_direction[:, None], vectors, 0.0).astype(np.float16)
    embeddings = pa.FixedSizeListArray.from_arrays(
        pa.array(halves.ravel()), vectors.shape[1], mask=pa.array(~has_direction)
    )
    return pa.table({"uid": uids, "embedding": embeddings}).sort_by("uid")


def write_embeddings(path: Path, rows: pa.Table) -> None:
    """Small row groups: a sample by uid reads the first of them alone."""
    with TableWriter(path, rows.schema) as writer:
        writer.write(rows, _ROW_GROUP_ROWS)


def read_embeddings(path: Path) -> tuple[pa.ChunkedArray, Halves]:
    """The uids of a part that have an embedding, and the embeddings."""
    return _valid(read_rows(path))


def read_sample(paths: Sequence[Path], share: float) -> Halves:
    """The embeddings of the first `share` of all uids (hashes, so of any share of the samples), by uid."""
    last = f"{min(int(share * 2**64), 2**64 - 1):016x}"
    tables = [_first_rows(path, last) for path in paths]
    return _valid(pa.concat_tables(tables).sort_by("uid"))[1]


def as_halves(column: pa.ChunkedArray) -> Halves:
    """Vectors as a shuffle carries them: fixed-size binary, read ten times as fast as lists."""
    whole = column.combine_chunks()
    width = column.type.byte_width
    data = np.frombuffer(whole.buffers()[1], np.uint8)[whole.offset * width : (whole.offset + len(whole)) * width]
    return data.view(np.float16).reshape(len(whole), width // 2)


def as_binary(vectors: Halves) -> pa.Array:
    """The inverse of `as_halves`."""
    kind = pa.binary(2 * vectors.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(vectors), [None, pa.py_buffer(np.ascontiguousarray(vectors))])


def _first_rows(path: Path, last: str) -> pa.Table:
    """The rows whose uid begins with no more than `last`; a part lies by uid, and the rest is not read."""
    batches = []
    for batch in iter_batches([path]):
        table = pa.Table.from_batches([batch])
        is_first = pc.less_equal(pc.utf8_slice_codeunits(table["uid"], 0, 16), last)
        batches.append(table.filter(is_first))
        if batches[-1].num_rows < table.num_rows:
            break
    return pa.concat_tables(batches)


def _valid(rows: pa.Table) -> tuple[pa.ChunkedArray, Halves]:
    there = rows.filter(pc.is_valid(rows["embedding"]))
    size = rows.schema.field("embedding").type.list_size
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in there["embedding"].chunks]
    return there["uid"], np.concatenate([np.zeros(0, np.float16), *chunks]).reshape(-1, size)
