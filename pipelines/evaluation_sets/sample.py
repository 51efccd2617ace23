"""`curate sample`: a test set drawn from a release, with the hashes that keep it out of later training sets."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dedup.hash_file import HASH_FILE
from dedup.hashes import HASHES
from dedup.settings import DedupSettings
from pipelines.evaluation_sets.drawing import drawn_uids
from pipelines.evaluation_sets.nearness import NEAR_COLUMNS, Nearness
from pipelines.evaluation_sets.strata import STRATA, count_strata, quotas, stratum_of
from pipelines.strict_yaml import load_yaml
from shards.errors import BadInputError, CurateError, UsageError
from shards.released import Release, open_release
from shards.storage import disk_faults, publish
from shards.tables import TableWriter, iter_batches

SAMPLE_COLUMNS = (
    *("uid", "url", "page_url", "host", "source", "query", "text", "text_kind", "texts"),
    *("category", "license", "width", "height", "clip_score", "sha256", "dup_group", "split"),
    *("stored_format", "stored_sha256", "shard"),
)
"""Columns of the manifest that a sample's file has, where the manifest has them; then its hashes, and `stratum`."""

_NEEDED = ("uid", "text", "sha256", "dup_group")
_FACTS = b"curate_sample"


@dataclass(frozen=True)
class Request:
    """What is asked for. `split` draws of one split alone; `distance` is in bits of the release's hash."""

    size: int
    seed: int = 0
    by: str | None = None
    split: str | None = None
    distance: int | None = None


@dataclass(frozen=True)
class Drawn:
    """The files of a sample, how many it has of how many, and why how many kept samples are too near it."""

    path: Path
    hashes: Path
    size: int
    eligible: int
    strata: int
    too_near: Counter[str]
    distance: int


def draw_sample(folder: Path, request: Request, out: Path) -> Drawn:
    """Draw from the kept samples of a run or release; write the sample, and beside it the hashes of all too near it."""
    release = open_release(folder)
    _check(release, request)
    hashes_path = out.with_name(f"{out.stem}.hashes.parquet")
    for path in (out, hashes_path):
        _check_new(path, release)
    columns = [*_NEEDED, *([request.by] if request.by else [])]
    counts = count_strata(_eligible(release, request, columns), request.by)
    quota = quotas(counts, request.size, request.seed)
    uids = drawn_uids(_eligible(release, request, columns), request.by, quota, request.seed)
    sample = _rows_of(release, uids, request)
    measured = [name for name in HASHES if name in sample.column_names]
    hash_name = min(measured, key=lambda name: sample[name].null_count, default=None)
    distance = _distance_of(release) if request.distance is None else request.distance
    with _written_whole(out, hashes_path) as (part, hashes_part):
        with TableWriter(part, sample.schema) as writer:
            writer.write(sample)
        too_near = _write_hashes(hashes_part, release, Nearness(sample, hash_name, distance))
    strata = len(set(sample["stratum"].to_pylist()))
    return Drawn(out, hashes_path, sample.num_rows, sum(counts.values()), strata, too_near, distance)


def told(drawn: Drawn, request: Request) -> list[str]:
    """What the command says."""
    by = f" in {drawn.strata:,} strata by {request.by}" if request.by else ""
    short = request.size - drawn.size
    near = drawn.too_near
    lines = [f"sample: {drawn.size:,} of {drawn.eligible:,} kept samples{by}, seed {request.seed}"]
    if short:
        lines.append(f"  {short:,} fewer than asked for: of each group of near-duplicates one at most is drawn")
    lines += [
        f"  too near for training beside it: {near.total():,} kept samples ({near['group']:,} of its groups, "
        f"{near['bytes']:,} of its bytes, {near['hash']:,} within {drawn.distance} bits)",
        f"  to keep all of it out: `dedup: {{evaluation: [{drawn.hashes}]}}` and a rule `eval_match IS NULL`",
    ]
    return [*lines, "", str(drawn.path), str(drawn.hashes)]


def _check(release: Release, request: Request) -> None:
    if request.by is not None and request.by not in STRATA:
        raise UsageError(f"--by {request.by}: no such column to stratify by; known: {', '.join(STRATA)}")
    wanted = [*_NEEDED, *([request.by] if request.by else []), *(["split"] if request.split else [])]
    missing = release.missing_columns(wanted)
    if missing == ["split"]:
        raise UsageError(f"--split {request.split}: {release.folder} has no splits; `release.splits` makes them")
    if missing:
        raise BadInputError(
            f"{release.folder / 'manifest'}: no column {', '.join(missing)}; expected curate's manifest"
        )


def _check_new(path: Path, release: Release) -> None:
    if path.exists():
        raise UsageError(f"{path}: is there already; choose another name, or delete it")
    if path.resolve().is_relative_to(release.folder.resolve()):
        raise UsageError(f"{path}: lies in the release itself, whose files are all listed; choose another place")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: {path.parent} is no folder; make it first")


def _eligible(release: Release, request: Request, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Kept samples with a caption, of the split that is asked for."""
    wanted = [*columns, *(["split"] if request.split else [])]
    for batch in release.samples(wanted):
        batch = batch.filter(pc.is_valid(batch.column("text")))
        yield batch.filter(pc.equal(batch.column("split"), request.split)) if request.split else batch


def _rows_of(release: Release, uids: list[str], request: Request) -> pa.Table:
    """The sample's rows by uid, with their strata; what was asked for stands in the file's metadata."""
    present = [name for name in (*SAMPLE_COLUMNS, *HASHES) if not release.missing_columns([name])]
    wanted = pa.array(uids, pa.string())
    found = []
    for batch in release.samples(present):
        rows = batch.filter(pc.is_in(batch.column("uid"), value_set=wanted))
        if rows.num_rows:
            found.append(pa.Table.from_batches([rows]).append_column("stratum", stratum_of(rows, request.by)))
    if not found:
        raise UsageError(f"{release.folder}: has no kept sample with a caption to draw from")
    facts = {_FACTS: json.dumps(asdict(request), sort_keys=True).encode()}
    return pa.concat_tables(found).sort_by("uid").replace_schema_metadata(facts)


def _write_hashes(path: Path, release: Release, nearness: Nearness) -> Counter[str]:
    """The hash file: the sample and all that is too near it, dropped samples too. Returns why kept ones are."""
    counts: Counter[str] = Counter()
    dropped = [path for path in sorted((release.folder / "manifest").glob("dropped-*.parquet")) if _has_hashes(path)]
    with TableWriter(path, HASH_FILE) as writer:
        for is_kept, files in ((True, list(release.manifests)), (False, dropped)):
            for file in files:
                columns = [n for n in (*NEAR_COLUMNS, *HASHES) if n in pq.read_schema(file).names]
                for near in nearness.among(iter_batches([file], columns)):
                    writer.write(near.rows)
                    counts.update(near.why if is_kept else [])
    counts.pop("sample", None)
    return counts


def _has_hashes(path: Path) -> bool:
    names = pq.read_schema(path).names
    return {*NEAR_COLUMNS, "phash"} <= set(names)


def _distance_of(release: Release) -> int:
    """The distance of near-duplicates in the recipe beside the release; the default where there is none."""
    for path in (release.folder / "recipe.yaml", release.folder.parent / "recipe.yaml"):
        try:
            found = load_yaml(path).get("dedup", {}).get("distance")
        except (CurateError, OSError, AttributeError):
            continue
        if isinstance(found, int):
            return found
    return DedupSettings().distance


@contextmanager
def _written_whole(*paths: Path) -> Iterator[list[Path]]:
    """Temporary files that take their names together, once the block has ended well."""
    parts = [path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp") for path in paths]
    try:
        with disk_faults(paths[0]):
            yield parts
            for part, path in zip(parts, paths, strict=True):
                publish(part, path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
