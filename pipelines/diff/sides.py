"""The two sides of a comparison: a run or a release, its manifest files, and its recipe where it lies there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.strict_yaml import load_yaml
from shards.catalog import PLAN_FILE, committed_files
from shards.errors import UsageError


@dataclass(frozen=True)
class Side:
    """One release. `recipe` is None where none lies beside it."""

    path: Path
    manifests: list[Path]
    recipe: Mapping[str, Any] | None

    @property
    def lists_dropped(self) -> bool:
        """Whether dropped samples are in its manifest at all (`release.dropped: none` leaves them out)."""
        return any(path.name.startswith("dropped-") for path in self.manifests)


def side_of(path: Path) -> Side:
    """The run or release in a folder. Raises `UsageError` for what is neither, or has no release yet."""
    if (path / PLAN_FILE).is_file():
        if not committed_files(path, "release", "SHA256SUMS"):
            raise UsageError(f"{path} has no release yet: run `curate run` to its end first")
        return Side(path, committed_files(path, "release", "manifest"), _recipe(path))
    manifests = sorted(path.glob("manifest/*.parquet"))
    if not manifests:
        raise UsageError(f"{path} is no run of curate and no release: no manifest/*.parquet is there")
    is_in_run = path.name == "release" and (path.parent / PLAN_FILE).is_file()
    return Side(path, manifests, _recipe(path.parent if is_in_run else path))


def _recipe(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "recipe.yaml"
    return load_yaml(path) if path.is_file() else None
