"""What a release offers to its readers: indexes that fit its shards, a Croissant file over all, bytes that stay."""

import hashlib
import json
import struct
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.about.croissant import MOST_LISTED, Described, ListedFile, render_croissant
from pipelines.flow.indexes import column_notes
from pipelines.recipe import Recipe, parse_recipe
from shards.columns import MANIFEST_COLUMNS
from tests.conftest import FinishedDemo
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline
from tests.pipelines.test_release_again import decide, digests
from tests.pipelines.verifying import faults_of

NEW = {
    ".nv-meta/.info.json",
    ".nv-meta/split.yaml",
    ".nv-meta/dataset.yaml",
    "wids.json",
    "croissant.json",
    "views.sql",
}


def listed(release: Path) -> dict[str, str]:
    lines = (release / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def croissant(release: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / "croissant.json").read_bytes())
    return found


def test_every_shard_has_its_offsets_count_and_digest(finished: FinishedRun) -> None:
    release = finished.folder / "release"
    shards = json.loads((release / "wids.json").read_bytes())["shardlist"]
    assert [shard["url"] for shard in shards] == ["shards/000000.tar", "shards/000001.tar", "shards/000002.tar"]
    counts = json.loads((release / ".nv-meta" / ".info.json").read_bytes())["shard_counts"]
    assert counts == {shard["url"]: shard["nsamples"] for shard in shards}
    assert sum(counts.values()) == finished.kept
    for shard in shards:
        path = release / shard["url"]
        assert shard["filesize"] == path.stat().st_size
        assert shard["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        data = path.with_suffix(".tar.idx").read_bytes()
        with tarfile.open(path) as tar:
            starts = [member.offset for number, member in enumerate(tar) if number % 3 == 0]
            assert struct.unpack(f"<{len(data) // 8}Q", data) == (*starts, tar.offset)


def test_all_is_listed_with_its_digest_and_verified(finished: FinishedRun) -> None:
    release = finished.folder / "release"
    assert listed(release).keys() >= NEW
    assert faults_of(release) == []


def test_a_changed_index_is_a_fault_and_what_energon_adds_is_none(finished: FinishedRun, tmp_path: Path) -> None:
    release = finished.copy(tmp_path) / "release"
    (release / ".nv-meta" / "index.sqlite").write_bytes(b"x")
    (release / ".nv-meta" / "index.uuid").write_bytes(b"x")
    assert faults_of(release) == []
    (release / "shards" / "000000.tar.idx").write_bytes(bytes(24))
    (release / ".nv-meta" / "other").write_bytes(b"x")
    told = "\n".join(faults_of(release))
    assert "shards/000000.tar.idx: its bytes are not those released" in told
    assert ".nv-meta/other: is not listed" in told


def test_a_release_decided_again_has_them_too_and_without_shards_only_those_of_the_manifest(
    finished: FinishedRun, tmp_path: Path
) -> None:
    decide(finished.folder, finished.recipe, tmp_path / "with")
    assert digests(tmp_path / "with") == digests(finished.folder / "release")
    decide(finished.folder, finished.recipe, tmp_path / "without", shards=False)
    assert NEW & listed(tmp_path / "without").keys() == {"croissant.json", "views.sql"}
    assert not (tmp_path / "without" / ".nv-meta").exists()
    assert [node["@id"] for node in croissant(tmp_path / "without")["distribution"] if "shard" in node["@id"]] == []
    assert faults_of(tmp_path / "without") == []


def test_who_made_it_is_said_anew_without_writing_a_shard_again(finished: FinishedRun, tmp_path: Path) -> None:
    run, pool = finished.copy(tmp_path), InlinePool()
    about = {"license": "CC-BY-4.0", "date_published": "2026-11-22", "creators": ["某人"], "url": "https://a.cn/"}
    changed = finished.recipe | {"release": finished.recipe["release"] | {"about": about}}
    run_inline(changed, run, pool)
    assert pool.steps() == ["release"]
    found = croissant(run / "release")
    assert (found["license"], found["datePublished"]) == ("https://spdx.org/licenses/CC-BY-4.0", "2026-11-22")
    assert (found["creator"][0]["name"], found["url"]) == ("某人", "https://a.cn/")


def test_croissant_lists_files_with_digests_and_fields_with_sources(finished: FinishedRun) -> None:
    release = finished.folder / "release"
    found = croissant(release)
    files = {node["@id"]: node for node in found["distribution"] if node["@type"] == "cr:FileObject"}
    sets = {node["@id"]: node for node in found["distribution"] if node["@type"] == "cr:FileSet"}
    assert {name: node["sha256"] for name, node in files.items()} == {
        name: digest for name, digest in listed(release).items() if name != "croissant.json"
    }
    assert {node["contentUrl"] for node in files.values()} == files.keys()
    for record_set in found["recordSet"]:
        kind = record_set["@id"]
        schema = pq.read_schema(release / "manifest" / f"{kind}-000000.parquet")
        leaves = [leaf for field in record_set["field"] for leaf in field.get("subField", [field])]
        assert {leaf["source"]["extract"]["column"] for leaf in leaves} <= set(schema.names)
        assert {leaf["source"]["fileSet"]["@id"] for leaf in leaves} == {f"{kind}-files"} <= sets.keys()
        assert {field["name"] for field in record_set["field"]} >= {"uid", "url", "text", "texts", "drop_reason"}


@pytest.mark.parametrize(("num_files", "num_listed"), [(MOST_LISTED, MOST_LISTED), (MOST_LISTED + 1, 1)])
def test_very_many_files_are_not_listed_one_by_one(num_files: int, num_listed: int) -> None:
    names = ["README.md", *(f"shards/{number:06d}.tar" for number in range(num_files - 1))]
    files = [ListedFile(name, 1, "a" * 64) for name in names]
    text = render_croissant(recipe(), numbers(), Described(files, {"kept": pa.schema([("uid", pa.string())])}, {}))
    nodes = json.loads(text)["distribution"]
    assert sum(node["@type"] == "cr:FileObject" for node in nodes) == num_listed
    assert [node["includes"] for node in nodes if node["@type"] == "cr:FileSet"] == [
        "manifest/kept-*.parquet",
        "shards/*.tar",
    ]


def recipe() -> Recipe:
    made, problems = parse_recipe({"name": "a", "source": {"kind": "table", "layout": "wukong", "paths": ["a.csv"]}})
    assert made is not None, problems
    return made


def numbers() -> dict[str, Any]:
    return {"samples": 2, "kept": 1, "dropped": 1, "shards": 1, "hosts": [], "measures": {}}


def test_every_column_of_a_manifest_is_explained(demo_run: FinishedDemo) -> None:
    columns = pq.read_schema(demo_run.folder / "release" / "manifest" / "kept-000000.parquet").names
    assert [name for name in columns if name not in column_notes(columns)] == []
    assert [name for name in columns if name in ("uid", "text")] == ["uid", "text"]
    assert all(note == note.strip() and "\n" not in note for note in MANIFEST_COLUMNS.values())
