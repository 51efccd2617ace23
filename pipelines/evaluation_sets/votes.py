"""Labels that people gave to pairs of image and text, and what most of them say of each pair."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shards.errors import BadInputError
from shards.tables import iter_batches

LABELS_FOLDER = "labels"
LABELS = ("match", "no_match", "unsure")
_SCHEMA = {"uid": pa.string(), "text": pa.string(), "label": pa.string()}

Pair = tuple[str, str]
"""A uid and a text."""


@dataclass(frozen=True)
class Votes:
    """Of each labelled pair whether it matches: null where there is no majority, or it is of the unsure."""

    verdicts: Mapping[Pair, bool | None]
    annotators: tuple[str, ...]

    def of(self, pair: Pair) -> bool | None:
        return self.verdicts.get(pair)

    def count(self, verdict: bool | None) -> int:
        return sum(found is verdict for found in self.verdicts.values())


def read_votes(folder: Path, uids: Iterable[str]) -> Votes:
    """The majority of `<annotator>.parquet` in a folder, over the pairs of these uids; of none, where it is not there.

    One annotator has one vote on a pair: what stands last in the file counts. Raises `BadInputError` for other files.
    """
    wanted = frozenset(uids)
    tallies: dict[Pair, dict[str, int]] = {}
    paths = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    for path in paths:
        for pair, label in _labels(path, wanted).items():
            tally = tallies.setdefault(pair, dict.fromkeys(LABELS, 0))
            tally[label] += 1
    return Votes({pair: _majority(tally) for pair, tally in tallies.items()}, tuple(path.stem for path in paths))


def _labels(path: Path, wanted: frozenset[str]) -> dict[Pair, str]:
    try:
        schema = pq.read_schema(path)
        for name, dtype in _SCHEMA.items():
            if name not in schema.names or schema.field(name).type != dtype:
                raise BadInputError(f"{path}: no column {name} of type {dtype}; expected uid, text and label")
        found: dict[Pair, str] = {}
        for batch in iter_batches([path], list(_SCHEMA)):
            for row in batch.to_pylist():
                if row["label"] not in LABELS:
                    raise BadInputError(f"{path}: label {row['label']!r}; expected one of {', '.join(LABELS)}")
                if row["uid"] in wanted:
                    found[row["uid"], row["text"] or ""] = row["label"]
        return found
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(f"{path}: cannot be read as labels: {error}") from error


def _majority(tally: Mapping[str, int]) -> bool | None:
    """More than half of all votes, the unsure ones too."""
    votes = sum(tally.values())
    for label, verdict in (("match", True), ("no_match", False)):
        if 2 * tally[label] > votes:
            return verdict
    return None
