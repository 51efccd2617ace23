"""How many phrases of a list a text holds: sensitive words, and what advertisements say."""

import functools
from collections.abc import Iterable
from pathlib import Path

import ahocorasick_rs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import TextColumn
from filters.texts.beside import beside_of

LISTS = Path(__file__).parent / "lists"


class PhraseMatcher:
    """Finds all of a list's phrases in one pass over a column; of those that overlap, the first and longest counts.

    Letters of ASCII match in either case. Phrases hold no line breaks.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        patterns = sorted({_ascii_lower(phrase) for phrase in phrases if phrase})
        longest = ahocorasick_rs.MatchKind.LeftmostLongest
        self._automaton = ahocorasick_rs.AhoCorasick(patterns, matchkind=longest)

    def counts(self, column: TextColumn) -> pa.Array:
        """Per text, how many phrases it holds, each place counted; int32, null where the text is."""
        texts = pc.ascii_lower(pc.fill_null(column.texts, ""))
        joined = "\n".join(texts.to_pylist())
        found = self._automaton.find_matches_as_indexes(joined)
        begins = column.starts[:-1] + np.arange(len(column.texts))
        places = np.fromiter((start for _, start, _ in found), np.int64, len(found))
        rows = np.searchsorted(begins, places, side="right") - 1
        return column.column(np.bincount(rows, minlength=len(column.texts)), pa.int32())


def sensitive_hits(column: TextColumn) -> pa.Array:
    """Words of the shipped list (sex for sale, gambling, drugs, weapons, fraud) and of `text.sensitive`."""
    return matcher(LISTS / "sensitive.txt", *beside_of(column).settings.sensitive).counts(column)


def ad_hits(column: TextColumn) -> pa.Array:
    """Phrases of the shipped list of advertising and of `text.ads`."""
    return matcher(LISTS / "ads.txt", *beside_of(column).settings.ads).counts(column)


@functools.lru_cache(maxsize=8)
def matcher(*paths: Path | str) -> PhraseMatcher:
    """A matcher of all phrases of the files, kept for the next column."""
    return PhraseMatcher(phrase for path in paths for phrase in read_phrases(path))


def read_phrases(path: Path | str) -> list[str]:
    """A phrase a line, in UTF-8; empty lines and lines that begin with # say nothing.

    Raises OSError and UnicodeDecodeError.
    """
    lines = (line.strip() for line in Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _ascii_lower(phrase: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in phrase)
