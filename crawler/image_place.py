"""What an image's ancestors say: its link, its figure, whether it lies in a heading or among a page's furniture."""

import re
from functools import lru_cache
from typing import NamedTuple

from selectolax.lexbor import LexborNode

from crawler.tag_numbers import number_of, numbers_of

HEADINGS = numbers_of("h1 h2 h3 h4 h5 h6")
BLOCKS = HEADINGS | numbers_of(
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form "
    "header hr html li main nav ol p pre section summary table tbody td tfoot th thead tr ul"
)
FIGURE, LINK = number_of("figure"), number_of("a")
_PAGE_ITSELF = numbers_of("body main article")
_FURNITURE_TAGS = numbers_of("nav footer aside menu")
_NEVER_FURNITURE = numbers_of("p figure")
_FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navi|menu|footer|copyright|breadcrumbs?|crumbs?|share|related|recommend|comments?"
    r"|pagination|pager|login|cookies?|toolbar|ads?|adsense|advert\w*)(?:[\s_-]|\Z)",
    re.IGNORECASE,
)
_MAX_CLASS_CHARS = 200
_CHANGING = BLOCKS | _FURNITURE_TAGS


class Place(NamedTuple):
    """Of all children of one element: the nearest link and figure above them, or that element itself, and so on."""

    link: LexborNode | None = None
    figure: LexborNode | None = None
    is_in_heading: bool = False
    is_in_furniture: bool = False


_NOWHERE = Place()


class Places:
    """The places of one page; every element is looked at once."""

    def __init__(self) -> None:
        self._within: dict[int, Place] = {}

    def of(self, node: LexborNode) -> Place:
        parent = node.parent
        above: list[LexborNode] = []
        place = _NOWHERE
        while parent is not None:
            known = self._within.get(parent.mem_id)
            if known is not None:
                place = known
                break
            above.append(parent)
            parent = parent.parent
        for element in reversed(above):
            place = self._within[element.mem_id] = _inside(element, place)
        return place


def is_furniture(node: LexborNode, tag: int) -> bool:
    """Whether an element is a menu, a footer, a list of comments or the like, by its tag or its class."""
    if tag in _FURNITURE_TAGS:
        return True
    if tag not in BLOCKS or tag in _NEVER_FURNITURE:
        return False
    attributes = node.attributes
    named = attributes.get("class") or attributes.get("id") or ""
    return _names_furniture(named[:_MAX_CLASS_CHARS])


@lru_cache(maxsize=4096)
def _names_furniture(classes: str) -> bool:
    """A site's pages have the same classes again and again."""
    return _FURNITURE.search(classes) is not None


def _inside(element: LexborNode, place: Place) -> Place:
    """The place of an element's children, given its own."""
    tag = element.tag_id
    if tag == LINK:
        return place._replace(link=element)
    if tag not in _CHANGING:
        return place
    return Place(
        place.link,
        element if tag == FIGURE else place.figure,
        tag in HEADINGS,
        tag not in _PAGE_ITSELF and (place.is_in_furniture or is_furniture(element, tag)),
    )
