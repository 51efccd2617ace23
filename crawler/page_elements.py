"""The elements of a page that say something of images or of the page, found in one pass over it."""

from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.image_address import is_image_link
from crawler.image_markup import Attributes, is_image_object
from crawler.image_place import HEADINGS
from crawler.page_backgrounds import background_selectors
from crawler.page_facts import PageFacts
from crawler.style_rules import backgrounds_of_rules
from crawler.tag_numbers import number_of, numbers_of

MAX_IMAGES = 5000
MAX_LINKS = 20_000

_IMG = number_of("img")
_LINK = number_of("a")
_FACTS = {number_of(tag): tag for tag in ("html", "title", "base", "meta", "script", "link")}
_OBJECTS = numbers_of("input video object image")
_WANTED = HEADINGS | _OBJECTS | _FACTS.keys() | {_IMG, _LINK}

_IMAGE_SIGNS = tuple(
    b"img image .jp .png .gif .webp .jfif url( poster data-b background ld+json data-original data-setbg lazy-b".split()
)

_CREDITS = frozenset({"rel", "itemprop"})
"""Attributes by which a link may name a licence or an author."""

Image = tuple[LexborNode, Attributes, LexborNode | None]
"""An element, its attributes, and the nearest heading before it."""


def may_show_images(lowered: bytes) -> bool:
    """Whether a page's bytes, in lower case, hold anything that an image is shown with."""
    return any(sign in lowered for sign in _IMAGE_SIGNS)


@dataclass
class PageElements:
    """What `of` found, in document order."""

    facts: PageFacts = field(default_factory=PageFacts)
    images: list[Image] = field(default_factory=list)
    image_links: list[tuple[LexborNode, Attributes]] = field(default_factory=list)
    is_cut: bool = False
    """Whether there are more images than MAX_IMAGES."""
    _styles: dict[int, str] = field(default_factory=dict)
    """Declarations with a background, by the element that a rule gives them to."""

    @classmethod
    def of(cls, page: LexborHTMLParser, lowered: bytes) -> "PageElements":
        """`lowered` are the page's bytes in lower case."""
        found = cls()
        backgrounds = found._backgrounds(page, lowered)
        heading: LexborNode | None = None
        for node in page.root.traverse() if page.root is not None else ():
            number = node.tag_id
            if number not in _WANTED:
                if backgrounds and node.mem_id in backgrounds:
                    found._take_background(node, node.attributes, heading)
            elif number == _IMG:
                found._take_image(node, node.attributes, heading)
            elif number == _LINK:
                attributes = node.attributes
                href = attributes.get("href") or ""
                if is_image_link(href) and len(found.image_links) < MAX_LINKS:
                    found.image_links.append((node, attributes))
                if _CREDITS.isdisjoint(attributes):
                    found.facts.take_deed(href)
                else:
                    found.facts.take_link(node, attributes, href)
                if backgrounds and node.mem_id in backgrounds:
                    found._take_background(node, attributes, heading)
            elif number in _FACTS:
                found.facts.take(node, _FACTS[number])
            else:
                heading = node if number in HEADINGS else heading
                attributes = node.attributes
                if node.mem_id in backgrounds or is_image_object(node, attributes):
                    found._take_background(node, attributes, heading)
        return found

    def _backgrounds(self, page: LexborHTMLParser, lowered: bytes) -> set[int]:
        """Elements that have a background, by their own attributes or by a rule of the page's styles."""
        if b"<style" in lowered and (b"url(" in lowered or b"image-set(" in lowered):
            styles = [node.text(deep=True) for node in page.css("style")]
            for node, declarations in backgrounds_of_rules(page, styles):
                self._styles[node.mem_id] = f"{self._styles.get(node.mem_id, '')};{declarations}"
        selectors = background_selectors(lowered)
        if not selectors:
            return set(self._styles)
        return self._styles.keys() | {node.mem_id for node in page.css(", ".join(selectors))}

    def _take_background(self, node: LexborNode, attributes: Attributes, heading: LexborNode | None) -> None:
        """An element with what the page's styles give it added to its own style."""
        if declarations := self._styles.get(node.mem_id):
            attributes = {**attributes, "style": f"{attributes.get('style') or ''}{declarations}"}
        self._take_image(node, attributes, heading)

    def _take_image(self, node: LexborNode, attributes: Attributes, heading: LexborNode | None) -> None:
        if len(self.images) < MAX_IMAGES:
            self.images.append((node, attributes, heading))
        else:
            self.is_cut = True
