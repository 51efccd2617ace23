"""Tasks that use a GPU ask Ray for a share of one, where there are any."""

import pytest

from pipelines.cluster.call import Around
from pipelines.workers import RayPool


@pytest.mark.parametrize(("has_gpus", "gpus", "asked"), [(True, 0.5, 0.5), (True, 0.0, None), (False, 0.5, None)])
def test_share_of_a_gpu_is_asked_for_where_there_are_any(has_gpus: bool, gpus: float, asked: float | None) -> None:
    class Remote:
        options_told: dict[str, float]

        def options(self, **told: float) -> "Remote":
            self.options_told = told
            return self

        def remote(self, *arguments: object) -> object:
            return arguments

    pool = object.__new__(RayPool)
    pool._has_gpus, pool._call, pool._around, pool._head = has_gpus, Remote(), Around(), None
    pool.start(print, 1, cpus=1.0, gpus=gpus)
    assert pool._call.options_told.get("num_gpus") == asked
