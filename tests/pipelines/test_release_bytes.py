"""A release is the same bytes wherever it is made: locale, time zone, hash seed and folder leave nothing in it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crawler.conftest import Server, serve
from tests.pipelines.conftest import photograph, table_recipe, write_csv

HERE = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
ELSEWHERE = {"LC_ALL": "C", "LANG": "zh_CN.UTF-8", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "4711"}


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[Path]:
    """Four photographs and an address without one; captions that JSON escapes."""
    server = Server()
    for number in range(4):
        server.pages[f"/{number}.png"] = serve(photograph(number), Content_Type="image/png")
    rows = [(server.url(f"/{number}.png"), f'第{number}张"照片"') for number in range(4)]
    table = write_csv(tmp_path / "pairs.csv", [*rows, (server.url("/gone.png"), "没有了")])
    rules = {"no_chinese": "zh_chars >= 1", "blurred": "sharpness > 0", "duplicate": "dup_rank = 1"}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(table_recipe(table, rules, network={"allow_private": [server.address]})))
    yield path
    server.close()


@pytest.mark.slow
def test_a_release_is_the_same_bytes_in_another_locale_zone_seed_and_folder(recipe: Path, tmp_path: Path) -> None:
    here = released(recipe, tmp_path / "run", HERE)
    assert released(recipe, tmp_path / "elsewhere" / "另一个 文件夹", ELSEWHERE) == here
    assert {"SHA256SUMS", "report.html", "shards/000000.tar", "manifest/kept-000000.parquet"} <= here.keys()


def released(recipe: Path, run: Path, environment: dict[str, str]) -> dict[str, str]:
    """The sha256 of every released file of a run that a process with this environment made."""
    command = [sys.executable, "-m", "tests.pipelines.inline_run", str(recipe), str(run)]
    subprocess.run(command, check=True, timeout=300, env=os.environ | environment)
    folder = run / "release"
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "_done")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
