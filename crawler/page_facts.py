"""What a page says of itself as a whole: title, base, language, author, licence."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from crawler.urls import Base

MAX_TITLE_CHARS = 1000
_MAX_AUTHOR_CHARS = 200
_MAX_DESCRIPTION_CHARS = 1000
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}\Z")
_AUTHOR_METAS = ("author", "article:author", "dc.creator", "dcterms.creator", "byl")
_DEED = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/", re.IGNORECASE)
_HAN = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_LETTER = re.compile(r"[^\W\d_]")

_MAX_METAS = 1000
_MAX_SOCIAL_IMAGES = 100
_META_NAMES = ("name", "property", "itemprop", "http-equiv")


SOCIAL_IMAGES = ("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src", "image")
"""Metas that hold the image which a page shows where it is shared."""

_SOCIAL_ALTS = ("og:image:alt", "twitter:image:alt")


@dataclass
class PageFacts:
    """What a page's elements say of it; `metas` are (name, property or http-equiv, content), names in lower case."""

    title: str = ""
    base_href: str | None = None
    declared_language: str | None = None
    metas: list[tuple[str, str]] = field(default_factory=list)
    data_scripts: list[LexborNode] = field(default_factory=list)
    canonical_href: str | None = None
    image_src: str | None = None
    license_href: str | None = None
    deed_href: str | None = None
    author_node: LexborNode | None = None

    def take(self, node: LexborNode, tag: str) -> None:
        """Note one element of the head's: html, title, base, meta, script or link. The first of a kind counts."""
        if tag == "title":
            if not self.title and (node.parent is None or node.parent.tag != "svg"):
                self.title = " ".join(node.text(deep=True)[:MAX_TITLE_CHARS].split())
            return
        attributes = node.attributes
        if tag == "meta":
            if "content" in attributes and len(self.metas) < _MAX_METAS:
                name = next((named for key in _META_NAMES if (named := attributes.get(key))), "")
                self.metas.append((name.strip().lower(), attributes["content"] or ""))
        elif tag == "html":
            self.declared_language = attributes.get("lang") or attributes.get("xml:lang")
        elif tag == "base":
            self.base_href = self.base_href or attributes.get("href")
        elif tag == "script":
            if (attributes.get("type") or "").partition(";")[0].strip().lower() == "application/ld+json":
                self.data_scripts.append(node)
        elif (rel := attributes.get("rel")) and (href := attributes.get("href")):
            words = rel.lower().split()
            if "canonical" in words:
                self.canonical_href = self.canonical_href or href
            elif "image_src" in words:
                self.image_src = self.image_src or href
            elif "license" in words:
                self.license_href = self.license_href or href

    def take_link(self, node: LexborNode, attributes: Mapping[str, str | None], href: str) -> None:
        """Note what a link of the body says: the page's licence, its author."""
        rel = attributes.get("rel")
        words = rel.lower().split() if rel else ()
        if "license" in words:
            self.license_href = self.license_href or href
        elif "author" in words or attributes.get("itemprop") == "author":
            self.author_node = self.author_node or node
        else:
            self.take_deed(href)

    def take_deed(self, href: str) -> None:
        """Note a link that may lead to a Creative Commons deed."""
        if is_deed(href):
            self.deed_href = self.deed_href or href


def is_deed(href: str) -> bool:
    """Whether a link leads to a Creative Commons deed: of a licence, or of what is in the public domain."""
    return "creativecommons.org/" in href and _DEED.search(href[:_MAX_AUTHOR_CHARS]) is not None


def social_images(metas: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(address as written, its own description or nothing) of the images that metas name, each once, in the order of
    SOCIAL_IMAGES. A description belongs to the image named before it (ogp.me, "Structured Properties"), or to the one
    that there is."""
    named: list[tuple[int, str]] = []
    descriptions: dict[str, str] = {}
    stray = latest = ""
    for name, content in metas:
        text = content.strip()
        if name in SOCIAL_IMAGES and text:
            named.append((SOCIAL_IMAGES.index(name), text))
            latest = text
        elif name in _SOCIAL_ALTS and text:
            stray = stray or text
            descriptions.setdefault(latest, text)
    hrefs = list(dict.fromkeys(href for _, href in sorted(named, key=lambda each: each[0])))
    only = stray if len(hrefs) == 1 else ""
    return [(href, descriptions.get(href, only)) for href in hrefs[:_MAX_SOCIAL_IMAGES]]


def social_texts(metas: Mapping[str, str], title: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of the images that a page shows where it is shared, but for their own descriptions."""
    yield "page_title", metas.get("og:title", "")
    yield "page_title", title
    for name in ("og:description", "description"):
        yield "description", metas.get(name, "")[:_MAX_DESCRIPTION_CHARS]


def language_of(declared: Sequence[str | None], title: str) -> str | None:
    """The language as a tag in lower case: as declared, the first that is a tag; else by the script of the title, `zh`,
    `ja` or `ko`; else null."""
    for words in declared:
        tag = (words or "").partition(",")[0].strip()
        if _LANGUAGE.match(tag):
            return tag.replace("_", "-").lower()
    if len(_KANA.findall(title)) > 1:
        return "ja"
    if _HANGUL.search(title):
        return "ko"
    return "zh" if len(_HAN.findall(title)) * 3 >= max(3, len(_LETTER.findall(title))) else None


def author_of(facts: PageFacts, metas: dict[str, str], of_data: str | None) -> str | None:
    """Who wrote the page, as it names them."""
    named = next((metas[name] for name in _AUTHOR_METAS if metas.get(name, "").strip()), None) or of_data
    if named is None and facts.author_node is not None:
        named = facts.author_node.text(deep=True)[: 10 * _MAX_AUTHOR_CHARS]
    return " ".join((named or "").split())[:_MAX_AUTHOR_CHARS] or None


def license_of(facts: PageFacts, base: Base, of_data: str | None) -> str | None:
    """The URL of the licence that the page states for its content: `rel=license`, JSON-LD, or a link to a Creative
    Commons deed."""
    hrefs = (facts.license_href, of_data, facts.deed_href)
    return next((url for href in hrefs if href and (url := base.resolve(href.strip()))), None)
