"""Texts as one run of code points: what kind each character is, and how many of a kind each text holds."""

import functools
import itertools
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

HAN, DIGIT, SPACE, SPECIAL, MAPPED, COMPOSES, AT_SIGN, AMPERSAND, UNDECODABLE = (1 << n for n in range(9))
KANA, HANGUL, LETTER, EMOJI = (1 << n for n in range(9, 13))
"""LETTER: of any other script than Chinese, Japanese and Korean."""
DELETED = 0xFFFF_FFFF

Codes = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Made = TypeVar("Made")

MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
"""The blocks of combining marks that stack, as the inside of a character class."""

# Scripts.txt of Unicode 15.1, Script=Han.
_HAN_RANGES = (
    (0x2E80, 0x2E99),
    (0x2E9B, 0x2EF3),
    (0x2F00, 0x2FD5),
    (0x3005, 0x3005),
    (0x3007, 0x3007),
    (0x3021, 0x3029),
    (0x3038, 0x303B),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFA6D),
    (0xFA70, 0xFAD9),
    (0x16FE2, 0x16FE3),
    (0x16FF0, 0x16FF1),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B739),
    (0x2B740, 0x2B81D),
    (0x2B820, 0x2CEA1),
    (0x2CEB0, 0x2EBE0),
    (0x2EBF0, 0x2EE5D),
    (0x2F800, 0x2FA1D),
    (0x30000, 0x3134A),
    (0x31350, 0x323AF),
)
_KANA_RANGES = (
    (0x3041, 0x3096),
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),
    (0x30FD, 0x30FF),
    (0x31F0, 0x31FF),
    (0xFF66, 0xFF9D),
)
_HANGUL_RANGES = ((0x1100, 0x11FF), (0x3131, 0x318E), (0xA960, 0xA97C), (0xAC00, 0xD7A3), (0xD7B0, 0xD7FB))
# The planes and blocks of pictographs, with what turns a sign into one; signs such as ★ and ☎ stay text.
_EMOJI_RANGES = (
    (0x1F000, 0x1FAFF),
    (0x2600, 0x2604),
    (0x2614, 0x2615),
    (0x263A, 0x263B),
    (0x2648, 0x2653),
    (0x2692, 0x26FF),
    (0x2702, 0x2712),
    (0x2728, 0x2728),
    (0x274C, 0x274C),
    (0x2753, 0x2757),
    (0x2763, 0x2764),
    (0x2B50, 0x2B50),
    (0x231A, 0x231B),
    (0x23E9, 0x23F3),
    (0xFE0F, 0xFE0F),
    (0x20E3, 0x20E3),
)
_NUM_CODES = 0x110000
_SLICE_BYTES = 8 << 20
# Full-width forms of ASCII become ASCII, but for those that are Chinese punctuation: ！（），：；？～
_FULL_WIDTH_KEPT = frozenset("！（），：；？～")
# Blank letters (Hangul fillers, the Braille blank) are spaces to a reader.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


class TextColumn:
    """A string array as code points: text `n` is `codes[starts[n]:starts[n + 1]]`; null texts hold none."""

    def __init__(self, texts: pa.Array) -> None:
        self.texts = texts.cast(pa.string())
        filled = pc.fill_null(self.texts, "") if self.texts.null_count else self.texts
        lengths = pc.utf8_length(filled).to_numpy(zero_copy_only=False)
        self.starts: Counts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self.codes: Codes = np.frombuffer(_utf8_bytes(filled).decode("utf-8").encode("utf-32-le"), dtype=np.uint32)
        self._counts: dict[int, Counts] = {}
        self._shared: dict[str, Any] = {}

    def shared(self, name: str, make: "Callable[[TextColumn], Made]") -> "Made":
        """What `make` gives for this column, made once for all measures that rest on it."""
        if name not in self._shared:
            self._shared[name] = make(self)
        made: Made = self._shared[name]
        return made

    @functools.cached_property
    def kinds(self) -> npt.NDArray[np.uint16]:
        """The kind bits of each character."""
        return np.asarray(character_kinds()[self.codes])

    @property
    def lengths(self) -> Counts:
        return np.diff(self.starts)

    def count(self, kind: int) -> Counts:
        """Per text, how many of its characters are of any kind in `kind`."""
        if kind not in self._counts:
            self._counts[kind] = self.count_of(self.kinds & kind != 0)
        return self._counts[kind]

    def count_of(self, chosen: Bools) -> Counts:
        """Per text, how many of its characters are `chosen`."""
        running = np.zeros(len(chosen) + 1, np.int32)
        np.cumsum(chosen, dtype=np.int32, out=running[1:])
        return np.diff(running[self.starts]).astype(np.int64)

    def rows_with(self, chosen: Bools) -> Counts:
        """The rows that hold any of the `chosen` characters, ascending."""
        places = np.flatnonzero(chosen)
        return np.unique(np.searchsorted(self.starts, places, side="right") - 1)

    def column(self, values: npt.ArrayLike, dtype: pa.DataType) -> pa.Array:
        """`values` as a column that is null where the text is."""
        missing = pc.is_null(self.texts).to_numpy(zero_copy_only=False)
        return pa.array(np.asarray(values), mask=missing).cast(dtype)


def texts_of(codes: Codes, starts: Counts) -> pa.Array:
    """The string array of `codes`, the reverse of TextColumn."""
    data = codes.astype("<u4").tobytes().decode("utf-32-le").encode("utf-8")
    widths = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(widths, dtype=np.int64)])[starts].astype(np.int32)
    return pa.StringArray.from_buffers(len(starts) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def replaced(texts: pa.Array, rows: Counts, values: pa.Array) -> pa.Array:
    """`texts` with `values` in the given rows."""
    order = np.arange(len(texts))
    order[rows] = len(texts) + np.arange(len(rows))
    return pa.concat_arrays([texts, values]).take(pa.array(order))


def bounded_slices(texts: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """The column in consecutive pieces of about 8 MB of text, so that working memory does not grow with it."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    for chunk in chunks:
        sizes = pc.fill_null(pc.binary_length(chunk), 0).to_numpy(zero_copy_only=False)
        piece = np.cumsum(sizes, dtype=np.int64) // _SLICE_BYTES
        edges = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(chunk)]
        for start, end in itertools.pairwise(edges):
            if end > start:
                yield chunk.slice(start, end - start)


@functools.cache
def character_kinds() -> npt.NDArray[np.uint16]:
    """Kind bits of every code point."""
    kinds = np.zeros(_NUM_CODES, dtype=np.uint16)
    for ranges, kind in ((_HAN_RANGES, HAN), (_KANA_RANGES, KANA), (_HANGUL_RANGES, HANGUL), (_EMOJI_RANGES, EMOJI)):
        for first, last in ranges:
            kinds[first : last + 1] |= kind
    mapping = character_mapping()
    for code in _assigned_codes():
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            kinds[code] |= DIGIT
        elif category[0] in "PSC":
            kinds[code] |= SPECIAL
        elif category[0] == "L" and not kinds[code] & (HAN | KANA | HANGUL) and code != 0x30FC:
            kinds[code] |= LETTER
        if category[0] == "M" or 0x1160 <= code <= 0x11FF or not unicodedata.is_normalized("NFC", character):
            kinds[code] |= COMPOSES
    kinds[mapping == 0x20] |= SPACE
    kinds[mapping != np.arange(_NUM_CODES)] |= MAPPED
    for character, kind in (("@", AT_SIGN), ("&", AMPERSAND), ("\ufffd", UNDECODABLE)):
        kinds[ord(character)] |= kind
    kinds.setflags(write=False)
    return kinds


@functools.cache
def character_mapping() -> Codes:
    """What each code point is stored as: itself, a plain form, a space, or DELETED."""
    mapping = np.arange(_NUM_CODES, dtype=np.uint32)
    mapping[0xE000:0xF900] = mapping[0xF0000:] = mapping[0xD800:0xE000] = DELETED
    for code in _assigned_codes():
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] == "Z" or character in _BLANK_LETTERS or character in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85":
            mapping[code] = 0x20
        elif category in ("Cc", "Cf") or character == "\ufffc":
            mapping[code] = DELETED
    for code in range(0xFF01, 0xFF5F):
        if chr(code) not in _FULL_WIDTH_KEPT:
            mapping[code] = code - 0xFEE0
    mapping[0xFDD0:0xFDF0] = DELETED
    for plane in range(17):
        mapping[plane * 0x10000 + 0xFFFE : plane * 0x10000 + 0x10000] = DELETED
    mapping.setflags(write=False)
    return mapping


def _assigned_codes() -> Iterator[int]:
    """Code points whose properties differ: the planes in use, without the large uniform blocks."""
    yield from range(0x3400)
    yield from range(0x4DC0, 0x4E00)
    yield from range(0xA000, 0xAC00)
    yield from range(0xD7A4, 0xD800)
    yield from range(0xF900, 0x17000)
    yield from range(0x18D00, 0x20000)
    yield from range(0x2F800, 0x2FA20)
    yield from range(0xE0000, 0xE0200)


def _utf8_bytes(texts: pa.Array) -> bytes:
    if len(texts) == 0 or texts.buffers()[2] is None:
        return b""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data: bytes = texts.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes()
    return data
