"""How well names are told in captions that the weights were not fitted on: the sets that they learn from, by folds.

    python infra/bench/name_folds.py LISTS [--errors] [--least 1.0 1.5]      minutes; LISTS as for name_weights.py

Rows are dealt to five folds by a hash of their text; the weights are fitted without a fold and judged on it: with the
lists of well-known people and of words that are no names; without every second name of the rows and every second such
word (by a hash); and without any of them. `--least` judges by other thresholds, all sets but people.tsv together.
"""

import argparse
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from unittest import mock

import name_contexts
import name_examples
import name_weights
import pyarrow as pa
from labelled import judged_names

from filters.texts import name_candidates, name_scores
from filters.texts.name_characters import NOT_NAMES
from filters.zh import simplify

_FOLDS = 5
_USES = ("list", "half", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path)
    parser.add_argument("--errors", action="store_true", help="print the rows that went wrong with the whole list")
    parser.add_argument("--least", type=float, nargs="*", default=[], help="other thresholds to judge by")
    arguments = parser.parse_args()
    counts = {name: {use: Counter[str]() for use in _USES} for name in name_weights.JUDGED}
    by_least = {(least, use): Counter[str]() for least in arguments.least for use in _USES}
    of_sets = {name: _rows(name) for name in name_weights.JUDGED}
    for fold, weights in enumerate(_weights(arguments.lists)):
        for name, rows in of_sets.items():
            held_out = [text for text in rows if _hash(text) % _FOLDS == fold]
            for use in _USES:
                found, wrong = _judged(held_out, weights, rows, use)
                counts[name][use] += found
                if arguments.errors and use == "list":
                    print("\n".join(wrong))
            for least, use in by_least if name != "people" else ():
                by_least[least, use] += _judged(held_out, weights, rows, use, least)[0]
    name_scores.forget()
    figures = {name: {use: _shares(found) for use, found in of_uses.items()} for name, of_uses in counts.items()}
    result = {"name": "name_folds", "folds": _FOLDS, "threshold": name_scores.LEAST, "ours": figures}
    thresholds = {f"{use} {least}": _shares(found) for (least, use), found in by_least.items()}
    print(json.dumps(result | ({"least": thresholds} if thresholds else {})))


def _judged(
    rows: list[str], weights: dict[str, float], of_set: list[str], use: str, least: float = name_scores.LEAST
) -> tuple[Counter[str], list[str]]:
    """Judged by these weights, with lists that lack what this use leaves out."""
    name_scores.forget()
    known, not_names = name_candidates.people() - _left_out(_names(of_set), use), NOT_NAMES - _left_out(NOT_NAMES, use)
    with (
        name_examples.listing(known, not_names),
        mock.patch.object(name_scores, "weights", return_value=weights),
        mock.patch.object(name_scores, "LEAST", least),
    ):
        return judged_names(rows)


def _rows(name: str) -> list[str]:
    rows: list[str] = simplify(pa.array(name_examples.texts_of(name))).to_pylist()
    return rows


def _names(rows: list[str]) -> frozenset[str]:
    return frozenset(name for text in rows for name in re.findall(r"\{([^}]*)\}", text))


def _left_out(words: frozenset[str], use: str) -> frozenset[str]:
    """The names of the rows, or the words, that a list is to lack."""
    return {"list": frozenset[str](), "half": frozenset(word for word in words if _hash(word) % 2), "none": words}[use]


def _weights(lists: Path) -> list[dict[str, float]]:
    """For each fold what is fitted without it."""
    of_rows = {name: name_examples.row_examples(name) for name in name_weights.SETS}
    always = name_contexts.outside_examples(lists)
    always += [example for examples in of_rows.pop("names").values() for example in examples]
    judged = [rows for of_set in of_rows.values() for rows in (of_set, name_examples.unlisted_examples(of_set))]
    return [
        name_weights.fitted(
            always
            + [
                example
                for of_set in judged
                for text, examples in of_set.items()
                if _hash(text) % _FOLDS != fold
                for example in examples
            ]
        )
        for fold in range(_FOLDS)
    ]


def _shares(counts: Counter[str]) -> dict[str, float]:
    precision = counts["hits"] / max(1, counts["hits"] + counts["false_alarms"])
    return {
        "precision": round(precision, 3),
        "recall": round(counts["hits"] / max(1, counts["hits"] + counts["misses"]), 3),
    }


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[1:5], "big")


if __name__ == "__main__":
    main()
