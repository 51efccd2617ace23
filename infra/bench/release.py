"""How fast shards are written: the release stage's own task beside `cp`, plain `tar` and webdataset's ShardWriter.

    python infra/bench/release.py            40,000 samples in 4 shards, 1.7 GB
    python infra/bench/release.py --quick    6,000 samples, under 50 s

All write the same samples and end with an fsync of each file. Ours reads stored copies from the tars of 16 fetch parts,
and renders, digests and commits: one task, whose shards are written and digested by threads beside it, so that it uses
two cores where there are two. The copy has our shards, tar has every member as a file, ShardWriter gets the bytes from
the same tars and the rest ready in memory. Rounds take turns; each figure is the median of its rounds.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import webdataset
from machine import machine
from measured_run import recipe

from pipelines.attempts import perform
from pipelines.checks import checked_plan
from pipelines.flow.final import selected_rows, selected_schema
from pipelines.flow.manifest_files import manifest_rows
from pipelines.flow.spread import CLOSE, MOVED
from pipelines.tasks import Context, PartRef, Task
from shards.lease import Lease
from shards.parts import Attempt, Record, StepFolder
from shards.tables import read_rows, write_table
from shards.tars import TarReader, TarWriter

SAMPLES, QUICK_SAMPLES = 40_000, 6_000
ROUNDS = 3
FETCH_PARTS = 16
IMAGE_BYTES = (16_000, 64_000)
"""Least and most of a stored copy: of 512 pixels, quality 92, they come to some 40 kB."""

AIM = 0.8
_MARK = f"{1:032x}"

Figures = dict[str, Any]


@dataclass
class Round:
    """What one way of writing took. `fsync_s` is a part of `seconds`, where it can be told apart."""

    num_bytes: int
    seconds: float
    cpu_s: float
    fsync_s: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer samples, under 50 s")
    parser.add_argument("--samples", type=int, help="how many samples")
    parser.add_argument("--folder", help="where all is written; default: the system's temporary folder")
    arguments = parser.parse_args()
    num = arguments.samples or (QUICK_SAMPLES if arguments.quick else SAMPLES)
    with tempfile.TemporaryDirectory(prefix="bench-release-", dir=arguments.folder) as folder:
        print(json.dumps(_measured(Path(folder), num)))


def _measured(folder: Path, num: int) -> Figures:
    plan = checked_plan(recipe(folder), "bench", again=True)
    (folder / "run").mkdir()
    with Lease.take(folder / "run") as lease:
        context = Context(folder / "run", plan, lease.token)
        _make_parts(context, num)
        perform(_task(num, -1), context)  # the first task of a worker imports what it needs
        shutil.copytree(folder / "run" / "release" / "shards", folder / "shards")
        _extract(folder / "shards", folder / "files")
        ways: dict[str, Callable[[int], Round]] = {
            "ours": lambda number: _ours(context, num, number),
            "cp": lambda _: _copied(folder),
            "tar": lambda _: _plain_tar(folder),
            "webdataset": lambda _: _shard_writer(context, folder),
        }
        rounds: dict[str, list[Round]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            for name, write in ways.items():
                os.sync()
                rounds[name].append(write(number))
    figures = {name: _figures(of_name, num) for name, of_name in rounds.items()}
    ratio = round(figures["ours"]["mb_per_s"] / figures["cp"]["mb_per_s"], 3)
    return {
        "name": "release",
        "machine": machine(),
        "ours": figures.pop("ours"),
        "peer": figures,
        "ratio": ratio,
        "aim": f"at least {AIM} of the speed of `cp` of the same shards, fsync included in both",
        "met": ratio >= AIM,
    }


def _figures(rounds: list[Round], num: int) -> Figures:
    speeds = [round(one.num_bytes / 1e6 / one.seconds, 1) for one in rounds]
    middle = next(one for one, speed in zip(rounds, speeds, strict=True) if speed == statistics.median_low(speeds))
    return {
        "mb_per_s": statistics.median_low(speeds),
        "mb_per_s_of_all": speeds,
        "cpu_us_per_sample": round(middle.cpu_s * 1e6 / num, 1),
        **({} if middle.fsync_s is None else {"fsync_share": round(middle.fsync_s / middle.seconds, 2)}),
    }


def _ours(context: Context, num: int, number: int) -> Round:
    with _clock() as taken:
        record = perform(_task(num, number), context)
    return Round(sum(file.bytes for file in record.files if file.role.startswith("shard-")), *taken)


def _copied(folder: Path) -> Round:
    names = sorted(path.name for path in (folder / "shards").glob("*.tar"))
    into = folder / "copies"
    into.mkdir(exist_ok=True)
    with _clock() as taken:
        subprocess.run(["cp", *(str(folder / "shards" / name) for name in names), str(into)], check=True)
        fsync_s = _synced(into)
    return _ended(into, taken, fsync_s)


def _plain_tar(folder: Path) -> Round:
    into = folder / "tars"
    into.mkdir(exist_ok=True)
    with _clock() as taken:
        for files in sorted((folder / "files").iterdir()):
            target = str(into / f"{files.name}.tar")
            subprocess.run(["tar", "--format=ustar", "-cf", target, "-C", files, "."], check=True)
        fsync_s = _synced(into)
    return _ended(into, taken, fsync_s)


def _shard_writer(context: Context, folder: Path) -> Round:
    table = read_rows(context.path(PartRef("select", 0, _MARK), "kept"))
    where = table.select(["fetch_index", "tar_offset", "tar_bytes"]).to_pylist()
    facts = manifest_rows(table, context.plan).to_pylist()
    readers = [TarReader(context.path(PartRef("fetch", part, _MARK), "tar")) for part in range(FETCH_PARTS)]
    into = folder / "written"
    into.mkdir(exist_ok=True)
    with _clock() as taken:
        pattern = str(into / "%06d.tar")
        with webdataset.ShardWriter(pattern, maxcount=10_000, maxsize=2**40, verbose=0) as writer:
            for row, place in zip(facts, where, strict=True):
                image = readers[place["fetch_index"]].read(place["tar_offset"], place["tar_bytes"])
                writer.write({"__key__": row["uid"], "jpg": image, "txt": row["text"], "json": row})
        fsync_s = _synced(into)
    for reader in readers:
        reader.close()
    return _ended(into, taken, fsync_s)


@contextmanager
def _clock() -> Iterator[list[float]]:
    """Wall and CPU seconds of this process and its ended children, when the block has ended."""
    taken: list[float] = []
    started, cpu = time.monotonic(), _cpu_s()
    yield taken
    taken += [time.monotonic() - started, _cpu_s() - cpu]


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _synced(folder: Path) -> float:
    started = time.monotonic()
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return time.monotonic() - started


def _ended(into: Path, taken: list[float], fsync_s: float) -> Round:
    num_bytes = sum(path.stat().st_size for path in into.iterdir())
    shutil.rmtree(into)
    return Round(num_bytes, taken[0], taken[1], fsync_s)


def _task(num: int, number: int) -> Task:
    """One release task over all samples; another `number`, another attempt at the same files."""
    refs = {"selected": [PartRef("select", 0, _MARK)], "order": PartRef("select-order", 0, _MARK), "scored": []}
    given = {"kind": "kept", "split": None, "start": 0, "stop": num, "kept": [num], "file": 0, **refs}
    return Task("release", 0, f"{number + 2:08x}{0:024x}", given)


def _make_parts(context: Context, num: int) -> None:
    """Stored copies in fetch parts, each in order of uid, and the rows of a select part that keeps them all."""
    random = np.random.default_rng(7)
    uids = sorted(random.bytes(16).hex() for _ in range(num))
    part_of = random.integers(FETCH_PARTS, size=num)
    sizes = random.integers(*IMAGE_BYTES, size=num)
    offsets = np.zeros(num, np.int64)
    for part in range(FETCH_PARTS):
        attempt = Attempt(StepFolder(context.run, "fetch"), part)
        with TarWriter(attempt.path("tar", "tar")) as tar:
            for row in np.flatnonzero(part_of == part):
                offsets[row] = tar.add(f"{uids[row]}.jpg", random.bytes(int(sizes[row])))
        _commit(context, attempt, "fetch", part)
    attempt = Attempt(StepFolder(context.run, "select"), 0)
    rows = selected_rows(_rows(uids, sizes, offsets, part_of, random), selected_schema(context.plan))
    write_table(attempt.path("kept", "kept.parquet"), rows, read_once=True)
    _commit(context, attempt, "select", 0)
    attempt = Attempt(StepFolder(context.run, "select-order"), 0)
    for role, schema in (("rows", MOVED), ("close", CLOSE)):
        write_table(attempt.path(role, f"{role}.parquet"), schema.empty_table())
    _commit(context, attempt, "select-order", 0)


def _rows(uids: list[str], sizes: Any, offsets: Any, part_of: Any, random: np.random.Generator) -> pa.Table:
    num = len(uids)
    words = "夕阳下的海边有一只小狗在奔跑远处是群山和白云孩子们在公园里放风筝"
    texts = ["".join(random.choice(list(words), 16)) for _ in range(num)]
    urls = [f"https://img{number % 97}.example.cn/2026/{uid}.jpg" for number, uid in enumerate(uids)]
    scores = np.round(random.uniform(0.2, 0.4, num), 4)
    pairs = zip(texts, scores, strict=True)
    structs = [[{"kind": "caption", "text": text, "clip_score": score}] for text, score in pairs]
    kind = pa.list_(pa.struct([("kind", pa.string()), ("text", pa.string()), ("clip_score", pa.float64())]))
    alike = {name: [value] * num for name, value in _ALIKE.items()}
    numbers = {name: random.integers(200, 2000, num).astype(np.int32) for name in _SIDES}
    return pa.table(
        {
            **{"uid": uids, "url": urls, "page_url": urls, "text": texts, "clip_score": scores, **alike, **numbers},
            **{"texts": pa.array(structs, kind), "drop_reason": pa.nulls(num, pa.string())},
            **{"sha256": [uid + uid for uid in uids], "stored_sha256": [uid + uid for uid in uids]},
            **{"bytes": sizes, "tar_offset": offsets, "tar_bytes": sizes, "fetch_index": part_of.astype(np.int32)},
            **{"phash": random.integers(2**63, size=num).astype(np.uint64), "entropy": random.uniform(4, 8, num)},
            **{"clip_pct": random.uniform(0, 1, num), "fetch_fingerprint": [_MARK] * num},
        }
    )


_ALIKE = {
    **{"host": "img.example.cn", "source": "table", "text_kind": "caption", "strength": "weak", "format": "jpeg"},
    **{"stored_format": "jpg", "content_type": "image/jpeg", "http_status": 200, "zh_chars": 16, "text_count": 1},
}
_SIDES = ("original_width", "original_height", "width", "height", "min_side")


def _commit(context: Context, attempt: Attempt, step: str, index: int) -> None:
    StepFolder(context.run, step).commit(Record(step, index, _MARK, attempt.publish(), 0), lambda: True)


def _extract(shards: Path, into: Path) -> None:
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(path) as tar:
            tar.extractall(into / path.stem, filter="data")


if __name__ == "__main__":
    main()
