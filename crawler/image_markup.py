"""Where HTML hides an image's URL: src, lazy-loading attributes, srcset, picture, CSS backgrounds, links."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

from crawler.image_role import is_spacer_name
from crawler.srcset import largest
from crawler.tag_numbers import number_of

# In order of trust: what lazy-loading scripts of Chinese and other sites put the true URL into.
LAZY_ATTRIBUTES = (
    "data-original",
    "data-src",
    "data-actualsrc",
    "data-lazy-src",
    "data-lazyload",
    "data-lazy",
    "data-echo",
    "data-url",
    "data-img",
    "data-image",
    "data-original-src",
    "data-orig-src",
    "data-orig-file",
    "data-large-file",
    "data-full-url",
    "data-hi-res-src",
    "data-ks-lazyload",
    "data-real-src",
    "data-backsrc",
    "data-defer-src",
    "data-cfsrc",
    "data-ll-src",
    "data-croporisrc",
    "data-lazysrc",
    "data-source",
    "data-objurl",
    "real_src",
    "realsrc",
    "original",
    "lazy-src",
    "lazysrc",
    "_src",
    "file",
    "zoomfile",
    "src2",
    "xsrc",
    "ess-data",
)
SRCSET_ATTRIBUTES = ("srcset", "data-srcset", "data-lazy-srcset")
_LAZY_RANKS = {name: rank for rank, name in enumerate(LAZY_ATTRIBUTES)}
_ELSEWHERE = frozenset((*LAZY_ATTRIBUTES, *SRCSET_ATTRIBUTES))
_IMG, _PICTURE, _SOURCE = number_of("img"), number_of("picture"), number_of("source")
_INPUT, _VIDEO, _OBJECT, _SVG_IMAGE = number_of("input"), number_of("video"), number_of("object"), number_of("image")
_BACKGROUND_ATTRIBUTES = ("data-bg", "data-background", "data-background-image", "data-bg-src", "background")

_CSS_URL = re.compile(r"url\(\s*(?:\"([^\"]{1,8192})\"|'([^']{1,8192})'|([^\s\"'()]{1,8192}))\s*\)", re.IGNORECASE)
_CSS_PROPERTY = re.compile(r"(?:^|[;{\s])(?:background|background-image|content|list-style-image)\s*:", re.IGNORECASE)
_IMAGE_PATH = re.compile(r"\.(?:jpe?g|png|gif|webp|jfif)(?:[!@_][^/?#]*)?(?:[?#]|\Z)", re.IGNORECASE)
_LOOKS_LIKE_URL = re.compile(r"(?:https?:)?//|[^\s]*[/.][^\s]*\Z", re.IGNORECASE)
_UNREADABLE_TYPES = ("image/avif", "image/svg+xml", "image/jxl", "image/jp2", "image/heic")
_NOT_FETCHED = ("data:", "blob:", "about:", "javascript:", "#")
_NOT_FETCHED_STARTS = tuple("dDbBaAjJ#")
_MAX_ATTRIBUTE_CHARS = 65_536
_MAX_BACKGROUNDS = 4

Attributes = dict[str, str | None]


def image_hrefs(node: LexborNode, attributes: Attributes) -> list[str]:
    """The image URLs of one element, as written: one for an img, however many ways it says it."""
    tag = node.tag_id
    if tag in (_IMG, _INPUT) or (str(node.tag).startswith("amp-")):
        best = _best_of_img(node, attributes)
        return [best] if best else []
    if tag in (_SVG_IMAGE, _OBJECT):
        names = ("data",) if tag == _OBJECT else ("href", "xlink:href")
        return [href for name in names if (href := _url_in(attributes, name))][:1]
    found = [poster] if (poster := _url_in(attributes, "poster")) and tag == _VIDEO else []
    found += [href for name in _BACKGROUND_ATTRIBUTES if (href := _background_in(attributes, name))]
    return list(dict.fromkeys(found + _css_urls(attributes.get("style"))))


def is_image_object(node: LexborNode, attributes: Attributes) -> bool:
    """Whether an element that may be one shows an image: a button, a video's poster, an object, an image of an SVG."""
    tag = node.tag_id
    if tag == _INPUT:
        return (attributes.get("type") or "").lower() == "image"
    if tag == _OBJECT:
        return "data" in attributes and (attributes.get("type") or "").startswith("image/")
    return "poster" in attributes if tag == _VIDEO else tag == _SVG_IMAGE


def is_image_link(href: str) -> bool:
    """Whether a link's path ends like an image file, also with a CDN's size suffix (`a.jpg!w600`).

    >>> is_image_link("/a/b.JPG?x=1"), is_image_link("/a/b.jpg!large"), is_image_link("/jpg/index.html")
    (True, True, False)
    """
    return _IMAGE_PATH.search(href, 0, _MAX_ATTRIBUTE_CHARS) is not None


def _best_of_img(node: LexborNode, attributes: Attributes) -> str | None:
    """The srcset's largest, else a lazy-loading attribute, else what a picture's sources offer, else src.

    A lazy image's src is a placeholder, so src comes before the sources only where it is a URL of its own. A file
    named as placeholders are is taken only where nothing else is there.
    """
    if _ELSEWHERE.isdisjoint(attributes) and (parent := node.parent) is not None and parent.tag_id != _PICTURE:
        return _url_in(attributes, "src")
    placeholder: str | None = None
    for href in _offers(node, attributes):
        if not is_spacer_name(href):
            return href
        placeholder = placeholder or href
    return placeholder


def _offers(node: LexborNode, attributes: Attributes) -> Iterator[str]:
    for name in SRCSET_ATTRIBUTES:
        srcset = attributes.get(name)
        best = largest(srcset) if srcset else None
        if best and _is_fetchable(best):
            yield best
    for name in sorted(_LAZY_RANKS.keys() & attributes.keys(), key=_LAZY_RANKS.__getitem__):
        href = _url_in(attributes, name)
        if href and _LOOKS_LIKE_URL.match(href):
            yield href
    of_picture = _best_of_sources(node)
    if of_picture:
        yield of_picture
    src = _url_in(attributes, "src")
    if src:
        yield src


def _best_of_sources(node: LexborNode) -> str | None:
    """The largest image of the first readable `<source>` in the enclosing picture."""
    picture = node.parent
    if picture is None or picture.tag_id != _PICTURE:
        return None
    child = picture.first_child
    while child is not None:
        if child.tag_id == _SOURCE:
            attributes = child.attributes
            kind = (attributes.get("type") or "").strip().lower()
            best = next((url for n in SRCSET_ATTRIBUTES if (url := largest(attributes.get(n) or ""))), None)
            if best and kind not in _UNREADABLE_TYPES and _is_fetchable(best):
                return best
        child = child.next
    return None


def _url_in(attributes: Attributes, name: str) -> str | None:
    value = attributes.get(name)
    if not value:
        return None
    href = value[:_MAX_ATTRIBUTE_CHARS].strip()
    return href if href and _is_fetchable(href) else None


def _background_in(attributes: Attributes, name: str) -> str | None:
    """A background attribute holds a URL, or CSS."""
    value = _url_in(attributes, name)
    if value is None:
        return None
    wrapped = _CSS_URL.search(value)
    if wrapped:
        value = next(group for group in wrapped.groups() if group)
    return value if _is_fetchable(value) and _LOOKS_LIKE_URL.match(value) else None


def _css_urls(style: str | None) -> list[str]:
    text = (style or "")[:_MAX_ATTRIBUTE_CHARS]
    if not _CSS_PROPERTY.search(text):
        return []
    urls = (next(group for group in match.groups() if group) for match in _CSS_URL.finditer(text))
    return [url.strip() for url in urls if _is_fetchable(url.strip())][:_MAX_BACKGROUNDS]


def _is_fetchable(href: str) -> bool:
    return not href.startswith(_NOT_FETCHED_STARTS) or not href[:12].lower().startswith(_NOT_FETCHED)
