"""Strata of a sample: how many samples each has, and how many of them are drawn."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

STRATA = ("category", "host", "text_kind", "query")
"""Columns by which a sample may be stratified."""


def stratum_of(batch: pa.RecordBatch, by: str | None) -> pa.Array:
    """The stratum of each row; the empty one where there is nothing to tell rows apart by."""
    if by is None:
        return pa.array([""] * batch.num_rows, pa.string())
    return pc.fill_null(batch.column(by), "")


def count_strata(batches: Iterable[pa.RecordBatch], by: str | None) -> Counter[str]:
    """How many rows each stratum has."""
    counts: Counter[str] = Counter()
    for batch in batches:
        for entry in pc.value_counts(stratum_of(batch, by)).to_pylist():
            counts[entry["values"]] += entry["counts"]
    return counts


def quotas(counts: Mapping[str, int], size: int, seed: int) -> dict[str, int]:
    """In proportion to the counts, by largest remainders; strata that have none are left out.

    Where remainders are equal, as among many small strata, the seed decides.
    """
    total = sum(counts.values())
    if size >= total:
        return {name: count for name, count in counts.items() if count}
    found = {name: size * count // total for name, count in counts.items()}
    places = sorted(counts, key=lambda name: (-(size * counts[name] % total), _lot(name, seed)))
    for name in places[: size - sum(found.values())]:
        found[name] += 1
    return {name: quota for name, quota in found.items() if quota}


def _lot(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
