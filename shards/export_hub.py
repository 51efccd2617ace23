"""Hugging Face's two image layouts, written: WebDataset shards, or a folder of images, under a card that loads them."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.errors import BrokenRunError, UsageError
from shards.export_losses import Losses
from shards.hub_card import card, front_matter, shard_features
from shards.images import STORED_EXTENSIONS
from shards.released import Release, ShardReader
from shards.storage import sha256_of
from shards.tables import TableWriter

_TRAIN = "train"
_SAME_FOR_ALL = ("status", "drop_reason", "failed_rules", "dropped_at", "detail", "shard", "split")
"""Columns that say nothing of a kept sample, or what its folder says already."""

_BODY = """# {title}

{num:,} images with Chinese texts, in the layout `{layout}`.

```python
from datasets import load_dataset

dataset = load_dataset("PATH_OF_THIS_FOLDER", split="{split}")  # streaming=True reads without a copy
```

{columns}

The images belong to those who made them: the column `license` says what the source stated, and is null where it
stated nothing.
"""


def write_hf_webdataset(release: Release, folder: Path, losses: Losses) -> None:
    """The release's shards as they are (hard links where the file system has them), and a card with all types."""
    need_shards(release, "hf-webdataset")
    sums = _listed(release)
    files: dict[str, str] = {}
    for split, shard in _shards(release):
        target = folder / "shards" / shard
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(release.folder / "shards" / shard, target, sums.get(f"shards/{shard}"))
        files[split] = (Path("shards") / shard).parent.as_posix() + "/*.tar"
    formats = [name for name in STORED_EXTENSIONS.values() if name in _formats(release)]
    if len(formats) > 1:
        losses.say(f"a column for each form of image ({', '.join(formats)}), all but one of them null in each sample")
    columns = f"`{'`, `'.join(formats)}`: the image; `txt`: its caption; `json`: all texts and measures."
    _write_card(release, folder, "hf-webdataset", files, shard_features(formats), columns)


def write_hf_imagefolder(release: Release, folder: Path, losses: Losses) -> None:
    """`<split>/<number>/<uid>.<form>`, a folder for each shard, with `metadata.parquet`: a row an image."""
    need_shards(release, "hf-imagefolder")
    hashes = [field.name for field in _schema(release) if field.type == pa.uint64()]
    losses.say(f"as 16 hexadecimal digits: {', '.join(hashes)}")
    names = [field.name for field in _schema(release) if field.name not in (*_SAME_FOR_ALL, "texts", "text")]
    files: dict[str, str] = {}
    columns = list(dict.fromkeys([*_schema(release).names, "uid", "shard", "stored_format", "stored_sha256"]))
    with ShardReader() as shards:
        for shard, rows in _by_shard(release, columns):
            split = _split_of(shard)
            files[split] = f"{split}/**"
            home = folder / split / Path(shard).stem
            home.mkdir(parents=True, exist_ok=True)
            _write_images(release, rows, shards, home)
            _append_metadata(home / "metadata.parquet", rows, ["text", "texts", *names])
    _write_card(release, folder, "hf-imagefolder", files, [], "`image`, its caption `text`, and a column a measure.")


def need_shards(release: Release, layout: str) -> None:
    """Raises `UsageError` where a release has samples and no images."""
    if release.manifests and not (release.folder / "shards").is_dir():
        raise UsageError(
            f"--layout {layout} carries images, and {release.folder} has no shards; "
            "make them with `curate release --shards`, or name a release that has them"
        )


def _schema(release: Release) -> pa.Schema:
    return pq.read_schema(release.manifests[0]) if release.manifests else pa.schema([])


def _split_of(shard: str) -> str:
    """A split's shards lie in a folder of its name."""
    return shard.rpartition("/")[0] or _TRAIN


def _shards(release: Release) -> Iterator[tuple[str, str]]:
    """Split and name of each shard that kept samples lie in, in the release's order."""
    previous = None
    for batch in release.samples(["shard"]):
        for shard in batch.column("shard").unique().to_pylist():
            if shard != previous:
                yield _split_of(shard), shard
            previous = shard


def _formats(release: Release) -> set[str]:
    found: set[str] = set()
    for batch in release.samples(["stored_format"]):
        found |= set(batch.column("stored_format").unique().to_pylist())
    return found


def _listed(release: Release) -> dict[str, str]:
    """File -> sha256, as SHA256SUMS of the release says."""
    lines = (release.folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _link(source: Path, target: Path, sha256: str | None) -> None:
    """The same file under another name, or its copy; one that is not what was released is refused."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise BrokenRunError(f"{source}: is not there, and the manifest names it") from None
    except OSError:
        shutil.copyfile(source, target)
    if sha256 is not None and sha256_of(target) != sha256:
        raise BrokenRunError(f"{source}: is not what was released (another sha256 than SHA256SUMS says)")


def _by_shard(release: Release, columns: list[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Kept rows that follow each other and lie in one shard, a batch at a time."""
    for batch in release.samples(columns):
        numbered = enumerate(batch.column("shard").to_pylist())
        for shard, group in groupby(numbered, key=lambda place: place[1]):
            places = [place for place, _ in group]
            yield shard, batch.slice(places[0], len(places))


def _write_images(release: Release, rows: pa.RecordBatch, shards: ShardReader, home: Path) -> None:
    names = zip(rows.column("uid").to_pylist(), rows.column("stored_format").to_pylist(), strict=True)
    for (uid, extension), image in zip(names, release.images(rows, shards), strict=True):
        (home / f"{uid}.{extension}").write_bytes(image)


def _append_metadata(path: Path, rows: pa.RecordBatch, names: list[str]) -> None:
    """A row an image; a shard whose rows come in two batches is one table all the same."""
    files = pc.binary_join_element_wise(rows.column("uid"), rows.column("stored_format"), ".")
    table = pa.Table.from_batches([rows.select(names)]).add_column(0, "file_name", files)
    table = pa.table({name: _readable(table[name]) for name in table.column_names})
    if path.exists():
        table = pa.concat_tables([pq.read_table(path, memory_map=False), table])
    with TableWriter(path, table.schema) as writer:
        writer.write(table)


def _readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Hashes in hexadecimal: `datasets` stores no whole number above 2^63."""
    if column.type != pa.uint64():
        return column
    return pa.chunked_array([[None if n is None else f"{n:016x}" for n in column.to_pylist()]], pa.string())


def _write_card(
    release: Release,
    folder: Path,
    layout: str,
    files: dict[str, str],
    features: Sequence[Mapping[str, Any]],
    columns: str,
) -> None:
    front = front_matter(release.folder / "README.md")
    title = " ".join(str(front.get("pretty_name", "An image-text dataset")).split())
    split = next(iter(files), _TRAIN)
    body = _BODY.format(title=title, num=release.num_samples(), layout=layout, split=split, columns=columns)
    (folder / "README.md").write_text(card(front, files, features, body), encoding="utf-8")
