"""A release made by hand, with whatever texts a test wants in it: manifest, shards and seal."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.flow.final import MANIFEST_TEXT
from shards.schema import kind_rank, uid_of
from shards.tables import write_table
from shards.tars import TarWriter

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("uid", "url", "page_url", "text", "text_kind")),
        ("texts", pa.list_(MANIFEST_TEXT)),
        *((name, pa.int32()) for name in ("original_width", "original_height", "width", "height")),
        *((name, pa.string()) for name in ("sha256", "stored_format", "stored_sha256", "strength", "category")),
        *((name, pa.string()) for name in ("host", "query", "dup_group", "split")),
        ("phash", pa.uint64()),
        ("clip_score", pa.float64()),
        ("status", pa.string()),
        ("shard", pa.string()),
    ]
)


@dataclass(frozen=True)
class Sample:
    """One image with its standing and its dropped texts, as (kind, text); the best kind's is the caption."""

    url: str
    texts: Sequence[tuple[str, str]] = ()
    dropped: Sequence[tuple[str, str]] = ()
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        return uid_of(self.url)

    @property
    def image(self) -> bytes:
        return b"\xff\xd8" + self.url.encode() + bytes(range(256))

    def row(self) -> dict[str, Any]:
        best = min(self.texts, key=lambda text: kind_rank(text[0]), default=(None, None))
        texts = [*((*text, None) for text in self.texts), *((*text, "too_long") for text in self.dropped)]
        return {
            "uid": self.uid,
            "url": self.url,
            "page_url": "http://a.cn/页.html",
            "text": best[1],
            "text_kind": best[0],
            "texts": [{"kind": k, "text": t, "clip_score": 0.5, "drop_reason": reason} for k, t, reason in texts],
            **{"original_width": 640, "original_height": 480, "width": 320, "height": 240},
            "sha256": hashlib.sha256(self.url.encode()).hexdigest(),
            "stored_format": "jpg",
            "stored_sha256": hashlib.sha256(self.image).hexdigest(),
            "strength": "weak",
            "phash": 2**63 + 1,
            "clip_score": 0.25,
            "status": "kept",
            "shard": "000000.tar",
            **self.more,
        }


def make_release(folder: Path, samples: Sequence[Sample], rows_a_file: int = 1000) -> Path:
    """The samples in order of uid, in one shard; manifest files of `rows_a_file` rows."""
    in_order = sorted(samples, key=lambda sample: sample.uid)
    for name in ("manifest", "shards"):
        (folder / name).mkdir(parents=True)
    for number in range(0, len(in_order), rows_a_file):
        rows = [sample.row() for sample in in_order[number : number + rows_a_file]]
        path = folder / "manifest" / f"kept-{number // rows_a_file:06d}.parquet"
        write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA))
    write_table(folder / "manifest" / "dropped-000000.parquet", SCHEMA.empty_table())
    with TarWriter(folder / "shards" / "000000.tar") as tar:
        for sample in in_order:
            tar.add(f"{sample.uid}.jpg", sample.image)
            tar.add(f"{sample.uid}.json", b"{}")
    (folder / "SHA256SUMS").write_text("")
    return folder
