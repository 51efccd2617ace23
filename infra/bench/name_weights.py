"""Fits the weights by which people's names are told: filters/texts/lists/name_weights.tsv, the same bytes each time.

    python infra/bench/name_weights.py LISTS        a minute; LISTS holds THUOCL and coco-cn as their authors have them

It learns from infra/labelled: both halves of names.tsv and the tuning half of people.tsv, each name with the list of
well-known people and without, alone, and with a word of jieba's dictionary put in its place; and from word lists and
captions without people. Of the reported half of people.tsv and of any recipe site it sees nothing.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from labelled import labelled_rows
from scipy.optimize import minimize

from crawler.search.query_words import jieba_dictionary
from filters.texts import name_candidates, name_evidence
from filters.texts.name_characters import SURNAMES
from filters.texts.name_scores import WEIGHTS
from filters.texts.words import tagged
from filters.zh import simplify

Row = tuple[str, frozenset[tuple[int, int]]]
"""A text, and the (start, end) of each name in it."""
Example = tuple[dict[str, float], bool, float]
"""The evidence for a candidate, whether it is a name, and how much it counts."""
Doubles = npt.NDArray[np.float64]
_UNLISTED, _ALONE, _SWAPPED, _WORD, _CAPTION, _LISTING = 0.5, 0.3, 0.3, 0.03, 0.25, 0.06
_LEAST_SEEN, _SHRINKAGE = 4, 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path)
    lists = parser.parse_args().lists
    chance = random.Random(9)
    rows = [*_rows("people", "tuning"), *_rows("names", "tuning"), *_rows("names", "reported")]
    examples = [*_with_names(chance, rows), *_without_names(chance, lists)]
    found = _fitted(examples)
    lines = [f"{kind}\t{weight:.2f}\n" for kind, weight in sorted(found.items())]
    head = "# What one of each kind of evidence adds, fitted by infra/bench/name_weights.py.\n"
    WEIGHTS.write_text(head + "".join(lines), encoding="utf-8")


def _rows(name: str, half: str) -> Iterator[Row]:
    labelled = [text for _, text in labelled_rows(name, "tuning" if half == "tuning" else "reported")]
    plain = simplify(pa.array([re.sub("[{}]", "", text) for text in labelled])).to_pylist()
    for text, marked in zip(plain, labelled, strict=True):
        found = [match.span() for match in re.finditer(r"\{[^}]*\}", marked)]
        yield text, frozenset((start - 2 * place, end - 2 * place - 2) for place, (start, end) in enumerate(found))


def _with_names(chance: random.Random, rows: list[Row]) -> Iterator[Example]:
    alone = [(text[start:end], frozenset({(0, end - start)})) for text, names in rows for start, end in sorted(names)]
    words = [
        word for word, count, tag in _dictionary() if 2 <= len(word) <= 4 and count >= 15 and _is_no_name(word, tag)
    ]
    for some, weight in ((rows, 1.0), (alone, _ALONE)):
        yield from _examples(some, weight)
        with (
            mock.patch.object(name_candidates, "people", frozenset),
            mock.patch.object(name_evidence, "people", frozenset),
            mock.patch.object(name_candidates, "_listed_pairs", frozenset),
        ):
            yield from list(_examples(some, weight * _UNLISTED))
    for text, names in rows:
        for _ in range(3 if names else 0):
            start, end = chance.choice(sorted(names))
            before = frozenset(name for name in names if name[1] <= start)
            yield from _examples([(text[:start] + chance.choice(words) + text[end:], before)], _SWAPPED)


def _without_names(chance: random.Random, lists: Path) -> Iterator[Example]:
    of_lists = {name: _list(lists, name) for name in ("food", "animal", "IT", "chengyu", "diming")}
    for words in of_lists.values():
        yield from _examples([(word, frozenset()) for word in chance.sample(words, 2_000)], _WORD)
    captions = (lists / "coco-cn" / "coco-cn_ext.icap2020.txt").read_text(encoding="utf-8").splitlines()
    yield from _examples([(line.split("\t")[-1].strip(), frozenset()) for line in captions], _CAPTION)
    short = [word for name in ("food", "animal") for word in of_lists[name] if 2 <= len(word) <= 4]
    listings = ["、".join(chance.choices(short, k=3)) for _ in range(1_500)]
    yield from _examples([(listing, frozenset()) for listing in listings], _LISTING)


def _examples(rows: Iterable[Row], weight: float) -> Iterator[Example]:
    for text, names in rows:
        words = tagged([re.sub("《[^》]*》", lambda match: "《" + "\u3000" * (len(match[0]) - 2) + "》", text)])
        begin = 0
        for place, (word, _) in enumerate(words):
            for found in name_candidates.candidates(words, place):
                is_name = (begin, begin + len(found.name)) in names
                yield name_evidence.evidence(words, place, found), is_name, weight
            begin += len(word)


def _fitted(examples: list[Example]) -> dict[str, float]:
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


def _list(lists: Path, name: str) -> list[str]:
    text = (lists / "THUOCL" / f"THUOCL_{name}.txt").read_text(encoding="utf-8-sig")
    return [line.split("\t")[0].strip() for line in text.splitlines() if line.strip()]


def _dictionary() -> list[tuple[str, int, str]]:
    lines = Path(jieba_dictionary()).read_text(encoding="utf-8").splitlines()
    return [(word, int(count), tag) for word, count, tag in (line.split(" ") for line in lines)]


def _is_no_name(word: str, tag: str) -> bool:
    return word[0] in SURNAMES and not tag.startswith("nr") and tag[0] in "nvabd"


if __name__ == "__main__":
    main()
