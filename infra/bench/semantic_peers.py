"""What others take to find semantic duplicates. Runs in an environment of its own, called by `semantic.py`.

python semantic_peers.py METHOD EMBEDDINGS.npy CLUSTERS COSINES.npy
"""

import json
import sys
import time
from typing import Any

import numpy as np
from machine import peak_mib

THREADS = 1
_ROUNDS = 20
_THRESHOLD = 0.949
_QUERIES = 4096


def main() -> None:
    method, embeddings_path, num_clusters, cosines_path = sys.argv[1:]
    import faiss

    faiss.omp_set_num_threads(THREADS)
    vectors = np.load(embeddings_path)
    began, cpu_s = time.monotonic(), time.process_time()
    cosines = METHODS[method](vectors, int(num_clusters))
    figures = {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_s": round(time.process_time() - cpu_s, 2),
        "peak_mib": peak_mib(),
    }
    np.save(cosines_path, cosines)
    print(json.dumps(figures))


def faiss_kmeans(vectors: Any, num_clusters: int) -> Any:
    """SemDeDup: faiss's spherical k-means, then each cluster's whole matrix; who comes before is above the diagonal."""
    import faiss

    wide = vectors.astype(np.float32)
    kmeans = faiss.Kmeans(wide.shape[1], num_clusters, niter=_ROUNDS, spherical=True, seed=1234)
    kmeans.train(wide)
    _, nearest = kmeans.index.search(wide, 1)
    cosines = np.zeros(len(wide), np.float32)
    for cluster in range(num_clusters):
        rows = np.flatnonzero(nearest[:, 0] == cluster)
        if len(rows) > 1:
            inside = wide[rows]
            cosines[rows] = np.triu(inside @ inside.T, k=1).max(axis=0)
    return cosines


def faiss_flat(vectors: Any, _: int) -> Any:
    """IndexFlatIP: all with all, exact."""
    import faiss

    wide = vectors.astype(np.float32)
    index = faiss.IndexFlatIP(wide.shape[1])
    index.add(wide)
    cosines = np.zeros(len(wide), np.float32)
    for start in range(0, len(wide), _QUERIES):
        limits, found, others = index.range_search(wide[start : start + _QUERIES], _THRESHOLD)
        rows = np.repeat(np.arange(start, start + len(limits) - 1), np.diff(limits).astype(np.int64))
        before = others < rows
        np.maximum.at(cosines, rows[before], found[before])
    return cosines


METHODS = {"faiss_kmeans": faiss_kmeans, "faiss_flat": faiss_flat}

if __name__ == "__main__":
    main()
