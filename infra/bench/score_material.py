"""Material for the score bench: a part of stored copies as fetch leaves them, with captions, made from a seed."""

import hashlib
import io
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from shards.schema import uid_of
from shards.tables import read_rows, write_table
from shards.tars import TarWriter

_WORDS = (
    "一",
    "只",
    "猫",
    "坐在",
    "窗台",
    "上",
    "城市",
    "夜景",
    "的",
    "高楼",
    "白色",
    "咖啡",
    "杯",
    "放在",
    "木桌",
    "雪山",
    "与",
    "湖水",
    "新款",
    "女鞋",
    "春天",
    "公园",
    "里",
    "樱花",
    "手机",
    "壳",
    "图片",
)
_SIZES = ((512, 341), (512, 384), (384, 512), (512, 512), (512, 288))


def make_part(folder: Path, num_images: int, num_distinct: int) -> tuple[Path, Path]:
    """Rows and tar of `num_images` samples over `num_distinct` JPEGs, about 60 kB each; what is there is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, tar = folder / f"rows-{num_images}-of-{num_distinct}.parquet", folder / f"copies-{num_distinct}.tar"
    if not tar.exists():
        write_table(folder / f"copies-{num_distinct}.parquet", _write_copies(tar, num_distinct))
    if rows.exists():
        return rows, tar
    copies = read_rows(folder / f"copies-{num_distinct}.parquet")
    table = copies.take(pa.array(np.arange(num_images) % num_distinct))
    table = table.append_column("uid", pa.array(sorted(uid_of(f"{number}") for number in range(num_images))))
    for name in ("drop_reason", "dropped_at", "detail"):
        table = table.append_column(name, pa.nulls(num_images, pa.string()))
    kind = pa.struct([("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string())])
    write_table(rows, table.append_column("texts", pa.array([_texts(n) for n in range(num_images)], pa.list_(kind))))
    return rows, tar


def _write_copies(tar: Path, num: int) -> pa.Table:
    """Where each copy lies, its digest and its size."""
    made = []
    with ProcessPoolExecutor() as pool, TarWriter(tar.with_suffix(".new")) as writer:
        for number, data in enumerate(pool.map(_jpeg, range(num), chunksize=8)):
            width, height = _SIZES[number % len(_SIZES)]
            place = {"tar_offset": writer.add(f"{uid_of(str(number))}.jpg", data), "tar_bytes": len(data)}
            made.append(place | {"stored_sha256": hashlib.sha256(data).hexdigest(), "height": height, "width": width})
    tar.with_suffix(".new").rename(tar)
    return pa.Table.from_pylist(made)


def texts_of(rows: Path) -> list[str]:
    """Each text of the part, in order."""
    return [text["text"] for own in read_rows(rows, ["texts"])["texts"].to_pylist() for text in own]


def _texts(number: int) -> list[dict[str, str | None]]:
    """One caption, and every fifth time a title as well; one in ten is a text that others share."""
    random = np.random.default_rng(number)
    told = ["".join(random.choice(_WORDS, int(random.integers(4, 12)))) for _ in range(1 + (number % 5 == 0))]
    told[0] = "图片 高清 下载" if number % 10 == 3 else told[0]
    return [
        {"kind": kind, "text": text, "drop_reason": None} for kind, text in zip(("alt", "title"), told, strict=False)
    ]


def _jpeg(number: int) -> bytes:
    """Waves and grain: about as many bytes as a photograph of this size takes at quality 92."""
    from PIL import Image

    width, height = _SIZES[number % len(_SIZES)]
    random = np.random.default_rng(number)
    down, across = np.mgrid[0:height, 0:width] / 64.0
    waves = sum(np.sin(a * down + b * across + c) for a, b, c in random.uniform(0.2, 6, (6, 3)))
    grain = random.normal(0, 7, (height, width, 1))
    pixels = 128 + 25 * np.asarray(waves)[..., None] * random.uniform(0.4, 1, 3) + grain
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92, subsampling="4:2:0")
    return buffer.getvalue()
