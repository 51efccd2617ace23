"""`curate export`: whole or not at all, the same bytes each time, from releases alone, with errors that say why."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.export import WRITERS, export, export_lines
from shards.errors import BadInputError, BrokenRunError, UsageError
from tests.pipelines.conftest import FinishedRun, run_inline, table_recipe
from tests.pipelines.exports import GLOBS, ODD_SAMPLES, SEVERAL, collected, counted, tree
from tests.pipelines.made_release import Sample, make_release


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (lambda release: (release / "shards" / "000000.tar").unlink(), "cannot be read as a shard"),
        (lambda release: (release / "shards" / "000000.tar").write_bytes(b""), "cannot be read as a shard"),
        (lambda release: os.truncate(release / "shards" / "000000.tar", 2000), "000000.tar"),
        (lambda release: flip(release / "shards" / "000000.tar", 600), "another sha256"),
    ],
)
def test_a_broken_shard_is_not_exported(tmp_path: Path, break_it: Callable[[Path], object], expected: str) -> None:
    release = make_release(tmp_path / "r", SEVERAL)
    break_it(release)
    with pytest.raises(BrokenRunError, match=expected):
        export(release, "chinese-clip", str(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("layout", WRITERS)
def test_only_kept_samples_are_exported(tmp_path: Path, layout: str) -> None:
    samples = [
        Sample("http://a.cn/1", [("alt", "一")]),
        Sample("http://a.cn/2", [("alt", "二")], more={"status": "dropped"}),
    ]
    assert export(make_release(tmp_path / "r", samples), layout, str(tmp_path / "out")).samples == 1
    if layout in GLOBS:
        assert [url for url, _, _ in collected(layout, tmp_path / "out")] == ["http://a.cn/1"]


@pytest.mark.parametrize("layout", WRITERS)
def test_an_empty_release_is_an_empty_export(tmp_path: Path, layout: str) -> None:
    done = export(make_release(tmp_path / "r", []), layout, str(tmp_path / "out"))
    assert done.samples == 0
    assert counted(done) == []
    if layout in ("wukong", "laion", "coyo", "datacomp"):
        assert collected(layout, tmp_path / "out") == []


EXPORT_ALL = """
import sys
from pathlib import Path
from pipelines.cli import app
from pipelines.export import WRITERS, export
for layout in WRITERS:
    export(Path(sys.argv[1]), layout, f"{sys.argv[2]}/{layout}")
"""


def test_the_bytes_depend_on_nothing_but_the_samples(tmp_path: Path) -> None:
    samples = [*SEVERAL, *ODD_SAMPLES]
    release = make_release(tmp_path / "一" / "r", samples)
    for layout in WRITERS:
        export(release, layout, str(tmp_path / "一" / "out" / layout))
    other = make_release(tmp_path / "two's" / "other", samples)
    subprocess.run(
        [sys.executable, "-c", EXPORT_ALL, str(other), str(tmp_path / "two's" / "out")],
        env={**os.environ, "LC_ALL": "C", "TZ": "Asia/Shanghai", "PYTHONHASHSEED": "7", "PYTHONUTF8": "0"},
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert tree(tmp_path / "一" / "out") == tree(tmp_path / "two's" / "out")


@pytest.mark.parametrize("layout", WRITERS)
def test_every_file_s_digest_is_listed(tmp_path: Path, layout: str) -> None:
    done = export(make_release(tmp_path / "r", SEVERAL), layout, str(tmp_path / "out"))
    files = tree(tmp_path / "out")
    lines = files.pop("SHA256SUMS").decode().splitlines()
    assert lines == [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]
    assert done.files == len(files)


def test_a_run_is_exported_and_collected_again(tmp_path: Path, finished: FinishedRun) -> None:
    for layout, kind in (("zero", "title"), ("wudaomm", "caption")):
        lines = export_lines(finished.folder, layout, str(tmp_path / layout))
        assert lines[0] == f"{layout}: 6 samples in 1 file"
        assert lines[-1] == str(tmp_path / layout)
        recipe = table_recipe(tmp_path / "none", network=finished.recipe["network"])
        recipe["source"] = {"kind": "table", "layout": layout, "paths": [str(tmp_path / layout / GLOBS[layout])]}
        again = run_inline(recipe, tmp_path / f"run-{layout}")
        assert again.stats["kept"] == 6
        before, after = (
            {(row["uid"], row["url"], row["text"]) for row in kept_rows(run)} for run in (finished.folder, again.run)
        )
        assert after == before
        assert {row["text_kind"] for row in kept_rows(again.run)} == {kind}


def kept_rows(run: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted((run / "release" / "manifest").glob("kept-*.parquet"))]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


def test_an_unknown_layout_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--layout laoin: no such format; known: wukong, zero, wudaomm, wenlan"):
        export(tmp_path, "laoin", str(tmp_path / "out"))


def test_what_is_no_release_is_refused(tmp_path: Path, finished: FinishedRun) -> None:
    with pytest.raises(UsageError, match="no release of curate"):
        export(tmp_path, "zero", str(tmp_path / "out"))
    with pytest.raises(UsageError, match="no release of curate"):
        export(tmp_path / "none", "zero", str(tmp_path / "out"))
    with pytest.raises(UsageError, match="no finished release yet"):
        export(finished.copy(tmp_path, upto="select"), "zero", str(tmp_path / "out"))


def test_a_manifest_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    release = make_release(tmp_path / "r", SEVERAL)
    path = release / "manifest" / "kept-000000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["texts"]), path)
    with pytest.raises(BadInputError, match="no column texts"):
        export(release, "zero", str(tmp_path / "out"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BrokenRunError, match="manifest: cannot be read"):
        export(release, "zero", str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("full", "is not empty"),
        ("file", "Not a directory"),
        ("file/below", "Not a directory"),
        ("r/release/export", "lies in the release itself"),
        ("r/release", "lies in the release itself"),
        ("x" * 300, "File name too long"),
        ("s3://bucket/out", "only a local folder"),
        ("/proc", "mount point"),
        ("/proc/none/out", "cannot be made"),
    ],
)
def test_a_bad_output_path_is_refused(tmp_path: Path, out: str, expected: str) -> None:
    release = make_release(tmp_path / "r" / "release", SEVERAL)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "file").touch()
    target = out if "://" in out else str(tmp_path / out)
    before = tree(tmp_path)
    with pytest.raises(UsageError, match=expected) as raised:
        export(release, "zero", target)
    assert raised.value.exit_code == 2
    assert tree(tmp_path) == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(make_release(tmp_path / "r", SEVERAL), "zero", str(tmp_path / "out"))
    assert sorted(tree(tmp_path / "out")) == ["SHA256SUMS", "zero_000000.jsonl"]


def test_the_command_says_what_it_did_and_ends_with_2_where_it_cannot(tmp_path: Path) -> None:
    release = make_release(tmp_path / "r", SEVERAL)
    arguments = ["export", str(release), "--layout", "laion", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "laion: 4 samples in 1 file",
        "  one caption a sample; further texts left out: 5",
        "  captions of other kinds, which read back as alt: 2 (1 caption, 1 说明)",
        "  samples without a text: 1",
        "  null, for want of a measure: LANGUAGE, pwatermark, punsafe",
        "",
        str(tmp_path / "out"),
    ]
    again = CliRunner().invoke(app, arguments)
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == f"curate: --out {tmp_path / 'out'}: is not empty; choose a new folder\n"
