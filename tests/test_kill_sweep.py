"""A run that dies once at every call that makes a file lasting, and is resumed each time, gives the same bytes."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crawler.conftest import Server, serve
from tests.pipelines.conftest import photograph, run_inline, table_recipe, write_csv
from tests.pipelines.dying import When, run_until_death

NUM_PHOTOS = 5
NUM_URLS = NUM_PHOTOS + 2
_MOST_DEATHS = 1000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    server = Server()
    for number in range(NUM_PHOTOS):
        server.pages[f"/{number}.png"] = serve(photograph(number), Content_Type="image/png")
    server.pages["/0-copy.png"] = serve(photograph(0, shift=1))
    yield server
    server.close()


@pytest.fixture(scope="module")
def recipe(site: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    rows = [(site.url(f"/{number}.png"), f"第{number}张照片") for number in range(NUM_PHOTOS)]
    rows += [(site.url("/0-copy.png"), "同一张照片"), (site.url("/gone.png"), "没有了"), (site.url("/1.png"), "plain")]
    table = write_csv(tmp_path_factory.mktemp("table") / "pairs.csv", rows)
    rules = {"no_chinese": "zh_chars >= 1", "blurred": "sharpness > 0", "duplicate": "dup_rank = 1"}
    return table_recipe(table, rules, network={"allow_private": [site.address]})


@pytest.fixture(scope="module")
def undisturbed(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run_inline(recipe, folder)
    return digests(folder / "release")


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by its place there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_every_lasting_call_changes_no_byte(
    site: Server, recipe: dict[str, Any], undisturbed: dict[str, str], tmp_path: Path, when: When
) -> None:
    asked = len(site.log)
    requests = NUM_URLS + 1  # and robots.txt
    notes, folder, num_deaths = tmp_path / "notes", tmp_path / "run", 0
    while not run_until_death(recipe, folder, notes, when):
        num_deaths += 1
        assert num_deaths < _MOST_DEATHS
    met = notes.read_text().splitlines()
    assert len(met) == len(set(met)) == num_deaths > 150
    assert {line.split()[0] for line in met} >= {"fsync", "rename", "link"}
    assert digests(folder / "release") == undisturbed
    assert not list(folder.rglob("*.tmp"))
    assert len(site.log) - asked - requests <= sum(" fetch/" in line for line in met)


_CALL = re.compile(r"\d+ +(?:(fsync)\(\d+<(.*?)>\)|(rename|link)\(\"(.*?)\", \"(.*?)\"\)) += 0")


@dataclass(frozen=True)
class Traced:
    """The lasting calls of a run, in order: `fsync` of a path, and `rename` or `link` of one to another."""

    calls: list[tuple[str, str, str]]

    @classmethod
    def read(cls, log: Path) -> "Traced":
        found = [match for match in map(_CALL.match, _whole_lines(log.read_text())) if match]
        return cls([(m[1], m[2], "") if m[1] else (m[3], m[4], m[5]) for m in found])

    def place(self, call: str, path: str, start: int = 0) -> int:
        """Where `path` was synced, or became the new name of something, from `start` on."""
        side = 1 if call == "fsync" else 2
        later = enumerate(self.calls[start:], start)
        return next(number for number, made in later if (made[0], made[side]) == (call, path))


def _whole_lines(log: str) -> Iterator[str]:
    """A call during which another thread called is told in two lines; it counts from when it was done."""
    begun: dict[str, str] = {}
    for line in log.splitlines():
        thread = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>").rstrip()
        elif " resumed>" in line:
            yield begun.pop(thread) + line.partition(" resumed>")[2]
        else:
            yield line


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed here")
def test_files_are_on_disk_under_their_names_before_their_record_is(recipe: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    log, run = tmp_path / "calls", tmp_path / "run"
    watched = ["-m", "tests.pipelines.inline_run", str(tmp_path / "recipe.json"), str(run)]
    trace = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=rename,link,fsync"]
    subprocess.run([*trace, sys.executable, *watched], check=True, timeout=300)
    traced, num_files = Traced.read(log), 0
    for record in sorted(run.rglob("_done/*.json")):
        committed = traced.place("link", str(record))
        for name in (file["name"] for file in json.loads(record.read_bytes())["files"]):
            final = record.parents[1] / name
            named = traced.place("rename", str(final))
            assert traced.place("fsync", traced.calls[named][1]) < named
            assert traced.place("fsync", str(final.parent), named) < committed
            num_files += 1
        assert traced.place("fsync", traced.calls[committed][1]) < committed
        assert traced.place("fsync", str(record.parent), committed) > committed
    assert num_files > 20
