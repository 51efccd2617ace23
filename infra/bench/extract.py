"""Extraction of image-text pairs from WARC beside cc2dataset, trafilatura and BeautifulSoup, pages/s a core.

    python infra/bench/extract.py            5,125 pages; three turns of each; about 10 minutes
    python infra/bench/extract.py --quick    410 pages, one turn; under 50 s once the peers are installed

The pages are real ones of ../shared/data, each under 25 hosts, with fifteen ways of showing an image sown into each.
cc2dataset gets the WAT of the same pages, which is parsed already; the others get the WARC. `floor` reads, decodes and
parses with our parser and looks at nothing; `bare pages` hold the patterns and hardly anything else. All are measured
by the CPU seconds of the whole process tree, so that a busy machine and a second process count as what they are.
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from extract_corpus import PATTERNS, PLACEHOLDER, Corpus, build, write_pairs
from machine import machine
from peer_environment import ensure_environment

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-extract"
DATA = Path(__file__).parents[2].parent / "shared" / "data"
PACKAGES = ("cc2dataset==1.5.0", "beautifulsoup4==4.15.0", "lxml", "lxml_html_clean", "trafilatura==2.3.1", "fastwarc")
PEERS = {"fastwarc": 1, "cc2dataset": 1, "trafilatura": 10, "beautifulsoup": 10}
"""Peers, and which share of the pages each gets: one in so many."""

AIM_PAGES_PER_S = 1500.0
AIM_OVER_BEAUTIFULSOUP = 20.0
MAX_PAGE_BYTES = 5 << 20

Figures = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        measured = _floor if arguments.floor else _ours
        print(json.dumps(measured(arguments.one, Path(arguments.out))))
        return
    num_pages, num_turns = (410, 1) if arguments.quick else (arguments.pages, arguments.turns)
    corpus = build(arguments.data, arguments.work / "corpus", num_pages)
    python = ensure_environment(arguments.work / "peers", PACKAGES)
    bare = build(arguments.data, arguments.work / "bare", num_pages, is_bare=True)
    of_real = {name: (name, corpus) for name in ("ours", "floor", *PEERS)}
    of_bare = {f"bare {name}": (name, bare) for name in ("ours", "beautifulsoup")}
    turns: dict[str, list[Figures]] = {name: [] for name in (*of_real, *of_bare)}
    for _ in range(num_turns):
        for name, figures in turns.items():
            method, pages = (of_real | of_bare)[name]
            figures.append(_measured(method, pages, arguments.work, python))
    best = {name: min(figures, key=lambda each: float(each["cpu_s"])) for name, figures in turns.items()}
    ours, floor, peers = best["ours"], best["floor"], {name: best[name] for name in PEERS}
    over = ours["pages_per_s"] / peers["beautifulsoup"]["pages_per_s"]
    result = {
        "name": "extract",
        "machine": machine(),
        "pages": num_pages,
        "ours": ours,
        "peer": peers,
        "floor": floor,
        "bare pages": {name: best[f"bare {name}"] for name in ("ours", "beautifulsoup")},
        "ratio": {name: round(ours["pages_per_s"] / figures["pages_per_s"], 2) for name, figures in peers.items()},
        "aim": {
            "pages_per_s": AIM_PAGES_PER_S,
            "patterns": len(PATTERNS),
            "placeholder_pairs": 0,
            "over_beautifulsoup": AIM_OVER_BEAUTIFULSOUP,
        },
        "met": ours["pages_per_s"] >= AIM_PAGES_PER_S
        and ours["patterns"] == len(PATTERNS)
        and ours["placeholder_pairs"] == 0
        and over >= AIM_OVER_BEAUTIFULSOUP,
    }
    print(json.dumps(result, ensure_ascii=False))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--pages", type=int, default=5125)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with sites/ and encoding/")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where pages and environments are kept")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measured(name: str, corpus: Corpus, work: Path, python: Path) -> Figures:
    """One turn in a process of its own, scored."""
    out = work / f"{name}.jsonl.gz"
    most = corpus.num_pages // PEERS.get(name, 1)
    if name in ("ours", "floor"):
        command = [sys.executable, __file__, "--one", str(corpus.warc), "--out", str(out)]
        command += ["--floor"] if name == "floor" else []
    else:
        source = corpus.wat if name == "cc2dataset" else corpus.warc
        command = [
            str(python),
            str(Path(__file__).with_name("extract_peer.py")),
            name,
            str(source),
            str(most),
            str(out),
        ]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    told: Figures = json.loads(ended.stdout.splitlines()[-1])
    rates = {
        "pages_per_s": round(most / told["cpu_s"], 1),
        "pairs_per_s": round(told["pairs"] / told["cpu_s"], 1),
        "cpu_s": round(told["cpu_s"], 2),
        "pairs": told["pairs"],
    }
    return rates | ({} if name in ("fastwarc", "floor") else _scored(out, corpus, most))


def _scored(out: Path, corpus: Corpus, num_pages: int) -> Figures:
    """How many patterns were found with their caption on 99 pages of 100, and which pairs show a placeholder."""
    with gzip.open(out, "rt", encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file]
    texts: dict[str, set[str]] = {}
    for url, text in pairs:
        if url is None:
            continue
        texts.setdefault(url.rpartition("/")[2].partition("?")[0], set()).add((text or "").replace(" ", ""))
    right: Counter[str] = Counter()
    sown = corpus.sown()
    for number in range(num_pages):
        for name, caption in sown[str(number)].items():
            said = texts.get(f"{name}-{number}.jpg", set())
            right[name] += bool(said) if name == "social" else any(caption in text for text in said)
    found = [name for name in PATTERNS if right[name] >= 0.99 * num_pages]
    placeholders = sum(bool(text and url) and (PLACEHOLDER in url or url.startswith("data:")) for url, text in pairs)
    return {
        "patterns": len(found),
        "missed": [name for name in PATTERNS if name not in found],
        "placeholder_pairs": placeholders,
        "placeholder_share": round(placeholders / max(1, len(pairs)), 4),
    }


def _ours(warc: str, out: Path) -> Figures:
    """What collect does with a WARC file, with the CPU of the page parser's process."""
    from crawler.warc import warc_slices
    from crawler.warc_candidates import read_warc

    (piece,) = warc_slices([warc])
    before = _cpu_s()
    batches = list(read_warc(piece, "bench", MAX_PAGE_BYTES))
    seconds = _cpu_s() - before
    pairs = [
        pair for batch in batches for pair in zip(*(batch[name].to_pylist() for name in ("url", "text")), strict=True)
    ]
    write_pairs(out, pairs)
    return {"cpu_s": seconds, "pairs": len(pairs)}


def _floor(warc: str, out: Path) -> Figures:
    """What no extraction by this parser can do without: to read the records, to decode them, to parse them."""
    from selectolax.lexbor import LexborHTMLParser

    from crawler.charset import decode
    from crawler.warc import read_responses

    before = _cpu_s()
    for page in read_responses(warc, MAX_PAGE_BYTES):
        LexborHTMLParser(decode(page.body, "text/html").text)
    return {"cpu_s": _cpu_s() - before, "pairs": 0}


def _cpu_s() -> float:
    """Of this process and the children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
