"""How often what reads texts is right: precision and recall on the labelled rows of infra/labelled.

    python infra/bench/labelled.py                 figures of the halves that nothing was tuned on; seconds
    python infra/bench/labelled.py --half tuning   figures and mistakes of the other halves
    python infra/bench/labelled.py --errors        the mistakes too

A row's half follows from a hash of its text. In names.tsv, people.tsv, captions.tsv, unseen.tsv and unseen2.tsv braces
stand around each person's name; what counts as one in all but the first is written in infra/docs/texts.md. Both halves
of the first four have been tuned on; of unseen2.tsv the tuning half only, and nobody has looked at the reported one.
"""

import argparse
import csv
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from machine import machine

from filters.names import mask_names
from filters.settings import TextSettings
from filters.text import normalise_with_sources, text_measures
from filters.texts.beside import Beside
from filters.zh import simplify

ROWS = Path(__file__).parents[1] / "labelled"
FLAGS = {"boilerplate": "is_boilerplate", "filename": "is_filename", "contact": "has_contact"}
NAMES = ("names", "people", "captions", "unseen", "unseen2")
AIMS = {
    **{name: {"precision": 0.95, "recall": 0.95} for name in (*FLAGS, "language")},
    "names": {"precision": 0.95, "recall": 0.8},
    "people": {"precision": 0.95, "recall": 0.8},
    "captions": {"precision": 0.95, "recall": 0.8},
    "unseen": {"precision": 0.95, "recall": 0.8},
    "unseen2": {"precision": 0.95, "recall": 0.8},
}

Half = Literal["tuning", "reported"]
Figures = dict[str, Any]
_MASK = "\ue000"
_NAMES = re.compile(r"(?:\{[^}]*\})+")


def main() -> None:
    arguments = _arguments()
    found = {name: figures_of(name, arguments.half) for name in AIMS}
    if not arguments.errors and arguments.half == "reported":
        for figures in found.values():
            del figures["mistakes"]
    met = {name: all(found[name][key] >= least for key, least in aim.items()) for name, aim in AIMS.items()}
    result = {"name": "labelled", "machine": machine(), "half": arguments.half, "ours": found, "aim": AIMS}
    print(json.dumps(result | {"met": all(met.values())}, ensure_ascii=False))


def figures_of(name: str, half: Half) -> Figures:
    """Precision and recall over one half of a labelled set, with the rows that went wrong."""
    rows = labelled_rows(name, half)
    if name in NAMES:
        return _of_names(rows)
    return _of_languages(rows) if name == "language" else _of_flags(rows, FLAGS[name])


def labelled_rows(name: str, half: Half | None = None) -> list[tuple[str, str]]:
    """(label, text) of a set; the halves are fixed by the first byte of the text's SHA-256."""
    with (ROWS / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        rows = [(row["label"], row["text"]) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    plain = _without_braces if name in NAMES[1:] else str
    return [row for row in rows if half is None or half_of(plain(row[1])) == half]


def half_of(text: str) -> Half:
    return "tuning" if hashlib.sha256(text.encode()).digest()[0] % 2 else "reported"


def _measured(texts: list[str], measure: str) -> list[Any]:
    settings = TextSettings(names=None, contacts="keep")
    stored = normalise_with_sources(pa.array(texts), settings)
    found = text_measures(stored["text"], [measure], Beside(settings, stored["source"]))
    values: list[Any] = found[measure].to_pylist()
    return values


def _of_flags(rows: list[tuple[str, str]], measure: str) -> Figures:
    found = _measured([text for _, text in rows], measure)
    judged = [(label == "1", bool(value), text) for (label, text), value in zip(rows, found, strict=True)]
    counts = Counter((truth, value) for truth, value, _ in judged)
    wrong = [text for truth, value, text in judged if truth != value]
    return _figures(counts[True, True], counts[False, True], counts[True, False], len(rows), wrong)


def _of_languages(rows: list[tuple[str, str]]) -> Figures:
    """`zh` against all others, and the share that is right of each language."""
    found = _measured([text for _, text in rows], "language")
    pairs = list(zip([label for label, _ in rows], found, strict=True))
    hits = sum(label == value == "zh" for label, value in pairs)
    alarms = sum(value == "zh" != label for label, value in pairs)
    misses = sum(label == "zh" != value for label, value in pairs)
    wrong = [f"{label} {value} {text}" for (label, text), value in zip(rows, found, strict=True) if label != value]
    totals, right = Counter(label for label, _ in pairs), Counter(label for label, value in pairs if label == value)
    shares = {label: round(right[label] / totals[label], 3) for label in ("zh", "yue", "ja", "ko", "en")}
    all_right = round(sum(right.values()) / len(rows), 3)
    return _figures(hits, alarms, misses, len(rows), wrong) | {"right": all_right, "right_by_language": shares}


def _of_names(rows: list[tuple[str, str]]) -> Figures:
    counts, wrong = judged_names([text for _, text in rows])
    return _figures(counts["hits"], counts["false_alarms"], counts["misses"], len(rows), wrong)


def judged_names(rows: list[str]) -> tuple[Counter[str], list[str]]:
    """Hits, false alarms and misses, and the rows that went wrong.

    A name is found where what was masked is just its characters; names side by side count together.
    """
    plain = simplify(pa.array([_without_braces(text) for text in rows])).to_pylist()
    masked = mask_names(pa.array(plain), _MASK).to_pylist()
    counts: Counter[str] = Counter()
    wrong = []
    for text, bare, after in zip(rows, plain, masked, strict=True):
        wanted, found = _runs_of_names(text), _runs_of_masks(bare, after)
        right = sum(number for span, number in found.items() if wanted.get(span) == number)
        counts.update(hits=right, false_alarms=found.total() - right, misses=wanted.total() - right)
        if wanted != found:
            wrong.append(f"{text} -> {after.replace(_MASK, '*')}")
    return counts, wrong


def _without_braces(text: str) -> str:
    return text.replace("{", "").replace("}", "")


def _runs_of_names(text: str) -> Counter[tuple[int, int]]:
    """How many names lie in each (start, end) of the text without braces."""
    runs: Counter[tuple[int, int]] = Counter()
    seen = 0
    for match in _NAMES.finditer(text):
        start, number = match.start() - 2 * seen, match[0].count("{")
        seen += number
        runs[start, start + len(match[0]) - 2 * number] = number
    return runs


def _runs_of_masks(text: str, masked: str) -> Counter[tuple[int, int]]:
    """How many masks stand in place of each (start, end) of the text, by what stands between them."""
    runs: Counter[tuple[int, int]] = Counter()
    place, number = 0, 0
    for piece in re.split(f"({_MASK}+)", masked):
        if piece.startswith(_MASK):
            number = len(piece)
            continue
        start = text.index(piece, place + number) if piece else len(text) if number else place
        if number:
            runs[place, start], number = number, 0
        place = start + len(piece)
    return runs


def _figures(hits: int, alarms: int, misses: int, num_rows: int, wrong: list[str]) -> Figures:
    precision = round(hits / max(1, hits + alarms), 4)
    recall = round(hits / max(1, hits + misses), 4)
    counts = {"rows": num_rows, "hits": hits, "false_alarms": alarms, "misses": misses}
    return {"precision": precision, "recall": recall, **counts, "mistakes": wrong}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["tuning", "reported"], default="reported")
    parser.add_argument("--errors", action="store_true", help="print the rows that went wrong")
    return parser.parse_args()


if __name__ == "__main__":
    main()
