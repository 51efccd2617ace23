"""Hash files: what later runs need of images to know them again. Parquet, one row an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.errors import BadInputError

Hashes = npt.NDArray[np.uint64]

HASH_FILE = pa.schema([("name", pa.string()), ("sha256", pa.string()), ("phash", pa.uint64())])
"""`phash` is null where an image has too little structure for it; `sha256` is of the file's bytes. Manifests of
releases have both columns too, and can be read as hash files."""


@dataclass(frozen=True)
class KnownHashes:
    """The images of a set: distinct phashes, and the first 64 bits of each sha256, both sorted. uint64 [n], [m]."""

    phashes: Hashes
    sha256_heads: Hashes


def hash_file_fault(path: Path) -> str | None:
    """Why a file is no hash file, if it is none."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
    except (OSError, pa.ArrowInvalid):
        return "is no Parquet file"
    if "phash" not in schema.names or schema.field("phash").type != pa.uint64():
        return "has no column `phash` of 64 unsigned bits"
    return None


def read_known(paths: list[Path]) -> KnownHashes:
    """What some hash files or manifests hold. Raises BadInputError for a file that is neither."""
    phashes, heads = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for path in paths:
        if fault := hash_file_fault(path):
            raise BadInputError(f"{path} {fault}")
        for batch in _batches(path):
            phashes.append(np.unique(batch["phash"].drop_null().to_numpy()))
            if "sha256" in batch.schema.names:
                heads.append(sha256_heads(batch["sha256"].drop_null()))
    return KnownHashes(np.unique(np.concatenate(phashes)), np.unique(np.concatenate(heads)))


def sha256_heads(digests: pa.Array | pa.ChunkedArray) -> Hashes:
    """The first 64 bits of hexadecimal digests, none null: of 10^5 sets of 10^7 images, one or two have two alike."""
    heads = "".join(pc.utf8_slice_codeunits(digests, 0, 16).to_pylist())
    return np.frombuffer(bytes.fromhex(heads), ">u8").astype(np.uint64)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, memory_map=True) as file:
        wanted = [name for name in ("phash", "sha256") if name in file.schema_arrow.names]
        yield from file.iter_batches(columns=wanted, use_threads=False)
