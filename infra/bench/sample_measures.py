"""Measures that are told of many rows together: microseconds of CPU a row, by the functions that their stages call.

    python infra/bench/sample_measures.py            200,000 rows, under two minutes
    python infra/bench/sample_measures.py --quick    50,000, under 50 s
    python infra/bench/sample_measures.py --costs    also prints rows for pipelines/measure_costs.tsv

Reading and writing parts is not in it: a stage reads and writes its rows whatever is asked for. Rows are made up, with
captions of the labelled sets, hosts and queries of very unequal sizes, a tenth of the hashes near others.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from machine import machine
from text_measures import rows_of

from dedup.clusters import nearest_centroids, num_clusters_for, train_centroids
from dedup.groups import HASHED, distinct_hashes
from dedup.hamming import near_matches, near_pairs
from dedup.semantic import nearest_before
from dedup.survivors import pair_rows, rank_in_groups, rank_rows
from filters.balance import EntryMatcher, entry_probabilities, keep_probabilities, tail_threshold
from filters.balance_settings import BalanceSettings
from filters.clip.categories import Categories
from filters.clip.groups import group_ranks
from filters.clip.heads import Head
from filters.clip.scorer import EncodedTexts
from filters.image import fetched_measures
from filters.keywords import categories_of, read_keywords
from pipelines.flow.admit import SHARED_TEXTS
from pipelines.flow.balance_turns import metadata_of
from pipelines.flow.corpus import IMAGES_OF_HOSTS, draws
from pipelines.flow.keyed import counted, marked_by, placed, summed
from pipelines.flow.tally import percentiles, with_shares
from shards.database import scratch_database

DISTANCE = 4
NUM_EMBEDDED, DIMENSION, NUM_LABELS, GROUP_SIZE = 20_000, 512, 19, 120
Work = Callable[[], object]


def main() -> None:
    arguments = _arguments()
    num_rows = 50_000 if arguments.quick else 200_000
    table = _rows(num_rows)
    costs = {names: _us_a_row(work, num_rows) for names, work in _works(table).items()}
    vectors = _vectors(np.random.default_rng(3))
    costs |= {names: _us_a_row(work, NUM_EMBEDDED) for names, work in _works_of_embeddings(vectors).items()}
    costs["balance_prob"] = _of_balance(table)
    if arguments.costs:
        print("\n".join(f"{name}\t{us:.2g} us a row" for names, us in costs.items() for name in names.split(", ")))
    ours = {names: round(us, 3) for names, us in costs.items()}
    print(json.dumps({"name": "sample_measures", "machine": machine(), "rows": num_rows, "ours": ours, "peer": None}))


def _rows(num_rows: int) -> pa.Table:
    """Samples by uid, with all columns that the measures are told by."""
    random = np.random.default_rng(2)
    hashes = random.integers(0, 2**63, num_rows).astype(np.uint64)
    near = np.flatnonzero(random.random(num_rows) < 0.1)
    hashes[near] = hashes[random.integers(0, num_rows, len(near))] ^ np.uint64(0b101)
    texts = rows_of(num_rows)
    texts[::10] = [texts[0]] * len(texts[::10])
    uids = np.sort([random.bytes(16).hex() for _ in range(num_rows)])
    columns = {
        "uid": pa.array(uids),
        "text": pa.array(texts),
        "host": pa.array([f"host{number}.example" for number in random.zipf(1.5, num_rows) % 5000]),
        "hash": pa.array(hashes),
        "stored_sha256": pa.array(uids),
        "pixels": pa.array(random.integers(1, 2**22, num_rows)),
        "original_width": pa.array(random.integers(100, 4000, num_rows).astype(np.int32)),
        "original_height": pa.array(random.integers(100, 4000, num_rows).astype(np.int32)),
        "bytes": pa.array(random.integers(4096, 2**20, num_rows)),
        "dup_group": pa.array(uids[random.integers(0, num_rows, num_rows)]),
        "clip_score": pa.array(np.round(random.uniform(0.1, 0.5, num_rows), 4)),
        "drop_reason": pa.nulls(num_rows, pa.string()),
        "failed_rules": pa.array([[]] * num_rows, pa.list_(pa.string())),
    }
    told = pa.StructArray.from_arrays([columns["text"], columns["drop_reason"]], ["text", "drop_reason"])
    columns["texts"] = pa.ListArray.from_arrays(np.arange(num_rows + 1, dtype=np.int32), told)
    return pa.table(columns)


def _works(table: pa.Table) -> dict[str, Work]:
    """What is done for the measures of each key, over all rows."""
    hashed = table.select(HASHED.names).cast(HASHED)
    hashes = table["hash"].to_numpy()
    others = np.random.default_rng(4).integers(0, 2**63, len(hashes)).astype(np.uint64)
    keywords, texts = read_keywords("wudaomm"), table["text"].combine_chunks()
    owners = np.arange(len(table))
    originals = ("min_side", "max_side", "aspect", "bytes_per_pixel")
    return {
        **{name: partial(fetched_measures, table, [name]) for name in originals},
        "text_count": lambda: _asked(SHARED_TEXTS, texts=table.select(["uid", "text"])),
        "host_count, host_share": lambda: _asked(IMAGES_OF_HOSTS, candidates=table.select(["uid", "host"])),
        "keyword_category": lambda: categories_of(texts, owners, len(table), keywords),
        "uid_draw": lambda: draws(table["uid"]),
        "dup_group": lambda: (distinct_hashes(hashed), near_pairs(hashes, DISTANCE)),
        "dup_rank": lambda: rank_in_groups(table, "largest"),
        "pair_rank": lambda: rank_rows(pair_rows(table, "largest")),
        "seen_in, eval_match": lambda: near_matches(hashes, others, DISTANCE),
        "clip_pct": lambda: with_shares(table, percentiles([table])),
        ", ".join(f"{key}_{what}_kept" for key in ("query", "host", "category") for what in ("rank", "count")): (
            lambda: _by_host(table, np.zeros(len(table), np.bool_))
        ),
        "host_bad_share": lambda: _by_host(table, marked_by(table, ["too_small"])),
    }


def _asked(query: str, **tables: pa.Table) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder, scratch_database(Path(folder)) as database:
        for name, table in tables.items():
            database.register(name, table)
        return database.sql(query).to_arrow_table()


def _by_host(table: pa.Table, marks: "np.ndarray[Any, np.dtype[np.bool_]]") -> object:
    values = np.rint(-table["clip_score"].to_numpy() * 1e4).astype(np.int64)
    members, groups = counted(table["uid"], table["host"].combine_chunks(), values, 0, marks)
    return placed(table["uid"], members, summed(groups)[0])


def _of_balance(table: pa.Table) -> float:
    """The captions matched, then weighed; the automaton is made once for a part of any size."""
    matcher = EntryMatcher(metadata_of(BalanceSettings()))
    matcher.matches(table["text"][:1])

    def weighed() -> object:
        matches = matcher.matches(table["text"])
        counts = np.bincount(matches.entries)
        probabilities = entry_probabilities(counts, tail_threshold(counts, 0.06))
        return keep_probabilities(matches, probabilities, len(table))

    return _us_a_row(weighed, len(table))


def _vectors(random: np.random.Generator) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Around topics, L2-normalised: `float32 [n, 512]`."""
    topics = random.normal(size=(200, DIMENSION))[random.zipf(1.5, NUM_EMBEDDED) % 200]
    made = topics + random.normal(scale=0.7, size=topics.shape)
    return np.asarray(made / np.linalg.norm(made, axis=1)[:, None], np.float32)


def _works_of_embeddings(vectors: "np.ndarray[Any, np.dtype[np.float32]]") -> dict[str, Work]:
    wide = vectors.astype(np.float64)
    places = np.arange(len(vectors))
    layer = np.ones((1, DIMENSION)) / DIMENSION
    head = Head("aesthetic", ((layer, np.zeros(1)),), "none", "linear", "")
    labels = Categories(tuple(map(str, range(NUM_LABELS))), wide[:NUM_LABELS])
    return {
        "sem_dup_cos": lambda: _nearest(vectors),
        "group_text_rank, group_image_rank": lambda: group_ranks(
            wide, EncodedTexts(wide, places), places, places, GROUP_SIZE
        ),
        "aesthetic, pwatermark, punsafe": lambda: head(wide),
        "zero_shot_category, zero_shot_score": lambda: labels.nearest(wide),
    }


def _nearest(vectors: "np.ndarray[Any, np.dtype[np.float32]]") -> object:
    halves = vectors.astype(np.float16)
    clusters = nearest_centroids(halves, train_centroids(halves, num_clusters_for(len(halves))))
    order = np.argsort(clusters, kind="stable")
    return nearest_before(halves[order], clusters[order])


def _us_a_row(work: Work, num_rows: int) -> float:
    """Of the second call: the first compiles, and loads what is loaded once."""
    work()
    began = time.process_time()
    work()
    return (time.process_time() - began) / num_rows * 1e6


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50,000 rows; under 50 s")
    parser.add_argument("--costs", action="store_true", help="print what each measure costs, a line each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
