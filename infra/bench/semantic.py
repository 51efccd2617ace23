"""Semantic duplicates among embeddings: our clusters and cosines beside faiss, on one core each, as a task of a run.

    python infra/bench/semantic.py            200,000 embeddings of 512 dimensions; some 10 minutes
    python infra/bench/semantic.py --quick    20,000; under 50 s once the peers are installed
    python infra/bench/semantic.py --counts 1000000 --no-peers      ours alone at a million; 6 GB

Embeddings lie around topics of very unequal sizes; a tenth are copies of others at cosines of 0.95 to 1. Rows come in
the order of who is to stay. Every method runs in a process of its own and says for each row how near the nearest
before it is. Recall is of the rows with one at 0.95 or nearer, by comparing some sampled rows with all before them.
Peers: SemDeDup as its authors run it (faiss's k-means, each cluster's whole matrix), and all with all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import machine, peak_mib
from peer_environment import ensure_environment

from dedup.clusters import nearest_centroids, num_clusters_for, train_centroids
from dedup.semantic import nearest_before
from pipelines.flow.semantic import _SAMPLE_NUMBERS, _SAMPLE_OF_CLUSTER

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-semantic"
PEERS = {"faiss_kmeans": 200_000, "faiss_flat": 50_000}
"""Peers, and the most embeddings that they get."""

PEER_PACKAGES = ("numpy==2.4.6", "faiss-cpu==1.13.2")
THREADS = 1
DIMENSION = 512
NUM_SAMPLED = 5_000
THRESHOLD = 0.95
TOLERANCE = 1e-3
AIM_RECALL = 0.95

Figures = dict[str, Any]
Halves = npt.NDArray[np.float16]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_ours(arguments.counts[0], arguments.work)))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    counts = [20_000] if arguments.quick else arguments.counts
    python = None if arguments.no_peers else ensure_environment(arguments.work / "peers", PEER_PACKAGES)
    runs = [_compared(count, arguments.work, python) for count in counts]
    first = runs[0]
    ratios = {name: round(_cpu_ratio(peer, first), 1) for name, peer in first["peers"].items()}
    result = {
        "name": "semantic",
        "machine": machine(),
        "runs": runs,
        "ours": first["ours"],
        "peer": first["peers"],
        "ratio": ratios,
        "aim": {"recall": AIM_RECALL, "cpu_s": "no more than SemDeDup with faiss"},
        "met": first["ours"]["recall"] >= AIM_RECALL and ratios.get("faiss_kmeans", 1.0) >= 1.0,
    }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--counts", type=int, nargs="*", default=[200_000], help="embeddings of a run")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where embeddings and environments are kept")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compared(count: int, work: Path, python: Path | None) -> Figures:
    ours = _in_own_process("ours", count, work)
    found = {}
    for name, most in PEERS.items() if python is not None else []:
        fewer = min(count, most)
        found[name] = _in_own_process(name, fewer, work, python)
        if fewer < count:
            found[name]["ours_cpu_s"] = _in_own_process("ours", fewer, work)["cpu_s"]
    return {"embeddings": count, "dimension": DIMENSION, "ours": ours, "peers": found}


def _cpu_ratio(peer: Figures, run: Figures) -> float:
    """How many times as much CPU time as ours a peer takes for as many embeddings."""
    return float(peer["cpu_s"] / max(0.01, peer.get("ours_cpu_s", run["ours"]["cpu_s"])))


def _in_own_process(name: str, count: int, work: Path, python: Path | None = None) -> Figures:
    embeddings, cosines = _planted_file(count, work), work / "cosines.npy"
    if python is None:
        command = [sys.executable, __file__, "--one", "--counts", str(count), "--work", str(work)]
    else:
        script = Path(__file__).with_name("semantic_peers.py")
        command = [str(python), str(script), name, str(embeddings), str(num_clusters_for(count)), str(cosines)]
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "OPENBLAS_NUM_THREADS": str(THREADS)}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    figures |= _recall(np.load(embeddings, mmap_mode="r"), np.load(cosines))
    _say(f"{name:14} {count:>9} embeddings: {figures}")
    return figures


def _ours(count: int, work: Path) -> Figures:
    """As the flow does it, in one process: a sample trains centroids, all come into clusters, clusters are compared."""
    vectors: Halves = np.load(_planted_file(count, work))
    number = num_clusters_for(count)
    most = min(_SAMPLE_OF_CLUSTER * number, _SAMPLE_NUMBERS // DIMENSION)
    sample = vectors[np.sort(np.random.default_rng(0).permutation(count)[:most])]
    train_centroids(sample[:100], 2)  # imports what it needs
    began, started = time.monotonic(), time.process_time()
    centroids = train_centroids(sample, number)
    trained = time.process_time()
    clusters = nearest_centroids(vectors, centroids)
    assigned = time.process_time()
    order = np.argsort(clusters, kind="stable")
    cosines = np.zeros(count, np.float32)
    cosines[order] = nearest_before(vectors[order], clusters[order]).cosines
    compared = time.process_time()
    seconds = time.monotonic() - began
    np.save(work / "cosines.npy", cosines)
    return {
        "seconds": round(seconds, 2),
        "cpu_s": round(compared - started, 2),
        "train_cpu_s": round(trained - started, 2),
        "assign_cpu_s": round(assigned - trained, 2),
        "compare_cpu_s": round(compared - assigned, 2),
        "clusters": number,
        "largest_cluster": int(np.bincount(clusters).max()),
        "peak_mib": peak_mib(),
    }


def _planted_file(count: int, work: Path) -> Path:
    path = work / f"embeddings-{count}.npy"
    if not path.exists():
        np.save(path, planted_embeddings(count))
    return path


def planted_embeddings(count: int) -> Halves:
    """float16 [n, 512], L2-normalised, in no order. All share a direction, as CLIP's do; topics have Zipf's sizes."""
    random = np.random.default_rng(1)
    num_copies, num_topics = count // 10, max(10, count // 200)
    topics = random.standard_normal((num_topics, DIMENSION), np.float32)
    shared = random.standard_normal(DIMENSION, np.float32)
    weights = 1 / np.arange(1, num_topics + 1) ** 0.7
    topic = random.choice(num_topics, count - num_copies, p=weights / weights.sum())
    originals = 0.6 * shared + 0.9 * topics[topic]
    originals += 0.8 * random.standard_normal(originals.shape, np.float32)
    originals /= np.linalg.norm(originals, axis=1)[:, None]
    copies = originals[random.choice(len(originals), num_copies, replace=False)]
    cosine = random.uniform(0.95, 1.0, num_copies).astype(np.float32)
    noise = random.standard_normal(copies.shape, np.float32)
    noise /= np.linalg.norm(noise, axis=1)[:, None]
    copies = copies * cosine[:, None] + noise * np.sqrt(1 - cosine**2)[:, None]
    vectors = random.permutation(np.concatenate([originals, copies]))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1)[:, None], np.float16)


def _recall(vectors: Halves, told: npt.NDArray[np.float32]) -> Figures:
    """Of sampled rows with one at the threshold or nearer before them, the share that was told so; below 0: wrong."""
    sampled = np.sort(np.random.default_rng(7).choice(len(vectors), min(NUM_SAMPLED, len(vectors)), replace=False))
    nearest = np.zeros(len(sampled), np.float32)
    rows = vectors[sampled].astype(np.float32)
    for start in range(0, len(vectors), 8192):
        cosines = rows @ vectors[start : start + 8192].astype(np.float32).T
        cosines[np.arange(start, start + cosines.shape[1])[None, :] >= sampled[:, None]] = 0.0
        np.maximum(nearest, cosines.max(axis=1), out=nearest)
    is_near = nearest >= THRESHOLD
    found = told[sampled] >= THRESHOLD - TOLERANCE
    if (told[sampled] > nearest + TOLERANCE).any():
        return {"recall": -1.0}
    return {"recall": round(float(found[is_near].mean()), 4), "near": int(is_near.sum()), "sampled": len(sampled)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
