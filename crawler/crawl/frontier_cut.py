"""Which candidates a round visits where the pages that are left are fewer: those of most worth, told range by range."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crawler.crawl.known_urls import COUNTS
from crawler.frontier import FRONTIER, lane_of
from shards.tables import read_rows


class Cut(NamedTuple):
    """The last candidates that a round takes: those of a worth, depth and place, all of them in the ranges before
    `last_range`, and `num_urls` in that one."""

    worth: int
    depth: int
    place: int
    last_range: int
    num_urls: int

    def most_of(self, number: int) -> int:
        """How many of the last candidates come from a range."""
        return self.num_urls if number == self.last_range else _ALL if number < self.last_range else 0


_ALL = 2**62
_KEYS = ["worth", "depth", "place"]
_ORDER = [("worth", "descending"), ("depth", "ascending"), ("place", "ascending")]


def cut_of(counts_paths: Sequence[Path], max_pages: int) -> Cut | None:
    """Where all ranges together are cut to give `max_pages`, by their COUNTS; None: nowhere.

    More worth comes first, then nearness to a seed, then each host in turn, then the order of ranges. Held is one row
    a worth, depth and place, however many ranges there are.
    """
    counts = COUNTS.empty_table()
    for path in counts_paths:
        both = pa.concat_tables([counts, read_rows(path)]).group_by(_KEYS, use_threads=False)
        counts = both.aggregate([("num_urls", "sum")]).rename_columns(COUNTS.names)
    counts = counts.sort_by(_ORDER)
    totals = np.cumsum(counts["num_urls"].to_numpy())
    if not len(totals) or totals[-1] <= max_pages:
        return None
    at = int(np.searchsorted(totals, max_pages, side="right"))
    last = counts.slice(at, 1).to_pylist()[0]
    left = max_pages - int(totals[at]) + last["num_urls"]
    for number, path in enumerate(counts_paths):
        num_urls = _num_like(last, path)
        if num_urls > left:
            return Cut(last["worth"], last["depth"], last["place"], number, left)
        left -= num_urls
    raise AssertionError("the ranges hold what was counted")


def frontier_of(candidates: pa.Table, number: int, cut: Cut | None, lanes: int) -> pa.Table:
    """The FRONTIER rows of a range's candidates (by host and url): what a cut leaves of them, by lane."""
    if cut is not None:
        candidates = _taken(candidates, cut, cut.most_of(number))
    hosts = candidates["host"].combine_chunks().dictionary_encode()
    lane = np.array([lane_of(host, lanes) for host in hosts.dictionary.to_pylist()], np.int32)
    table = candidates.append_column("lane", pa.array(lane[hosts.indices.to_numpy()], pa.int32()))
    order = np.argsort(table["lane"].to_numpy(), kind="stable")
    return table.select(FRONTIER.names).combine_chunks().take(pa.array(order))


def _num_like(last: dict[str, int], counts_path: Path) -> int:
    same = [pc.field(key) == last[key] for key in _KEYS]
    rows = read_rows(counts_path).filter(same[0] & same[1] & same[2])
    return int(pc.sum(rows["num_urls"]).as_py() or 0)


def _taken(candidates: pa.Table, cut: Cut, num_of_last: int) -> pa.Table:
    keys = np.stack([-candidates["worth"].to_numpy(), candidates["depth"].to_numpy(), candidates["place"].to_numpy()])
    last = np.array([[-cut.worth], [cut.depth], [cut.place]])
    differs = keys != last
    first = differs.argmax(axis=0)
    columns = np.arange(keys.shape[1])
    is_last = ~differs.any(axis=0)
    is_before = ~is_last & (keys[first, columns] < last[first, 0])
    is_taken = is_before | (is_last & (np.cumsum(is_last) <= num_of_last))
    return candidates.filter(pa.array(is_taken))
