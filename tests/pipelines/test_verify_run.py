"""`curate verify RUN`: each file of each commit record, the records themselves, and the counts from stage to stage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import cli
from shards.errors import OutputInUseError
from shards.lease import Lease
from tests.pipelines.conftest import FinishedRun, run_inline
from tests.pipelines.verifying import faults_of, flipped


@pytest.fixture
def run(finished: FinishedRun, tmp_path: Path) -> Path:
    return finished.copy(tmp_path)


def stage_files(run: Path) -> list[Path]:
    return sorted(path for path in run.glob("*/part-*") if path.is_file())


def record_of(run: Path, step: str) -> Path:
    return min((run / step / "_done").iterdir())


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_any_file_of_a_stage_is_found(run: Path, every: int) -> None:
    files = stage_files(run)
    assert {path.parent.name for path in files} >= {"collect", "admit", "fetch", "measure", "dedup", "select"}
    for number, path in enumerate(files[::every]):
        with flipped(path, (number * 37) % path.stat().st_size):
            (told,) = faults_of(run)
        assert told.startswith(f"{path.relative_to(run).as_posix()}: its sha256 is ")
        assert told.endswith("delete it and run again: its part is redone (a download is asked for again)")
    assert faults_of(run) == []


def test_a_missing_and_a_truncated_file_are_found(run: Path) -> None:
    fetched, collected = next(run.glob("fetch/*.tar")), next(run.glob("collect/*.parquet"))
    fetched.unlink()
    collected.write_bytes(collected.read_bytes()[:-1])
    told = faults_of(run)
    assert [line.split(": ")[0] for line in told] == [f"collect/{collected.name}", f"fetch/{fetched.name}"]
    assert "bytes, its commit record says" in told[0]
    assert "cannot be read: No such file or directory; its commit record names it" in told[1]


@pytest.mark.parametrize("every", [301, pytest.param(41, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_a_record_of_the_release_is_found(run: Path, every: int) -> None:
    for path in sorted((run / "release" / "_done").iterdir()):
        for place in range(0, path.stat().st_size, every):
            with flipped(path, place, 1 << place % 8):
                assert faults_of(run) != [], (path.name, place)
    assert faults_of(run) == []


def changed(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda record: record.update(values)


RECORDS = {
    "another step": (changed(step="fetch"), "it says step fetch"),
    "another part": (changed(index=9), "it says step admit, part 9"),
    "another fingerprint": (changed(fingerprint="0" * 32), "it says step admit, part 0, 00000000"),
    "rows that counts do not give": (changed(rows=1), "its counts do not add up to its 1 rows"),
    "no list of files": (changed(files=None), "cannot be read as a commit record"),
    "a file elsewhere": (lambda record: record["files"][0].update(name="../../x"), "it names a file '../../x'"),
    "no digest": (lambda record: record["files"][0].update(sha256="0"), "it names a file"),
    "no number": (changed(meta={"candidates": "15"}), "it counts with what is no number"),
    "no facts": (changed(meta=None), "cannot be read as a commit record"),
    "a key too many": (changed(more=1), "cannot be read as a commit record"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_says_something_else_is_told(run: Path, name: str) -> None:
    change, expected = RECORDS[name]
    path = record_of(run, "admit")
    record = json.loads(path.read_bytes())
    change(record)
    path.write_text(json.dumps(record, sort_keys=True, ensure_ascii=False, indent=1) + "\n")
    told = faults_of(run)
    assert told[0].startswith(f"admit/_done/{path.name}: cannot be read as a commit record: ")
    assert expected in told[0]
    assert told[0].endswith("; delete it and run again: the part is redone")


def test_rows_are_counted_beside_their_record(run: Path) -> None:
    path = record_of(run, "collect")
    record = json.loads(path.read_bytes())
    record["rows"] += 1
    record["counts"]["standing"] += 1
    path.write_text(json.dumps(record, sort_keys=True, ensure_ascii=False, indent=1) + "\n")
    rows, candidates = faults_of(run)
    assert "rows, its commit record says 16" in rows
    assert candidates.startswith("release/stats.json: candidates is 15, rows of collect 16; ")


def test_a_lost_record_of_a_finished_run_is_told_and_one_of_an_unfinished_is_counted(run: Path) -> None:
    record_of(run, "measure").unlink()
    assert faults_of(run)[0].startswith("measure/_done: 1 of its planned parts have no commit record; run again")
    facts = json.loads((run / "run.json").read_bytes())
    del facts["finished"]
    (run / "run.json").write_text(json.dumps(facts))
    assert faults_of(run) == []
    shutil.rmtree(run / "release")
    result = CliRunner().invoke(cli.app, ["verify", str(run)])
    assert result.exit_code == 0
    assert result.stdout.endswith("no release yet (unfinished: 4 planned parts are not there yet): no fault\n")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("parts.json", "{", "parts.json: is no plan ("),
        ("parts.json", '{"admit": [1]}', "parts.json: is no plan ("),
        ("run.json", "[", "run.json: cannot be read: "),
        ("recipe.yaml", "name: [", "recipe.yaml: "),
        ("recipe.yaml", "nam: x\n", "recipe.yaml: "),
    ],
)
def test_what_a_run_says_of_itself_must_be_readable(run: Path, name: str, text: str, expected: str) -> None:
    (run / name).write_text(text)
    (told,) = faults_of(run)
    assert told.startswith(expected)


@pytest.mark.parametrize("step", ["collect", "measure", "select", "release"])
def test_what_a_fault_says_to_do_heals_the_run(finished: FinishedRun, run: Path, step: str) -> None:
    path = run / "release" / "shards" / "000001.tar" if step == "release" else next(run.glob(f"{step}/part-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    told = [line for line in faults_of(run) if line.startswith(f"{path.relative_to(run).as_posix()}: ")]
    assert told
    assert all("; delete it and run again: " in line for line in told)
    path.unlink()
    run_inline(finished.recipe, run)
    assert faults_of(run) == []
    for released in (finished.folder / "release").glob("*/*"):
        assert (
            released.read_bytes() == (run / "release" / released.relative_to(finished.folder / "release")).read_bytes()
        )


def test_a_run_that_is_being_written_is_left_alone(run: Path) -> None:
    with Lease.take(run), pytest.raises(OutputInUseError, match="is being written by process"):
        faults_of(run)


def test_exit_codes_and_the_last_line(run: Path) -> None:
    def curate(*arguments: object) -> Any:
        return CliRunner().invoke(cli.app, ["verify", *map(str, arguments)])

    whole = curate(run)
    assert (whole.exit_code, whole.stderr) == (0, "")
    assert whole.stdout.startswith("run: ")
    assert whole.stdout.endswith("14 samples (6 kept, 6 in 3 shards): no fault\n")
    with flipped(run / "release" / "report.html", 100):
        damaged = curate(run / "release")
    assert damaged.exit_code == 1
    fault, summary = damaged.stdout.splitlines()
    assert fault.startswith("report.html: its bytes are not those released: sha256 ")
    assert fault.endswith("; delete it and run again: it is made anew")
    assert summary.endswith(": 1 fault")
    none = curate(run / "fetch")
    assert (none.exit_code, none.stdout) == (2, "")
    (run / "release" / "SHA256SUMS").unlink()
    (run / "release" / "SHA256SUMS").mkdir()
    assert curate(run / "release").exit_code == 65
