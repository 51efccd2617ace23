"""Candidates of one image merged: its distinct texts, and one head with what its candidates share."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.measures import OF_SOURCES
from pipelines.flow.rows import put
from pipelines.flow.shuffle import uid_words
from shards.database import scratch_database
from shards.schema import MAX_TEXTS, kind_rank

HEAD_COLUMNS = (
    *("canonical_url", "host", "url", "page_url", "query", "source", "strength", "category", "license"),
    *("expected_sha256", "query_rank", "member"),
    *("warc_record", "page_language", "page_charset", "charset_from", "author"),
    *("is_icon", "is_tracker", "is_spacer", "is_avatar"),
)

_OF_UID = ("uid", "canonical_url", "host")
"""Columns that are the same in all candidates of one uid; of the others a head has the smallest value: so an image is
an icon only where every page shows it as one.

So where a list gives one image several sha256, the smallest counts: which bytes stand in the dataset does not depend on
the order of rows, and bytes that no row vouches for are never kept. A query and its rank stay together: the query that
has the image highest up, of several the smallest."""

_NO_RANK = 2**31 - 1

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """Rows of candidates image by image, by uid: image `n` has `order[starts[n]:starts[n] + sizes[n]]`."""

    order: _Ints
    starts: _Ints
    sizes: _Ints

    @property
    def is_single(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.sizes == 1)

    def pieces(self, num_images: int) -> Iterator["Images"]:
        """The same in runs of at most `num_images`; at least one run, be it empty."""
        for first in range(0, max(1, len(self.sizes)), num_images):
            yield Images(self.order, self.starts[first : first + num_images], self.sizes[first : first + num_images])


def images_of(uids: pa.ChunkedArray) -> Images:
    """Which rows belong to one uid, uids ascending."""
    words = uid_words(uids)
    order = np.lexsort((words[:, 1], words[:, 0]))
    words = words[order]
    differs = (words[1:] != words[:-1]).any(axis=1)
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(order)), np.bool_), differs]))
    return Images(order, starts, np.diff(np.append(starts, len(order))))


def merged(candidates: pa.Table, images: Images, text_columns: list[str], scratch: Path) -> tuple[pa.Table, pa.Table]:
    """Distinct texts sorted by (uid, kind, text) with `text_columns`, and one head per uid with `num_pages`.

    Of one image with more than MAX_TEXTS texts the sound ones stay that come first. The order of rows plays no part.
    Most images have one candidate, which takes part as it is; DuckDB, which spills to `scratch`, merges the others.
    """
    rows = _rows_of_several(images)
    numbers = np.repeat(np.arange(len(images.sizes)), np.where(images.is_single, 0, images.sizes))
    several = candidates.take(pa.array(rows)).append_column("image", pa.array(numbers))
    texts, heads = _merged_by_image(several, scratch)
    rows_of_texts = _rows_of_texts(images, texts["image"].to_numpy(), rows[texts["place"].to_numpy()])
    return candidates.select(text_columns).take(pa.array(rows_of_texts)), _heads(candidates, images, heads)


def _rows_of_several(images: Images) -> _Ints:
    """Rows of images that have more than one, image by image."""
    starts, sizes = images.starts[~images.is_single], images.sizes[~images.is_single]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows: _Ints = images.order[np.repeat(starts, sizes) + within]
    return rows


def _merged_by_image(several: pa.Table, scratch: Path) -> tuple[pa.Table, pa.Table]:
    """Which rows of `several` carry an image's texts, as (image, place), and one head per image."""
    kinds = sorted(set(several["kind"].unique().to_pylist()) - {None}, key=kind_rank)
    ranks = pc.fill_null(pc.index_in(several["kind"], pa.array(kinds, pa.string())), len(kinds))
    beside = [name for name in OF_SOURCES if name in several.column_names]
    judged = several.select(["image", "text", "drop_reason", "detail", *beside]).append_column("rank", ranks)
    first = ", ".join(["rank", "detail", *(f"{name} DESC NULLS LAST" for name in beside)])
    alone = [name for name in HEAD_COLUMNS if name not in (*_OF_UID, "query", "query_rank")]
    least = ", ".join([*(f"min({name}) AS {name}" for name in alone), _best_query(several)])
    with scratch_database(scratch) as database:
        database.register("judged", judged.append_column("place", pa.array(np.arange(several.num_rows))))
        texts = database.sql(
            f"""
            WITH ranked AS (
                SELECT *, row_number() OVER (PARTITION BY image, text, drop_reason ORDER BY {first}) AS same
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


def _best_query(several: pa.Table) -> str:
    """SQL for `query` and `query_rank`; to compare pairs is slow, and only results of a search have ranks."""
    if several["query_rank"].null_count == several.num_rows:
        return "min(query) AS query, min(query_rank) AS query_rank"
    pair = f"min({{'rank': coalesce(query_rank, {_NO_RANK}), 'query': query}}) FILTER (query IS NOT NULL)"
    return f"({pair}).query AS query, nullif(({pair}).rank, {_NO_RANK}) AS query_rank"


def _rows_of_texts(images: Images, of_several: _Ints, rows_of_several: _Ints) -> _Ints:
    """The candidate behind each text, image by image; images of several have those given, by image."""
    num_texts = np.bincount(of_several, minlength=len(images.sizes)) + images.is_single
    is_of_single = np.repeat(images.is_single, num_texts)
    rows = np.empty(len(is_of_single), np.int64)
    rows[is_of_single] = images.order[images.starts[images.is_single]]
    rows[~is_of_single] = rows_of_several
    return rows


def _heads(candidates: pa.Table, images: Images, several: pa.Table) -> pa.Table:
    """One row per image: its only candidate's, or what `several` says, row by row, of the images of more than one."""
    heads = candidates.select(["uid", *HEAD_COLUMNS]).take(pa.array(images.order[images.starts]))
    heads = heads.append_column("num_pages", pc.cast(pc.is_valid(heads["page_url"]), pa.int32()))
    is_merged = pa.array(~images.is_single)
    for name in several.column_names:
        settled = several[name].combine_chunks().cast(heads[name].type)
        heads = put(heads, name, pc.replace_with_mask(heads[name], is_merged, settled))
    return heads
