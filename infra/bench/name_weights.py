"""Fits the weights by which people's names are told: filters/texts/lists/name_weights.tsv, the same bytes each time.

    python infra/bench/name_weights.py LISTS        a minute; LISTS holds THUOCL and coco-cn as their authors have them

It learns from infra/labelled: all of people.tsv, captions.tsv and names.tsv, each row with the list of well-known
people and without the rows' names, its names alone, with words in their place and with other people's names there; from
well-known names put into captions of coco-cn and before things that are called after people; and from word lists and
captions without people. `name_folds.py` judges it by cross-validation.
"""

import argparse
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from labelled import labelled_rows
from scipy.optimize import minimize

from crawler.search.query_words import jieba_dictionary
from filters.texts import name_candidates, name_evidence
from filters.texts.name_characters import RARE_SURNAMES, SURNAMES, THINGS
from filters.texts.name_scores import WEIGHTS
from filters.texts.person_nouns import FOUND
from filters.texts.words import tagged
from filters.zh import simplify

Row = tuple[str, frozenset[tuple[int, int]]]
"""A text, and the (start, end) of each name in it."""
Example = tuple[dict[str, float], bool, float]
"""The evidence for a candidate, whether it is a name, and how much it counts."""
Doubles = npt.NDArray[np.float64]
_UNLISTED, _ALONE, _SWAPPED, _WORD, _CAPTION, _LISTING = 0.5, 0.3, 0.1, 0.03, 0.25, 0.06
_INSERTED, _THING, _OTHERS = 0.1, 0.1, 0.2
SETS, JUDGED = ("people", "captions", "names"), ("people", "captions")
"""What is learnt from, and what cross-validation judges."""
_FIRST = "路党班图连全应向来万由简索皮池宫支商查古门楼校油香铁银青雪鲜黑种相保利达满展才车单常高管解江文方"
_LEAST_SEEN, _SHRINKAGE = 4, 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path)
    lists = parser.parse_args().lists
    of_rows = {name: row_examples(name) for name in SETS}
    rows = [examples for of_set in of_rows.values() for examples in of_set.values()]
    for name in JUDGED:
        rows += unlisted_examples(of_rows[name]).values()
    found = fitted([example for examples in [*rows, outside_examples(lists)] for example in examples])
    lines = [f"{kind}\t{weight:.2f}\n" for kind, weight in sorted(found.items())]
    head = "# What one of each kind of evidence adds, fitted by infra/bench/name_weights.py.\n"
    WEIGHTS.write_text(head + "".join(lines), encoding="utf-8")


def row_examples(name: str) -> dict[str, list[Example]]:
    """For each row of a labelled set what is learnt from it."""
    labelled = [text for _, text in labelled_rows(name)]
    plain = simplify(pa.array([re.sub("[{}]", "", text) for text in labelled])).to_pylist()
    found: dict[str, Row] = {}
    for text, marked in zip(plain, labelled, strict=True):
        spans = [match.span() for match in re.finditer(r"\{[^}]*\}", marked)]
        found[marked] = (text, frozenset((a - 2 * place, b - 2 * place - 2) for place, (a, b) in enumerate(spans)))
    names = frozenset(text[start:end] for text, spans in found.values() for start, end in spans)
    return {marked: list(_of_row(row, names)) for marked, row in found.items()}


def _of_row(row: Row, names: frozenset[str]) -> Iterator[Example]:
    text, spans = row
    chance = random.Random(text)
    alone = [(text[start:end], frozenset({(0, end - start)})) for start, end in sorted(spans)]
    fewer = name_candidates.people() - names
    for some, weight in (([row], 1.0), (alone, _ALONE)):
        yield from _examples(some, weight)
        with listing(fewer):
            yield from list(_examples(some, weight * _UNLISTED))
    for _ in range(3 if spans else 0):
        start, end = chance.choice(sorted(spans))
        before = frozenset(name for name in spans if name[1] <= start)
        for other in (chance.choice(_words()), chance.choice(_FIRST) + chance.choice(_second())):
            yield from _examples([(text[:start] + other + text[end:], before)], _SWAPPED)


@contextmanager
def listing(known: frozenset[str]) -> Iterator[None]:
    """With other well-known people."""
    with (
        mock.patch.object(name_candidates, "people", return_value=known),
        mock.patch.object(name_evidence, "people", return_value=known),
    ):
        yield


@cache
def _words() -> list[str]:
    return [
        word for word, count, tag in _dictionary() if 2 <= len(word) <= 4 and count >= 15 and _is_no_name(word, tag)
    ]


@cache
def _second() -> list[str]:
    """Common words of two characters: behind a surname that is a word they are no given name."""
    return [word for word, count, tag in _dictionary() if len(word) == 2 and count >= 200 and tag[0] in "nvad"]


def outside_examples(lists: Path) -> list[Example]:
    """What is learnt from word lists and captions without people."""
    return [*_without_names(random.Random(9), lists), *listed_examples(lists)]


def _without_names(chance: random.Random, lists: Path) -> Iterator[Example]:
    of_lists = {name: _list(lists, name) for name in ("food", "animal", "IT", "chengyu", "diming")}
    for words in of_lists.values():
        yield from _examples([(word, frozenset()) for word in chance.sample(words, 2_000)], _WORD)
    yield from _examples([(line, frozenset()) for line in _captions(lists)], _CAPTION)
    short = [word for name in ("food", "animal") for word in of_lists[name] if 2 <= len(word) <= 4]
    listings = ["、".join(chance.choices(short, k=3)) for _ in range(1_500)]
    yield from _examples([(listing, frozenset()) for listing in listings], _LISTING)


def listed_examples(lists: Path) -> list[Example]:
    """Well-known people put into captions between two words, and before things that are called after them."""
    chance = random.Random(10)
    captions = _captions(lists)
    known = sorted(name_candidates.people())
    found: list[Example] = []
    for name in chance.sample(known, 2_500):
        words = [word for word, _ in tagged([chance.choice(captions)])]
        cut = chance.randrange(len(words))
        before = "".join(words[:cut]) if cut % 2 else ""
        text = before + name + "".join(words[cut:])
        for held, is_name, _ in _examples([(text, frozenset({(len(before), len(before) + len(name))}))], 1.0):
            if not is_name or not any("thing" in kind for kind in held):
                found.append((held, is_name, _INSERTED))
        if chance.random() < 0.4:
            found += _examples([(name + chance.choice(THINGS), frozenset())], _THING)
    return found


def unlisted_examples(marked: dict[str, list[Example]]) -> dict[str, list[Example]]:
    """Rows with another well-known Chinese name in place of each Chinese one, and the list without it."""
    known = sorted(name for name in name_candidates.people() if 2 <= len(name) <= 3 and name[0] in SURNAMES)
    by_size = {size: [name for name in known if len(name) == size] for size in (2, 3)}
    found = {}
    for text in marked:
        chance = random.Random(text)
        plain = simplify(pa.array([text])).to_pylist()[0]
        examples: list[Example] = []
        for _ in range(3 if "{" in text else 0):
            other = _with_others(plain, chance, by_size)
            spans = [match.span() for match in re.finditer(r"\{[^}]*\}", other)]
            row = (
                re.sub("[{}]", "", other),
                frozenset((a - 2 * place, b - 2 * place - 2) for place, (a, b) in enumerate(spans)),
            )
            with listing(name_candidates.people() - {row[0][start:end] for start, end in row[1]}):
                examples += _examples([row], _OTHERS)
        found[text] = examples
    return found


def _with_others(text: str, chance: random.Random, by_size: dict[int, list[str]]) -> str:
    """The marked text with other names in place of those that begin with a Chinese surname."""

    def another(match: re.Match[str]) -> str:
        name = match[1]
        return "{" + (chance.choice(by_size[len(name)]) if name[0] in SURNAMES else name) + "}"

    return re.sub(r"\{([^}·]{2,3})\}", another, text)


def _examples(rows: Iterable[Row], weight: float) -> Iterator[Example]:
    for text, names in rows:
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


def fitted(examples: list[Example]) -> dict[str, float]:
    """Weights by logistic regression, shrunk towards nothing but for the bias."""
    seen = Counter(kind for held, _, _ in examples for kind in held)
    kinds = {kind: place for place, kind in enumerate(sorted(kind for kind in seen if seen[kind] >= _LEAST_SEEN))}
    amounts = np.zeros((len(examples), len(kinds) + 1))
    amounts[:, -1] = 1.0
    for row, (held, _, _) in enumerate(examples):
        for kind, amount in held.items():
            if kind in kinds:
                amounts[row, kinds[kind]] = amount
    truth = np.array([is_name for _, is_name, _ in examples], np.float64)
    weights = np.array([weight for _, _, weight in examples])
    shrinkage = np.append(np.full(len(kinds), _SHRINKAGE), 0.01)

    def loss(at: Doubles) -> tuple[float, Doubles]:
        sums = np.clip(amounts @ at, -35.0, 35.0)
        missed = weights * (np.logaddexp(0.0, sums) - truth * sums)
        slope = amounts.T @ (weights * (1 / (1 + np.exp(-sums)) - truth)) + shrinkage * at
        return float(missed.sum() + (shrinkage * at**2).sum() / 2), slope

    found = minimize(loss, np.zeros(len(kinds) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 400}).x
    return dict(zip([*kinds, "bias"], found.tolist(), strict=True))


def _captions(lists: Path) -> list[str]:
    lines = (lists / "coco-cn" / "coco-cn_ext.icap2020.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[-1].strip() for line in lines]


def _list(lists: Path, name: str) -> list[str]:
    text = (lists / "THUOCL" / f"THUOCL_{name}.txt").read_text(encoding="utf-8-sig")
    return [line.split("\t")[0].strip() for line in text.splitlines() if line.strip()]


def _dictionary() -> list[tuple[str, int, str]]:
    lines = Path(jieba_dictionary()).read_text(encoding="utf-8").splitlines()
    return [(word, int(count), tag) for word, count, tag in (line.split(" ") for line in lines)]


def _is_no_name(word: str, tag: str) -> bool:
    return word[0] in SURNAMES | RARE_SURNAMES and not tag.startswith("nr") and tag[0] in "nvabd"


if __name__ == "__main__":
    main()
