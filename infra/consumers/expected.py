"""What a consumer ought to find in a release, from its own tables: read with nothing but pyarrow."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds


def kept_rows(release: Path, columns: list[str]) -> list[dict[str, Any]]:
    """Those columns of the kept samples, in the release's order."""
    files = sorted(str(path) for path in (release / "manifest").glob("kept-*.parquet"))
    rows: list[dict[str, Any]] = ds.dataset(files).to_table(columns).to_pylist()
    return rows


def num_kept(release: Path) -> int:
    return len(kept_rows(release, ["uid"]))


def check_samples(release: Path, found: Iterable[tuple[str, str, tuple[int, int]]]) -> None:
    """Uid, caption and size of each sample are those of the manifest's kept rows, each once."""
    rows = kept_rows(release, ["uid", "text", "width", "height"])
    wanted = sorted((row["uid"], row["text"] or "", (row["width"], row["height"])) for row in rows)
    if sorted(found) != wanted:
        raise ValueError(f"what was read is not the {len(wanted)} kept samples of the manifest, each once")
