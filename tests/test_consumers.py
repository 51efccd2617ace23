"""A release in the hands of what reads it: a webdataset loader of two workers, and DuckDB through its views.

The other programs need environments of their own: `infra/consumers/`, with their results in `infra/docs/consumers.md`.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import FinishedDemo

_SCRIPTS = Path(__file__).parents[1] / "infra" / "consumers"


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Callable[[Path], int]]:
    """A consumer's function by its script and its name."""
    monkeypatch.syspath_prepend(str(_SCRIPTS))

    def found(script: str, name: str) -> Callable[[Path], int]:
        function: Callable[[Path], int] = getattr(import_module(script), name)
        return function

    return found


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # the loader forks
@pytest.mark.parametrize(
    ("script", "name", "samples"), [("read_webdataset", "_stream", 59), ("read_manifest", "_duckdb", 140)]
)
def test_the_demos_release_is_read_whole(
    demo_run: FinishedDemo, reader: Callable[[str, str], Callable[[Path], int]], script: str, name: str, samples: int
) -> None:
    assert reader(script, name)(demo_run.folder / "release") == samples
