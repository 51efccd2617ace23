"""How well names are told in captions that the weights were not fitted on: cross-validation over people.tsv.

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path)
    parser.add_argument("--errors", action="store_true", help="print the rows that went wrong with the whole list")
    arguments = parser.parse_args()
    rows = simplify(pa.array([text for _, text in labelled_rows("people")])).to_pylist()
    names = {name for text in rows for name in re.findall(r"\{([^}]*)\}", text)}
    known = name_candidates.people()
    lists = {
        "list": known,
        "half": known - {name for name in names if _hash(name) % 2},
        "none": known - names,
    }
    found = {name: Counter[str]() for name in lists}
    for fold, weights in enumerate(_weights(arguments.lists)):
        held_out = [text for text in rows if _hash(text) % _FOLDS == fold]
        for name, people in lists.items():
            name_scores.forget()
            with name_weights.listing(people), mock.patch.object(name_scores, "weights", return_value=weights):
                counts, wrong = judged_names(held_out)
            found[name] += counts
            if arguments.errors and name == "list":
                print("\n".join(wrong))
    name_scores.forget()
    figures = {name: _shares(counts) for name, counts in found.items()}
    print(json.dumps({"name": "name_folds", "folds": _FOLDS, "threshold": name_scores.LEAST, "ours": figures}))


def _weights(lists: Path) -> list[dict[str, float]]:
    """For each fold what is fitted without it."""
    of_rows = name_weights.row_examples("people")
    swapped = name_weights.unlisted_examples(of_rows)
    rest = [example for examples in name_weights.row_examples("names").values() for example in examples]
    rest += name_weights.outside_examples(lists)
    return [
        name_weights.fitted(
            [
                *(example for text in of_rows if _hash(text) % _FOLDS != fold for example in of_rows[text]),
                *(example for text in of_rows if _hash(text) % _FOLDS != fold for example in swapped[text]),
                *rest,
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
