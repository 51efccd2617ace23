"""Text measures: rows a second on one core with all of them, beside data-juicer's text filters on the same rows.

    python infra/bench/text_measures.py            about 3 minutes once the peer is installed; it wants torch
    python infra/bench/text_measures.py --quick    fewer rows; under 50 s
    python infra/bench/text_measures.py --no-peer --costs      ours alone; prints rows for pipelines/measure_costs.tsv

Seconds are CPU seconds of one process, of single measures the least of three. The peer is measured as its users run
it, each filter over a dataset
(`Filter.run`), which the ratio is of, and in batches of 1,000 without the datasets library around it, the fastest that
it can be had. Ours is what the stage calls for a part. Its filters that need a download are left out, but flagged
words, which get our list. Hostile texts: the slowest of all measures on one text.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from labelled import AIMS, labelled_rows
from machine import machine
from peer_environment import ensure_environment

from filters.measures import MEASURES, measures_of
from filters.settings import TextSettings
from filters.text import MAX_CHARS, normalise_with_sources, text_measures
from filters.texts.beside import Beside
from filters.texts.phrases import LISTS, read_phrases

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-text"
PEER_PACKAGES = ("py-data-juicer==1.6.1", "aiohttp")
AIM_RATIO, MOST_HOSTILE_MS = 20.0, 50.0
ALL = measures_of(MEASURES, "collect", "text")
LIKE_PEER = [
    "text_len",
    "special_ratio",
    "digit_ratio",
    "char_repetition",
    "word_repetition",
    "num_tokens",
    "sensitive_hits",
]
"""Ours that say what the peer's say: lengths, shares of kinds, repetition by characters and words, listed words."""

HOSTILE = {
    "one_character": "王", "names": "王小明", "words": "王小", "zalgo": "a\u0335\u0336\u0337", "brackets": "（[{(",
    "roles": "员于", "surnames": "周杰", "digits": "1", "rare": "龥", "titles": "《王",
    "addresses": "a@b.", "contacts": "微信", "groups": "群", "buttons": "点击查看",
    "entities": "&amp;", "traditional": "漢",
    "emoji": "😀", "spaces": " 王", "kana": "のア", "latin": "aé1",
}  # fmt: skip
_LENGTHS = {"longest": None, "50 kB": 50_000, "10 MB": 10_000_000}
"""In bytes of UTF-8; the longest has as many characters as a text may have."""

PEER = """
import importlib, json, os, sys, time
from data_juicer.core.data import NestedDataset
texts, lists = json.load(open(sys.argv[1], encoding="utf-8")), sys.argv[2]
NAMES = [("text_length_filter", "TextLengthFilter", {}), ("special_characters_filter", "SpecialCharactersFilter", {}),
         ("alphanumeric_filter", "AlphanumericFilter", {}),
         ("character_repetition_filter", "CharacterRepetitionFilter", {}),
         ("word_repetition_filter", "WordRepetitionFilter", {"lang": "zh"}),
         ("words_num_filter", "WordsNumFilter", {"lang": "zh"}),
         ("flagged_words_filter", "FlaggedWordFilter", {"lang": "zh", "flagged_words_dir": lists})]
ops = [getattr(importlib.import_module("data_juicer.ops.filter." + m), c)(**k) for m, c, k in NAMES]
costs = {}
for op, (_, name, _) in zip(ops, NAMES):
    started = time.process_time()
    for at in range(0, len(texts), 1000):
        some = texts[at : at + 1000]
        op.compute_stats_batched({"text": some, "__dj__stats__": [{} for _ in some]})
    costs[name] = (time.process_time() - started) / len(texts) * 1e6
def as_run(some):
    dataset = NestedDataset.from_list([{"text": text} for text in some])
    for op in ops:
        op.num_proc = 1
        dataset = op.run(dataset)
def cpu_s():
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
as_run(texts[:100])
started = cpu_s()
as_run(texts)
print("RESULT " + json.dumps({"us_a_row": costs, "us_a_row_as_run": (cpu_s() - started) / len(texts) * 1e6}))
"""


def main() -> None:
    arguments = _arguments()
    texts = rows_of(20_000 if arguments.quick else 200_000)
    ours = _ours(texts)
    if arguments.costs:
        print("\n".join(f"{name}\t{cost:.2g} us a row" for name, cost in ours["us_a_row"].items()))
    hostile = _hostile()
    peer = {} if arguments.no_peer else _peer(texts[: 10_000 if arguments.quick else 50_000], arguments.work)
    ratio = round(ours["rows_a_second"] / peer["rows_a_second_as_run"], 1) if peer else None
    ratios = {"ratio": ratio} | {
        f"{mine} / {theirs}": round(ours[mine] / peer[theirs], 1)
        for mine in ("rows_a_second", "like_peer_rows_a_second")
        for theirs in ("rows_a_second_as_run", "rows_a_second")
        if peer
    }
    met = hostile["slowest_ms"] <= MOST_HOSTILE_MS and (ratio is None or ratio >= AIM_RATIO)
    result = {
        "name": "text_measures",
        "machine": machine(),
        "rows": len(texts),
        "ours": ours,
        "hostile": hostile,
        "peer": peer,
    }
    aim = {"ratio": AIM_RATIO, "hostile_ms": MOST_HOSTILE_MS}
    print(json.dumps(result | ratios | {"aim": aim, "met": met}, ensure_ascii=False))


def rows_of(num_rows: int) -> list[str]:
    """The labelled texts again and again, each with letters of its own, so that no row is like another.

    Digits would do, but five of them in every text are what none of a crawl's captions has.
    """
    texts = [text.replace("{", "").replace("}", "") for name in AIMS for _, text in labelled_rows(name)]
    return [f"{texts[place % len(texts)]} {_letters(place)}" for place in range(num_rows)]


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(4))


def _ours(texts: list[str]) -> dict[str, Any]:
    """With default settings but for contacts, which are masked, so that every row is measured."""
    settings = TextSettings(contacts="mask")
    column, queries = pa.array(texts), pa.array([text[:2] for text in texts])
    stored = normalise_with_sources(column.slice(0, 100), settings)
    text_measures(stored["text"], ALL, Beside(settings, stored["source"], queries.slice(0, 100)))
    normalise_s, stored = _timed(lambda: normalise_with_sources(column, settings))
    beside = Beside(settings, stored["source"], queries)
    all_s, _ = _timed(lambda: text_measures(stored["text"], ALL, beside))
    like_s, _ = _timed(lambda: text_measures(stored["text"], LIKE_PEER, beside))
    costs = {name: _best(lambda name=name: text_measures(stored["text"], [name], beside)) for name in ALL}
    return {
        "rows_a_second": round(len(texts) / all_s),
        "like_peer_rows_a_second": round(len(texts) / like_s),
        "us_a_row_all": round(all_s / len(texts) * 1e6, 2),
        "us_a_row_normalise": round(normalise_s / len(texts) * 1e6, 2),
        "us_a_row": {name: round(seconds / len(texts) * 1e6, 2) for name, seconds in costs.items()},
    }


def _hostile() -> dict[str, Any]:
    """The slowest measure, normalising among them, on one text of each kind and length; best of three."""
    settings = TextSettings(contacts="mask")
    slowest: dict[str, tuple[str, float]] = {}
    for kind, piece in HOSTILE.items():
        for length, num_bytes in _LENGTHS.items():
            num_chars = MAX_CHARS if num_bytes is None else num_bytes * len(piece) // len(piece.encode())
            text = pa.array([(piece * (num_chars // len(piece) + 1))[:num_chars]])
            stored = normalise_with_sources(text, settings)
            beside = Beside(settings, stored["source"], pa.array(["王小"]))
            costs = {"normalise": _best(lambda text=text: normalise_with_sources(text, settings))}
            for name in ALL:
                costs[name] = _best(lambda name=name, s=stored, b=beside: text_measures(s["text"], [name], b))
            name = max(costs, key=lambda name: costs[name])
            slowest[f"{kind}, {length}"] = name, round(costs[name] * 1000, 1)
    return {"slowest_ms": max(ms for _, ms in slowest.values()), "by_text": slowest}


def _best(work: Any) -> float:
    return min(_timed(work)[0] for _ in range(3))


def _timed(work: Any) -> tuple[float, Any]:
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def _peer(texts: list[str], work: Path) -> dict[str, Any]:
    work.mkdir(parents=True, exist_ok=True)
    python = ensure_environment(work / "peer", PEER_PACKAGES)
    (work / "lists").mkdir(exist_ok=True)
    flagged = {"zh": read_phrases(LISTS / "sensitive.txt")}
    (work / "lists" / "flagged_words.json").write_text(json.dumps(flagged), encoding="utf-8")
    (work / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    (work / "peer.py").write_text(PEER, encoding="utf-8")
    command = [str(python), str(work / "peer.py"), str(work / "texts.json"), str(work / "lists")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not told:
        sys.exit(f"the peer said nothing: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(told[-1].removeprefix("RESULT "))
    total = sum(found["us_a_row"].values())
    costs = {name: round(cost, 2) for name, cost in found["us_a_row"].items()}
    run = round(found["us_a_row_as_run"], 1)
    rates = {"rows_a_second": round(1e6 / total), "rows_a_second_as_run": round(1e6 / run)}
    return {**rates, "us_a_row": costs, "us_a_row_as_run": run}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 rows; under 50 s")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    parser.add_argument("--costs", action="store_true", help="print what each measure costs, a line each")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where the peer is installed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
