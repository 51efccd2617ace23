"""What a page says of itself as a whole: title, base, language, author, licence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from crawler.urls import Base

MAX_TITLE_CHARS = 1000
_MAX_AUTHOR_CHARS = 200
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}\Z")
_AUTHOR_METAS = ("author", "article:author", "dc.creator", "dcterms.creator", "byl")
_DEED = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/", re.IGNORECASE)
_HAN = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_LETTER = re.compile(r"[^\W\d_]")


FACT_SELECTOR = (
    "html, title, base[href], meta[content], script[type='application/ld+json' i], link[rel=image_src][href], "
    "link[rel~=license][href], a[rel~=license][href], a[href*='creativecommons.org/'], a[rel~=author], "
    "a[itemprop=author]"
)
FACT_TAGS = frozenset({"html", "title", "base", "meta", "script", "link", "a"})
_MAX_METAS = 1000


@dataclass
class PageFacts:
    """What the elements of FACT_SELECTOR say; `metas` are (name or property, content), names in lower case."""

    title: str = ""
    base_href: str | None = None
    declared_language: str | None = None
    metas: list[tuple[str, str]] = field(default_factory=list)
    data_scripts: list[LexborNode] = field(default_factory=list)
    image_src: str | None = None
    license_href: str | None = None
    deed_href: str | None = None
    author_node: LexborNode | None = None

    def take(self, node: LexborNode, tag: str) -> None:
        """Note one element. The first of a kind counts."""
        if tag == "meta":
            if len(self.metas) < _MAX_METAS:
                attributes = node.attributes
                name = attributes.get("name") or attributes.get("property") or attributes.get("itemprop") or ""
                self.metas.append((name.strip().lower(), attributes.get("content") or ""))
        elif tag == "title":
            if not self.title and (node.parent is None or node.parent.tag != "svg"):
                self.title = " ".join(node.text(deep=True)[:MAX_TITLE_CHARS].split())
        elif tag == "html":
            attributes = node.attributes
            self.declared_language = attributes.get("lang") or attributes.get("xml:lang")
        elif tag == "base":
            self.base_href = self.base_href or node.attributes.get("href")
        elif tag == "script":
            self.data_scripts.append(node)
        else:
            self._take_link(node, tag)

    def _take_link(self, node: LexborNode, tag: str) -> None:
        attributes = node.attributes
        words = (attributes.get("rel") or "").lower().split()
        href = attributes.get("href")
        if tag == "link" and "image_src" in words:
            self.image_src = self.image_src or href
        elif "license" in words:
            self.license_href = self.license_href or href
        elif "author" in words or attributes.get("itemprop") == "author":
            self.author_node = self.author_node or node
        elif href and _DEED.search(href[:_MAX_AUTHOR_CHARS]):
            self.deed_href = self.deed_href or href


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
