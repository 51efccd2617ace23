"""A list of queries from a word-frequency list: the most frequent words of some parts of speech, without stop words."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from crawler.search.queries import HEADER, MAX_QUERY_CHARS, text_lines
from shards.errors import BadInputError, UsageError

DEFAULT_TAGS = ("n", "ns", "nt", "nz", "nw", "s", "vn", "i")
"""What a picture may show, by jieba's tags (ICTCLAS): things, places, organisations, works, deeds and idioms. People's
names (nr) are left out: who asks for them by name collects people."""

_BATCH = 100_000
_LEFT_OUT_AT_ONCE = 1000


@dataclass(frozen=True)
class Word:
    """A word, how often it was seen, and its part of speech, empty where the list has none."""

    text: str
    frequency: float
    tag: str


@dataclass(frozen=True)
class WordChoice:
    """Which words of a list become queries: the `top` most frequent of those with one of the `tags` and none of `stop`.

    `tags` that end in * stand for all that begin so; empty, every part of speech will do. Lengths are of characters.
    """

    top: int = 200_000
    tags: tuple[str, ...] = DEFAULT_TAGS
    stop: frozenset[str] = frozenset()
    min_chars: int = 2
    max_chars: int = 16
    any_script: bool = False

    def takes(self, word: Word) -> bool:
        is_long_enough = self.min_chars <= len(word.text) <= min(self.max_chars, MAX_QUERY_CHARS)
        is_of_tags = not self.tags or any(_fits(tag, word.tag) for tag in self.tags)
        is_chinese = self.any_script or any("\u3400" <= letter <= "\u9fff" for letter in word.text)
        is_plain = all(unicodedata.category(letter) not in ("Cc", "Cs") for letter in word.text)
        return is_long_enough and is_of_tags and is_chinese and is_plain and word.text not in self.stop


def jieba_dictionary() -> str:
    """The path of the dictionary that jieba brings along, some 350,000 words with frequencies and tags."""
    found = find_spec("jieba")
    if found is None or not found.submodule_search_locations:
        raise UsageError("jieba is not installed, whose dictionary is the default: install it, or name a list of words")
    return str(Path(found.submodule_search_locations[0]) / "dict.txt")


@dataclass
class LinesRead:
    """How many lines of a list gave a word, how many were left out, and the first of these."""

    num_words: int = 0
    num_left_out: int = 0
    first_left_out: str = ""


def read_words(path: str, lines: LinesRead | None = None) -> Iterator[Word]:
    """The words of a list: word, frequency and, where there is one, tag; between tabs, or spaces as in jieba's.

    A first line without a number is a header; any other line that is not of this form is left out, and counted in
    `lines`. Raises BadInputError where these are the most: the list is another one.
    """
    seen = lines or LinesRead()
    for number, line in text_lines(path):
        parts = line.split("\t") if "\t" in line else line.split()
        if not parts or not line.strip():
            continue
        frequency = _frequency(parts)
        if frequency is not None:
            seen.num_words += 1
            yield Word(parts[0].strip(), frequency, parts[2].strip() if len(parts) > 2 else "")
        elif number > 1:
            seen.num_left_out += 1
            seen.first_left_out = seen.first_left_out or f"line {number} is {line[:60]!r}"
            if seen.num_left_out >= _LEFT_OUT_AT_ONCE:
                _refuse_another_list(path, seen)
    _refuse_another_list(path, seen)


def _refuse_another_list(path: str, seen: LinesRead) -> None:
    if seen.num_left_out > seen.num_words:
        raise BadInputError(f"{path}: {seen.first_left_out}; expected a word, its frequency, and maybe a tag")


def with_tags_of_jieba(words: Iterable[Word]) -> Iterator[Word]:
    """The words with the tags that jieba's dictionary has for them; those that it does not know have none."""
    tags = {word.text: word.tag for word in read_words(jieba_dictionary())}
    for word in words:
        yield replace(word, tag=tags.get(word.text, ""))


def read_stop_words(paths: Iterable[str]) -> frozenset[str]:
    """One word a line."""
    return frozenset(line.strip() for path in paths for _, line in text_lines(path))


def choose_words(words: Iterable[Word], choice: WordChoice) -> list[Word]:
    """The words by falling frequency, equals by themselves; of a word that is there twice the more frequent counts.

    Memory grows with `choice.top` and not with the list.
    """
    found: dict[str, Word] = {}
    for word in words:
        known = found.get(word.text)
        if choice.takes(word) and (known is None or _order(word) < _order(known)):
            found[word.text] = word
            if len(found) >= choice.top + _BATCH:
                found = {kept.text: kept for kept in sorted(found.values(), key=_order)[: choice.top]}
    return sorted(found.values(), key=_order)[: choice.top]


def query_list(words: Iterable[Word]) -> str:
    """A TSV with a header, as `source: {kind: search, queries: …}` reads it."""
    rows = (f"{word.text}\t{word.frequency:.15g}\t{word.tag}\n" for word in words)
    return f"{HEADER}\tfrequency\ttag\n" + "".join(rows)


def _order(word: Word) -> tuple[float, str, str]:
    return -word.frequency, word.text, word.tag


def _fits(wanted: str, tag: str) -> bool:
    return tag.startswith(wanted[:-1]) if wanted.endswith("*") else tag == wanted


def _frequency(parts: list[str]) -> float | None:
    """The second column, if it is a number that can be compared."""
    try:
        value = float(parts[1])
    except (IndexError, ValueError):
        return None
    return value if 0 <= value < float("inf") else None
