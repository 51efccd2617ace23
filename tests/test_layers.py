"""The house keeps its shape: imports run down, each heavy dependency has one home, and every file says its subject."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BELOW = {
    "shards": set[str](),
    "crawler": {"shards"},
    "filters": {"shards"},
    "dedup": {"shards"},
    "pipelines": {"crawler", "filters", "dedup", "shards"},
}
"""DESIGN section 4: which folders each folder may import besides itself."""

HOMES = {
    "ray": ("pipelines/workers.py",),
    "torch": (
        "filters/clip/torch_towers.py",
        "filters/clip/resize.py",
        "filters/clip/backend_open_clip.py",
        "filters/clip/backend_chinese.py",
        "pipelines/demo/train.py",
    ),
    "torchvision": ("filters/clip/torch_towers.py",),
    "open_clip": ("filters/clip/backend_open_clip.py", "pipelines/demo/train.py"),
    "transformers": ("filters/clip/backend_chinese.py", "pipelines/demo/train.py"),
    "tokenizers": ("filters/clip/wordpiece.py",),
    "onnxruntime": ("filters/clip/backend_onnx.py", "filters/models/session.py"),
    "scrapy": ("crawler/*.py",),
    "twisted": ("crawler/*.py",),
    "aiohttp": ("crawler/*.py",),
    "rjieba": ("filters/texts/words.py",),
    "opencc": ("filters/zh.py",),
    "numba": ("shards/compiled.py", "dedup/hamming_kernels.py"),  # the second for the processor's count of ones
    "PIL": (
        "shards/images.py",
        "shards/image_*.py",
        "shards/webp_decoder.py",
        "crawler/decoder_child.py",  # tells Pillow's own settings to a decoding process before it has work
        "filters/clip/form.py",  # pixels that were decoded already, as the model's preprocessing wants them
        "filters/models/scaling.py",  # pixels that were decoded already, in a detector's size
        "dedup/shrinking.py",  # pixels that were decoded already, made grey as imagehash does
        "pipelines/demo/*.py",  # draws the demo's photographs; no foreign bytes
    ),
}
"""Heavy dependency -> the files that may import it."""

TOP_LEVEL = {*BELOW, "tests", "infra", "pyproject.toml", "README.md", "README.zh.md", "LICENSE"}
MADE_BY_RUNS = {"demo-run", "dist", "build", "__pycache__", "curate.egg-info"}


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Path below the root and syntax tree of each module of the product."""
    for folder in BELOW:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    """Every name that is imported, wherever it stands; `.` marks a relative import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def wrong_arrows(root: Path) -> list[str]:
    """Imports that run up or sideways, relative ones, and heavy dependencies outside of their homes."""
    wrong = []
    for path, tree in modules(root):
        folder = path.split("/")[0]
        for name in imports(tree):
            target = name.split(".")[0]
            is_up = target in {*BELOW, "tests", "infra"} and target not in {folder, *BELOW[folder]}
            is_homeless = target in HOMES and not any(fnmatch(path, home) for home in HOMES[target])
            if is_up or is_homeless or not target:
                wrong.append(f"{path} -> {name}")
    return wrong


def test_imports_run_down_and_heavy_ones_stay_at_home() -> None:
    assert wrong_arrows(ROOT) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("shards/a.py", "import crawler.urls"),
        ("shards/a.py", "def f():\n    from filters.text import normalise"),
        ("crawler/a.py", "from filters import text"),
        ("filters/a.py", "from dedup.groups import assign_groups"),
        ("dedup/a.py", "import crawler"),
        ("dedup/a.py", "from pipelines.recipe import Recipe"),
        ("pipelines/flow/a.py", "import ray"),
        ("pipelines/a.py", "from tests.running import DemoRun"),
        ("filters/text.py", "if True:\n    import torch.nn"),
        ("filters/image.py", "from PIL import Image"),
        ("pipelines/a.py", "import aiohttp"),
        ("crawler/a.py", "from .urls import canonical_url"),
        ("crawler/a.py", "from . import urls"),
    ],
)
def test_a_planted_arrow_is_found(tmp_path: Path, path: str, line: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f"import json\n\n{line}\n")
    assert [wrong.split(" -> ")[0] for wrong in wrong_arrows(tmp_path)] == [path]


def test_only_one_file_opens_image_bytes() -> None:
    opening = {
        path
        for path, tree in modules(ROOT)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("Image.open", "PIL.Image.open")
    }
    # The demo reads photographs of its packages and what it has encoded itself.
    assert opening <= {"shards/images.py", "pipelines/demo/photos.py", "pipelines/demo/examples.py"}


def test_every_module_says_its_subject_in_its_first_line() -> None:
    nameless = []
    for path, tree in modules(ROOT):
        subject = (ast.get_docstring(tree) or "").partition("\n")[0]
        if not path.endswith("__init__.py") and not (len(subject) > 10 and subject.endswith((".", ".)"))):
            nameless.append(path)
    assert nameless == []


def test_packages_begin_empty() -> None:
    beginnings = [path for folder in BELOW for path in (ROOT / folder).rglob("__init__.py")]
    assert {folder for folder in BELOW if not (ROOT / folder / "__init__.py").is_file()} == set()
    assert [str(path) for path in beginnings if path.stat().st_size] == []


def dependency_modules() -> set[str]:
    """Import names of what pyproject.toml asks for, as far as it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(name for extra in extras for name in extra)]
    names = {re.split(r"[^\w.-]", name)[0].lower().replace("_", "-") for name in asked}
    return {
        module
        for module, owners in packages_distributions().items()
        if names.intersection(owner.lower().replace("_", "-") for owner in owners)
    }


def test_no_file_is_named_like_another_s_module_or_like_a_drawer_for_everything() -> None:
    # robotspy, with which a test compares verdicts, calls itself `robots`: nothing of ours imports it.
    taken = {*sys.stdlib_module_names, *dependency_modules() - {"robots"}, "utils", "helpers", "common", "misc"}
    assert {"html", "types", "yaml", "ray"} <= taken
    stems = {path: Path(path).stem for path, _ in modules(ROOT) if not path.endswith("__init__.py")}
    folders = {path: Path(path).parent.name for path, _ in modules(ROOT)}
    assert {path for path in stems if stems[path] in taken or folders[path] in taken} == set()


def test_nothing_else_lies_at_the_top() -> None:
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - TOP_LEVEL - MADE_BY_RUNS == set()
