"""`curate explore` as a process: what it prints, how it ends, and what a mistake is told."""

import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.pipelines.explore.serving import hostile_samples
from tests.pipelines.made_release import make_release


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_answers_there_and_ends_cleanly(tmp_path: Path, end: signal.Signals) -> None:
    release = make_release(tmp_path / "release", hostile_samples())
    command = [sys.executable, "-m", "pipelines.cli", "explore", str(release), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().strip())
        assert re.fullmatch(r"127\.0\.0\.1:\d+", url.netloc)
        connection = HTTPConnection(url.netloc, timeout=30)
        connection.request("GET", url.path)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) > 1000) == (200, True)
        process.send_signal(end)  # while the connection stays open, as a browser's does
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        connection.close()
    assert (process.returncode, errors) == (0, "")


def test_a_port_that_is_taken_and_a_folder_that_is_no_run_are_told(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["explore", str(tmp_path), "--no-open"])
    assert ended.exit_code == 2
    assert "no run of curate" in ended.output
    release = make_release(tmp_path / "release", [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = CliRunner().invoke(app, ["explore", str(release), "--no-open", "--port", port])
    assert ended.exit_code == 2
    assert f"--port {port}" in ended.output


def test_a_manifest_that_is_none_is_bad_input(tmp_path: Path) -> None:
    release = make_release(tmp_path / "release", [])
    (release / "manifest" / "kept-000001.parquet").write_bytes(b"no parquet")
    ended = CliRunner().invoke(app, ["explore", str(release), "--no-open"])
    assert ended.exit_code == 65
    assert "cannot be read" in ended.output
