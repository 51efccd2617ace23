"""The quality gate of crawling and extraction: real sites on loopback, crawled by `curate run`, against the truth."""

import csv
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crawler.charset import decode
from crawler.warc import header, is_html, read_responses

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SHOWN_KINDS = ("alt", "title", "aria_label", "figcaption", "caption")
PINNED = {"alt": (44, 45), "title": (19, 19), "aria_label": (12, 12), "figcaption": (14, 14), "caption": (18, 18)}
"""Of each kind: pairs that the truth has, and all that were found."""

DEADLINE_S = 500

Pair = tuple[str, str]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="no shared test material beside the project"),
]


class _Files(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The origin of a folder's site on a free port of loopback; HTML goes without a charset in its header."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def crawl(run: Path, seeds: dict[str, str]) -> None:
    """`curate run` up to its end, with one seed for each origin."""
    recipe = run.with_suffix(".yaml")
    urls = ", ".join(f'"http://{origin}/{page}"' for origin, page in seeds.items())
    origins = ", ".join(f'"{origin}"' for origin in seeds)
    recipe.write_text(
        f"name: gate\nsource: {{kind: crawl, seeds: [{urls}], rounds: 8, max_depth: 8}}\n"
        'crawler: {user_agent: "gate/1.0 (+http://gate.test/)", per_host: {concurrency: 8, delay_s: 0}}\n'
        f"network: {{allow_private: [{origins}]}}\n"
        "text: {simplify: false, names: null, contacts: keep}\nrules: {}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pipelines.cli", "run", str(recipe), "--out", str(run), "--workers", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


def pairs_of(run: Path, origin: str) -> dict[str, set[Pair]]:
    """(image's path, text) of the candidates whose page lies on `origin`, by kind of text."""
    columns = ["kind", "url", "text", "page_url"]
    rows = pa.concat_tables([pq.read_table(path, columns=columns) for path in (run / "collect").glob("*.parquet")])
    found: dict[str, set[Pair]] = defaultdict(set)
    for row in rows.to_pylist():
        if row["text"] is not None and urlsplit(row["page_url"]).netloc == origin:
            found[row["kind"]].add((unquote(urlsplit(row["url"]).path).lstrip("/"), row["text"]))
    return found


def decoded_pages(run: Path, origin: str) -> dict[str, str]:
    """The text of each HTML page that was crawled of `origin`, by its path."""
    pages: dict[str, str] = {}
    for path in (run / "crawl").glob("*.warc.gz"):
        for response in read_responses(str(path), 5 << 20):
            kind = header(response.headers, "content-type")
            place = urlsplit(response.url)
            if place.netloc == origin and response.status == 200 and is_html(kind, response.body):
                pages[unquote(place.path).lstrip("/")] = decode(response.body, kind).text
    return pages


def html_files(folder: Path, codec: str) -> dict[str, str]:
    """The text of each page as its maker wrote it. Bytes are decoded whole: they lie here as they are served."""
    return {str(path.relative_to(folder)): path.read_bytes().decode(codec) for path in sorted(folder.rglob("*.html"))}


def truth() -> set[Pair]:
    with (DATA / "sites" / "howtocook-a.truth.tsv").open(encoding="utf-8", newline="") as file:
        return {(row["image"], row["text"]) for row in csv.DictReader(file, delimiter="\t")}


def test_real_sites_are_crawled_decoded_and_read_as_well_as_is_pinned(tmp_path: Path) -> None:
    recipes, handbook = DATA / "sites" / "howtocook-a", DATA / "sites" / "debian-handbook-zh-CN"
    gbk, big5 = DATA / "encoding" / "faq-gbk-declared-gb2312", DATA / "encoding" / "maintguide-big5"
    run = tmp_path / "run"
    with ExitStack() as servers:
        origins = [servers.enter_context(served(folder)) for folder in (recipes, handbook, gbk, big5)]
        starts = ("index.html", "index.html", "index.zh-cn.html", "index.zh-tw.html")
        crawl(run, dict(zip(origins, starts, strict=True)))

    found, true = pairs_of(run, origins[0]), truth()
    shown = set().union(*(found[kind] for kind in SHOWN_KINDS))
    scores = {kind: (len(pairs & true), len(pairs)) for kind, pairs in sorted(found.items())}
    recall = len(true & set().union(*found.values())) / len(true)
    precision = len(shown & true) / len(shown)
    assert {kind: scores[kind] for kind in SHOWN_KINDS} == PINNED
    assert (len(true), recall) == (107, 1.0), scores
    # The one pair beside the truth is the logo, 1 px wide, that each page shows.
    assert shown - true == {("static/logo.gif", "程序员做饭指南（甲）")}
    assert precision >= 107 / 108, scores

    for origin, folder, codec in (
        (origins[1], handbook, "utf-8"),
        (origins[2], gbk, "gb18030"),
        (origins[3], big5, "big5hkscs"),
    ):
        written, read = html_files(folder, codec), decoded_pages(run, origin)
        assert read == written, [name for name in written if read.get(name) != written[name]]
