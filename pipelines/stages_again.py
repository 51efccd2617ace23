"""The flow of a release that is decided again: the same stages, but for those that would ask, decode or score."""

from collections.abc import Mapping
from dataclasses import replace

from pipelines.flow import again
from pipelines.stages import STAGES, WORK
from pipelines.tasks import Work

_STEPS = {"collect": again.collected, "fetch": again.fetched, "measure": again.measured, "score": again.scored}

_ASKING = ("crawl", "search")

STAGES_AGAIN = tuple(
    replace(stage, steps=_STEPS.get(stage.name, stage.steps)) for stage in STAGES if stage.name not in _ASKING
)

WORK_AGAIN: Mapping[str, Work] = {
    **WORK,
    "fetch": again.leave_unfetched,
    "measure": again.take_measures,
    "score": again.take_scores,
}
"""Step -> the function that makes one of its parts, where the run below has not made it."""
