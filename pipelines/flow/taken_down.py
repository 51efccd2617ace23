"""Takedowns as tasks honour them: rows that a tombstone matches are emptied, as soon as that can be told."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crawler.url_columns import canonical_urls, uids
from crawler.urls import host_of
from dedup.phash import phash64
from pipelines.flow.stored import stored_images
from shards.table_purge import REMOVED, blanked, empty_rows, rows_of
from shards.tables import read_rows, write_table
from shards.tar_purge import leave_holes
from shards.tombstones import Tombstones, tombstones_of

PLACED = "placed"
"""In a select part's facts: how many samples the release was laid out for, before any of them was taken down."""

Flags = npt.NDArray[np.bool_]
_HOSTS, _PAGES, _FINAL = "host", "page_url", "final_url"
_DIGESTS = ("sha256", "stored_sha256", "expected_sha256")


def taken_down(table: pa.Table, tombstones: Tombstones) -> Flags:
    """Which rows a tombstone matches, by the columns that the table has: uid, host, page, digests, phash."""
    found = np.zeros(table.num_rows, np.bool_)
    if not tombstones or not table.num_rows:
        return found
    names = set(table.column_names)
    found |= rows_of(table, tombstones.uids)
    if tombstones.hosts and _HOSTS in names:
        found |= _by_value(table[_HOSTS], lambda hosts: [tombstones.covers(host) for host in hosts])
    for name in names & {_PAGES, _FINAL}:
        if tombstones.hosts or tombstones.pages:
            found |= _by_value(table[name], lambda urls: are_pages_down(urls, tombstones))
    for name in names.intersection(_DIGESTS):
        found |= _flags(pc.is_in(table[name], value_set=tombstones.sha256s))
    if tombstones.phashes and "phash" in names and table.schema.field("phash").type == pa.uint64():
        found |= near_phashes(table["phash"], tombstones)
    return found


def are_pages_down(urls: Sequence[str], tombstones: Tombstones) -> list[bool]:
    """Of each URL whether a tombstone names it as a page, or its host."""
    canonical = canonical_urls(pa.array(urls, pa.string()))["canonical_url"]
    pairs = zip(canonical.to_pylist(), uids(canonical.combine_chunks()).to_pylist(), strict=True)
    return [
        url is not None and (uid in tombstones.pages or (bool(tombstones.hosts) and tombstones.covers(host_of(url))))
        for url, uid in pairs
    ]


def near_phashes(hashes: pa.ChunkedArray, tombstones: Tombstones) -> Flags:
    """Which hashes (uint64, null for none) lie within a tombstone's distance."""
    is_valid = _flags(pc.is_valid(hashes))
    values = pc.fill_null(hashes, 0).to_numpy()
    near = np.zeros(len(values), np.bool_)
    for value, distance in tombstones.phashes:
        near |= np.bitwise_count(values ^ np.uint64(value)) <= distance
    return near & is_valid


def without_taken_down(table: pa.Table, run: Path) -> pa.Table:
    """The table with the rows emptied that were taken down in the run, or by a list that it honours.

    And those that fell as such before: by its digest an image is known while it is fetched, and then no more.
    """
    tombstones = tombstones_of(run)
    if not tombstones:
        return table
    fell = _flags(pc.equal(table["drop_reason"], REMOVED))
    return blanked(table, taken_down(table, tombstones) | fell)


def without_copies(fetched: pa.Table, tar: Path, run: Path) -> pa.Table:
    """Downloads with those emptied that were taken down, and holes in their tar in place of the stored copies."""
    tombstones = tombstones_of(run)
    if not tombstones:
        return fetched
    down = taken_down(fetched, tombstones)
    if tombstones.phashes:
        down |= near_stored(fetched, tar, tombstones)
    if down.any():
        beside = tar.with_name(f"{tar.name}.holes")
        leave_holes(tar, beside, set(fetched["uid"].filter(pa.array(down)).to_pylist()))
        beside.replace(tar)
    return blanked(fetched, down)


def near_stored(fetched: pa.Table, tar: Path, tombstones: Tombstones) -> Flags:
    """Which rows have a stored copy whose phash a tombstone matches; decodes them one by one."""
    places = np.flatnonzero(_flags(pc.is_valid(fetched["tar_offset"])))
    hashes = np.zeros(fetched.num_rows, np.uint64)
    images = stored_images(fetched.take(pa.array(places)), tar)
    for place, pixels in zip(places.tolist(), images, strict=True):
        hashes[place] = phash64(pixels)
    is_stored = np.zeros(fetched.num_rows, np.bool_)
    is_stored[places] = True
    return near_phashes(pa.chunked_array([pa.array(hashes, mask=~is_stored)]), tombstones)


def not_fallen_twice(early: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows of samples that did not fall as removed `early`: who was taken down later is here and there."""
    removed = early.filter(pc.fill_null(pc.equal(early["drop_reason"], REMOVED), False))["uid"]
    return rows.filter(pa.array(~rows_of(rows, removed.combine_chunks()))) if len(removed) else rows


def drop_taken_down(frontier: Path, run: Path) -> None:
    """Pages that were taken down, or whose hosts were, are not visited: their rows are taken out of a frontier."""
    tombstones = tombstones_of(run)
    if not (tombstones.pages or tombstones.hosts):
        return
    rows = read_rows(frontier)
    down = np.array(are_pages_down(rows["url"].to_pylist(), tombstones), np.bool_)
    if down.any():
        write_table(frontier, rows.filter(pa.array(~down)))


def with_empty_rows(fetched: pa.Table, samples: pa.Table) -> pa.Table:
    """Downloads, and a row for each of the samples that is not asked for because it was taken down."""
    return pa.concat_tables([fetched, empty_rows(fetched.schema, samples["uid"])]).sort_by("uid")


def _by_value(column: pa.ChunkedArray, judge: Callable[[list[str]], list[bool]]) -> Flags:
    """A judgement of each distinct value, for all rows; null is never matched."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    is_down = np.array([*judge(values), False], np.bool_)
    return np.asarray(is_down[pc.fill_null(encoded.indices, len(values)).to_numpy(zero_copy_only=False)], np.bool_)


def _flags(mask: pa.Array | pa.ChunkedArray) -> Flags:
    values = pc.fill_null(mask, False)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(values.to_numpy(zero_copy_only=False), np.bool_)
