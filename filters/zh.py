"""Traditional Chinese written in Simplified characters, by OpenCC, where a text needs it."""

import functools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import Bools, Counts, TextColumn, replaced
from filters.texts.beside import sources_of

_NUM_CODES = 0x110000
# Blocks with characters that OpenCC's t2s dictionary knows.
_BLOCKS = ((0x2E80, 0x3100), (0x3400, 0xA000), (0xF900, 0xFB00), (0x20000, 0x32400))


def simplify(texts: pa.Array) -> pa.Array:
    """The texts with phrases and characters as OpenCC's `t2s` gives them.

    A text without any Traditional character is Simplified already and stays as it is:
    `t2s` alone would harm some (打坏 becomes 打坯). Texts hold no line breaks, else ValueError.
    """
    rows = traditional_rows(TextColumn(texts))
    if not len(rows):
        return texts
    before = texts.take(pa.array(rows)).to_pylist()
    return replaced(texts, rows, pa.array(converted(before), pa.string()))


def traditional_rows(column: TextColumn) -> Counts:
    """The texts with a Traditional character, ascending."""
    return column.rows_with(traditional_characters()[column.codes])


def is_traditional(column: TextColumn) -> pa.Array:
    """True where OpenCC's `t2s` changes the text as it came: it was written in Traditional characters, if only some."""
    sources = sources_of(column).texts
    changed = pc.not_equal(sources, simplify(sources))
    return pc.if_else(pc.is_valid(column.texts), pc.fill_null(changed, False), None)


@functools.cache
def traditional_characters() -> Bools:
    """For every code point, whether OpenCC writes it otherwise where it stands alone."""
    changed = np.zeros(_NUM_CODES, dtype=np.bool_)
    characters = [chr(code) for first, end in _BLOCKS for code in range(first, end)]
    for before, after in zip(characters, converted(characters), strict=True):
        changed[ord(before)] = before != after
    changed.setflags(write=False)
    return changed


def converted(texts: list[str], conversion: str = "t2s") -> list[str]:
    """The texts as one of OpenCC's conversions has them, all in one call: none of its phrases crosses a line break."""
    result: list[str] = _opencc(conversion).convert("\n".join(texts)).split("\n")
    if len(result) != len(texts):
        raise ValueError(f"{len(texts)} texts came back as {len(result)}: one holds a line break")
    return result


@functools.cache
def _opencc(conversion: str) -> Any:
    import opencc

    return opencc.OpenCC(conversion)
