"""A disk that is full at one write after another: each end is clean and says where, and the bytes are the same."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crawler.conftest import Server
from tests.pipelines.conftest import NUM_PHOTOS, run_inline, table_recipe, write_csv
from tests.pipelines.on_store import kept_in

_STEP_KB = 24


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_ends_the_run_cleanly_and_it_resumes(tmp_path: Path, site: Server) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("a small tmpfs needs the right to mount one: run as root")
    rows = [(site.url(f"/{number}.png"), f"第{number}张照片") for number in range(NUM_PHOTOS)]
    rules = {"no_chinese": "zh_chars >= 1", "near_duplicate": "dup_rank = 1"}
    recipe = table_recipe(write_csv(tmp_path / "t.csv", rows), rules, network={"allow_private": [site.address]})
    run_inline(recipe, tmp_path / "undisturbed")
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    (tmp_path / "disk").mkdir()
    asked = len(site.log)
    command = [sys.executable, "-m", "tests.pipelines.full_disk", str(tmp_path / "recipe.json"), str(tmp_path / "disk")]
    ended = subprocess.run(
        ["unshare", "--mount", *command, str(tmp_path / "run"), str(_STEP_KB)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout)
    assert len(told) > 10
    assert {code for code, _ in told} == {74}, told
    assert all(str(tmp_path / "disk") in message and "bytes are free" in message for _, message in told)
    assert kept_in(tmp_path / "run" / "release") == kept_in(tmp_path / "undisturbed" / "release")
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert len(site.log) - asked < len(told) * (NUM_PHOTOS + 1), "what was committed is not fetched again"
