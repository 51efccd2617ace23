"""The README's commands: found, run, and their outputs written anew.

`python -m tests.readme_console FOLDER README.md README.zh.md` does so; see `main`. A fenced `console` block holds
commands (`$ ...`) that a test runs in a folder that holds `demo-run`, each followed by its output, in which one line
`...` stands for any number of lines. A `yaml` block whose first line is `# NAME.yaml` is a file in that folder. A
`sh` block is never run: it needs a fresh machine, a cluster or minutes.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines.demo.train import SCORER_FOLDER

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ELIDED = "..."
_FAILED = "(exit "

DEMO = "bash infra/demo.sh"
"""Run once, by whoever calls: what it prints comes from `demo_lines`."""


@dataclass(frozen=True)
class Command:
    """One command of a console block and the output that the page shows."""

    text: str
    shown: tuple[str, ...]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return [match[2] for match in _BLOCK.finditer(page) if match[1] == language]


def commands(block: str) -> list[Command]:
    """A console block's commands; one that ends in a backslash goes on in the next line."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found:
            found[-1][1].append(line)
    return [Command(text, tuple(shown)) for text, shown in found]


def named_files(page: str) -> dict[str, str]:
    """Name -> text of the YAML files that the page shows."""
    found = (re.match(r"# ([\w-]+\.yaml)\b.*\n", block) for block in blocks(page, "yaml"))
    return {match[1]: match.string for match in found if match}


def run_command(command: str, folder: Path) -> list[str]:
    """Lines that a command prints in a terminal 100 columns wide, both streams together; a failure says its code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100", "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line.rstrip() for line in ended.stdout.splitlines()]
    return lines if ended.returncode == 0 else [*lines, f"{_FAILED}{ended.returncode})"]


def as_shown(printed: list[str], shown: tuple[str, ...]) -> list[str]:
    """What was printed, left out where the page leaves out: as many lines before and after `...` as it has."""
    if _ELIDED not in shown:
        return printed
    head = shown.index(_ELIDED)
    tail = len(shown) - head - 1
    return [*printed[:head], _ELIDED, *printed[len(printed) - tail :]]


def refreshed(page: str, outputs: dict[str, list[str]]) -> str:
    """The page with the output of each command as it was printed now."""

    def block_anew(match: re.Match[str]) -> str:
        if match[1] != "console":
            return match[0]
        lines = []
        for command in commands(match[2]):
            lines += [f"$ {command.text}", *as_shown(outputs[command.text], command.shown)]
        return "\n".join(["```console", *lines, "```"])

    return _BLOCK.sub(block_anew, page)


def run_all(page: str, folder: Path, known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Command -> what it printed; `known` holds what was run before."""
    prepare(page, folder)
    texts = [command.text for block in blocks(page, "console") for command in commands(block)]
    return {text: known[text] if text in known else run_command(text, folder) for text in texts}


def prepare(page: str, folder: Path) -> None:
    """The files that the page shows, and the model that its recipe names: the demo's stands in for it."""
    for name, text in named_files(page).items():
        (folder / name).write_text(text, encoding="utf-8")
    model = folder / "models" / "my-clip"
    if not model.exists():
        model.parent.mkdir()
        model.symlink_to(SCORER_FOLDER)


def main(folder: Path, pages: list[Path]) -> None:
    """Write the outputs in `pages` anew; `folder` holds `demo-run` and `demo.txt`, what `curate demo` printed."""
    demo = (folder / "demo.txt").read_text(encoding="utf-8")
    known = {DEMO: demo_lines(demo, folder)}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        known = run_all(text, folder, known) | known
        page.write_text(refreshed(text, known), encoding="utf-8")


def demo_lines(output: str, folder: Path) -> list[str]:
    """What the demo printed, with the folder it ran in as the page writes it."""
    return [line.rstrip().replace(str(folder), "/…") for line in output.splitlines()]


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
