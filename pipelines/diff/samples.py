"""What became of each sample: one join of two manifests by uid, grouped by where samples came from and went to."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from pathlib import Path

import duckdb

from pipelines.diff.sides import Side
from shards.database import quoted, scratch_database
from shards.errors import BadInputError

NUM_EXAMPLES = 3
KEPT = "kept"

Fate = tuple[str, str | None] | None
"""Status and drop_reason of a sample on one side; None where that side does not list it."""


@dataclass(frozen=True)
class Samples:
    """How many, and the smallest of their uids."""

    num_samples: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Move:
    """Samples that share their fate on both sides, and how those that are kept on both have changed."""

    a: Fate
    b: Fate
    is_caption_changed: bool
    is_image_changed: bool
    samples: Samples

    @property
    def is_kept_by_both(self) -> bool:
        return self.a is not None and self.b is not None and self.a[0] == self.b[0] == KEPT


def moves_between(a: Side, b: Side) -> list[Move]:
    """Every sample of either side, in groups.

    Takes a bounded memory: what does not fit is spilled to the system's temporary folder. Raises `BadInputError` for a
    manifest that cannot be read.
    """
    with scratch_database(Path(tempfile.gettempdir())) as database:
        for name, side in (("a", a), ("b", b)):
            with _told_as_input(str(side.path)):
                _create_view(database, name, side.manifests)
        with _told_as_input(f"{a.path} or {b.path}"):
            rows = database.execute(_MOVES, [NUM_EXAMPLES]).fetchall()
    return [Move(_fate(*row[0:2]), _fate(*row[2:4]), row[4], row[5], Samples(row[6], tuple(row[7]))) for row in rows]


def together(moves: Iterable[Move]) -> Samples:
    """The samples of several moves."""
    chosen = [move.samples for move in moves]
    examples = tuple(islice(merge(*(samples.examples for samples in chosen)), NUM_EXAMPLES))
    return Samples(sum(samples.num_samples for samples in chosen), examples)


_MOVES = """
    SELECT a.status, a.drop_reason, b.status, b.drop_reason,
        coalesce(a.status = 'kept' AND b.status = 'kept' AND a.caption IS DISTINCT FROM b.caption, false) AS caption,
        coalesce(a.status = 'kept' AND b.status = 'kept' AND a.image IS DISTINCT FROM b.image, false) AS image,
        count(*), min(coalesce(a.uid, b.uid), ?)
    FROM a FULL JOIN b ON a.uid = b.uid
    GROUP BY ALL ORDER BY ALL
"""


def _create_view(database: duckdb.DuckDBPyConnection, name: str, manifests: list[Path]) -> None:
    """Rows as narrow as the comparison can do with: digests stand for captions and images, of kept samples alone."""
    database.execute(
        f"""
        CREATE VIEW {name} AS SELECT uid, status, drop_reason,
            CASE WHEN status = 'kept' THEN md5_number(text) END AS caption,
            CASE WHEN status = 'kept' THEN md5_number(stored_sha256) END AS image
        FROM (
            SELECT NULL::VARCHAR AS uid, NULL::VARCHAR AS status, NULL::VARCHAR AS drop_reason,
                NULL::VARCHAR AS text, NULL::VARCHAR AS stored_sha256 WHERE false
            UNION ALL BY NAME SELECT COLUMNS('^(uid|status|drop_reason|text|stored_sha256)$')
            FROM read_parquet({quoted(manifests)}, union_by_name = true)
        )
        """
    )


def _fate(status: str | None, reason: str | None) -> Fate:
    return None if status is None else (status, reason)


@contextmanager
def _told_as_input(what: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        told = " ".join(str(error).split())[:300]
        raise BadInputError(
            f"{what}: its manifest cannot be read ({told}); `curate verify` says what is wrong"
        ) from None
