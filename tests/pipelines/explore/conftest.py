"""What tests of the explorer share: a run and a hostile release, each served once."""

from collections.abc import Iterator

import pytest

from tests.pipelines.conftest import FinishedRun
from tests.pipelines.explore.serving import Served, hostile_samples, served
from tests.pipelines.made_release import make_release


@pytest.fixture(scope="session")
def served_run(finished: FinishedRun) -> Iterator[Served]:
    with served(finished.folder) as here:
        yield here


@pytest.fixture(scope="session")
def served_release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make_release(tmp_path_factory.mktemp("hostile") / "release", hostile_samples())) as here:
        yield here
