"""The Dockerfile and the scripts, by the linters that packages carry."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_INFRA = _ROOT / "infra"
_DOCKERFILE = _INFRA / "Dockerfile"
_SCRIPTS = [_INFRA / "slurm" / "curate.sbatch", _INFRA / "demo.sh", _INFRA / "test.sh", _ROOT / ".ci" / "run"]


def linter(name: str) -> str:
    """A linter of the extra `dev`, beside this very Python."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed (extra dev)")
    return found


def findings(command: list[str]) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stdout + ended.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert findings([linter("hadolint"), "--no-color", str(_DOCKERFILE)]) == ""


@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_and_bash_find_nothing_in_the_scripts(script: Path) -> None:
    assert findings(["bash", "-n", str(script)]) == ""
    told = findings([linter("shellcheck"), "--external-sources", str(script)])
    assert told == ""


def stages() -> dict[str, list[str]]:
    """The Dockerfile's instructions by stage, continued lines joined."""
    text = re.sub(r"\\\n", " ", _DOCKERFILE.read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.splitlines():
        if match := re.fullmatch(r"FROM \S+ AS (\w+)", line):
            name = match[1]
            found[name] = []
        elif line and not line.startswith("#"):
            found[name].append(line)
    return found


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_each_image_runs_as_somebody_without_rights(target: str) -> None:
    users = [line for line in stages()[target] if line.startswith("USER ")]
    assert users == ["USER 1000:1000"]


def test_both_images_hold_the_wheel_and_the_pinned_versions() -> None:
    for target in ("cpu", "cuda"):
        installs = [line for line in stages()[target] if "pip install" in line]
        assert installs
        for line in installs:
            assert line.count("pip install") == line.count("-c /opt/curate/constraints.txt")
            assert "/opt/curate/wheels/curate-*.whl" in line


def test_the_wheel_is_built_by_a_pinned_builder_alone() -> None:
    (build,) = [line for line in stages()["wheel"] if "pip wheel" in line]
    assert "pip install --no-cache-dir -c /constraints.txt hatchling " in build
    assert "--no-build-isolation" in build
    pinned = {line.partition("==")[0] for line in (_INFRA / "constraints.txt").read_text("utf-8").splitlines()}
    assert "hatchling" in pinned


def test_a_first_process_that_reaps_is_installed_and_used() -> None:
    (installed,) = [line for line in stages()["base"] if "apt-get install" in line]
    assert " tini " in installed
    assert 'ENTRYPOINT ["/usr/bin/tini", "--"]' in stages()["base"]


def test_no_secret_reaches_an_image() -> None:
    secret = re.compile(r"token|secret|password|key", re.IGNORECASE)
    named = [line for lines in stages().values() for line in lines if line.startswith(("ARG", "ENV"))]
    assert [line for line in named if secret.search(line.replace("RAY_AUTH_MODE=token", ""))] == []


def test_what_is_copied_is_there_and_is_let_through_to_the_builder() -> None:
    copied = [line.split()[1:-1] for lines in stages().values() for line in lines if line.startswith("COPY ")]
    names = {name for entry in copied if not entry[0].startswith("--from=") for name in entry}
    assert {"pyproject.toml", "infra/constraints.txt"} < names
    assert [name for name in names if not (_ROOT / name).exists()] == []
    ignore = (_INFRA / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    assert {line[1:] for line in ignore if line.startswith("!")} == names
