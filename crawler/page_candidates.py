"""The candidates of one page, each string once and the rest as numbers: quick to gather, send and make columns of."""

import json
import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Self

from crawler.half_characters import utf8
from crawler.image_role import Role
from shards.text_kinds import TEXT_KINDS

KINDS = tuple(kind for kind in TEXT_KINDS if kind != "query")
"""Every kind of text that a page gives."""

_KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
MAX_TEXT_CHARS = 10_000
"""Longer texts are `bad_text`."""

NUM_FIELDS = 6
"""Numbers of a candidate: URL, kind, text, drop reason, detail, role. Strings by their places, -1 for none; the kind by
its place among KINDS, the role by its bits."""

NUMBER = "i"
"""The array type of a candidate's numbers: 32 bits, signed."""

_LENGTH = struct.Struct(">I")
_NONE, _TOO_LONG = -1, -2


class Candidate(NamedTuple):
    """One text of one image. `kind` and `text` are null for an image without text, or one that opted out."""

    url: str
    kind: str | None
    text: str | None
    drop_reason: str | None = None
    detail: str | None = None
    role: Role = Role()


@dataclass(frozen=True)
class PageCandidates:
    """Candidates in order, each once: `strings`, and NUM_FIELDS `numbers` a candidate, one after another."""

    strings: list[str] = field(default_factory=list)
    numbers: "array[int]" = field(default_factory=lambda: array(NUMBER))

    def __len__(self) -> int:
        return len(self.numbers) // NUM_FIELDS

    def __iter__(self) -> Iterator[Candidate]:
        strings: list[str | None] = [*self.strings, None]
        for url, kind, text, reason, detail, role in zip(*[iter(self.numbers)] * NUM_FIELDS, strict=True):
            kind_name = KINDS[kind] if kind >= 0 else None
            yield Candidate(
                self.strings[url], kind_name, strings[text], strings[reason], strings[detail], Role.of_bits(role)
            )

    @property
    def num_images(self) -> int:
        """How many different images these are."""
        return len(set(self.numbers[::NUM_FIELDS]))

    def texts(self) -> list[str]:
        """Every text, once."""
        return [self.strings[place] for place in dict.fromkeys(self.numbers[2::NUM_FIELDS]) if place >= 0]

    def to_bytes(self) -> bytes:
        """The length of the strings as JSON, the JSON, the numbers."""
        strings = utf8(json.dumps(self.strings, ensure_ascii=False))
        return _LENGTH.pack(len(strings)) + strings + self.numbers.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` made."""
        (length,) = _LENGTH.unpack_from(data)
        end = _LENGTH.size + length
        return cls(json.loads(data[_LENGTH.size : end]), array(NUMBER, data[end:]))


class Gathering:
    """Candidates while they are gathered."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._rows: dict[tuple[int, int, int, int, int, int], None] = {}
        self._cleaned: dict[str, int] = {}
        """Places of texts by how they stand in the page, or why they have none."""

    def take(self, url: str, role: Role, texts: Iterable[tuple[str, str]]) -> None:
        """One candidate for each (kind, text), its needless white space gone; a bare one where there is no text."""
        cleaned, rows, is_bare = self._cleaned, self._rows, True
        place, bits = self._place(url), role.bits
        for kind, raw in texts:
            if not raw:
                continue
            text = cleaned.get(raw)
            if text is None:
                text = cleaned[raw] = self._clean(raw)
            if text >= 0:
                rows[place, _KIND_NUMBERS[kind], text, _NONE, _NONE, bits] = None
            elif text == _TOO_LONG:
                detail = self._place(f"{len(raw)} characters")
                rows[place, _KIND_NUMBERS[kind], _NONE, self._place("bad_text"), detail, bits] = None
            is_bare = is_bare and text == _NONE
        if is_bare:
            rows[place, _NONE, _NONE, _NONE, _NONE, bits] = None

    def opt_out(self, url: str, directive: str) -> None:
        """An image that may not be used: none of its texts is kept."""
        self._rows[self._place(url), _NONE, _NONE, self._place("opt_out"), self._place(directive), 0] = None

    def done(self) -> PageCandidates:
        return PageCandidates(list(self._places), array(NUMBER, chain.from_iterable(self._rows)))

    def _clean(self, raw: str) -> int:
        text = " ".join(raw[: 10 * MAX_TEXT_CHARS].split())
        if len(text) > MAX_TEXT_CHARS:
            return _TOO_LONG
        return self._place(text) if text else _NONE

    def _place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))
