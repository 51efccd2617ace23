"""LAION, COYO and DataComp, written: Parquet with the columns of each, and DataComp's file of uids."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from shards.database import quoted, scratch_database
from shards.export_losses import ONE_CAPTION, Losses, count_one_caption, cut
from shards.layouts import LAYOUTS
from shards.murmur import hash64
from shards.released import Release
from shards.tables import TableWriter
from shards.uid_lists import write_uids

ROWS_A_FILE = 1_000_000

Computed = Callable[[pa.RecordBatch], pa.Array]


@dataclass(frozen=True)
class _Column:
    """A column of the format: a manifest column, what is computed from a batch, or (null) never measured here."""

    name: str
    dtype: pa.DataType
    of: str | Computed | None = None


def write_laion(release: Release, folder: Path, losses: Losses) -> None:
    """`part-<n>.parquet` as of LAION-5B; `hash` joins with LAION's own tables of watermarks and unsafe content."""
    columns = [
        *_url_and_text("laion"),
        _Column("WIDTH", pa.int32(), "original_width"),
        _Column("HEIGHT", pa.int32(), "original_height"),
        _Column("similarity", pa.float64(), "clip_score"),
        _Column("LANGUAGE", pa.string()),
        _Column("hash", pa.int64(), _hash_of_url_and_text),
        _Column("pwatermark", pa.float32()),
        _Column("punsafe", pa.float32()),
    ]
    _write(release, folder, "laion", columns, losses)


def write_coyo(release: Release, folder: Path, losses: Losses) -> None:
    """`part-<n>.parquet` as of COYO-700M; `id` is the first 63 bits of the uid."""
    columns = [
        _Column("id", pa.int64(), _first_63_bits),
        *_url_and_text("coyo"),
        _Column("width", pa.int64(), "original_width"),
        _Column("height", pa.int64(), "original_height"),
        _Column("image_phash", pa.string(), _hex_phash),
        _Column("text_length", pa.int64(), lambda batch: pc.utf8_length(_texts(batch))),
        _Column("word_count", pa.int64(), _word_count),
        *(_Column(name, pa.int64()) for name in ("num_tokens_bert", "num_tokens_gpt", "num_faces")),
        *_scores(release, losses, {"vit-b-32": "clip_similarity_vitb32", "vit-l-14": "clip_similarity_vitl14"}),
        *(_Column(f"nsfw_score_{model}", pa.float64()) for model in ("opennsfw2", "gantman")),
        *(_Column(name, pa.float64()) for name in ("watermark_score", "aesthetic_score_laion_v2")),
        _Column("clip_score", pa.float64(), "clip_score"),
    ]
    _write(release, folder, "coyo", columns, losses)


def write_datacomp(release: Release, folder: Path, losses: Losses) -> None:
    """`metadata/part-<n>.parquet` as of DataComp's pools, and `uids.npy`, the subset file of all of them."""
    named = {"vit-b-32": "clip_b32_similarity_score", "vit-l-14": "clip_l14_similarity_score"}
    columns = [
        _Column("uid", pa.string(), "uid"),
        *_url_and_text("datacomp"),
        _Column("original_width", pa.int64(), "original_width"),
        _Column("original_height", pa.int64(), "original_height"),
        *_scores(release, losses, named),
        _Column("sha256", pa.string(), "sha256"),
        _Column("clip_score", pa.float64(), "clip_score"),
    ]
    (folder / "metadata").mkdir()
    _write(release, folder / "metadata", "datacomp", columns, losses)
    _write_uids(release, folder / "uids.npy")


def _url_and_text(layout: str) -> list[_Column]:
    columns = LAYOUTS[layout].columns
    return [_Column(columns.url, pa.string(), "url"), _Column(str(columns.text), pa.string(), "text")]


def _scores(release: Release, losses: Losses, named: dict[str, str]) -> list[_Column]:
    """Columns that belong to one model each: filled where the release was scored by a model of that architecture."""
    scorer = (release.scorer or "").lower().replace("/", "-").replace("_", "-")
    if not any(mark in scorer for mark in named):
        model = release.scorer or "a model that no recipe beside the release names"
        losses.say(f"scores are of {model}: they stand in clip_score, and in no other model's column")
    return [_Column(column, pa.float64(), "clip_score" if mark in scorer else None) for mark, column in named.items()]


def _write(release: Release, folder: Path, layout: str, columns: list[_Column], losses: Losses) -> None:
    never = [column.name for column in columns if column.of is None]
    if never:
        losses.say(f"null, for want of a measure: {', '.join(never)}")
    schema = pa.schema([(column.name, column.dtype) for column in columns])
    wanted = {"uid", "url", "phash", *ONE_CAPTION, *(column.of for column in columns if isinstance(column.of, str))}
    writer = _open(folder, 0, schema)
    written = 0
    try:
        for number, piece in cut(release.samples(sorted(wanted)), lambda file: (file + 1) * ROWS_A_FILE):
            if number != written:
                writer.close()
                writer, written = _open(folder, number, schema), number
            count_one_caption(losses, piece, LAYOUTS[layout])
            arrays = [_values_of(column, piece).cast(column.dtype) for column in columns]
            writer.write(pa.Table.from_arrays(arrays, schema=schema))
    finally:
        writer.close()


def _open(folder: Path, number: int, schema: pa.Schema) -> TableWriter:
    return TableWriter(folder / f"part-{number:05d}.parquet", schema)


def _values_of(column: _Column, batch: pa.RecordBatch) -> pa.Array:
    if column.of is None:
        return pa.nulls(batch.num_rows, column.dtype)
    return batch.column(column.of) if isinstance(column.of, str) else column.of(batch)


def _hash_of_url_and_text(batch: pa.RecordBatch) -> pa.Array:
    """As rom1504/laion-prepro computes it: `mmh3.hash64((url + text).encode("utf-8"))[0]`."""
    return pa.array(hash64(pc.binary_join_element_wise(batch.column("url"), _texts(batch), "")))


def _hex_phash(batch: pa.RecordBatch) -> pa.Array:
    hashes = batch.column("phash").to_pylist()
    return pa.array([None if phash is None else f"{phash:016x}" for phash in hashes], pa.string())


def _word_count(batch: pa.RecordBatch) -> pa.Array:
    return pa.array([len(text.split()) for text in _texts(batch).to_pylist()], pa.int64())


def _first_63_bits(batch: pa.RecordBatch) -> pa.Array:
    return pa.array([int(uid[:16], 16) >> 1 for uid in batch.column("uid").to_pylist()], pa.int64())


def _texts(batch: pa.RecordBatch) -> pa.Array:
    return pc.fill_null(batch.column("text"), "")


def _write_uids(release: Release, path: Path) -> None:
    """Sorted, each split in two unsigned 64-bit halves, dtype `u8,u8`; sorted on disk where they are many."""
    if not release.manifests:
        write_uids(path, [], 0)
        return
    with scratch_database(path.parent) as database:
        files = quoted(list(release.manifests))
        where = f"status = 'kept'{'' if release.split is None else ' AND split = $split'}"
        of_split = {} if release.split is None else {"split": release.split}
        kept = database.sql(f"SELECT uid FROM read_parquet({files}) WHERE {where} ORDER BY uid", params=of_split)
        write_uids(path, (batch.column("uid") for batch in kept.to_arrow_reader(100_000)), release.num_samples())
