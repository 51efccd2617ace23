"""What an annotator is to label: the rows of a test set's file, or the samples that a filter finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.explore.conditions import Condition
from pipelines.explore.sample_index import SampleIndex
from shards.errors import BadInputError

MAX_TASKS = 20_000
MAX_FROM_A_FILTER = 500
_COLUMNS = ("uid", "text")
_KIND = "text_kind"


@dataclass(frozen=True)
class Task:
    """One image and one text: do they belong together?"""

    uid: str
    text: str
    text_kind: str | None


def read_tasks(path: Path, index: SampleIndex) -> tuple[Task, ...]:
    """The rows of a Parquet file with `uid` and `text` (and `text_kind`), in its order.

    Raises `BadInputError` for a file that is none, that is too long, or whose images the run does not know.
    """
    try:
        names = pq.read_schema(path).names
        missing = [name for name in _COLUMNS if name not in names]
        if missing:
            raise BadInputError(f"--label {path}: no column {', '.join(missing)}; expected uid and text")
        if (number := pq.read_metadata(path).num_rows) > MAX_TASKS:
            raise BadInputError(f"--label {path}: {number:,} rows; at most {MAX_TASKS:,} are labelled at a time")
        rows = pq.read_table(path, columns=[*_COLUMNS, *([_KIND] if _KIND in names else [])]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise BadInputError(f"--label {path}: cannot be read as Parquet: {error}") from None
    tasks = [Task(row["uid"], row["text"], row.get(_KIND)) for row in rows if row["uid"] and row["text"] is not None]
    _check_known([task.uid for task in tasks], path, index)
    return tuple(dict.fromkeys(tasks))


def _check_known(uids: Sequence[str], path: Path, index: SampleIndex) -> None:
    wanted = sorted(set(uids))
    query = "SELECT count(DISTINCT uid) FROM samples WHERE uid IN (SELECT unnest(?))"
    ((known,),) = index.rows(query, parameters=[wanted])
    if known < len(wanted) or not wanted:
        raise BadInputError(
            f"--label {path}: {len(wanted) - known:,} of its {len(wanted):,} images are not in what is explored; "
            "name the run or release that the file was drawn from"
        )


def tasks_of_filter(index: SampleIndex, condition: Condition) -> tuple[Task, ...]:
    """The captions of samples under the condition, at most `MAX_FROM_A_FILTER`, by uid: a hash, so as good as drawn."""
    query = f"""
        SELECT uid, text, text_kind FROM samples WHERE {{where}} AND text IS NOT NULL
        ORDER BY uid LIMIT {MAX_FROM_A_FILTER}
    """
    rows: list[Any] = index.rows(query, condition)
    return tuple(Task(*row) for row in rows)
