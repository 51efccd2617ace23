"""The Slurm script, run for real with stand-ins for Slurm, Ray and curate that write down how they were called."""

import os
import signal
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "infra" / "slurm" / "curate.sbatch"
_STAND_INS = {
    "scontrol": "printf '%s\\n' node-1 node-2 node-3",
    # What srun would start on a node runs here, without srun's own arguments.
    "srun": 'while [[ "$1" == --* ]]; do echo "srun $1" >>"$LOG"; shift; done; exec "$@"',
    "ray": (
        'echo "ray $*" >>"$LOG"; echo "token $(stat -c %a "$RAY_AUTH_TOKEN_PATH") $RAY_AUTH_MODE" >>"$LOG"; '
        'if [ "$1" = start ]; then exec sleep 60; fi'
    ),
    "curate": (
        'for _ in $(seq 100); do if [ "$(grep -c "^ray start" "$LOG")" = 2 ]; then break; fi; sleep 0.1; done; '
        'echo "curate $*" >>"$LOG"; if [ -n "${DRIVER_WAITS:-}" ]; then '
        'trap \'echo "curate was interrupted" >>"$LOG"; exit 130\' INT; touch "$LOG.begun"; '
        'while true; do sleep 0.1; done; fi; exit "${DRIVER_EXIT:-0}"'
    ),
    "hostname": "echo node-2",
    "python": 'if [[ "$*" == *secrets* ]]; then echo -n a-token; else echo 10.0.0.7; fi',
}


def _heed_ctrl_c() -> None:
    """As a job's shell does: what is started in the background would hand its deafness on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Submitted:
    """A job's folder, with the log of its stand-ins."""

    folder: Path

    @property
    def log(self) -> list[str]:
        return (self.folder / "log").read_text().splitlines()

    @property
    def token(self) -> Path:
        return self.folder / "tokens" / "token-17"

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["bash", str(_SCRIPT), *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "LOG": str(self.folder / "log"),
                "CURATE_ENVIRONMENT": str(self.folder),
                "CURATE_TOKENS": str(self.folder / "tokens"),
                "CURATE_SCRATCH": str(self.folder / "scratch"),
                "SLURM_JOB_ID": "17",
                "SLURM_JOB_NODELIST": "node-[1-3]",
                "SLURM_CPUS_ON_NODE": "8",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_heed_ctrl_c,
        )

    def run(self, *arguments: str, **environment: str) -> int:
        process = self.start(*arguments, **environment)
        process.communicate(timeout=60)
        return process.returncode


@pytest.fixture
def job(tmp_path: Path) -> Submitted:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, does in _STAND_INS.items():
        path = folder / name
        path.write_text(f"#!/usr/bin/env bash\n{does}\n")
        path.chmod(0o755)
    (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n')
    return Submitted(tmp_path)


def test_a_head_and_a_node_elsewhere_are_started_on_private_addresses_without_a_dashboard(job: Submitted) -> None:
    assert job.run("recipe.yaml", "s3://bucket/run", NODE_LABELS="node-2=gpu") == 0
    starts = sorted(line for line in job.log if line.startswith("ray start"))
    assert len(starts) == 2
    for line in starts:
        assert "--node-ip-address=10.0.0.7" in line
        assert "--labels=curate-node=gpu" in line  # every stand-in of a host calls itself node-2
    head, others = sorted(starts, key=lambda line: "--head" not in line)
    assert "--head --port=6379 --include-dashboard=false" in head
    assert "--address=10.0.0.7:6379" in others
    assert {"srun --nodelist=node-1", "srun --exclude=node-1", "srun --nodes=2"} <= set(job.log)


def test_the_token_lies_in_a_file_of_its_owner_alone_and_goes_with_the_job(job: Submitted) -> None:
    assert job.run("recipe.yaml", "s3://bucket/run") == 0
    assert {line for line in job.log if line.startswith("token")} == {"token 600 token"}
    assert not any("a-token" in line for line in job.log)
    assert not job.token.exists()
    assert stat.S_IMODE((job.folder / "tokens").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("s3://bucket/run", "curate run recipe.yaml --out s3://bucket/run --address 10.0.0.7:6379 --workers 9"),
        ("/shared/run", "curate run recipe.yaml --out /shared/run --address 10.0.0.7:6379 --shared-out --workers 9"),
    ],
)
def test_a_folder_is_said_to_be_shared_and_further_arguments_go_to_curate(
    job: Submitted, out: str, expected: str
) -> None:
    assert job.run("recipe.yaml", out, "--workers", "9") == 0
    assert expected in job.log


def test_the_job_ends_as_curate_ended(job: Submitted) -> None:
    assert job.run("recipe.yaml", "s3://bucket/run", DRIVER_EXIT="75") == 75
    assert not job.token.exists()


def test_slurm_s_warning_lets_the_driver_finish_its_parts(job: Submitted) -> None:
    process = job.start("recipe.yaml", "s3://bucket/run", DRIVER_WAITS="1")
    begun = job.folder / "log.begun"
    ends = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert "curate was interrupted" in job.log


def test_too_few_arguments_are_told(job: Submitted) -> None:
    process = job.start("recipe.yaml")
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "usage: sbatch" in told
