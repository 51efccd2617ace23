"""What the weights of names learn from the labelled rows: the evidence for each candidate, and whether it is a name."""

import itertools
import random
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import pyarrow as pa
from labelled import Half, labelled_rows

from crawler.search.query_words import jieba_dictionary
from filters.texts import dotted_names, name_candidates, name_evidence, name_surroundings
from filters.texts.name_characters import NOT_NAMES, RARE_SURNAMES, SURNAMES, begins_title
from filters.texts.person_nouns import FOUND, person_before
from filters.texts.words import tagged
from filters.zh import simplify

Row = tuple[str, frozenset[tuple[int, int]]]
"""A text, and the (start, end) of each name in it."""
Example = tuple[dict[str, float], bool, float]
"""The evidence for a candidate, whether it is a name, and how much it counts."""
_UNLISTED, _ALONE, _SWAPPED, _OTHERS, _CALLED = 0.5, 0.3, 0.1, 0.2, 0.15
_HALVES: dict[str, Half] = {"unseen2": "tuning"}
"""Of which sets one half only is looked at."""
_FIRST = "路党班图连全应向来万由简索皮池宫支商查古门楼校油香铁银青雪鲜黑种相保利达满展才车单常高管解江文方"


def row_examples(name: str) -> dict[str, list[Example]]:
    """For each row of a labelled set what is learnt from it."""
    labelled = texts_of(name)
    plain = simplify(pa.array([re.sub("[{}]", "", text) for text in labelled])).to_pylist()
    found: dict[str, Row] = {}
    for text, marked in zip(plain, labelled, strict=True):
        spans = [match.span() for match in re.finditer(r"\{[^}]*\}", marked)]
        found[marked] = (text, frozenset((a - 2 * place, b - 2 * place - 2) for place, (a, b) in enumerate(spans)))
    names = frozenset(text[start:end] for text, spans in found.values() for start, end in spans)
    return {marked: list(_of_row(row, names)) for marked, row in found.items()}


def texts_of(name: str) -> list[str]:
    """The marked rows of a set that may be looked at."""
    return [text for _, text in labelled_rows(name, _HALVES.get(name))]


def _of_row(row: Row, names: frozenset[str]) -> Iterator[Example]:
    text, spans = row
    chance = random.Random(text)
    alone = [(text[start:end], frozenset({(0, end - start)})) for start, end in sorted(spans)]
    fewer = name_candidates.people() - names
    for some, weight in (([row], 1.0), (alone, _ALONE)):
        yield from examples(some, weight)
        with listing(fewer, frozenset()):
            yield from list(examples(some, weight * _UNLISTED))
    for start, end in sorted(spans):
        if _is_called(text, start, end):
            other = chance.choice(names_too())
            yield from examples([_with_other(row, (start, end), other)], _CALLED)
    for _ in range(3 if spans else 0):
        start, end = chance.choice(sorted(spans))
        before = frozenset(name for name in spans if name[1] <= start)
        for other in (chance.choice(_words()), chance.choice(_FIRST) + chance.choice(common_words())):
            yield from examples([(text[:start] + other + text[end:], before)], _SWAPPED)


def _is_called(text: str, start: int, end: int) -> bool:
    """Whether a noun for a person stands before a name, or what he is called behind it."""
    before = tagged([text[:start]]) if start else []
    return person_before(before, len(before)) in ("role", "person") or begins_title(text[end : end + 4])


def _with_other(row: Row, span: tuple[int, int], other: str) -> Row:
    """With another name in place of one."""
    (text, spans), (start, end) = row, span
    further = len(other) - (end - start)
    moved = {(a + further * (a > start), b + further * (b > start)) for a, b in spans}
    return text[:start] + other + text[end:], frozenset(moved)


@cache
def names_too() -> list[str]:
    """Words of two characters that the dictionary has as names, many of them words for other things too: 白雪, 汪洋."""
    first = SURNAMES | RARE_SURNAMES
    return sorted(word for word, _, tag in _dictionary() if len(word) == 2 and tag == "nr" and word[0] in first)


@cache
def _words() -> list[str]:
    return [
        word for word, count, tag in _dictionary() if 2 <= len(word) <= 4 and count >= 15 and _is_no_name(word, tag)
    ]


def unlisted_examples(marked: dict[str, list[Example]]) -> dict[str, list[Example]]:
    """Rows with another well-known Chinese name in place of each Chinese one, and the list without it."""
    known = sorted(name for name in name_candidates.people() if 2 <= len(name) <= 3 and name[0] in SURNAMES)
    by_size = {size: [name for name in known if len(name) == size] for size in (2, 3)}
    found = {}
    for text in marked:
        chance = random.Random(text)
        plain = simplify(pa.array([text])).to_pylist()[0]
        learnt: list[Example] = []
        for _ in range(3 if "{" in text else 0):
            other = _with_others(plain, chance, by_size)
            spans = [match.span() for match in re.finditer(r"\{[^}]*\}", other)]
            row = (
                re.sub("[{}]", "", other),
                frozenset((a - 2 * place, b - 2 * place - 2) for place, (a, b) in enumerate(spans)),
            )
            with listing(name_candidates.people() - {row[0][start:end] for start, end in row[1]}):
                learnt += examples([row], _OTHERS)
        found[text] = learnt
    return found


def _with_others(text: str, chance: random.Random, by_size: dict[int, list[str]]) -> str:
    """The marked text with other names in place of those that begin with a Chinese surname."""

    def another(match: re.Match[str]) -> str:
        name = match[1]
        return "{" + (chance.choice(by_size[len(name)]) if name[0] in SURNAMES else name) + "}"

    return re.sub(r"\{([^}·]{2,3})\}", another, text)


@contextmanager
def listing(known: frozenset[str], not_names: frozenset[str] = NOT_NAMES) -> Iterator[None]:
    """With other well-known people, and other words that are no names."""
    modules = (name_candidates, name_evidence, name_surroundings, dotted_names)
    with ExitStack() as patches:
        for module in modules:
            patches.enter_context(mock.patch.object(module, "people", return_value=known))
        for module in (name_candidates, name_evidence):
            patches.enter_context(mock.patch.object(module, "NOT_NAMES", not_names))
        yield


def examples(rows: Iterable[Row], weight: float) -> Iterator[Example]:
    for text, names in (_without_dotted(row) for row in rows):
        bare = re.sub("《[^》]*》", lambda match: "《" + "\u3000" * (len(match[0]) - 2) + "》", text)
        words = name_candidates.with_surnames(tagged([bare]))
        begins = list(itertools.accumulate((len(word) for word, _ in words), initial=0))
        before = list(words)
        whose = {end: start for start, end in names}
        for place, begin in enumerate(begins[:-1]):
            if begin in whose:
                first = begins.index(whose[begin]) if whose[begin] in begins else place
                before[first:place] = [(FOUND, "nr")] * (place - first)
            seen = [*before[:place], *words[place:]]
            for found in name_candidates.candidates(seen, place):
                is_name = (begin, begin + len(found.name)) in names
                yield name_evidence.evidence(seen, place, found), is_name, weight


def _without_dotted(row: Row) -> Row:
    """The row with `FOUND` for each character of a name with dots, which is told before all others."""
    text, names = row
    for start, end in dotted_names.dotted_names(text):
        text = text[:start] + FOUND * (end - start) + text[end:]
        names = frozenset(span for span in names if span[1] <= start or span[0] >= end)
    return text, names


@cache
def common_words() -> list[str]:
    """Common words of two characters: behind a surname that is a word they are no given name."""
    return [word for word, count, tag in _dictionary() if len(word) == 2 and count >= 200 and tag[0] in "nvad"]


def _dictionary() -> list[tuple[str, int, str]]:
    lines = Path(jieba_dictionary()).read_text(encoding="utf-8").splitlines()
    return [(word, int(count), tag) for word, count, tag in (line.split(" ") for line in lines)]


def _is_no_name(word: str, tag: str) -> bool:
    return word[0] in SURNAMES | RARE_SURNAMES and not tag.startswith("nr") and tag[0] in "nvabd"
