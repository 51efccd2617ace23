"""A list of queries: one a line, the first column where there are several, each of them once."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from crawler.input_files import compression_of, open_stream, read_chunk
from shards.errors import BadInputError

MAX_QUERY_CHARS = 500
MAX_LINE_BYTES = 65_536
_CHUNK = 2**20
HEADER = "query"
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A carriage return at the end of a chunk may be half of one."""


@dataclass(frozen=True)
class Query:
    """A query and the number of its line, from 1."""

    line: int
    text: str


def read_queries(path: str) -> list[Query]:
    """The queries in order; a header `query`, blank lines and repeats are left out.

    Raises BadInputError for a list without a query, and for a line that can be none.
    """
    found: dict[str, Query] = {}
    for number, line in text_lines(path):
        text = _query(path, number, line)
        if text and not (number == 1 and text == HEADER):
            found.setdefault(text, Query(number, text))
    if not found:
        raise BadInputError(f"{path}: holds no query; expected one a line, or a TSV with queries in its first column")
    return list(found.values())


def text_lines(path: str) -> Iterator[tuple[int, str]]:
    """The lines of a list and their numbers, from 1. Raises BadInputError for a line that is too long or not UTF-8."""
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield number, line.decode().removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise BadInputError(f"{path}: line {number} is not UTF-8; convert the list first") from error


def _query(path: str, number: int, line: str) -> str:
    text = " ".join(line.partition("\t")[0].split())
    if len(text) > MAX_QUERY_CHARS:
        raise BadInputError(f"{path}: line {number} is a query of {len(text)} characters; at most {MAX_QUERY_CHARS}")
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        raise BadInputError(f"{path}: line {number} holds a control character; expected plain text")
    return text


def _lines(path: str) -> Iterator[bytes]:
    compression = compression_of(path)
    tail = b""
    with open_stream(path, compression) as stream:
        while chunk := read_chunk(path, stream, _CHUNK):
            *lines, tail = _LINE_END.split(tail + chunk)
            yield from lines
            if len(tail) > MAX_LINE_BYTES:
                raise BadInputError(f"{path}: a line of more than {MAX_LINE_BYTES} bytes; expected one entry a line")
    *lines, tail = tail.split(b"\r")
    yield from lines
    if tail:
        yield tail
