"""Candidates of one image merged: its distinct texts, and one head with what its candidates share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.shuffle import uid_words
from shards.database import scratch_database
from shards.schema import MAX_TEXTS, kind_rank

HEAD_COLUMNS = ("canonical_url", "host", "url", "page_url", "query", "source", "strength", "category", "license")

_OF_UID = ("uid", "canonical_url", "host")
"""Columns that are the same in all candidates of one uid; of the others a head has the smallest value."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Groups:
    """Rows in the order of their uids: image `n` has `order[starts[n]:starts[n] + sizes[n]]`."""

    order: _Ints
    starts: _Ints
    sizes: _Ints

    @property
    def is_single(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.sizes == 1)


def merged(candidates: pa.Table, text_columns: list[str], scratch: Path) -> tuple[pa.Table, pa.Table]:
    """Distinct texts sorted by (uid, kind, text) with `text_columns`, and one head per uid with `num_pages`.

    Of one image with more than MAX_TEXTS texts the sound ones stay that come first. The order of rows plays no part.
    Most images have one candidate, which takes part as it is; DuckDB, which spills to `scratch`, merges the others.
    """
    groups = _grouped(candidates["uid"])
    several = candidates.take(pa.array(_rows_of_several(groups)))
    images = pa.array(np.repeat(np.arange(len(groups.sizes)), np.where(groups.is_single, 0, groups.sizes)))
    texts, heads = _merged_by_image(several.append_column("image", images), scratch)
    return (
        candidates.select(text_columns).take(pa.array(_rows_of_texts(groups, texts))),
        _heads(candidates, groups, heads),
    )


def _grouped(uids: pa.ChunkedArray) -> _Groups:
    words = uid_words(uids)
    order = np.lexsort((words[:, 1], words[:, 0]))
    words = words[order]
    differs = (words[1:] != words[:-1]).any(axis=1)
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(order)), np.bool_), differs]))
    return _Groups(order, starts, np.diff(np.append(starts, len(order))))


def _rows_of_several(groups: _Groups) -> _Ints:
    """Rows of images that have more than one, image by image."""
    return groups.order[np.repeat(~groups.is_single, groups.sizes)]


def _merged_by_image(several: pa.Table, scratch: Path) -> tuple[pa.Table, pa.Table]:
    """Which rows of `several` carry an image's texts, as (image, place), and one head per image."""
    kinds = sorted(set(several["kind"].unique().to_pylist()) - {None}, key=kind_rank)
    ranks = pc.fill_null(pc.index_in(several["kind"], pa.array(kinds, pa.string())), len(kinds))
    judged = several.select(["image", "text", "drop_reason", "detail"]).append_column("rank", ranks)
    least = ", ".join(f"min({name}) AS {name}" for name in HEAD_COLUMNS if name not in _OF_UID)
    with scratch_database(scratch) as database:
        database.register("judged", judged.append_column("place", pa.array(np.arange(several.num_rows))))
        texts = database.sql(
            f"""
            WITH ranked AS (
                SELECT *, row_number() OVER (PARTITION BY image, text, drop_reason ORDER BY rank, detail) AS same
                FROM judged),
            numbered AS (
                SELECT *, row_number() OVER (
                    PARTITION BY image ORDER BY drop_reason IS NOT NULL, rank, text, drop_reason) AS number
                FROM ranked WHERE same = 1)
            SELECT image, place FROM numbered WHERE number <= {MAX_TEXTS} ORDER BY image, rank, text, drop_reason
            """
        ).to_arrow_table()
        database.register("several", several.select(["image", *(n for n in HEAD_COLUMNS if n not in _OF_UID)]))
        heads = database.sql(
            f"SELECT {least}, count(DISTINCT page_url)::INTEGER AS num_pages FROM several GROUP BY image ORDER BY image"
        ).to_arrow_table()
    return texts, heads


def _rows_of_texts(groups: _Groups, texts: pa.Table) -> _Ints:
    """The candidate behind each text, image by image."""
    images = texts["image"].to_numpy()
    num_texts = np.bincount(images, minlength=len(groups.sizes)) + groups.is_single
    of_several = np.repeat(~groups.is_single, num_texts)
    rows = np.empty(len(of_several), np.int64)
    rows[~of_several] = groups.order[groups.starts[groups.is_single]]
    rows[of_several] = _rows_of_several(groups)[texts["place"].to_numpy()]
    return rows


def _heads(candidates: pa.Table, groups: _Groups, several: pa.Table) -> pa.Table:
    """One row per image: its only candidate's, or what `several` says, row by row, of the images of more than one."""
    pages = pc.cast(pc.is_valid(candidates["page_url"]), pa.int32())
    counted = candidates.append_column("num_pages", pages)
    first = groups.order[groups.starts]
    heads = counted.select(list(_OF_UID)).take(pa.array(first))
    rows = pa.array(np.where(groups.is_single, first, len(groups.order) + np.cumsum(~groups.is_single) - 1))
    for name in several.column_names:
        values = pa.concat_tables([counted.select([name]), several.select([name]).cast(_one(counted, name))])
        heads = heads.append_column(name, values[name].take(rows))
    return heads.select(["uid", *HEAD_COLUMNS, "num_pages"])


def _one(table: pa.Table, name: str) -> pa.Schema:
    return pa.schema([table.schema.field(name)])
