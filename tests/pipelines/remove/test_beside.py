"""What lies beside a release goes too: the page with pictures, answers of annotators. A split's index is mended."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.explore.answers import SCHEMA, answers_of_all
from pipelines.remove.beside import purge_beside
from shards.errors import BadInputError
from tests.pipelines.conftest import FinishedRun, run_inline
from tests.pipelines.remove.removing import removed, rows_of
from tests.pipelines.verifying import faults_of


def write_answers(folder: Path, uids: list[str]) -> None:
    folder.mkdir()
    rows = [{"uid": uid, "text": "字", "text_kind": "alt", "label": "match"} for uid in uids]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / "li.parquet")


@pytest.mark.parametrize("is_bare", [False, True])
def test_pictures_and_answers_of_a_removed_sample_go(finished: FinishedRun, tmp_path: Path, is_bare: bool) -> None:
    run = finished.copy(tmp_path)
    path, page, labels = run, run / "report.html", run / "labels"
    if is_bare:
        path = Path(shutil.move(run / "release", tmp_path / "bare"))
        page, labels = tmp_path / "bare-report.html", tmp_path / "bare-labels"
    release = path if is_bare else path / "release"
    gone, stays = [uid for uid, row in rows_of(release).items() if row["status"] == "kept"][:2]
    page.write_text("<img>")
    write_answers(labels, [gone, stays])
    told: list[str] = []
    removed(path, told, is_dry=True, uids=[gone])
    assert page.is_file()
    assert any("1 answers" in line for line in told)
    removed(path, uids=[gone])
    assert not page.exists()
    assert answers_of_all(labels) == {"li": {(stays, "字"): "match"}}


def test_a_file_that_holds_no_answers_is_said(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "li.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInputError, match=r"li\.parquet: no answers of annotators"):
        purge_beside(tmp_path / "none.html", tmp_path / "labels", pa.array(["a"]), print, is_dry=False)


def test_the_index_of_a_split_is_mended(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    recipe = finished.recipe | {"release": finished.recipe["release"] | {"splits": {"val": 0.5}}}
    run_inline(recipe, run)
    bare = Path(shutil.move(run / "release", tmp_path / "bare"))
    before = {name: json.loads((bare / name).read_bytes()) for name in ("wids.json", "wids-val.json")}
    held = next(uid for uid, row in rows_of(bare).items() if row["status"] == "kept" and row["split"] == "val")
    removed(bare, uids=[held])
    path = bare / "wids-val.json"
    after = json.loads(path.read_bytes()) if path.exists() else {"shardlist": []}
    num_before, num_after = (
        sum(shard["nsamples"] for shard in index["shardlist"]) for index in (before[path.name], after)
    )
    assert num_after == num_before - 1
    assert json.loads((bare / "wids.json").read_bytes()) == before["wids.json"]
    assert faults_of(bare) == []
