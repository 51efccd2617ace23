"""How well names are told in captions that the weights were not fitted on: people.tsv and captions.tsv, by folds.

    python infra/bench/name_folds.py LISTS [--errors]        two minutes; LISTS as for name_weights.py

Rows are dealt to five folds by a hash of their text; the weights are fitted without a fold and judged on it: with the
list of well-known people, without every second name of the rows (by a hash of the name), and without any of them.
"""

import argparse
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from unittest import mock

import name_weights
import pyarrow as pa
from labelled import judged_names, labelled_rows

from filters.texts import name_candidates, name_scores
from filters.zh import simplify

_FOLDS = 5
_USES = ("list", "half", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path)
    parser.add_argument("--errors", action="store_true", help="print the rows that went wrong with the whole list")
    arguments = parser.parse_args()
    known = name_candidates.people()
    counts = {name: {use: Counter[str]() for use in _USES} for name in name_weights.JUDGED}
    of_sets = {name: _rows(name) for name in name_weights.JUDGED}
    for fold, weights in enumerate(_weights(arguments.lists)):
        for name, rows in of_sets.items():
            held_out = [text for text in rows if _hash(text) % _FOLDS == fold]
            for use in _USES:
                name_scores.forget()
                people = known - _left_out(rows, use)
                with name_weights.listing(people), mock.patch.object(name_scores, "weights", return_value=weights):
                    found, wrong = judged_names(held_out)
                counts[name][use] += found
                if arguments.errors and use == "list":
                    print("\n".join(wrong))
    name_scores.forget()
    figures = {name: {use: _shares(found) for use, found in of_uses.items()} for name, of_uses in counts.items()}
    print(json.dumps({"name": "name_folds", "folds": _FOLDS, "threshold": name_scores.LEAST, "ours": figures}))


def _rows(name: str) -> list[str]:
    rows: list[str] = simplify(pa.array([text for _, text in labelled_rows(name)])).to_pylist()
    return rows


def _left_out(rows: list[str], use: str) -> frozenset[str]:
    """The names of the rows that the list is to lack."""
    names = frozenset(name for text in rows for name in re.findall(r"\{([^}]*)\}", text))
    return {"list": frozenset[str](), "half": frozenset(name for name in names if _hash(name) % 2), "none": names}[use]


def _weights(lists: Path) -> list[dict[str, float]]:
    """For each fold what is fitted without it."""
    of_rows = {name: name_weights.row_examples(name) for name in name_weights.SETS}
    always = name_weights.outside_examples(lists)
    always += [example for examples in of_rows.pop("names").values() for example in examples]
    judged = [rows for of_set in of_rows.values() for rows in (of_set, name_weights.unlisted_examples(of_set))]
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
