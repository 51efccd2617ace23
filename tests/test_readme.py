"""The README says what is so: its commands run, and print what it shows; its pictures, links and tables are there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.demo.photos import PHOTOS
from pipelines.recipe import parse_recipe
from tests.conftest import FinishedDemo
from tests.readme_console import DEMO, blocks, commands, demo_lines, named_files, refreshed, run_all

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
NOT_RUN = re.compile(
    r"bash infra/(demo|test)\.sh\b"  # a fresh machine, and this very suite
    r"|python3 -m venv |\.venv/bin/pip install "  # the installation
    r"|ray start |curate run .* --address "  # a cluster
    r"|python infra/bench/\w+\.py"  # minutes of a quiet machine
)
pages = pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=lambda page: page.name)


@pytest.fixture(scope="module")
def folder(demo_run: FinishedDemo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `demo-run`, and whatever the README's commands write beside it."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo-run").symlink_to(demo_run.folder)
    return folder


@pytest.fixture(scope="module")
def outputs(demo_run: FinishedDemo, folder: Path) -> dict[str, list[str]]:
    """Command -> lines it prints, of both pages: a command that they share is run once."""
    found = {DEMO: demo_lines(demo_run.output, demo_run.folder.parent)}
    for page in (ENGLISH, CHINESE):
        found |= run_all(page.read_text(encoding="utf-8"), folder, found)
    return found


@pages
def test_commands_print_what_the_page_shows(page: Path, outputs: dict[str, list[str]]) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == refreshed(text, outputs), "run `python -m tests.readme_console` and look at what changed"


def test_no_command_fails(outputs: dict[str, list[str]]) -> None:
    assert [command for command, lines in outputs.items() if lines and lines[-1].startswith("(exit ")] == []


@pages
def test_a_command_that_is_not_run_needs_a_fresh_machine_a_cluster_or_minutes(page: Path) -> None:
    lines = [line for block in blocks(page.read_text(encoding="utf-8"), "sh") for line in block.splitlines()]
    assert lines
    assert [line for line in lines if not NOT_RUN.match(line)] == []


def test_both_languages_show_the_same_commands_and_files() -> None:
    english, chinese = (page.read_text(encoding="utf-8") for page in (ENGLISH, CHINESE))
    for language in ("console", "sh", "yaml", "python"):
        ours, theirs = ([_without_comments(block) for block in blocks(text, language)] for text in (english, chinese))
        assert ours == theirs


def _without_comments(block: str) -> list[str]:
    return [re.sub(r"\s*(#|\"\"\").*", "", line) for line in block.splitlines()]


@pages
def test_the_recipe_is_one(page: Path) -> None:
    files = named_files(page.read_text(encoding="utf-8"))
    assert files
    for text in files.values():
        recipe, problems = parse_recipe(yaml.safe_load(text))
        assert recipe is not None, problems


def test_the_page_that_reads_shards_reads_them(folder: Path) -> None:
    (script,) = (block for block in blocks(ENGLISH.read_text(encoding="utf-8"), "python") if "webdataset" in block)
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert re.match(r"\(\d+, \d+\) \S", ended.stdout)


def test_the_three_places_of_a_new_measure_are_enough(tmp_path: Path) -> None:
    """Applied to a copy of the packages as the page says, the example's test passes and a rule may name the measure."""
    for package in ("shards", "filters"):
        shutil.copytree(ROOT / package, tmp_path / package)
    python = blocks(ENGLISH.read_text(encoding="utf-8"), "python")
    function, line, test = (block for block in python if block.startswith("# filters/") or "def test_" in block)
    with (tmp_path / "filters" / "wording.py").open("a", encoding="utf-8") as wording:
        wording.write("\n\n" + function)
    table = tmp_path / "filters" / "measures.py"
    entry = line.split("\n", 1)[1]
    table.write_text(
        table.read_text(encoding="utf-8").replace("_TABLE = (\n", "_TABLE = (\n" + entry), encoding="utf-8"
    )
    test += "\n\ndef test_a_rule_may_name_it() -> None:\n    from filters.rules import place_rules\n\n"
    test += '    (rule,), problems = place_rules({"shouts": "exclamations <= 1"})\n'
    test += '    assert (rule.level, rule.stage, problems) == ("text", "collect", [])\n'
    (tmp_path / "test_it.py").write_text(test, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "5 passed" in ended.stdout, ended.stdout + ended.stderr


@pages
def test_every_link_into_the_tree_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith("https://")]
    assert local
    assert [target for target in local if not _is_there(page, target)] == []


def _is_there(page: Path, target: str) -> bool:
    """Whether a link of a page leads to a file, and to a heading of it if it names one."""
    name, sign, anchor = target.partition("#")
    file = ROOT / name if name else page
    if not sign:
        return file.is_file()
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return anchor in {_anchor(line) for line in lines if line.startswith("#")}


def _anchor(heading: str) -> str:
    """As GitHub makes them: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


@pages
def test_every_photograph_stands_in_the_table_of_licences(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [p for p in PHOTOS if f"| {p.name} | {p.package} `{p.file}` | {p.license} |" not in text] == []


@pages
def test_pictures_are_small(page: Path) -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert pictures
    assert all((ROOT / picture).stat().st_size < 150_000 for picture in pictures)


def test_commands_are_read_with_their_outputs(tmp_path: Path) -> None:
    block = "$ echo one \\\n  two\none two\n$ seq 9\n1\n...\n9\n"
    page = f"# P\n\n```console\n{block}```\n"
    assert [command.text for command in commands(block)] == ["echo one \\\n  two", "seq 9"]
    printed = run_all(page, tmp_path, {})
    assert refreshed(page, printed) == page
    assert refreshed(page, printed | {"seq 9": ["1", "2", "8"]}) == page.replace("\n9\n", "\n8\n")
