"""Answers of annotators, each in a Parquet file of their own that is whole and on disk after every answer."""

import fcntl
import io
import re
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.explore.agreement import Answers, Item
from shards.closing import Closing
from shards.errors import BadInputError, OutputInUseError, UsageError
from shards.storage import disk_faults, put_whole

LABELS = ("match", "no_match", "unsure")
MAX_ANSWERS = 200_000
SCHEMA = pa.schema([(name, pa.string()) for name in ("uid", "text", "text_kind", "label")])

_NAME = re.compile(r"[\w][\w.-]{0,39}")
_SUFFIX = ".parquet"


def checked_annotator(name: str) -> str:
    """A name that is a file's. Raises `UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--annotator {name!r}: expected letters, digits, `_`, `-` and `.`, at most 40, a letter first"
        )
    return name


class AnswerBook(Closing):
    """The answers of one annotator. Held by one process at a time; the file is written anew after each answer.

    Raises `OutputInUseError` where another process has the annotator's file, `BadInputError` where it is no such file.
    """

    def __init__(self, folder: Path, annotator: str) -> None:
        self.annotator = checked_annotator(annotator)
        self._path = folder / f"{annotator}{_SUFFIX}"
        self._mutex = threading.Lock()
        with disk_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._held = (folder / f".{annotator}.lock").open("wb")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._rows = _read(self._path) if self._path.exists() else {}
        except BlockingIOError:
            self._held.close()
            raise OutputInUseError(f"{self._path}: another `curate explore` has {annotator}'s answers open") from None
        except BadInputError:
            self._held.close()
            raise

    def put(self, uid: str, text: str, text_kind: str | None, label: str | None) -> None:
        """Set an answer, or take it back with None; returns when it is on disk."""
        if label is not None and label not in LABELS:
            raise ValueError(f"{label!r} is none of {', '.join(LABELS)}")
        with self._mutex:
            rows = dict(self._rows)
            if label is None:
                rows.pop((uid, text), None)
            else:
                rows[uid, text] = (text_kind, label)
            if len(rows) > MAX_ANSWERS:
                raise UsageError(f"{self._path}: at most {MAX_ANSWERS:,} answers; begin with another --labels folder")
            put_whole(self._path, _as_parquet(rows))
            self._rows = rows

    def answers(self) -> Answers:
        with self._mutex:
            return {item: label for item, (_, label) in self._rows.items()}

    def close(self) -> None:
        self._held.close()


def answers_of_all(folder: Path) -> dict[str, Answers]:
    """Annotator -> answers, of every file in the folder. Raises `BadInputError` for one that is none of ours."""
    files = sorted(folder.glob(f"[!.]*{_SUFFIX}"))
    return {path.stem: {item: label for item, (_, label) in _read(path).items()} for path in files}


def _read(path: Path) -> dict[Item, tuple[str | None, str]]:
    try:
        table = pq.read_table(path, columns=SCHEMA.names)
        rows = table.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise BadInputError(f"{path}: no answers of annotators ({error}); expected columns {SCHEMA.names}") from None
    if any(row["label"] not in LABELS for row in rows):
        raise BadInputError(f"{path}: a label is none of {', '.join(LABELS)}")
    return {(row["uid"], row["text"]): (row["text_kind"], row["label"]) for row in rows}


def _as_parquet(rows: dict[Item, tuple[str | None, str]]) -> bytes:
    """By uid and text: equal answers make equal bytes, in whatever order they were given."""
    table = [
        {"uid": uid, "text": text, "text_kind": kind, "label": label}
        for (uid, text), (kind, label) in sorted(rows.items())
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table, schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()
