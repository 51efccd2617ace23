"""Fits the weights by which people's names are told: filters/texts/lists/name_weights.tsv, the same bytes each time.

    python infra/bench/name_weights.py LISTS        a minute; LISTS holds THUOCL and coco-cn as their authors have them

It learns from infra/labelled: all of people.tsv, captions.tsv, unseen.tsv and names.tsv and the tuning half of
unseen2.tsv, each row with the list of well-known people and without the rows' names, its names alone, with words in
their place and with other people's names there; from well-known names put into captions of coco-cn and before things
that are called after people; and from word lists, captions without people, and plain words beside roles and titles.
`name_folds.py` judges it by cross-validation.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from name_contexts import outside_examples
from name_examples import Example, row_examples, unlisted_examples
from scipy.optimize import minimize
from scipy.sparse import csr_array

from filters.texts.name_scores import WEIGHTS

Doubles = npt.NDArray[np.float64]
SETS = ("people", "captions", "unseen", "unseen2", "names")
JUDGED = ("people", "captions", "unseen", "unseen2")
"""What is learnt from, and what cross-validation judges."""
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


def fitted(examples: list[Example]) -> dict[str, float]:
    """Weights by logistic regression, shrunk towards nothing but for the bias."""
    seen = Counter(kind for held, _, _ in examples for kind in held)
    kinds = {kind: place for place, kind in enumerate(sorted(kind for kind in seen if seen[kind] >= _LEAST_SEEN))}
    held_kinds = [
        [(kinds[kind], amount) for kind, amount in held.items() if kind in kinds] + [(len(kinds), 1.0)]
        for held, _, _ in examples
    ]
    flat = [pair for pairs in held_kinds for pair in pairs]
    ends = np.cumsum([0, *map(len, held_kinds)])
    parts = np.array([amount for _, amount in flat]), np.array([place for place, _ in flat]), ends
    amounts = csr_array(parts, shape=(len(examples), len(kinds) + 1))
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


if __name__ == "__main__":
    main()
