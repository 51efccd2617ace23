"""The command line: exit codes, messages without tracebacks, and an answer to --help in no time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from pipelines import cli
from pipelines.launch import RunResult
from shards.errors import BadInputError, CurateError, DiskError, OutputInUseError, TryAgainError, UsageError
from tests.pipelines.conftest import FinishedRun

HEAVY = {"ray", "torch", "open_clip", "scrapy", "aiohttp", "PIL", "rjieba", "opencc", "duckdb", "pyarrow", "pydantic"}
BROKEN = """
name: 7
source: {kind: table, layout: wukong, paths: [none.csv], colums: {}}
measures: [sharpnes]
rules: {few: zh_char >= 1, many: count(*) > 1}
"""


def curate(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def failed(result: Result, code: int) -> str:
    """The one message of a command that failed in the way foreseen."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.startswith("curate: ")
    return result.stderr


def test_a_recipe_with_many_mistakes_tells_all_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(BROKEN)
    message = failed(curate("run", "r.yaml", "--out", "run"), 2)
    lines = [line.strip() for line in message.splitlines()[1:]]
    assert [line.split(": ")[:2] for line in lines[:-1]] == [
        ["line 2", "name"],
        ["line 3", "source.colums"],
        ["line 5", "rules.few"],
        ["line 5", "rules.many"],
        ["line 4", "measures.0"],
    ]
    assert lines[-1].startswith("crawler.user_agent: is required")
    assert message.startswith("curate: recipe r.yaml has 6 problems; nothing was run:\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.yaml"]
    assert failed(curate("plan", "r.yaml"), 2) == message


def test_overrides_are_checked_like_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(BROKEN)
    given = ("--set", "name=x", "--set", "source.colums=null", "--set", "rules={}", "--set", "measures=[]")
    message = failed(curate("plan", tmp_path / "r.yaml", *given), 2)
    assert "source.colums: unknown key, did you mean columns?" in message
    assert "has 2 problems" in message


@pytest.mark.parametrize("command", ["status", "why", "sql"])
def test_what_is_no_run_is_said_plainly(tmp_path: Path, command: str) -> None:
    more = {"status": [], "why": ["http://a.cn/"], "sql": ["SELECT 1"]}[command]
    assert "is no run of curate" in failed(curate(command, tmp_path, *more), 2)
    assert "is no run of curate" in failed(curate(command, tmp_path / "none", *more), 2)
    (tmp_path / "file").touch()
    failed(curate(command, tmp_path / "file", *more), 2)


def test_an_unknown_url_has_an_exit_code_and_advice(finished: FinishedRun) -> None:
    message = failed(curate("why", finished.folder, "http://a.cn/none.jpg"), 1)
    assert message.startswith("curate: http://a.cn/none.jpg: no row of the source names this image")


def test_a_known_url_has_its_story(finished: FinishedRun) -> None:
    result = curate("why", finished.folder, finished.site.url("/tiny.png"))
    assert result.exit_code == 0
    assert "the rule `min_side > 100`" in result.stdout


def test_sql_prints_csv(finished: FinishedRun) -> None:
    result = curate("sql", finished.folder, "SELECT count(*) AS n FROM manifest", "-f", "csv")
    assert (result.exit_code, result.stdout.split()) == (0, ["n", "14"])
    assert "the query failed" in failed(curate("sql", finished.folder, "SELECT nothing"), 2)


def test_status_tells_of_a_finished_run_and_of_one_in_its_middle(tmp_path: Path, finished: FinishedRun) -> None:
    whole = curate("status", finished.folder)
    assert whole.exit_code == 0
    assert "done" in whole.stdout.split()
    half = curate("status", finished.copy(tmp_path, "fetch"))
    assert half.exit_code == 0
    assert "not running; `curate run` resumes it" in half.stdout
    assert "robots_disallowed" in half.stdout


def test_plan_places_rules_and_expects_the_rows_there_are(tmp_path: Path, finished: FinishedRun) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(finished.recipe, sort_keys=False))
    result = curate("plan", tmp_path / "r.yaml", "--set", "rules.tall=max_side < 9000")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["rule", "no_chinese:", "zh_chars", ">=", "1", "[text]"] in lines
    assert ["rule", "tall:", "max_side", "<", "9000", "[sample]"] in lines
    stages = [line[0] for line in lines if line and line[0] in ("collect", "fetch", "score", "crawl", "release")]
    assert stages == ["collect", "fetch", "release"]
    assert not (tmp_path / "run").exists()


def test_schema_is_json_for_editors() -> None:
    result = curate("schema")
    schema = json.loads(result.stdout)
    assert schema["additionalProperties"] is False
    assert {"name", "source", "rules"} <= set(schema["properties"])


def test_recipes_are_listed_with_what_they_are_for() -> None:
    lines = curate("recipes").stdout.splitlines()
    assert any(line.startswith("demo ") and len(line) > 30 for line in lines)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("u"), 2),
        (BadInputError("b"), 65),
        (OutputInUseError("o"), 73),
        (DiskError("d"), 74),
        (TryAgainError("t"), 75),
        (CurateError("c"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("pipelines.launch.run_recipe", fail)
    message = failed(curate("run", "demo", "--out", "nowhere"), code)
    assert "Traceback" not in message


def test_a_run_with_rows_in_dead_says_so_and_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, finished: FinishedRun
) -> None:
    monkeypatch.setattr("pipelines.launch.run_recipe", lambda *_, **__: RunResult(finished.folder, {}, num_dead=2))
    result = curate("run", "demo", "--out", "x")
    assert result.exit_code == 3
    assert f"2 rows failed again and again; each has its story in {finished.folder / 'dead'}" in result.stderr
    assert str(finished.folder / "release") in result.stdout


def test_a_finished_run_ends_with_its_funnel(monkeypatch: pytest.MonkeyPatch, finished: FinishedRun) -> None:
    monkeypatch.setattr("pipelines.launch.run_recipe", lambda *_, **__: RunResult(finished.folder, {}, num_dead=0))
    result = curate("run", "demo", "--out", "x")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["fetch", "too_small", "1", "7"] in rows or ["fetch", "too_small", "1", "8"] in rows
    assert rows[-1] == [str(finished.folder / "release")]


@pytest.mark.parametrize(
    ("arguments", "full", "code", "told"),
    [
        (("recipes",), "stdout", 74, "curate: cannot write standard output, or standard error: No space left"),
        (("status", "no-run"), "stderr", 2, ""),
    ],
)
def test_what_the_shell_sends_to_a_full_disk_ends_plainly_too(
    arguments: tuple[str, ...], full: str, code: int, told: str
) -> None:
    with open("/dev/full", "w") as disk:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, full: disk}
        ended = subprocess.run([sys.executable, "-m", "pipelines.cli", *arguments], text=True, check=False, **streams)
    assert ended.returncode == code
    assert (ended.stderr or "").startswith(told)
    assert "Traceback" not in (ended.stderr or "")


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "demo"], ["run", "demo", "--out", "x", "--workers", "0"], ["x"]]
)
def test_a_wrong_call_is_a_usage_error(arguments: list[str]) -> None:
    assert curate(*arguments).exit_code == 2


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, pipelines.cli; print(*{name.split('.')[0] for name in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(ended.stdout.split())


def test_a_recipe_is_checked_without_the_frameworks() -> None:
    code = "import sys, pipelines.recipe, pipelines.strict_yaml; print(*{name.split('.')[0] for name in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (HEAVY - {"pydantic"}).isdisjoint(ended.stdout.split())
