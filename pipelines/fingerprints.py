"""The hashes of a folder of images, as a run would see them: `curate fingerprint`, and evaluation sets in a recipe."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from crawler.decoder import DecoderPool, StoredImage
from dedup.hash_file import HASH_FILE
from dedup.hashes import HASHES
from dedup.shrinking import grey_of
from shards.errors import UsageError
from shards.image_settings import ImageSettings
from shards.images import Refusal, decode_stored
from shards.storage import disk_faults, publish
from shards.tables import write_table

_MAX_FILE_BYTES = 64 * 2**20
_AT_ONCE = 8
_OTHER_FILES = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".md", ".html", ".xml", ".parquet", ".npy")
"""What lies beside images in evaluation sets, and is no image."""


def write_hash_file(folder: Path, output: Path) -> list[str]:
    """Hash a folder's images into a file; what was found, and each file that is no image, a line each."""
    table, faults = folder_hashes(folder, ImageSettings())
    if not table.num_rows:
        raise UsageError(f"{folder}: no image in it can be read" + "".join(f"\n  {fault}" for fault in faults[:5]))
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}")
    beside = output.with_name(f".{output.name}.tmp")
    with disk_faults(output):
        write_table(beside, table)
    publish(beside, output)
    plain = {name: table[name].null_count for name in HASHES}
    told = [
        f"{output}: {table.num_rows} images",
        *(f"{num} too plain for a {name}" for name, num in plain.items() if num),
    ]
    return [*(f"not read    {fault}" for fault in faults), ", ".join(told)]


def image_files(folder: Path) -> list[Path]:
    """The files below a folder that may be images, by name. Hidden ones and links to elsewhere are left out."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; expected one with images")
    return sorted(Path(path) for path in _image_paths(folder))


def _image_paths(folder: Path | str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _image_paths(entry.path)
            elif entry.is_file(follow_symlinks=False) and not entry.name.lower().endswith(_OTHER_FILES):
                yield entry.path


def folder_hashes(folder: Path, settings: ImageSettings) -> tuple[pa.Table, list[str]]:
    """HASH_FILE rows of the images of a folder, by name; and a line for each file that is none.

    An image is decoded, stored and decoded again as in a run, in processes of its own under limits.
    """
    rows: list[dict[str, object]] = []
    faults: list[str] = []
    asyncio.run(_hash_all(folder, settings, rows, faults))
    return pa.Table.from_pylist(rows, HASH_FILE), faults


async def _hash_all(folder: Path, settings: ImageSettings, rows: list[dict[str, object]], faults: list[str]) -> None:
    async with DecoderPool(settings, os.cpu_count() or 1) as pool:
        for paths in _slices(image_files(folder), _AT_ONCE):
            images = await asyncio.gather(*(_decode(path, pool) for path in paths))
            for path, image in zip(paths, images, strict=True):
                name = path.relative_to(folder).as_posix()
                if isinstance(image, Refusal):
                    faults.append(f"{name}: {image.reason}{f', {image.detail}' if image.detail else ''}")
                else:
                    rows.append({"name": name} | _hashes(image))


def _hashes(image: StoredImage) -> dict[str, object]:
    grey = grey_of(decode_stored(image.stored))
    found = {name: measured(grey) for name, measured in HASHES.items()}
    return {"sha256": image.sha256} | {name: value if trusted else None for name, (value, trusted) in found.items()}


async def _decode(path: Path, pool: DecoderPool) -> StoredImage | Refusal:
    if path.stat().st_size > _MAX_FILE_BYTES:
        return Refusal("too_large", f"more than {_MAX_FILE_BYTES} bytes")
    return await pool.decode(path.read_bytes())


def _slices(paths: list[Path], size: int) -> Iterator[list[Path]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))
