"""The manifest: one row a sample, kept or dropped, in Parquet files that stand beside the shards."""

from collections.abc import Sequence
from pathlib import Path

from shards.schema import SCHEMA_VERSION

_NARROW = ("uid", "url", "page_url", "host", "source", "text", "text_kind", "status", "drop_reason", "failed_rules")
_NARROW_TAIL = ("dropped_at", "detail", "dup_group", "dup_of", "shard")


def manifest_metadata() -> dict[bytes, bytes]:
    """File metadata: what a reader needs to know of the columns."""
    return {b"schema_version": SCHEMA_VERSION.encode()}


def narrow_columns(names: Sequence[str]) -> list[str]:
    """The columns of a narrow dropped file: who it was and why it fell."""
    wanted = {*_NARROW, *_NARROW_TAIL}
    return [name for name in names if name in wanted]


def shard_below(folder: Path, shard: str) -> Path:
    """The shard that a row names, `000000.tar` or `<split>/000000.tar`, and never a path out of the folder."""
    return folder.joinpath(*(part for part in Path(shard).parts[-2:] if part not in ("..", "/")))
