"""Real Chinese pages with fifteen ways of showing an image sown into each: as a WARC, and as its WAT."""

import gzip
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

FOLDERS = (
    ("sites/debian-handbook-zh-CN", "utf-8"),
    ("sites/howtocook-a", "utf-8"),
    ("encoding/faq-gbk-declared-gb2312", "gb18030"),
    ("encoding/maintguide-big5", "big5hkscs"),
)
# name -> markup; NAME stands for the image's file, TEXT for its caption, HOST and SAME for where images lie.
PATTERNS = {
    "plain_alt": '<p><img src="HOST/NAME" alt="TEXT"></p>',
    "text_beside": '<div class="box"><img src="HOST/NAME"><p>TEXT</p></div>',
    "title": '<p><img src="HOST/NAME" title="TEXT"></p>',
    "figcaption": '<figure><img src="HOST/NAME"><figcaption>TEXT</figcaption></figure>',
    "data_src": '<p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" data-src="SAME/NAME" alt="TEXT"></p>',
    "data_original": '<p><img class="lazy" src="/static/blank.gif" data-original="SAME/NAME" alt="TEXT"></p>',
    "data_lazy_src": '<p><img data-lazy-src="HOST/NAME" alt="TEXT"></p>',
    "srcset": '<p><img srcset="HOST/NAME?w=1 1x, HOST/NAME?w=2 2x" alt="TEXT"></p>',
    "picture": '<picture><source type="image/webp" srcset="HOST/NAME"><img alt="TEXT"></picture>',
    "noscript": '<noscript><img src="HOST/NAME" alt="TEXT"></noscript>',
    "base_relative": '<p><img src="sown/NAME" alt="TEXT"></p>',
    "protocol_relative": '<p><img src="SAME/NAME" alt="TEXT"></p>',
    "entities": '<p><img src="HOST/NAME?a=1&amp;b=2" alt="TEXT&amp;TEXT"></p>',
    "image_link": '<p><a href="HOST/NAME">TEXT</a></p>',
    "social": "",
}
PLACEHOLDER = "blank.gif"
_BARE = (
    '<!DOCTYPE html><html lang="zh-CN"><head><meta charset="utf-8"><title>湖畔的古塔</title></head><body>'
    "<h1>湖畔的古塔</h1><p>这座塔建于明代，站在塔顶可以看见整片湖水。</p></body></html>"
)
_BASE = "http://cdn.sown.example.cn/base/"
_PHRASE = re.compile(r"[\u4e00-\u9fff]{6,16}")


@dataclass(frozen=True)
class Corpus:
    """The two files, and what was sown: page number -> pattern -> caption."""

    warc: Path
    wat: Path
    truth: Path
    num_pages: int

    def sown(self) -> dict[str, dict[str, str]]:
        read: dict[str, dict[str, str]] = json.loads(self.truth.read_text("utf-8"))
        return read


def build(data: Path, folder: Path, num_pages: int, is_bare: bool = False) -> Corpus:
    """`num_pages` pages made of those under `data`, each under as many hosts as it takes; kept in `folder`.

    Bare pages hold the patterns, a heading and a sentence, and nothing else.
    """
    corpus = Corpus(
        folder / f"{num_pages}.warc.gz", folder / f"{num_pages}.wat.gz", folder / f"{num_pages}.json", num_pages
    )
    if corpus.truth.exists():
        return corpus
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    with corpus.warc.open("wb") as warc_file, corpus.wat.open("wb") as wat_file:
        warc, wat = WARCWriter(warc_file, gzip=True), WARCWriter(wat_file, gzip=True)
        for number, (url, text, codec, captions) in enumerate(_pages(data, num_pages, is_bare)):
            truth[str(number)] = captions
            _write_page(warc, url, text.encode(codec, "xmlcharrefreplace"))
            _write_links(wat, url, text)
    corpus.truth.write_text(json.dumps(truth, ensure_ascii=False), "utf-8")
    return corpus


def _pages(data: Path, num_pages: int, is_bare: bool) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    chance = random.Random(5)
    paths = [(path, codec) for folder, codec in FOLDERS for path in sorted((data / folder).rglob("*.html"))]
    pages = [(path.read_bytes().decode(codec), codec) for path, codec in paths]
    phrases = {codec: _phrases([text for text, own in pages if own == codec]) for _, codec in FOLDERS}
    for number in range(num_pages):
        text, codec = (_BARE, "utf-8") if is_bare else pages[number % len(pages)]
        captions = {name: chance.choice(phrases[codec]) for name in PATTERNS}
        url = f"http://www{number // len(pages)}.sown.example.cn/page-{number}.html"
        yield url, _sown(text, number, captions), codec, captions


def _phrases(texts: list[str]) -> list[str]:
    return sorted({phrase for text in texts for phrase in _PHRASE.findall(text)})


def _sown(text: str, number: int, captions: dict[str, str]) -> str:
    """The page with a base, a social image, and the patterns in the middle of its body."""
    head = f'<base href="{_BASE}"><meta property="og:image" content="http://img.sown.example.cn/social-{number}.jpg">'
    sown = "\n".join(
        _placed(markup).replace("NAME", f"{name}-{number}.jpg").replace("TEXT", captions[name])
        for name, markup in PATTERNS.items()
    )
    text = re.sub(r"(?i)(</title>)", lambda found: found.group() + head, text, count=1)
    middle = text.find("</p>", len(text) // 2)
    place = middle + 4 if middle >= 0 else text.lower().rfind("</body>")
    return text[:place] + sown + text[place:]


def _placed(markup: str) -> str:
    return markup.replace("HOST", "http://img.sown.example.cn").replace("SAME", "//img.sown.example.cn")


def _write_page(warc: WARCWriter, url: str, body: bytes) -> None:
    headers = StatusAndHeaders(
        "200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))], "HTTP/1.1"
    )
    warc.write_record(warc.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=headers))


def _write_links(wat: WARCWriter, url: str, text: str) -> None:
    """What Common Crawl's own extractor says of a page: `src` of images with alt and title, `href` of links."""
    links = []
    for node in LexborHTMLParser(text).css("img[src], a[href]"):
        attributes = node.attributes
        if node.tag == "img":
            said = {name: attributes[name] for name in ("alt", "title") if attributes.get(name)}
            links.append({"path": "IMG@/src", "url": attributes["src"], **said})
        else:
            links.append({"path": "A@/href", "url": attributes["href"], "text": node.text()[:100]})
    html = {"Head": {"Base": _BASE, "Metas": []}, "Links": links}
    answer = {"Response-Message": {"Status": "200"}, "Headers": {"Content-Type": "text/html"}, "HTML-Metadata": html}
    payload = {"Actual-Content-Type": "application/http; msgtype=response", "HTTP-Response-Metadata": answer}
    header = {"WARC-Type": "response", "WARC-Target-URI": url, "WARC-Date": "2026-01-01T00:00:00Z"}
    envelope = {"Format": "WARC", "WARC-Header-Metadata": header, "Payload-Metadata": payload}
    container = {"Filename": "pages.warc.gz", "Compressed": True, "Offset": "0"}
    body = json.dumps({"Container": container, "Envelope": envelope}, ensure_ascii=False).encode()
    wat.write_record(
        wat.create_warc_record(url, "metadata", payload=io.BytesIO(body), warc_content_type="application/json")
    )


def write_pairs(path: Path, pairs: list[tuple[str, str | None]]) -> None:
    """(image URL, text) of a method, for scoring."""
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        for pair in pairs:
            file.write(json.dumps(pair, ensure_ascii=False) + "\n")
