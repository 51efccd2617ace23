"""The texts that an image's own markup gives it: attributes, captions, the link that it lies in."""

import re

from selectolax.lexbor import LexborNode

from crawler.image_place import Place, Places
from crawler.tag_numbers import TEXT, number_of, numbers_of

MAX_CAPTION_CHARS = 1000

_CAPTION_CLASS = re.compile(
    r"(?:^|[\s_-])(?:captions?|(?:pic|img|image|photo)[_-]?(?:text|desc(?:r|ription)?|title|info|intro|note|caption)"
    r"|tuzhu|tushuo|figcaption)(?:[\s_-]|\Z)|caption-?text",
    re.IGNORECASE,
)
CAPTION_MARK = re.compile(r"(?:图(?:片|注|说|示)?\s*[\d一二三四五六七八九十]{0,3}\s*[:：]|[▲△↑]+)\s*")
_CAPTION_STOPS = numbers_of("body main article section")
_ATTRIBUTES = (("alt", "alt"), ("title", "title"), ("aria_label", "aria-label"))
_IMG = number_of("img")
_LEVELS = 4

Attributes = dict[str, str | None]


class ImageTexts:
    """Reads them on one page, and keeps what several images share."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._figcaptions: dict[int, str] = {}
        self._captions: dict[int, str] = {}
        self._links: dict[int, str] = {}

    def of_image(self, node: LexborNode, attributes: Attributes, place: Place) -> list[tuple[str, str]]:
        """(kind, text) of what an image element says of itself; texts may be empty."""
        texts = [(kind, text) for kind, name in _ATTRIBUTES if (text := attributes.get(name))]
        if place.figure is not None:
            texts.append(("figcaption", self._of_figure(place.figure)))
        if caption := self._below(node):
            texts.append(("caption", caption))
        return texts

    def of_link(self, link: LexborNode, attributes: Attributes) -> list[tuple[str, str]]:
        """Texts of an image that a link leads to: the thumbnail's, and the link's own."""
        image = link.first_child
        if image is not None and (image.next is not None or image.tag_id != _IMG):
            image = None if image.tag_id == TEXT and image.next is None else link.css_first("img")
        texts = [] if image is None else self.of_image(image, image.attributes, self._places.of(image))
        texts.append(("link", attributes.get("title") or ""))
        texts.append(("link", link.text(deep=True)[:MAX_CAPTION_CHARS]))
        return texts

    def of_enclosing(self, link: LexborNode) -> str:
        """The title or the text of the link that an image lies in."""
        mem_id = link.mem_id
        if mem_id not in self._links:
            self._links[mem_id] = link.attributes.get("title") or link.text(deep=True)[:MAX_CAPTION_CHARS]
        return self._links[mem_id]

    def _of_figure(self, figure: LexborNode) -> str:
        mem_id = figure.mem_id
        if mem_id not in self._figcaptions:
            caption = figure.css_first("figcaption")
            text = caption.text(deep=True).strip()[:MAX_CAPTION_CHARS] if caption is not None else ""
            self._figcaptions[mem_id] = CAPTION_MARK.sub("", text, count=1)
        return self._figcaptions[mem_id]

    def _below(self, node: LexborNode) -> str:
        """The text of an element right after the image, or after an ancestor that ends with it, that is classed as
        a caption (or opens with a caption's mark, as `图：` or `▲`)."""
        current = node
        for _ in range(_LEVELS):
            follower = _next_element(current)
            if follower is not None:
                mem_id = follower.mem_id
                if mem_id not in self._captions:
                    self._captions[mem_id] = _caption(follower)
                return self._captions[mem_id]
            parent = current.parent
            if parent is None or parent.tag_id in _CAPTION_STOPS:
                return ""
            current = parent
        return ""


def _caption(node: LexborNode) -> str:
    """The text of an element if it is a caption; one that shows an image of its own speaks of that."""
    classes = node.attributes.get("class") or ""
    is_classed = _CAPTION_CLASS.search(classes[:500]) is not None
    if not is_classed and not _is_small(node):
        return ""
    text = node.text(deep=True).strip()[:MAX_CAPTION_CHARS]
    mark = CAPTION_MARK.match(text)
    if not (mark or is_classed) or node.css_first("img") is not None:
        return ""
    return text[mark.end() :] if mark else text


def _is_small(node: LexborNode) -> bool:
    """Whether an element has few children, so that reading its text is cheap."""
    child = node.first_child
    for _ in range(4):
        if child is None:
            return True
        child = child.next
    return False


def _next_element(node: LexborNode) -> LexborNode | None:
    """The next sibling, if only white space lies between; None if there is none, or text comes first."""
    follower = node.next
    for _ in range(3):
        if follower is None or follower.is_element_node:
            return follower
        text = follower.text_content
        if text and not text.isspace():
            return None
        follower = follower.next
    return follower if follower is not None and follower.is_element_node else None
