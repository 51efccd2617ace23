"""Select and release: every sample comes out once, in order of uid, and shards hold what the manifest says."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.measures import MEASURES
from pipelines.flow.final import manifest_texts, selected_rows, selected_schema
from pipelines.plan_file import read_plan
from shards.catalog import committed_files
from shards.storage import sha256_of
from shards.tables import read_rows
from tests.pipelines.conftest import FinishedRun, run_inline

PROMISED = """
uid url page_url host source query text text_kind texts original_width original_height width height bytes format sha256
stored_sha256 phash clip_score strength category license status drop_reason failed_rules detail dup_group dup_of shard
"""


def manifest(run: Path, pattern: str = "*") -> list[dict[str, Any]]:
    files = sorted((run / "release" / "manifest").glob(f"{pattern}.parquet"))
    return [row for path in files for row in pq.read_table(path).to_pylist()]


def test_every_sample_of_admit_is_in_the_manifest_once(finished: FinishedRun) -> None:
    admitted = [uid for path in committed_files(finished.folder, "admit", "rows") for uid in read_rows(path)["uid"]]
    rows = manifest(finished.folder)
    assert sorted(row["uid"] for row in rows) == sorted(uid.as_py() for uid in admitted)
    for row in rows:
        assert (row["status"] == "kept") == (row["drop_reason"] is None) == (row["shard"] is not None)
        assert (row["dropped_at"] is None) == (row["drop_reason"] is None)


def test_the_manifest_has_the_columns_that_the_design_promises(finished: FinishedRun) -> None:
    for path in (finished.folder / "release" / "manifest").glob("*.parquet"):
        schema = pq.read_schema(path)
        assert set(PROMISED.split()) <= set(schema.names)
        assert set(read_plan(finished.folder).measures) <= set(schema.names)
        assert schema.metadata[b"schema_version"] == b"1"
        assert schema.field("phash").type == pa.uint64()


def test_shards_hold_the_bytes_and_the_words_that_the_manifest_states(finished: FinishedRun) -> None:
    kept = manifest(finished.folder, "kept-*")
    names = []
    for row in kept:
        with tarfile.open(finished.folder / "release" / "shards" / row["shard"]) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar if row["uid"] in member.name}  # type: ignore[union-attr]  # all are files
        assert hashlib.sha256(members[f"{row['uid']}.jpg"]).hexdigest() == row["stored_sha256"]
        assert members[f"{row['uid']}.txt"].decode() == row["text"]
        facts = json.loads(members[f"{row['uid']}.json"])
        assert facts["texts"] == row["texts"]
        assert facts["phash"] == row["phash"]
        names.append(row["shard"])
    assert [names.count(shard) for shard in sorted(set(names))] == [2, 2, 2]


def test_the_seal_lists_every_file_with_its_digest(finished: FinishedRun) -> None:
    release = finished.folder / "release"
    sums = dict(line.split("  ")[::-1] for line in (release / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()}
    assert set(sums) == {name for name in files if not name.startswith("_done")} - {"SHA256SUMS"}
    assert all(sha256_of(release / name) == digest for name, digest in sums.items())


def test_uids_are_kept_as_datacomp_keeps_them(finished: FinishedRun) -> None:
    halves = np.load(finished.folder / "release" / "uids.npy")
    assert halves.dtype == np.dtype("u8,u8")
    kept = sorted(row["uid"] for row in manifest(finished.folder, "kept-*"))
    assert [f"{int(high):016x}{int(low):016x}" for high, low in halves] == kept


@pytest.mark.parametrize(("dropped", "files"), [("all", 1), ("narrow", 1), ("none", 0)])
def test_dropped_rows_are_released_as_the_recipe_says(
    tmp_path: Path, finished: FinishedRun, dropped: str, files: int
) -> None:
    run = finished.copy(tmp_path, "score")
    release = finished.recipe["release"] | {"dropped": dropped}
    stats = run_inline(finished.recipe | {"release": release}, run).stats
    assert (stats["kept"], stats["dropped"]) == (finished.kept, 8)
    found = list((run / "release" / "manifest").glob("dropped-*.parquet"))
    assert len(found) == files
    widths = [len(pq.read_schema(path).names) for path in found]
    assert all(width < 20 if dropped == "narrow" else width > 30 for width in widths)


def test_a_larger_shard_size_leaves_no_old_shard_behind(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    run_inline(finished.recipe | {"release": finished.recipe["release"] | {"shard_size": 100}}, run)
    assert {path.name for path in (run / "release" / "shards").iterdir()} == {"000000.tar", "000000.tar.idx"}


def test_a_sample_that_fell_early_has_every_later_column_null(finished: FinishedRun) -> None:
    plan = read_plan(finished.folder)
    schema = selected_schema(plan)
    (path,) = committed_files(finished.folder, "admit", "rows")
    rows = selected_rows(read_rows(path), schema)
    assert rows.schema.equals(schema)
    assert rows["phash"].null_count == rows.num_rows
    assert len(set(schema.names)) == len(schema.names)
    assert all(schema.field(name).type == MEASURES[name].dtype for name in plan.measures)


def test_texts_are_published_by_kind_text_score_and_reason() -> None:
    full = pa.array(
        [[{"kind": "alt", "text": "一", "zh_chars": 1, "drop_reason": None, "failed_rules": ["x"]}], [], None]
    )
    published = manifest_texts(pa.chunked_array([full]))
    assert published.to_pylist() == [
        [{"kind": "alt", "text": "一", "clip_score": None, "drop_reason": None}],
        [],
        None,
    ]
