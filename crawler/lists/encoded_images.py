"""Chinese-CLIP's files as raw candidates: `NAME_imgs.tsv` (number, base64), and `NAME_texts.jsonl` beside each."""

import base64
import binascii
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crawler.input_files import InputFile, find_files, open_stream, read_chunk
from crawler.lists.json_rows import LineSlice, json_lines, line_starts, parse_record
from crawler.lists.shard_samples import SCHEME, Row, kind_of, text_columns
from crawler.lists.shards_source import ShardsSource
from crawler.lists.typed_texts import MAX_TEXTS
from shards.errors import BadInputError
from shards.schema import RAW_CANDIDATE

SLICE_BYTES = 256 * 2**20
_IMAGES, _TEXTS = "_imgs.tsv", "_texts.jsonl"
_CHUNK = 2**20
_BATCH_ROWS = 8192
_NUMBER = re.compile(rb"(\d{1,18})\t")
_HEAD_BYTES = 20


@dataclass(frozen=True)
class EncodedSlice:
    """Whole lines of one table of images, with the texts of these. `name` is what `origin` calls it.

    The slice with `is_of_texts` has no images: it tells of the texts that belong to none, or cannot be read.
    """

    path: str
    name: str
    texts: InputFile
    start: int
    stop: int
    is_of_texts: bool = False

    @property
    def num_bytes(self) -> int:
        """Of its images, or of the texts."""
        return self.texts.num_bytes if self.is_of_texts else self.stop - self.start


@dataclass(frozen=True)
class _Line:
    """Where a line's base64 lies; `number` is None for a line that is none."""

    number: int | None
    offset: int
    size: int


@dataclass
class _Texts:
    """(kind, text) of images, by number."""

    wanted: set[int]
    found: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, number: int, kind: str, text: str) -> None:
        if number in self.wanted:
            texts = self.found.setdefault(number, [])
            if len(texts) < MAX_TEXTS:
                texts.append((kind, text))


def encoded_slices(paths: Sequence[str], slice_bytes: int = SLICE_BYTES) -> Iterator[EncodedSlice]:
    """Slices of about `slice_bytes`, in order of path, and one of texts for each table, looked at in turn.

    Raises BadInputError for a file that is no such table, or has no texts beside it.
    """
    for file in find_files(paths, f"*{_IMAGES}"):
        if not file.path.endswith(_IMAGES):
            raise BadInputError(f"{file.path}: is no NAME{_IMAGES}; name the tables of images, their texts are found")
        texts = find_files([file.path.removesuffix(_IMAGES) + _TEXTS])[0]
        texts = InputFile(texts.path, file.name.removesuffix(_IMAGES) + _TEXTS, texts.num_bytes)
        with open_stream(file.path, None) as stream:
            if not _NUMBER.match(stream.read(_HEAD_BYTES)):
                raise BadInputError(f"{file.path}: expected lines of a number, a tab and an image in base64")
            cuts = line_starts(file.path, stream, file.num_bytes, slice_bytes)
            for start, stop in itertools.pairwise(itertools.chain([0], cuts, [file.num_bytes])):
                yield EncodedSlice(file.path, file.name, texts, start, stop)
        yield EncodedSlice(file.path, file.name, texts, 0, file.num_bytes, is_of_texts=True)


def read_encoded(piece: EncodedSlice, source: ShardsSource) -> Iterator[pa.RecordBatch]:
    """The candidates of the slice's images as RAW_CANDIDATE batches, in the table's order; `origin` is `name:number`.

    Held are the slice's numbers and their texts, never an image.
    """
    rows: list[Row] = []
    for row in _faults_of_texts(piece) if piece.is_of_texts else _rows(piece, source):
        rows.append(row)
        if len(rows) == _BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(rows, schema=RAW_CANDIDATE)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=RAW_CANDIDATE)


def is_encoded(name: str) -> bool:
    """Whether a member of this file is base64 rather than an image."""
    return name.endswith(_IMAGES)


def from_base64(data: bytes) -> bytes | None:
    """The bytes; None for what is no base64. Python's and Chinese-CLIP's own alphabets (`+/` and `-_`) both count."""
    try:
        return base64.b64decode(data.strip().translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except binascii.Error:
        return None


def _rows(piece: EncodedSlice, source: ShardsSource) -> Iterator[Row]:
    lines = list(_image_lines(piece))
    texts = _Texts({line.number for line in lines if line.number is not None})
    for _, told in _told_texts(piece.texts):
        if isinstance(told, dict):
            for number in _numbers(told) or ():
                texts.add(number, kind_of(told.get("kind"), source), told["text"])
    for line in lines:
        if line.number is None:
            detail = "no line of a number, a tab and an image in base64"
            yield {
                **_head(source),
                "origin": f"{piece.name}:+{line.offset}",
                "drop_reason": "bad_row",
                "detail": detail,
            }
            continue
        head: Row = {
            **_head(source),
            "url": f"{SCHEME}{quote(f'{piece.name}/{line.number}', safe='/')}",
            "origin": f"{piece.name}:{line.number}",
            "member": f"{piece.name}:{line.offset}:{line.size}",
        }
        for kind, text in texts.found.get(line.number, [("", "")]):
            yield head | text_columns(kind or None, text or None)


def _head(source: ShardsSource) -> Row:
    given = {"strength": source.strength, "category": source.category, "license": source.license}
    return {"source": source.kind, **given}


def _faults_of_texts(piece: EncodedSlice) -> Iterator[Row]:
    """A row for each text that is lost otherwise: of an image that is not in the table, or of none."""
    known = np.fromiter((line.number for line in _image_lines(piece) if line.number is not None), np.int64)
    known.sort()
    for row, told in _told_texts(piece.texts):
        for detail in _losses(told, known):
            yield {
                "source": "shards",
                "origin": f"{piece.texts.name}:{row}",
                "drop_reason": "bad_row",
                "detail": detail,
            }


def _losses(told: dict[str, Any] | str, known: npt.NDArray[np.int64]) -> list[str]:
    """At most one detail: a line is one row, however many images it names."""
    if isinstance(told, str):
        return [told]
    numbers = _numbers(told)
    if not numbers:
        return ["names no image" if numbers is not None else "image_ids are no whole numbers"]
    asked = np.array(numbers, np.int64)
    place = np.searchsorted(known, asked)
    there = known[np.minimum(place, len(known) - 1)] == asked if len(known) else np.zeros(len(asked), bool)
    missing = asked[~there]
    return [f"no image has the number {missing[0]}"] if len(missing) else []


def _told_texts(file: InputFile) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each line's number, and its object with a text, or what is wrong with it."""
    for row, line in json_lines(file.path, None, LineSlice(0, file.num_bytes)):
        told, fault = parse_record(line)
        if told is None:
            yield row, fault
        else:
            yield row, told if isinstance(told.get("text"), str) else "has no text"


def _numbers(told: dict[str, Any]) -> list[int] | None:
    numbers = told.get("image_ids")
    if not isinstance(numbers, list) or not all(isinstance(number, int) and 0 <= number < 2**62 for number in numbers):
        return None
    return numbers


def _image_lines(piece: EncodedSlice) -> Iterator[_Line]:
    """The lines of a slice; what is held of one is its beginning."""
    offset, head, size = piece.start, b"", 0
    with open_stream(piece.path, None) as stream:
        stream.seek(piece.start)
        left = piece.stop - piece.start
        while left and (chunk := read_chunk(piece.path, stream, min(_CHUNK, left))):
            left -= len(chunk)
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                if (head + end[:_HEAD_BYTES]).strip() or size:
                    yield _line((head + end)[:_HEAD_BYTES], offset, size + len(end))
                offset, head, size = offset + size + len(end) + 1, b"", 0
            head, size = (head + rest)[:_HEAD_BYTES], size + len(rest)
    if size:
        yield _line(head, offset, size)


def _line(head: bytes, offset: int, size: int) -> _Line:
    number = _NUMBER.match(head)
    if number is None:
        return _Line(None, offset, size)
    return _Line(int(number[1]), offset + number.end(), size - number.end())
