"""What others take to find near pairs of 64-bit hashes. Runs in an environment of its own, called by `near_pairs.py`.

python hamming_peers.py METHOD HASHES.npy DISTANCE PAIRS.npy
"""

import json
import sys
import time
import types
from typing import Any

import numpy as np
from machine import peak_mib

THREADS = 2
_QUERIES = 20_000


def main() -> None:
    method, hashes_path, distance, pairs_path = sys.argv[1:]
    hashes = np.load(hashes_path)
    find = METHODS[method]
    find(hashes[:1_000], int(distance))
    began = time.monotonic()
    pairs = find(hashes, int(distance))
    seconds = time.monotonic() - began
    np.save(pairs_path, pairs)
    print(json.dumps({"seconds": round(seconds, 2), "pairs": len(pairs), "peak_mib": peak_mib()}))


def faiss_flat(hashes: Any, distance: int) -> Any:
    """IndexBinaryFlat: all with all, exact."""
    import faiss

    return _range_searched(faiss.IndexBinaryFlat(64), hashes, distance)


def faiss_multihash(hashes: Any, distance: int) -> Any:
    """IndexBinaryMultiHash as its wiki sets it up: 4 maps of 16 bits, with as many flips as make it exact."""
    import faiss

    index = faiss.IndexBinaryMultiHash(64, 4, 16)
    index.nflip = distance // 4
    return _range_searched(index, hashes, distance)


def faiss_hnsw(hashes: Any, distance: int) -> Any:
    """IndexBinaryHNSW, 32 neighbours of each: a graph, not exact."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexBinaryHNSW(64, 16)
    index.hnsw.efSearch = 64
    packed = hashes.view(np.uint8).reshape(-1, 8)
    index.add(packed)
    distances, found = index.search(packed, 32)
    queries = np.repeat(np.arange(len(hashes)), 32)
    others, near = found.ravel().astype(np.int64), distances.ravel() <= distance
    return _distinct_pairs(queries[near], others[near])


def datasketch(hashes: Any, distance: int) -> Any:
    """MinHashLSH over the set bits of a hash: not made for this distance, but what its users would reach for."""
    from datasketch import MinHash, MinHashLSH

    sketches = []
    for value in hashes.tolist():
        sketch = MinHash(num_perm=32)
        sketch.update_batch([bytes((bit, value >> bit & 1)) for bit in range(64)])
        sketches.append(sketch)
    index = MinHashLSH(threshold=(64 - distance) / (64 + distance), num_perm=32)
    for number, sketch in enumerate(sketches):
        index.insert(number, sketch)
    pairs = [(number, other) for number, sketch in enumerate(sketches) for other in index.query(sketch)]
    one, other = np.array(pairs, np.int64).T
    near = np.bitwise_count(hashes[one] ^ hashes[other]) <= distance
    return _distinct_pairs(one[near], other[near])


def imagededup(hashes: Any, distance: int) -> Any:
    """What `PHash().find_duplicates(encoding_map=...)` calls, with the method that is its default; exact."""
    networks = types.ModuleType("imagededup.utils.models")
    networks.CustomModel = object  # type: ignore[attr-defined]  # torch is not in this environment
    sys.modules["imagededup.utils.models"] = networks
    from imagededup.handlers.search.retrieval import HashEval

    encoded = {str(row): f"{value:016x}" for row, value in enumerate(hashes.tolist())}
    found = HashEval(encoded, encoded, _hamming, False, distance, "brute_force_cython", THREADS).retrieve_results()
    pairs = [(int(row), int(other)) for row, others in found.items() for other in others]
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    return _distinct_pairs(one, other)


def _hamming(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _range_searched(index: Any, hashes: Any, distance: int) -> Any:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    packed = hashes.view(np.uint8).reshape(-1, 8)
    index.add(packed)
    queries, others = [], []
    for start in range(0, len(packed), _QUERIES):
        limits, _, found = index.range_search(packed[start : start + _QUERIES], distance + 1)
        queries.append(np.repeat(np.arange(start, start + len(limits) - 1), np.diff(limits).astype(np.int64)))
        others.append(found)
    return _distinct_pairs(np.concatenate(queries), np.concatenate(others))


def _distinct_pairs(one: Any, other: Any) -> Any:
    wanted = one != other
    low, high = np.minimum(one, other)[wanted], np.maximum(one, other)[wanted]
    return np.unique(np.stack([low, high], axis=1), axis=0)


METHODS = {
    "faiss_flat": faiss_flat,
    "faiss_multihash": faiss_multihash,
    "faiss_hnsw": faiss_hnsw,
    "datasketch": datasketch,
    "imagededup": imagededup,
}

if __name__ == "__main__":
    main()
