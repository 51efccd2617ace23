"""Retries: which drop reasons a run has been told to attempt again, and which parts may no longer answer for them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shards.errors import BrokenRunError, UsageError
from shards.parts import StepFolder
from shards.schema import REASONS
from shards.storage import delete_below, put_whole

RETRIES_FILE = "retries.json"
_NOT_OF_FETCH = frozenset({"bad_url", "bad_text", "parse_error", "removed"})
RETRIED_REASONS = tuple(reason for reason in REASONS if reason not in _NOT_OF_FETCH)
"""What `--retry` may name: reasons for which a download can fail."""

_SET_ASIDE = frozenset({"bad_row", "worker_oom"})


@dataclass(frozen=True)
class Retry:
    """Rows that ended in one of `reasons` are attempted again, unless their fetch part has index `before` or above."""

    reasons: tuple[str, ...]
    before: int


def retried_reasons(retries: Sequence[Retry], index: int) -> list[str]:
    """The reasons for which the fetch part of this index no longer answers, by name."""
    return sorted({reason for retry in retries if index < retry.before for reason in retry.reasons})


def parse_reasons(given: Sequence[str]) -> tuple[str, ...]:
    """`--retry timeout,connect_error`, once or several times. Raises `UsageError` for what is no reason of fetch."""
    named = [name.strip() for text in given for name in text.split(",") if name.strip()]
    unknown = [name for name in named if name not in RETRIED_REASONS]
    if unknown or (given and not named):
        what = f"no download ends in {', '.join(unknown)}" if unknown else "names no reason"
        raise UsageError(f"--retry {','.join(given)}: {what}; known: {', '.join(RETRIED_REASONS)}")
    return tuple(sorted(set(named)))


def read_retries(run: Path) -> tuple[Retry, ...]:
    """What the run's folder remembers. Raises `BrokenRunError` if it cannot be read."""
    path = run / RETRIES_FILE
    if not path.is_file():
        return ()
    try:
        return tuple(Retry(tuple(entry["reasons"]), int(entry["before"])) for entry in json.loads(path.read_bytes()))
    except (ValueError, TypeError, KeyError) as error:
        raise BrokenRunError(f"{path}: unreadable ({error}); delete it to forget the retries of this run") from error


def begin_retry(run: Path, reasons: tuple[str, ...]) -> int:
    """Remember that these reasons are to be attempted again; returns how many downloads ended in them.

    Nothing is remembered where there is none, or where the same retry was begun and has committed nothing yet.
    What was learned of hosts is forgotten, so that an opened breaker does not answer in place of the network.
    """
    before = read_retries(run)
    records = StepFolder(run, "fetch").records()
    first_free = max((record.index + 1 for record in records), default=0)
    num_rows = sum(record.counts.get(reason, 0) for record in records for reason in reasons)
    if num_rows == 0:
        return 0
    if Retry(reasons, first_free) not in before:
        entries = [asdict(retry) for retry in (*before, Retry(reasons, first_free))]
        put_whole(run / RETRIES_FILE, json.dumps(entries, indent=1).encode() + b"\n")
        _forget_hosts(run)
        if _SET_ASIDE.intersection(reasons):
            _forget_graves(run)
    return num_rows


def _forget_hosts(run: Path) -> None:
    delete_below(run, "fetch/.lane-")


def _forget_graves(run: Path) -> None:
    """Rows that were set aside get another chance: those that fail again are buried again."""
    delete_below(run, "dead/fetch-")
