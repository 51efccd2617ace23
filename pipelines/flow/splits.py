"""Splits and subsets of a release: which kept samples are held out under a name, and which ones a smaller share is."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.rows import put
from pipelines.release_settings import TRAIN, ReleaseSettings
from shards.draws import below_share, draws_of, group_keys
from shards.tables import iter_batches

SPLIT = "split"
_UID_COLUMNS = ("uid",)


def split_names(settings: ReleaseSettings) -> list[str | None]:
    """The runs of shards that a release has, in their order: one without a name, or `train` and then each split."""
    return [TRAIN, *settings.splits] if settings.splits else [None]


def with_splits(table: pa.Table, settings: ReleaseSettings) -> pa.Table:
    """Kept samples with the column `split`, where the recipe names splits; a group is never parted."""
    if not settings.splits:
        return table
    draws = draws_of(group_keys(table), SPLIT)
    names = np.full(table.num_rows, TRAIN, object)
    end = 0.0
    for name, share in settings.splits.items():
        start, end = end, end + share
        names[below_share(draws, end) & ~below_share(draws, start)] = name
    return put(table, SPLIT, pa.array(names.tolist(), pa.string()))


def counted_splits(table: pa.Table, settings: ReleaseSettings) -> dict[str, int]:
    """How many samples of a table are of each split; empty without splits."""
    if not settings.splits:
        return {}
    counts = {entry["values"]: entry["counts"] for entry in table[SPLIT].value_counts().to_pylist()}
    return {name: counts.get(name, 0) for name in (TRAIN, *settings.splits)}


def of_split(batches: Iterable[pa.RecordBatch], split: str | None) -> Iterator[pa.RecordBatch]:
    """The rows of one split; all, where there are none."""
    for batch in batches:
        yield batch if split is None else batch.filter(pc.equal(batch.column(SPLIT), split))


def with_split_column(columns: Sequence[str], settings: ReleaseSettings) -> list[str]:
    return [*columns, SPLIT] if settings.splits else list(columns)


def uids_of_split(kept: Sequence[Path], split: str) -> Iterator[pa.Array]:
    """The uids of one split, in order."""
    for batch in of_split(iter_batches(kept, [*_UID_COLUMNS, SPLIT]), split):
        yield batch.column("uid")


def uids_of_subset(kept: Sequence[Path], name: str, settings: ReleaseSettings) -> Iterator[pa.Array]:
    """The uids of a subset, in order: of what no split holds out, those whose draw is below the share.

    All subsets draw alike, so that a smaller one lies in each larger one.
    """
    columns = with_split_column(_UID_COLUMNS, settings)
    for batch in of_split(iter_batches(kept, columns), TRAIN if settings.splits else None):
        uids = batch.column("uid")
        yield uids.filter(pa.array(below_share(draws_of(uids, "subset"), settings.subsets[name])))
