"""`curate diff A B`: where samples went between two releases, and which settings differ."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.diff.command import describe_difference
from pipelines.diff.settings import ChangedSetting, changed_settings
from shards.errors import BadInputError, UsageError
from tests.pipelines.conftest import FinishedRun, run_inline
from tests.pipelines.verifying import change_table, copied_release

KEPT, DROPPED = "manifest/kept-000000.parquet", "manifest/dropped-000000.parquet"


def told(a: Path, b: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(describe_difference(a, b, "json"))
    return found


@pytest.fixture(scope="module")
def other(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run under other rules: tiny images may stay, one photograph may not, and plainness is not looked at."""
    folder = finished.copy(tmp_path_factory.mktemp("other"))
    rules = {name: rule for name, rule in finished.recipe["rules"].items() if name not in ("too_small", "plain")}
    rules = {"not_this": "not contains(text, '3')", **rules, "too_long": "zh_chars < 30"}
    run_inline(finished.recipe | {"rules": rules}, folder)
    return folder


def test_samples_that_changed_sides_are_told_by_reason(finished: FinishedRun, other: Path) -> None:
    found = told(finished.folder, other)
    assert found["a"] == {"path": str(finished.folder), "samples": 14, "kept": 6, "dropped": 8}
    assert found["b"] == {"path": str(other), "samples": 14, "kept": 6, "dropped": 8}
    moves = [(move["from"], move["to"], move["samples"]) for move in found["moves"]]
    kept = {"status": "kept", "reason": None}
    assert moves == [
        (kept, {"status": "dropped", "reason": "not_this"}, 1),
        ({"status": "dropped", "reason": "too_small"}, kept, 1),
    ]
    assert found["kept_in_both"]["samples"] == 5
    assert all(len(uid) == 32 for move in found["moves"] for uid in move["examples"])
    assert [found[name]["samples"] for name in ("only_in_a", "only_in_b", "caption_changed", "image_changed")] == [
        0
    ] * 4
    assert found["settings"] == [
        {"key": "rules.not_this", "b": "not contains(text, '3')"},
        {"key": "rules.plain", "a": "entropy >= 1"},
        {"key": "rules.too_long", "a": "zh_chars < 32", "b": "zh_chars < 30"},
        {"key": "rules.too_small", "a": "min_side > 100"},
    ]


def test_the_table_says_the_same(finished: FinishedRun, other: Path) -> None:
    lines = describe_difference(finished.folder, other, "table").splitlines()
    assert lines[:7] == [
        f"A  {finished.folder}",
        f"B  {other}",
        "",
        "          A   B  change",
        "samples  14  14",
        "kept      6   6",
        "dropped   8   8",
    ]
    assert [line.split()[:3] for line in lines if line.startswith(("kept ", "too_small "))][1:] == [
        ["kept", "in", "both"],
        ["kept", "1", "not_this"],
        ["too_small", "1", "kept"],
    ]
    assert "rules.plain      entropy >= 1    (not there)" in lines


def test_a_release_beside_itself_has_not_changed(finished: FinishedRun) -> None:
    lines = describe_difference(finished.folder, finished.folder / "release", "table").splitlines()
    assert "every sample has the fate that it had" in lines
    assert lines[-1] == "both recipes say the same"


def test_captions_images_and_samples_of_one_side_are_counted(finished: FinishedRun, tmp_path: Path) -> None:
    release = copied_release(finished, tmp_path)

    def changed(table: pa.Table) -> pa.Table:
        texts, images = table["text"].to_pylist(), table["stored_sha256"].to_pylist()
        table = table.set_column(table.schema.get_field_index("text"), "text", pa.array(["别的", None, *texts[2:]]))
        images[2] = "0" * 64
        table = table.set_column(table.schema.get_field_index("stored_sha256"), "stored_sha256", pa.array(images))
        return table.slice(0, 5)

    change_table(release / KEPT, changed)
    (release / DROPPED).unlink()
    found = told(finished.folder, release)
    counts = {name: found[name]["samples"] for name in ("only_in_a", "only_in_b", "caption_changed", "image_changed")}
    assert counts == {"only_in_a": 9, "only_in_b": 0, "caption_changed": 2, "image_changed": 1}
    assert len(found["only_in_a"]["examples"]) == 3
    assert found["only_in_a"]["examples"] == sorted(found["only_in_a"]["examples"])
    assert found["moves"][0]["to"] is None
    assert found["settings"] is None
    table = describe_difference(finished.folder, release, "table")
    assert "B does not list what it dropped: such samples are told as not there" in table
    assert table.splitlines()[-1] == "recipes are not compared: a side has no recipe.yaml beside it"


def test_a_release_that_kept_nothing_and_narrow_rows_are_read(finished: FinishedRun, tmp_path: Path) -> None:
    release = copied_release(finished, tmp_path)
    (release / KEPT).unlink()
    change_table(release / DROPPED, lambda table: table.select(["uid", "url", "text", "status", "drop_reason"]))
    assert told(release, finished.folder)["only_in_b"]["samples"] == 6


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"x": 1}, {"x": 1}, []),
        ({"x": {"y": 1}}, {"x": {"y": 2}}, [ChangedSetting("x.y", 1, 2)]),
        (
            {"x": {}},
            {"x": {"y": 2}},
            [ChangedSetting("x", {}, None, True, False), ChangedSetting("x.y", None, 2, False)],
        ),
        ({"x": None}, {}, [ChangedSetting("x", None, None, True, False)]),
        ({"x": [1, 2]}, {"x": [2, 1]}, [ChangedSetting("x", [1, 2], [2, 1])]),
        (
            {"rules": {"a": "1", "b": "2", "c": "3"}},
            {"rules": {"b": "2", "a": "1", "c": "3"}},
            [ChangedSetting("rules", ["a", "b", "c"], ["b", "a", "c"])],
        ),
    ],
)
def test_settings_are_compared_by_dotted_key(a: Any, b: Any, expected: list[ChangedSetting]) -> None:
    assert changed_settings(a, b) == expected


def test_what_cannot_be_compared_is_said_plainly(finished: FinishedRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run of curate and no release"):
        describe_difference(finished.folder, tmp_path, "table")
    with pytest.raises(UsageError, match="--format csv: expected one of table, json"):
        describe_difference(finished.folder, finished.folder, "csv")
    with pytest.raises(UsageError, match="has no release yet"):
        describe_difference(finished.copy(tmp_path, upto="score"), finished.folder, "table")
    release = copied_release(finished, tmp_path)
    (release / KEPT).write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(BadInputError, match=r"its manifest cannot be read .*`curate verify` says what is wrong"):
        describe_difference(finished.folder, release, "table")


def test_differing_releases_are_no_failure(finished: FinishedRun, other: Path) -> None:
    result = CliRunner().invoke(cli.app, ["diff", str(finished.folder), str(other), "-f", "json"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["kept_in_both"]["samples"] == 5
