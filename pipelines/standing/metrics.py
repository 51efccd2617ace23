"""A run's standing in Prometheus' text format, for a node exporter's textfile collector or a push gateway."""

from collections.abc import Callable, Iterator
from typing import get_args

from pipelines.standing.read import RunStanding, StageStanding, Worked
from pipelines.tries import Cause

_STAGE_METRICS: tuple[tuple[str, str, Callable[[StageStanding], int]], ...] = (
    ("curate_parts_planned", "Parts that a stage consists of.", lambda stage: stage.planned),
    ("curate_parts_committed", "Parts of a stage that are done.", lambda stage: stage.committed),
    ("curate_rows", "Rows of a stage's committed parts.", lambda stage: stage.rows),
    ("curate_rows_standing", "Rows that went on to the next stage.", lambda stage: stage.standing),
)

_WORK_METRICS: tuple[tuple[str, str, Callable[[Worked], float]], ...] = (
    ("curate_model_busy_seconds", "Of these, seconds in which a model had work.", lambda worked: worked.busy_s),
    ("curate_model_seconds", "Seconds that parts with a loaded model took, by device.", lambda worked: worked.seconds),
)


def as_metrics(run: str, standing: RunStanding) -> str:
    """Every figure as a gauge with the labels `run`, `stage` and `reason`; rates are the reader's to take."""
    return "".join(f"{line}\n" for line in _lines(run, standing))


def _lines(run: str, standing: RunStanding) -> Iterator[str]:
    yield from _head("curate_run_state", "1 for the state that a run is in.")
    for state in ("running", "stopped", "done"):
        yield _sample("curate_run_state", {"run": run, "state": state}, int(standing.state == state))
    for name, told, value in _STAGE_METRICS:
        yield from _head(name, told)
        for stage in standing.stages:
            yield _sample(name, {"run": run, "stage": stage.name}, value(stage))
    yield from _head("curate_rows_dropped", "Rows that fell at a stage, by reason.")
    for stage in standing.stages:
        for reason, number in stage.dropped.items():
            yield _sample("curate_rows_dropped", {"run": run, "stage": stage.name, "reason": reason}, number)
    yield from _work(standing, run)


def _work(standing: RunStanding, run: str) -> Iterator[str]:
    yield from _head("curate_part_retries", "Attempts at parts beyond the first, by stage and what the one before met.")
    for stage in standing.stages:
        for cause, number in {**dict.fromkeys(get_args(Cause), 0), **stage.retries}.items():
            yield _sample("curate_part_retries", {"run": run, "stage": stage.name, "cause": cause}, number)
    for name, told, value in _WORK_METRICS:
        yield from _head(name, told)
        for stage in standing.stages:
            for device, worked in stage.worked.items():
                yield _sample(name, {"run": run, "stage": stage.name, "device": device}, value(worked))


def _head(name: str, told: str) -> Iterator[str]:
    yield f"# HELP {name} {told}"
    yield f"# TYPE {name} gauge"


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{told}}} {value if isinstance(value, int) else round(value, 3)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
