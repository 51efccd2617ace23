"""WAT records: what Common Crawl read out of a page, where the page itself is not at hand.

Their form is that of ia-web-commons: `Envelope.Payload-Metadata.HTTP-Response-Metadata.HTML-Metadata` holds `Head`
(`Title`, `Base`, `Metas`, `Link`) and `Links`, each with `path` (`IMG@/src`, `A@/href`, …), `url`, and `alt`, `title`,
`text` or `rel`. Of an image there is `src` alone, with alt and title: no lazy-loaded address, no caption, nothing of
what stands around it.
"""

import html
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crawler.extract import Page
from crawler.half_characters import whole
from crawler.image_address import is_image_link
from crawler.image_role import role_of_url
from crawler.optout import opt_out_of_headers, opt_out_of_meta
from crawler.page_candidates import Gathering
from crawler.page_elements import MAX_IMAGES
from crawler.page_facts import PageFacts, author_of, is_deed, language_of, license_of, social_images, social_texts
from crawler.urls import Base, canonical_url, resolve

MAX_WAT_BYTES = 32 * 2**20
"""A page of 1 MiB, which is where Common Crawl cuts, is told of in some hundred kilobytes."""

_MAX_METAS = 1000
_IMAGE_PATHS = frozenset({"IMG@/src", "INPUT@/src", "VIDEO@/poster"})
_IMAGE_ATTRIBUTE = "@/background"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class WatPage:
    """What a WAT record tells of a page that was served with status 200; `fault` says why nothing can be read.

    `record` is where the page itself lies, as `file:offset` of its WARC.
    """

    page_url: str
    record: str | None = None
    page: Page | None = None
    fault: str | None = None


def read_wat(data: bytes, agent: str) -> WatPage | None:
    """The page of one record; None for a record that tells of no HTML page. `agent` is our product token."""
    if len(data) > MAX_WAT_BYTES:
        return WatPage("", fault=f"a WAT record of more than {MAX_WAT_BYTES} bytes")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        return WatPage("", fault=f"a WAT record that is not JSON: {error}"[:200])
    if not isinstance(told, dict) or not isinstance(told.get("Envelope"), dict):
        return WatPage("", fault="a WAT record without an Envelope")
    response = _at(told, "Envelope", "Payload-Metadata", "HTTP-Response-Metadata")
    markup = _at(response, "HTML-Metadata")
    url = _at(told, "Envelope", "WARC-Header-Metadata").get("WARC-Target-URI")
    page_url = canonical_url(_valid(url).strip().removeprefix("<").removesuffix(">"))
    status = _at(response, "Response-Message").get("Status")
    if not markup or page_url is None or str(status) != "200" or page_url.endswith("/robots.txt"):
        return None
    return WatPage(page_url, _record_of(_at(told, "Container")), _Told(page_url, response, markup, agent).page())


class _Told:
    """What one record says of its page."""

    def __init__(self, page_url: str, response: Json, markup: Json, agent: str) -> None:
        head = _at(markup, "Head")
        self._agent = agent
        self._headers = list(_headers(_at(response, "Headers")))
        self._links = [link for link in _list(markup.get("Links")) if isinstance(link, dict)]
        self._head_links = [link for link in _list(head.get("Link")) if isinstance(link, dict)]
        self._metas = list(_metas(head))
        self._title = " ".join(_text(head, "Title").split())
        base = _address(head, "Base")
        self._base = Base((resolve(page_url, base) if base else None) or page_url)

    def page(self) -> Page:
        by_name = dict(reversed(self._metas))
        opt_out = opt_out_of_headers(self._headers, self._agent) or opt_out_of_meta(self._metas, self._agent).opt_out
        found, urls, is_cut = Gathering(), set[str](), False
        for url, texts in self._images(by_name):
            if url not in urls and len(urls) == MAX_IMAGES:
                is_cut = True
                continue
            urls.add(url)
            if opt_out:
                found.opt_out(url, opt_out)
            else:
                found.take(url, role_of_url(url), texts)
        facts = PageFacts(metas=self._metas, license_href=self._license(), deed_href=self._deed())
        served = next((value for name, value in self._headers if name.lower() == "content-language"), None)
        return Page(
            title=self._title,
            candidates=found.done(),
            opt_out=opt_out,
            error=f"more than {MAX_IMAGES} images" if is_cut else None,
            language=language_of((served, by_name.get("content-language")), self._title),
            author=author_of(facts, by_name, None),
            license=license_of(facts, self._base, None),
        )

    def _images(self, metas: Mapping[str, str]) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
        """The URL of each image, and its texts with their kinds."""
        for link in self._links:
            path, href = str(link.get("path")), _address(link, "url")
            if not href or href.startswith(("data:", "blob:", "about:", "javascript:", "#")):
                continue
            url = self._base.resolve(href) or href
            if path in _IMAGE_PATHS or path.endswith(_IMAGE_ATTRIBUTE):
                texts = [("alt", _text(link, "alt")), ("title", _text(link, "title")), ("page_title", self._title)]
            elif path == "A@/href" and is_image_link(href):
                texts = [("link", _text(link, "title")), ("link", _text(link, "text"))]
            else:
                continue
            yield url, texts
        links = [_address(link, "url") for link in self._head_links if "image_src" in str(link.get("rel")).split()]
        shared = dict(social_images(self._metas))
        for href in [*shared, *(link for link in links if link and link not in shared)]:
            url = self._base.resolve(href) or href
            yield url, [("alt", shared.get(href, "")), *social_texts(metas, self._title)]

    def _license(self) -> str | None:
        links = (*self._head_links, *self._links)
        found = (_address(link, "url") for link in links if "license" in str(link.get("rel") or "").lower().split())
        return next(filter(None, found), None)

    def _deed(self) -> str | None:
        found = (_address(link, "url") for link in self._links if link.get("path") == "A@/href")
        return next((href for href in found if is_deed(href)), None)


def _record_of(container: Json) -> str | None:
    name, offset = container.get("Filename"), container.get("Offset")
    return f"{_valid(name)}:{offset}" if isinstance(name, str) and str(offset).isdigit() else None


def _at(told: Json, *keys: str) -> Json:
    """A nested object; an empty one where it is missing or something else."""
    for key in keys:
        inner = told.get(key)
        told = inner if isinstance(inner, dict) else {}
    return told


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(said: Json, key: str) -> str:
    """A text of a page. Older records hold it as it stood in the source, with its character references."""
    value = _valid(said.get(key))
    return html.unescape(value) if "&" in value else value


def _address(said: Json, key: str) -> str:
    """An address: of character references `&amp;` alone is read, since `&copy=` may well be a parameter."""
    return _valid(said.get(key)).strip().replace("&amp;", "&")


def _valid(value: object) -> str:
    """A text without halves of characters (JSON's `\\ud800`), which no file can hold; empty for what is no text."""
    return whole(value) if isinstance(value, str) else ""


def _headers(told: Json) -> Iterator[tuple[str, str]]:
    for name, value in told.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield name, _valid(each)


def _metas(head: Json) -> Iterator[tuple[str, str]]:
    for meta in _list(head.get("Metas"))[:_MAX_METAS]:
        if isinstance(meta, dict):
            name = meta.get("name") or meta.get("property") or meta.get("itemprop") or meta.get("http-equiv")
            if isinstance(name, str):
                yield name.strip().lower(), _text(meta, "content")
