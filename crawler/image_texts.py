"""The texts that an image's own markup gives it: attributes, captions, the link that it lies in."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

MAX_CAPTION_CHARS = 1000

_CAPTION_CLASS = re.compile(
    r"(?:^|[\s_-])(?:caption|captions|pic-?(?:text|desc|title|info)|img-?(?:text|desc|title|info)"
    r"|image-?(?:text|desc|title|info|caption)|photo-?(?:text|desc|title|info)|tuzhu|tushuo|figcaption)"
    r"(?:[\s_-]|\Z)|caption-?text",
    re.IGNORECASE,
)
CAPTION_MARK = re.compile(r"(?:图(?:片|注|说|示)?\s*[\d一二三四五六七八九十]{0,3}\s*[:：]|[▲△↑]+)\s*")
_CAPTION_STOPS = ("body", "main", "article", "section")

Attributes = dict[str, str | None]


def texts_of_image(node: LexborNode, attributes: Attributes) -> Iterator[tuple[str, str]]:
    """(kind, text) of what an image element says of itself; texts may be empty."""
    for kind, name in (("alt", "alt"), ("title", "title"), ("aria_label", "aria-label")):
        if text := attributes.get(name):
            yield kind, text
    yield "figcaption", _figcaption(node)
    yield "caption", _caption_below(node)


def texts_of_link(link: LexborNode, attributes: Attributes) -> Iterator[tuple[str, str]]:
    """Texts of an image that a link leads to: the thumbnail's, and the link's own."""
    image = link.css_first("img")
    if image is not None:
        yield from texts_of_image(image, image.attributes)
    yield "link", attributes.get("title") or ""
    yield "link", link.text(deep=True)[:MAX_CAPTION_CHARS]


def link_text(node: LexborNode) -> str:
    """The title or the text of the link that the image lies in."""
    link = _ancestor(node, "a", 4)
    if link is None:
        return ""
    return link.attrs.get("title") or link.text(deep=True)[:MAX_CAPTION_CHARS]


def _figcaption(node: LexborNode) -> str:
    figure = _ancestor(node, "figure", 6)
    caption = figure.css_first("figcaption") if figure is not None else None
    return CAPTION_MARK.sub("", caption.text(deep=True).strip()[:MAX_CAPTION_CHARS], count=1) if caption else ""


def _caption_below(node: LexborNode) -> str:
    """The text of an element right after the image, or after an ancestor that ends with it, that is classed as
    a caption (or opens with a caption's mark, as `图：` or `▲`)."""
    current = node
    for _ in range(4):
        follower = _next_element(current)
        if follower is not None:
            is_classed = _CAPTION_CLASS.search((follower.attrs.get("class") or "")[:500])
            text = follower.text(deep=True).strip()[:MAX_CAPTION_CHARS] if is_classed or _is_small(follower) else ""
            mark = CAPTION_MARK.match(text)
            if is_classed or mark:
                return text[mark.end() :] if mark else text
            return ""
        parent = current.parent
        if parent is None or parent.tag in _CAPTION_STOPS:
            return ""
        current = parent
    return ""


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
            break
        if (follower.text_content or "").strip():
            return None
        follower = follower.next
    return follower if follower is not None and follower.is_element_node else None


def _ancestor(node: LexborNode, tag: str, levels: int) -> LexborNode | None:
    current = node.parent
    for _ in range(levels):
        if current is None or current.tag == tag:
            return current
        current = current.parent
    return None
