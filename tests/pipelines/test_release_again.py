"""A run decided again: the bytes that a run of the other recipe would release, and nothing written in the run."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.flow import gather, release
from pipelines.progress import Progress
from pipelines.release_again import WORK_FOLDER, ReleasedAgain, release_again, told_lacking
from pipelines.tasks import RowFilter, Task
from shards.errors import OutputInUseError, UsageError
from shards.lease import Lease
from shards.tables import read_rows
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline

Digests = dict[str, str]


def decide(
    run: Path, recipe: dict[str, Any], out: Path, shards: bool = True, pool: InlinePool | None = None
) -> ReleasedAgain:
    used = pool or InlinePool()
    progress = Progress(io.StringIO(), live=False)
    return release_again(run, recipe, "recipe other", str(out), shards, lambda: used, progress)


def digests(folder: Path) -> Digests:
    """Of every file below a folder, by name; not of the records of a release, nor of a recipe beside one."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if not name.startswith("_done/") and name != "recipe.yaml":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def with_rules(recipe: dict[str, Any], **rules: str | None) -> dict[str, Any]:
    """The recipe with some rules changed, added, or (null) taken away."""
    both = recipe["rules"] | rules
    return recipe | {"rules": {name: rule for name, rule in both.items() if rule is not None}}


def manifest(release: Path) -> list[dict[str, Any]]:
    tables = [read_rows(path) for path in sorted((release / "manifest").iterdir())]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


CASES: dict[str, dict[str, Any]] = {
    "the same": {},
    "a stricter rule of texts": {"rules": {"too_long": "zh_chars < 5"}},
    "a stricter rule at fetch": {"rules": {"too_small": "bytes > 60000"}},
    "a looser rule over pixels": {"rules": {"plain": "entropy >= 0"}},
    "without a rule over groups": {"rules": {"near_duplicate": None}, "dedup": {"merge_texts": False}},
    "other groups": {"dedup": {"distance": 0}},
    "other captions and shards": {"release": {"shard_size": 4, "caption": ["alt", "caption"], "dropped": "narrow"}},
    "texts are counted": {"rules": {"shared": "text_count <= 1"}, "name": "other"},
    "hosts are counted, capped and judged": {
        "rules": {
            "common": "host_count <= 100 AND host_share <= 1 AND uid_draw < 1",
            "bad_host": "host_bad_share < 0.9",
            "full": "host_rank_kept <= 4 AND host_count_kept >= 2",
        },
        "balance": {"bad": ["http_status", "too_small"]},
    },
    "captions are balanced by words": {
        "rules": {"balanced": "uid_draw < balance_prob OR balance_prob = 0"},
        "balance": {"most_words": 1000, "t": 1},
    },
    "a measure less": {"rules": {"plain": None}},
    "splits and subsets": {"release": {"splits": {"val": 0.3}, "subsets": {"half": 0.5}, "shard_size": 3}},
    "dropped rows are left out": {"release": {"dropped": "none"}},
    "nothing is left": {"rules": {"none": "min_side > 10000"}},
}
"""What another recipe says, where the run has all that it needs."""


def changed(recipe: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    sections = {name: value for name, value in change.items() if name != "rules"}
    return with_rules(recipe, **change.get("rules", {})) | sections


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_a_run_would_release_to_the_byte(tmp_path: Path, finished: FinishedRun, case: str) -> None:
    recipe = changed(finished.recipe, CASES[case])
    before = digests(finished.folder)
    made = decide(finished.folder, recipe, tmp_path / "out")
    assert digests(finished.folder) == before
    assert made.lacking == {}
    run = finished.copy(tmp_path)
    run_inline(recipe, run)
    released = digests(run / "release")
    assert digests(tmp_path / "out") == released
    assert not (tmp_path / "out" / WORK_FOLDER).exists()
    apart = decide(finished.folder, recipe, tmp_path / "apart", shards=False)
    assert manifest_and_lists(digests(tmp_path / "apart")) == manifest_and_lists(released)
    assert without_shards(apart.stats) == without_shards(made.stats)


def test_files_that_reach_over_ranges_of_uids_are_the_same(
    tmp_path: Path, finished: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "_BUCKET_ROWS", 3)
    monkeypatch.setattr(release, "SHARDS_PER_PART", 2)
    recipe = changed(finished.recipe, {"rules": {"near_duplicate": None}, "release": {"shard_size": 1}})
    run = finished.copy(tmp_path)
    run_inline(recipe, run)
    released = manifest_and_lists(digests(run / "release"))
    assert {"manifest/kept-000002.parquet", "manifest/dropped-000002.parquet"} <= released.keys()
    decide(run, recipe, tmp_path / "out", shards=False)
    assert manifest_and_lists(digests(tmp_path / "out")) == released


def manifest_and_lists(found: Digests) -> Digests:
    """What a release has with shards and without."""
    ends = ("uids", "views", "close_duplicates")
    return {name: digest for name, digest in found.items() if name.startswith(("manifest/", *ends))}


def without_shards(stats: dict[str, Any]) -> dict[str, Any]:
    splits = {name: split["samples"] for name, split in stats["splits"].items()}
    return {name: value for name, value in stats.items() if name != "shards"} | {"splits": splits}


def test_without_shards_the_manifest_and_the_uids_are_the_same(tmp_path: Path, finished: FinishedRun) -> None:
    before = digests(finished.folder / "release")
    made = decide(finished.folder, finished.recipe, tmp_path / "out", shards=False)
    found = digests(tmp_path / "out")
    alike = {name for name in found if name.startswith("manifest/") or name in ("uids.npy", "views.sql")}
    assert {name: found[name] for name in alike} == {name: before[name] for name in alike}
    assert made.stats["shards"] == 0
    assert not (tmp_path / "out" / "shards").exists()
    named = {line.split("  ")[1] for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines()}
    assert named == found.keys() - {"SHA256SUMS"}
    assert (tmp_path / "out" / "recipe.yaml").read_bytes() == (finished.folder / "recipe.yaml").read_bytes()


def test_what_fell_before_it_was_fetched_or_measured_is_told(tmp_path: Path, finished: FinishedRun) -> None:
    recipe = with_rules(finished.recipe, no_chinese="zh_chars >= 0", too_small="min_side > 10")
    made = decide(finished.folder, recipe, tmp_path / "out", shards=False)
    assert made.lacking == {"fetch": 2, "measure": 1}
    rows = {row["url"].rpartition("/")[2]: row for row in manifest(tmp_path / "out")}
    for name, stage in (("english.png", "fetch"), ("tiny.png", "measure")):
        assert (rows[name]["drop_reason"], rows[name]["dropped_at"]) == ("not_attempted", stage)
    assert rows["tiny.png"]["min_side"] == 30
    lines = told_lacking(made, Path("my-run"))
    assert lines[0].startswith("2 samples fell in my-run before they were fetched and stand here")
    assert lines[1].startswith("1 sample fell in my-run before it was measured and stands here")
    assert "--out my-run" in lines[2]


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "measures": (
        {"rules": {"blurred": "sharpness > 1", "shouts": "special_ratio < 0.5"}, "measures": ["contrast"]},
        ["rules.shouts", "rules.blurred", "measures.0"],
    ),
    "another hash": ({"dedup": {"hash": "dhash"}}, ["dedup.hash"]),
    "what stays": ({"dedup": {"keep": "sharpest"}}, ["dedup.keep"]),
    "scores": ({"rules": {"weak": "clip_pct > 0.1"}, "score": {"model": "ViT-B-32"}}, ["rules.weak"]),
    "texts and images": (
        {"text": {"simplify": False}, "image": {"max_side_px": 300, "quality": 80}},
        ["text.simplify", "image.max_side_px", "image.quality"],
    ),
    "what is stored": ({"image": {"store": "passing"}}, ["image.store"]),
    "opt-outs": ({"crawler": {"user_agent": "x/1 (+https://example.org)", "opt_outs": "record"}}, ["crawler.opt_outs"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_run_cannot_tell_is_refused_at_once(tmp_path: Path, finished: FinishedRun, case: str) -> None:
    change, places = REFUSED[case]
    with pytest.raises(UsageError) as refused:
        decide(finished.folder, changed(finished.recipe, change), tmp_path / "out")
    told = [line.strip().split(":")[0] for line in str(refused.value).splitlines()[1:]]
    assert told == places
    assert not (tmp_path / "out").exists()


def test_another_source_is_refused(tmp_path: Path, finished: FinishedRun) -> None:
    source = finished.recipe["source"] | {"paths": ["other.csv"]}
    with pytest.raises(UsageError, match=r"source: is not the source of"):
        decide(finished.folder, finished.recipe | {"source": source}, tmp_path / "out")


def test_an_unfinished_run_is_refused(tmp_path: Path, finished: FinishedRun) -> None:
    with pytest.raises(UsageError, match=r"is not finished"):
        decide(finished.copy(tmp_path, "fetch"), finished.recipe, tmp_path / "out")
    with pytest.raises(UsageError, match=r"is no run of curate"):
        decide(tmp_path, finished.recipe, tmp_path / "out")


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    with Lease.take(run), pytest.raises(OutputInUseError, match=r"is in use by process"):
        decide(run, finished.recipe, tmp_path / "out")


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path, finished: FinishedRun) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").touch()
    for out, said in (
        (tmp_path / "out", "is not empty"),
        (tmp_path / "out" / "README.md", "is a file"),
        (finished.folder, "lies in the run"),
        (finished.folder / "release" / "again", "lies in the run"),
    ):
        with pytest.raises(UsageError, match=said):
            decide(finished.folder, finished.recipe, out)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["README.md"]


def interrupted(step: str) -> InlinePool:
    """A pool whose worker is interrupted when it comes to a step."""

    def fault(task: Task, rows: RowFilter) -> None:
        if task.step == step:
            raise KeyboardInterrupt

    return InlinePool(fault=fault)


@pytest.fixture(scope="module")
def stricter(tmp_path_factory: pytest.TempPathFactory, finished: FinishedRun) -> tuple[dict[str, Any], Digests]:
    """A recipe that keeps less, and what it releases."""
    recipe = with_rules(finished.recipe, plain="entropy >= 7.2")
    out = tmp_path_factory.mktemp("stricter") / "out"
    decide(finished.folder, recipe, out)
    return recipe, digests(out)


def test_a_call_that_was_stopped_leaves_nothing_half_and_goes_on(
    tmp_path: Path, finished: FinishedRun, stricter: tuple[dict[str, Any], Digests]
) -> None:
    recipe, whole = stricter
    out, pool = tmp_path / "out", InlinePool()
    with pytest.raises(KeyboardInterrupt):
        decide(finished.folder, recipe, out, pool=interrupted("release"))
    assert [path.name for path in out.iterdir()] == [WORK_FOLDER]
    decide(finished.folder, recipe, out, pool=pool)
    assert set(pool.steps()) == {"release"}
    assert digests(out) == whole


@pytest.mark.parametrize("step", ["select", "release"])
def test_a_call_without_shards_goes_on_where_it_was_stopped(tmp_path: Path, finished: FinishedRun, step: str) -> None:
    recipe = with_rules(finished.recipe, plain="entropy >= 7.2")
    decide(finished.folder, recipe, tmp_path / "whole", shards=False)
    out, pool = tmp_path / "out", InlinePool()
    with pytest.raises(KeyboardInterrupt):
        decide(finished.folder, recipe, out, shards=False, pool=interrupted(step))
    decide(finished.folder, recipe, out, shards=False, pool=pool)
    assert step in pool.steps()
    assert "select-judge" not in pool.steps()
    assert digests(out) == digests(tmp_path / "whole")


@pytest.mark.parametrize("is_same", [True, False], ids=["same recipe", "another recipe"])
def test_a_call_that_was_stopped_among_the_moves_is_undone(
    tmp_path: Path,
    finished: FinishedRun,
    stricter: tuple[dict[str, Any], Digests],
    monkeypatch: pytest.MonkeyPatch,
    is_same: bool,
) -> None:
    recipe, whole = stricter
    out, pool = tmp_path / "out", InlinePool()
    moves = 0

    def stopped(work: Path, name: str) -> Path:
        nonlocal moves
        moves += 1
        if moves == 4:
            raise KeyboardInterrupt
        return work / "release" / name if name != "recipe.yaml" else work / name

    monkeypatch.setattr("pipelines.release_again._home", stopped)
    with pytest.raises(KeyboardInterrupt):
        decide(finished.folder, recipe if is_same else finished.recipe, out)
    monkeypatch.undo()
    assert len(list(out.iterdir())) == 4
    assert not (out / "SHA256SUMS").exists()
    decide(finished.folder, recipe, out, pool=pool)
    assert digests(out) == whole
    assert (set(pool.steps()) == set()) == is_same


def test_the_command_takes_the_run_s_own_recipe_and_overrides(
    tmp_path: Path, finished: FinishedRun, monkeypatch: pytest.MonkeyPatch, stricter: tuple[dict[str, Any], Digests]
) -> None:
    monkeypatch.setattr("pipelines.workers.RayPool", lambda *_: InlinePool())
    out = tmp_path / "out"
    override = ("--set", "rules.plain=entropy >= 7.2")
    result = CliRunner().invoke(cli.app, ["release", str(finished.folder), "--out", str(out), "--shards", *override])
    assert result.exit_code == 0, result.output
    assert digests(out) == stricter[1]
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["measure", "plain"] in [row[:2] for row in rows]
    assert rows[-1] == [str(out)]


def test_the_command_says_what_could_not_be_decided(tmp_path: Path, finished: FinishedRun) -> None:
    """Without shards no pool of processes is started."""
    (tmp_path / "r.yaml").write_text(f"extends: {finished.folder / 'recipe.yaml'}\nrules: {{no_chinese: null}}\n")
    result = CliRunner().invoke(
        cli.app, ["release", str(finished.folder), "--recipe", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert "2 samples fell in" in result.stdout
    missing = CliRunner().invoke(cli.app, ["release", str(tmp_path), "--out", str(tmp_path / "o")])
    assert (missing.exit_code, "is no run of curate" in missing.stderr) == (2, True)


def test_an_earlier_release_may_be_a_known_set(tmp_path: Path, finished: FinishedRun) -> None:
    """A release that was decided again has a recipe beside it, and no release below it."""
    decide(finished.folder, finished.recipe, tmp_path / "first", shards=False)
    recipe = changed(
        finished.recipe, {"dedup": {"against": [str(tmp_path / "first")]}, "rules": {"seen": "seen_in is null"}}
    )
    made = decide(finished.folder, recipe, tmp_path / "second", shards=False)
    assert made.stats["kept"] == 0
    with pytest.raises(UsageError, match=r"dedup.against"):
        decide(
            finished.folder, changed(finished.recipe, {"dedup": {"against": [str(finished.folder)]}}), tmp_path / "o"
        )
