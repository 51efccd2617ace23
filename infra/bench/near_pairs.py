"""Near pairs of perceptual hashes: our exact join beside faiss, datasketch and imagededup, with 2 threads each.

    python infra/bench/near_pairs.py            1 and 10 million hashes at distances 4 and 8; about 10 minutes
    python infra/bench/near_pairs.py --quick    100,000 hashes, ours and faiss; under 50 s once the peers are installed
    python infra/bench/near_pairs.py --counts 100000000 --distances 4 --no-peers      ours alone at 100 million; 12 GB

Four fifths of the hashes are random, a fifth lies in clusters of 2 to 10 with up to 8 bits flipped. Every method runs
in a process of its own; peers with fewer hashes where they would take hours. Seconds hold what it takes to build an
index, not what it takes to start and to compile. Recall is against all pairs of some sampled hashes, by brute force.
"""

import argparse
import json
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

from dedup.hamming import near_matches, near_pairs, plan_join

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-dedup"
PEERS = {
    "faiss_flat": 100_000,
    "faiss_multihash": 100_000,
    "faiss_hnsw": 100_000,
    "datasketch": 100_000,
    "imagededup": 10_000,
}
"""Peers, and the most hashes that they get."""

PEER_PACKAGES = ("numpy==2.4.6", "faiss-cpu==1.13.2", "datasketch==1.9.0", "scikit-learn", "matplotlib", "tqdm")
ALONE = ("imagededup==0.3.3",)
"""Installed without what it wants for its neural networks: gigabytes that its hashes do not need."""

THREADS = 2
NUM_SAMPLED = 400
INDEX_SHARE = 10
"""How many times as large the index is that a new release is matched with."""

AIM_S = {(10_000_000, 4): 5.0, (10_000_000, 8): 90.0, (100_000_000, 4): 180.0}
PAPER_COUNTS = (10**8, 10**9)

Figures = dict[str, Any]
Hashes = npt.NDArray[np.uint64]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(arguments.one, arguments.counts[0], arguments.distances[0], arguments.work)))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    counts = [100_000] if arguments.quick else arguments.counts
    peers = ["faiss_flat"] if arguments.quick else list(PEERS)
    python = None if arguments.no_peers else ensure_environment(arguments.work / "peers", PEER_PACKAGES, ALONE)
    runs = [
        _compared(count, distance, arguments.work, peers, python)
        for count in counts
        for distance in arguments.distances
    ]
    first = runs[0]
    result = {
        "name": "dedup",
        "machine": machine(),
        "runs": runs,
        "incremental": _in_own_process("incremental", max(counts), 4, arguments.work),
        "paper": [_on_paper(count, distance) for count in PAPER_COUNTS for distance in (4, 8)],
        "ours": first["ours"],
        "peer": first["peers"],
        "ratio": round(min((_ratio(peer, first) for peer in first["peers"].values()), default=0.0), 1),
        "aim": {f"{count} hashes, distance {distance}": seconds for (count, distance), seconds in AIM_S.items()},
        "met": all(run["met"] for run in runs),
    }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--counts", type=int, nargs="*", default=[1_000_000, 10_000_000], help="hashes of a run")
    parser.add_argument("--distances", type=int, nargs="*", default=[4, 8])
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where hashes and environments are kept")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compared(count: int, distance: int, work: Path, peers: list[str], python: Path | None) -> Figures:
    ours = _in_own_process("ours", count, distance, work)
    found = {}
    for name in peers if python is not None else []:
        fewer = min(count, PEERS[name])
        found[name] = _in_own_process(name, fewer, distance, work, python)
        if fewer < count:
            found[name]["ours_seconds"] = _in_own_process("ours", fewer, distance, work)["seconds"]
    aim = AIM_S.get((count, distance))
    is_met = ours["recall"] == 1.0 and (aim is None or ours["seconds"] < aim)
    return {"hashes": count, "distance": distance, "ours": ours, "peers": found, "aim_s": aim, "met": is_met}


def _ratio(peer: Figures, run: Figures) -> float:
    """How many times as long as ours a peer takes for as many hashes."""
    return float(peer["seconds"] / max(0.01, peer.get("ours_seconds", run["ours"]["seconds"])))


def _in_own_process(name: str, count: int, distance: int, work: Path, python: Path | None = None) -> Figures:
    hashes, pairs = _planted_file(count, work), work / "pairs.npy"
    if python is None:
        options = ["--one", name, "--counts", str(count), "--distances", str(distance), "--work", str(work)]
        command = [sys.executable, __file__, *options]
    else:
        script = Path(__file__).with_name("hamming_peers.py")
        command = [str(python), str(script), name, str(hashes), str(distance), str(pairs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    if name != "incremental":
        figures["recall"] = _recall(np.load(hashes, mmap_mode="r"), np.load(pairs), distance)
    _say(f"{name:16} {count:>11} hashes, distance {distance}: {figures}")
    return figures


def _one(name: str, count: int, distance: int, work: Path) -> Figures:
    hashes = np.load(_planted_file(count, work))
    started = time.monotonic()
    near_pairs(hashes[:20_000], distance)
    compile_s = time.monotonic() - started
    began, cpu_s = time.monotonic(), time.process_time()
    if name == "incremental":
        new = hashes[::INDEX_SHARE].copy()
        new ^= np.uint64(1) << (np.arange(len(new), dtype=np.uint64) % np.uint64(64))
        left, right = near_matches(np.unique(new), hashes, distance, THREADS)
    else:
        left, right = near_pairs(hashes, distance, THREADS)
    figures = {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_s": round(time.process_time() - cpu_s, 2),
        "pairs": len(left),
        "peak_mib": peak_mib(),
        "compile_s": round(compile_s, 2),
    }
    if name == "incremental":
        return figures
    np.save(work / "pairs.npy", np.stack([left, right], axis=1))
    plan = plan_join(64, distance, count)
    return figures | {"tables": len(plan.tables), "paper_cpu_s": round(plan.seconds, 2)}


def _planted_file(count: int, work: Path) -> Path:
    path = work / f"hashes-{count}.npy"
    if not path.exists():
        np.save(path, planted_hashes(count))
    return path


def planted_hashes(count: int) -> Hashes:
    """Distinct hashes in no order: four fifths alone, the others in clusters of 2 to 10 around a centre."""
    random = np.random.default_rng(1)
    alone = random.integers(0, 2**64, count * 4 // 5, dtype=np.uint64)
    sizes = random.integers(2, 11, count // 5 // 6 + 1)
    centres = np.repeat(random.integers(0, 2**64, len(sizes), dtype=np.uint64), sizes)
    num_flips = random.integers(0, 9, len(centres))
    for flip in range(8):
        bits = np.uint64(1) << random.integers(0, 64, len(centres), dtype=np.uint64)
        centres ^= np.where(num_flips > flip, bits, np.uint64(0))
    hashes = np.unique(np.concatenate([alone, centres]))
    return random.permutation(hashes)


def _recall(hashes: Hashes, pairs: npt.NDArray[np.int64], distance: int) -> float:
    """Of all pairs that some sampled hashes are in, the share that was found; below 0 where a pair is wrong."""
    near = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= distance
    if not near.all():
        return -1.0
    sampled = np.sort(np.random.default_rng(7).choice(len(hashes), NUM_SAMPLED, replace=False))
    expected = 0
    for row in sampled.tolist():
        neighbours = np.flatnonzero(np.bitwise_count(hashes ^ hashes[row]) <= distance)
        expected += len(neighbours) - 1
    told = int(np.isin(pairs[:, 0], sampled).sum() + np.isin(pairs[:, 1], sampled).sum())
    return round(told / expected, 4) if expected else 1.0


def _on_paper(count: int, distance: int) -> Figures:
    """What the cost model says of a join: time of one core, what one task holds, and what all tasks read."""
    plan = plan_join(64, distance, count)
    num_parts = -(-count // 2**25)
    return {
        "hashes": count,
        "distance": distance,
        "tables": len(plan.tables),
        "tasks": len(plan.families) * num_parts,
        "core_hours": round(plan.seconds / 3600, 2),
        "task_mib": round(3 * 8 * count / num_parts / 2**20),
        "read_gib": round(8 * count * len(plan.families) * num_parts / 2**30),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
