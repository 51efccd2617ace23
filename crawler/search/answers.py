"""Answers of a search endpoint on disk: an append-only spool that survives a kill, and the file that is committed."""

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shards.closing import Closing

Place = tuple[int, int]
"""The query's line in its list, and the page, from 0."""


@dataclass(frozen=True)
class Answer:
    """What one request came to. `url` is without the key; `drop_reason` and `detail` say why it came to nothing."""

    line: int
    query: str
    page: int
    url: str
    status: int | None = None
    content_type: str | None = None
    body: bytes = b""
    drop_reason: str | None = None
    detail: str | None = None

    @property
    def place(self) -> Place:
        return self.line, self.page

    def to_line(self) -> bytes:
        facts: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "body"}
        try:
            facts["body"] = self.body.decode()
        except UnicodeDecodeError:
            facts["body_base64"] = base64.b64encode(self.body).decode()
        return json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> "Answer":
        encoded = facts.pop("body_base64", None)
        body = facts.pop("body", "").encode() if encoded is None else base64.b64decode(encoded)
        return cls(**facts, body=body)


class AnswerSpool(Closing):
    """The answers of one part, each appended at once. What a killed attempt left is taken up, a torn end cut off."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b", buffering=0)
        self._places: dict[Place, tuple[int, int]] = {}
        self._end = 0
        self._resume(path)
        self.num_kept = len(self._places)

    def add(self, answer: Answer) -> None:
        length = self._append(answer.to_line())
        self._places[answer.place] = (self._end - length, length)

    def forget(self, places: list[Place]) -> None:
        """These shall be asked for again."""
        for place in places:
            self._append(json.dumps({"forget": place}).encode() + b"\n")
            self._places.pop(place, None)

    def get(self, place: Place) -> Answer | None:
        where = self._places.get(place)
        return None if where is None else Answer.from_facts(json.loads(self._read(where)))

    def write_whole(self, path: Path) -> int:
        """All answers in order as gzipped JSON lines: the same bytes from the same answers. Returns their number."""
        with (
            path.open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        ):
            for place in sorted(self._places):
                packed.write(self._read(self._places[place]))
        return len(self._places)

    def close(self) -> None:
        self._file.close()

    def _append(self, line: bytes) -> int:
        left = memoryview(line)
        while left:  # in one call, unless the disk is full
            left = left[self._file.write(left) :]
        self._end += len(line)
        return len(line)

    def _read(self, where: tuple[int, int]) -> bytes:
        offset, length = where
        self._file.seek(offset)
        line = b""
        while len(line) < length and (piece := self._file.read(length - len(line))):
            line += piece
        return line

    def _resume(self, path: Path) -> None:
        with path.open("rb") as file:
            for line in file:
                facts = _facts_of(line)
                if facts is None:
                    break
                if "forget" in facts:
                    self._places.pop(tuple(facts["forget"]), None)
                else:
                    self._places[facts["line"], facts["page"]] = (self._end, len(line))
                self._end += len(line)
        self._file.truncate(self._end)


def read_answers(path: Path) -> Iterator[Answer]:
    """The answers of a committed part, by query and page."""
    with gzip.open(path, "rb") as file:
        for line in file:
            yield Answer.from_facts(json.loads(line))


def _facts_of(line: bytes) -> dict[str, Any] | None:
    """A whole line's facts; None for what a kill tore off."""
    if not line.endswith(b"\n"):
        return None
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None
