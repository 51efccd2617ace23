"""Hash files: what later runs need of images to know them again. Parquet, one row an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dedup.hashes import HASHES, HashName
from shards.errors import BadInputError

Hashes = npt.NDArray[np.uint64]

HASH_FILE = pa.schema([("name", pa.string()), ("sha256", pa.string()), *((name, pa.uint64()) for name in HASHES)])
"""A hash is null where an image has too little structure for it; `sha256` is of the file's bytes. Manifests of releases
have such columns too, and can be read as hash files. One hash is enough: that by which images are to be found."""


@dataclass(frozen=True)
class KnownHashes:
    """The images of a set: distinct hashes, and the first 64 bits of each sha256, both sorted. uint64 [n], [m]."""

    hashes: Hashes
    sha256_heads: Hashes


def hash_file_fault(path: Path, name: HashName) -> str | None:
    """Why a file is no hash file that images can be found with by the hash `name`, if it is none."""
    try:
        with pq.ParquetFile(path) as file:
            is_there = (name, pa.uint64()) in [(field.name, field.type) for field in file.schema_arrow]
            others = [other for other in HASHES if other != name and _holds(file, other)]
            if is_there and (not others or _holds(file, name)):
                return None
    except (OSError, pa.ArrowInvalid):
        return "is no Parquet file"
    told = f", but {' and '.join(others)}" if others else ""
    return (
        f"has no column `{name}` of 64 unsigned bits{told}: `curate fingerprint` writes every hash, "
        "a release has those that its recipe measured"
    )


def _holds(file: pq.ParquetFile, name: str) -> bool:
    """Whether any image of a file has a hash; every manifest has the column `phash`, measured or not."""
    places = [n for n in range(file.metadata.num_columns) if file.metadata.schema.column(n).path == name]
    chunks = [file.metadata.row_group(group).column(n) for n in places for group in range(file.num_row_groups)]
    return any(chunk.statistics is None or chunk.statistics.null_count < chunk.num_values for chunk in chunks)


def read_known(paths: list[Path], name: HashName) -> KnownHashes:
    """What some hash files or manifests hold. Raises BadInputError for a file that is neither."""
    hashes, heads = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for path in paths:
        if fault := hash_file_fault(path, name):
            raise BadInputError(f"{path} {fault}")
        for batch in _batches(path, name):
            hashes.append(np.unique(batch[name].drop_null().to_numpy()))
            if "sha256" in batch.schema.names:
                heads.append(sha256_heads(batch["sha256"].drop_null()))
    return KnownHashes(np.unique(np.concatenate(hashes)), np.unique(np.concatenate(heads)))


def sha256_heads(digests: pa.Array | pa.ChunkedArray) -> Hashes:
    """The first 64 bits of hexadecimal digests, none null: of 10^5 sets of 10^7 images, one or two have two alike."""
    heads = "".join(pc.utf8_slice_codeunits(digests, 0, 16).to_pylist())
    return np.frombuffer(bytes.fromhex(heads), ">u8").astype(np.uint64)


def _batches(path: Path, name: HashName) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, memory_map=True) as file:
        wanted = [column for column in (name, "sha256") if column in file.schema_arrow.names]
        yield from file.iter_batches(columns=wanted, use_threads=False)
