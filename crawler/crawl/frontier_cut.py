"""Which candidates a round visits where the pages that are left are fewer: those of most worth, told range by range."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from crawler.crawl.known_urls import COUNTS
from crawler.frontier import FRONTIER, lane_of
from shards.tables import read_rows

_ORDER = [("worth", "descending"), ("depth", "ascending"), ("place", "ascending")]
_ALL = 2**62

Cut = tuple[int, int, int, int]
"""Worth, depth and place of the last candidates that are taken, and how many of those of one range."""


def cut_of(counts_paths: Sequence[Path], max_pages: int, number: int) -> Cut | None:
    """Where the range of that number is cut, so that all ranges together give `max_pages`; None: nowhere.

    More worth comes first, then nearness to a seed, then each host in turn, then the order of ranges.
    """
    tables = [read_rows(path) for path in counts_paths]
    places = [pa.array(np.full(table.num_rows, place)) for place, table in enumerate(tables)]
    counts = pa.concat_tables(
        [table.append_column("range", place) for table, place in zip(tables, places, strict=True)]
        or [COUNTS.empty_table().append_column("range", pa.array([], pa.int64()))]
    ).sort_by([*_ORDER, ("range", "ascending")])
    totals = np.cumsum(counts["num_urls"].to_numpy())
    if not len(totals) or totals[-1] <= max_pages:
        return None
    at = int(np.searchsorted(totals, max_pages, side="right"))
    worth, depth, place, num_urls, last_range = (counts[name][at].as_py() for name in counts.column_names)
    if number == last_range:
        return worth, depth, place, num_urls - (int(totals[at]) - max_pages)
    return worth, depth, place, _ALL if number < last_range else 0


def frontier_of(candidates: pa.Table, cut: Cut | None, lanes: int) -> pa.Table:
    """The FRONTIER rows of one range's candidates (by host and url): what a cut leaves of them, by lane."""
    if cut is not None:
        candidates = _taken(candidates, cut)
    hosts = candidates["host"].combine_chunks().dictionary_encode()
    lane = np.array([lane_of(host, lanes) for host in hosts.dictionary.to_pylist()], np.int32)
    table = candidates.append_column("lane", pa.array(lane[hosts.indices.to_numpy()], pa.int32()))
    order = np.argsort(table["lane"].to_numpy(), kind="stable")
    return table.select(FRONTIER.names).combine_chunks().take(pa.array(order))


def _taken(candidates: pa.Table, cut: Cut) -> pa.Table:
    worth, depth, place, num_of_last = cut
    keys = np.stack([-candidates["worth"].to_numpy(), candidates["depth"].to_numpy(), candidates["place"].to_numpy()])
    last = np.array([[-worth], [depth], [place]])
    differs = keys != last
    first = differs.argmax(axis=0)
    columns = np.arange(keys.shape[1])
    is_last = ~differs.any(axis=0)
    is_before = ~is_last & (keys[first, columns] < last[first, 0])
    is_taken = is_before | (is_last & (np.cumsum(is_last) <= num_of_last))
    return candidates.filter(pa.array(is_taken))
