"""Known sets: what an evaluation set or an earlier release has is found near or by its bytes, and named."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

from dedup.hash_file import HASH_FILE, read_known
from pipelines.checks import checked_plan
from pipelines.cli import app
from shards.catalog import committed_files
from shards.errors import BadInputError, UsageError
from shards.tables import read_rows, write_table
from tests.pipelines.conftest import FinishedRun, InlinePool, photograph, run_inline

LEAKED = {"leaked": "eval_match IS NULL", "near_duplicate": "dup_rank = 1"}


def as_jpeg(png: bytes, width: int) -> bytes:
    """A copy as another site might have it: smaller, lossy."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).resize((width, width), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A folder with copies of photographs 2 and 3, a picture that nobody has, and what lies about in such folders."""
    folder = tmp_path / "coco"
    (folder / "val").mkdir(parents=True)
    for number in (2, 3):
        (folder / "val" / f"{number}.jpg").write_bytes(as_jpeg(photograph(number), 200))
    (folder / "other.png").write_bytes(photograph(77))
    (folder / "captions.json").write_text("{}")
    (folder / "broken.jpg").write_bytes(as_jpeg(photograph(5), 200)[:600])
    Image.new("RGB", (64, 64), "white").save(folder / "white.png")
    return folder


def dedup_rows(run: Path) -> dict[str, dict[str, Any]]:
    """By path of the URL, what dedup says of each sample that came so far."""
    rows = [row for path in committed_files(run, "dedup", "rows") for row in read_rows(path).to_pylist()]
    return {str(row["url"]).rpartition("/")[2]: row for row in rows if row["drop_reason"] != "http_status"}


def again(finished: FinishedRun, into: Path, **changes: Any) -> Path:
    run = finished.copy(into, "measure")
    run_inline(finished.recipe | changes, run)
    return run


def test_copies_of_evaluation_images_are_named_and_fall(tmp_path: Path, finished: FinishedRun, coco: Path) -> None:
    rules = {**finished.recipe["rules"], **LEAKED}
    run = again(finished, tmp_path, dedup={"evaluation": [str(coco)]}, rules=rules)
    rows = dedup_rows(run)
    assert {name for name, row in rows.items() if row["eval_match"] == "coco"} == {"2.png", "3.png"}
    assert {name for name, row in rows.items() if row["drop_reason"] == "leaked"} == {"2.png", "3.png"}
    manifest = pa.concat_tables([read_rows(path) for path in committed_files(run, "release", "manifest")])
    assert sorted(manifest["eval_match"].drop_null().to_pylist()) == ["coco", "coco"]


def test_a_hash_file_stands_for_the_folder(tmp_path: Path, finished: FinishedRun, coco: Path) -> None:
    told = CliRunner().invoke(app, ["fingerprint", str(coco), "-o", str(tmp_path / "val2017.parquet")])
    assert told.exit_code == 0
    assert "broken.jpg: decode_error" in told.output
    assert "4 images, 1 too plain for a phash, 1 too plain for a dhash" in told.output
    table = read_rows(tmp_path / "val2017.parquet")
    assert table.schema.equals(HASH_FILE)
    assert table["name"].to_pylist() == ["other.png", "val/2.jpg", "val/3.jpg", "white.png"]
    assert table["sha256"][0].as_py() == hashlib.sha256(photograph(77)).hexdigest()
    sets = {"evaluation": [str(coco), str(tmp_path / "val2017.parquet")]}
    rows = dedup_rows(again(finished, tmp_path, dedup=sets, measures=["eval_match"]))
    assert {name for name, row in rows.items() if row["eval_match"] == "coco"} == {"2.png", "3.png"}


def test_equal_bytes_match_without_a_hash(tmp_path: Path, finished: FinishedRun) -> None:
    digest = hashlib.sha256(photograph(4)).hexdigest()
    row = {"name": "x", "sha256": digest, "phash": None}
    write_table(tmp_path / "bytes.parquet", pa.Table.from_pylist([row], HASH_FILE))
    rows = dedup_rows(again(finished, tmp_path, dedup={"against": [str(tmp_path / "bytes.parquet")]}))
    assert {name for name, row in rows.items() if row["seen_in"] == "bytes"} == {"4.png"}


@pytest.mark.parametrize("files", [["coco"], ["val.parquet"]])
def test_sets_are_matched_by_the_hash_that_the_recipe_names(
    tmp_path: Path, finished: FinishedRun, coco: Path, files: list[str]
) -> None:
    told = CliRunner().invoke(app, ["fingerprint", str(coco), "-o", str(tmp_path / "val.parquet")])
    assert told.exit_code == 0
    dedup = {"evaluation": [str(tmp_path / file) for file in files], "hash": "dhash"}
    run = again(finished, tmp_path, dedup=dedup)
    assert {name for name, row in dedup_rows(run).items() if row["eval_match"]} == {"2.png", "3.png"}
    pool = InlinePool()
    run_inline(finished.recipe | {"dedup": dedup | {"hash": "phash"}}, run, pool)
    assert {"dedup-shuffle", "dedup-known", "dedup-match"} <= set(pool.steps())
    assert {name for name, row in dedup_rows(run).items() if row["eval_match"]} == {"2.png", "3.png"}


@pytest.mark.parametrize("section", ["against", "evaluation"])
@pytest.mark.parametrize("below", ["", "release", "release/manifest/kept-000000.parquet"])
def test_a_run_is_not_matched_with_itself(tmp_path: Path, finished: FinishedRun, section: str, below: str) -> None:
    run = finished.copy(tmp_path)
    before = (run / "recipe.yaml").read_bytes()
    link = tmp_path / "elsewhere"
    link.symlink_to(run, target_is_directory=True)
    with pytest.raises(UsageError, match=f"dedup.{section}: .*elsewhere.* is the run's own folder"):
        run_inline(finished.recipe | {"dedup": {section: [str(link / below)]}}, run)
    assert (run / "recipe.yaml").read_bytes() == before


@pytest.mark.parametrize("below", ["", "release"])
def test_an_earlier_run_or_its_release_is_matched_without_its_images(
    tmp_path: Path, finished: FinishedRun, below: str
) -> None:
    rows = dedup_rows(again(finished, tmp_path, dedup={"against": [str(finished.folder / below)]}))
    measured = {name for name, row in rows.items() if row["dup_group"] is not None}
    assert {name for name, row in rows.items() if row["seen_in"] == "run"} == measured
    assert len(measured) > finished.kept


def test_what_changes_in_a_set_is_matched_anew(tmp_path: Path, finished: FinishedRun, coco: Path) -> None:
    recipe = finished.recipe | {"dedup": {"evaluation": [str(coco)]}}
    run = finished.copy(tmp_path, "measure")
    run_inline(recipe, run)
    (coco / "new.jpg").write_bytes(as_jpeg(photograph(1), 240))
    run_inline(recipe, run)
    matched = {name for name, row in dedup_rows(run).items() if row["eval_match"] == "coco"}
    assert matched == {"1.png", "2.png", "3.png"}


@pytest.mark.parametrize(
    ("dedup", "rules", "place", "said"),
    [
        ({"evaluation": ["nowhere"]}, {}, "dedup.evaluation.0", "is not there"),
        ({"against": ["s3://bucket/run"]}, {}, "dedup.against.0", "only local"),
        ({"against": ["empty"]}, {}, "dedup.against.0", "neither a run nor a release"),
        ({"evaluation": ["empty"]}, {}, "dedup.evaluation.0", "nor a folder with images"),
        ({"against": ["words.parquet"]}, {}, "dedup.against.0", "no column `phash`"),
        ({"against": ["old.parquet"], "hash": "dhash"}, {}, "dedup.against.0", "no column `dhash`"),
        (
            {"evaluation": ["old.parquet"], "hash": "dhash"},
            {},
            "dedup.evaluation.0",
            ", but phash: `curate fingerprint`",
        ),
        ({"against": ["by-dhash.parquet"]}, {}, "dedup.against.0", "no column `phash`"),
        ({"against": ["text.txt"]}, {}, "dedup.against.0", "is no Parquet file"),
        ({"evaluation": ["a/set", "b/set"]}, {}, "dedup.evaluation.1", "another set is called set"),
        ({}, {"new": "seen_in IS NULL"}, "dedup.against", "is empty"),
        ({}, {"clean": "eval_match IS NULL"}, "dedup.evaluation", "is empty"),
    ],
)
def test_sets_that_cannot_be_matched_are_refused(
    tmp_path: Path,
    finished: FinishedRun,
    monkeypatch: pytest.MonkeyPatch,
    dedup: dict[str, Any],
    rules: dict[str, str],
    place: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "a/set", "b/set"):
        Path(folder).mkdir(parents=True)
    for folder in ("a/set", "b/set"):
        (Path(folder) / "1.png").write_bytes(photograph(1))
    write_table(Path("words.parquet"), pa.table({"phash": ["x"]}))
    write_table(Path("old.parquet"), pa.table({"sha256": ["x"], "phash": pa.array([1], pa.uint64())}))
    row = {"name": "x", "sha256": "x", "phash": None, "dhash": 1}  # as manifests are, where dhash alone was measured
    write_table(Path("by-dhash.parquet"), pa.Table.from_pylist([row], HASH_FILE))
    Path("text.txt").write_text("x")
    with pytest.raises(UsageError) as refused:
        checked_plan(finished.recipe | {"dedup": dedup, "rules": rules}, "test")
    assert place in str(refused.value)
    assert said in str(refused.value)


def test_fingerprint_says_what_is_wrong(tmp_path: Path) -> None:
    for arguments, said in (
        ([str(tmp_path / "gone"), "-o", str(tmp_path / "x.parquet")], "no such folder"),
        ([str(tmp_path), "-o", str(tmp_path / "x.parquet")], "no image in it can be read"),
    ):
        told = CliRunner().invoke(app, ["fingerprint", *arguments])
        assert told.exit_code == 2
        assert said in told.output


def test_files_that_are_no_hash_files_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "x.parquet", pa.table({"phash": pa.array([1], pa.int64())}))
    with pytest.raises(BadInputError, match="64 unsigned bits"):
        read_known([tmp_path / "x.parquet"], "phash")
