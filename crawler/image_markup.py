"""Where HTML hides an image's URL: src, lazy-loading attributes, srcset, picture, CSS backgrounds, links."""

import re
from collections.abc import Iterator, Mapping

from selectolax.lexbor import LexborNode

from crawler.css_images import images_of_style, images_of_value
from crawler.image_address import (
    MAX_ATTRIBUTE_CHARS,
    is_fetchable,
    is_image_link,
    is_readable_type,
    looks_like_url,
    url_in,
)
from crawler.image_role import is_spacer_name
from crawler.lazy_attributes import BACKGROUND_ATTRIBUTES, BACKGROUND_SETS, LAZY_ATTRIBUTES, SRCSET_ATTRIBUTES
from crawler.srcset import largest
from crawler.tag_numbers import number_of

_LAZY_RANKS = {name: rank for rank, name in enumerate(LAZY_ATTRIBUTES)}
_SRCSET_RANKS = {name: rank for rank, name in enumerate(SRCSET_ATTRIBUTES)}
_BACKGROUND_RANKS = {name: rank for rank, name in enumerate(BACKGROUND_ATTRIBUTES)}
_ELSEWHERE = frozenset((*LAZY_ATTRIBUTES, *SRCSET_ATTRIBUTES))
_IMG, _PICTURE, _SOURCE = number_of("img"), number_of("picture"), number_of("source")
_INPUT, _VIDEO, _OBJECT, _SVG_IMAGE = number_of("input"), number_of("video"), number_of("object"), number_of("image")
_ABSOLUTE = ("http:", "https:", "/")
_MEDIA = re.compile(r"\[[^\[\]]*\]")
_CSS_FUNCTION = re.compile(r"(?:url|image-set|gradient)\(", re.IGNORECASE)
_BETWEEN_SETS = re.compile(r"\s\||\|\s")

Attributes = dict[str, str | None]


def image_hrefs(node: LexborNode, attributes: Attributes) -> list[str]:
    """The image URLs of one element, as written: one for an img, however many ways it says it."""
    tag = node.tag_id
    if tag in (_IMG, _INPUT) or (str(node.tag).startswith("amp-")):
        best = _best_of_img(node, attributes)
        return [best] if best else []
    if tag in (_SVG_IMAGE, _OBJECT):
        names = ("data",) if tag == _OBJECT else ("href", "xlink:href")
        return [href for name in names if (href := url_in(attributes.get(name)))][:1]
    poster = _poster(attributes) if tag == _VIDEO else None
    return list(dict.fromkeys([*([poster] if poster else ()), *_backgrounds(attributes)]))


def is_image_object(node: LexborNode, attributes: Attributes) -> bool:
    """Whether an element that may be one shows an image: a button, a video's poster, an object, an image of an SVG."""
    tag = node.tag_id
    if tag == _INPUT:
        return (attributes.get("type") or "").lower() == "image"
    if tag == _OBJECT:
        kind, href = attributes.get("type"), attributes.get("data")
        return bool(href) and (kind.startswith("image/") if kind else is_image_link(href or ""))
    return ("poster" in attributes or "data-poster" in attributes) if tag == _VIDEO else tag == _SVG_IMAGE


def _best_of_img(node: LexborNode, attributes: Attributes) -> str | None:
    """The srcset's largest, else a lazy-loading attribute, else what a picture's sources offer, else src, else what
    its style shows.

    A lazy image's src is a placeholder, so src comes before the sources only where it is a URL of its own. A file
    named as placeholders are is taken only where nothing else is there.
    """
    if (
        _ELSEWHERE.isdisjoint(attributes)
        and "(" not in (attributes.get("style") or "")
        and (parent := node.parent) is not None
        and parent.tag_id != _PICTURE
    ):
        return url_in(attributes.get("src"))
    placeholder: str | None = None
    for href in _offers(node, attributes):
        if not is_spacer_name(href):
            return href
        placeholder = placeholder or href
    return placeholder


def _offers(node: LexborNode, attributes: Attributes) -> Iterator[str]:
    yield from _offers_of_srcsets(attributes)
    for name in _present(_LAZY_RANKS, attributes):
        href = url_in(attributes[name])
        if href and looks_like_url(href):
            yield href
    yield from _offers_of_sources(node)
    src = url_in(attributes.get("src"))
    if src:
        yield src
    yield from images_of_style(attributes.get("style"))


def _offers_of_srcsets(attributes: Attributes) -> Iterator[str]:
    """The largest image of each srcset, the lazy ones last."""
    for name in _present(_SRCSET_RANKS, attributes):
        best = largest(attributes[name] or "")
        if best and is_fetchable(best):
            yield best


def _offers_of_sources(node: LexborNode) -> Iterator[str]:
    """Of the enclosing picture's readable `<source>`s, in their order, what their srcsets offer."""
    picture = node.parent
    child = picture.first_child if picture is not None and picture.tag_id == _PICTURE else None
    while child is not None:
        if child.tag_id == _SOURCE:
            attributes = child.attributes
            if is_readable_type(attributes.get("type")):
                yield from _offers_of_srcsets(attributes)
        child = child.next


def _poster(attributes: Attributes) -> str | None:
    return url_in(attributes.get("data-poster")) or url_in(attributes.get("poster"))


def _backgrounds(attributes: Attributes) -> list[str]:
    """Of the lazy-loading attributes the first that names images; `background`; what the style shows."""
    lazy = (_background_in(name, attributes[name]) for name in _present(_BACKGROUND_RANKS, attributes))
    found = next((urls for urls in lazy if urls), [])
    return found + _background_in("background", attributes.get("background")) + images_of_style(attributes.get("style"))


def _background_in(name: str, value: str | None) -> list[str]:
    """An attribute of a background holds a URL, or CSS, or sets of either; `data-original` may hold anything."""
    text = (value or "")[:MAX_ATTRIBUTE_CHARS].strip()
    if not text:
        return []
    if name == "data-original" and not (text.startswith(_ABSOLUTE) or is_image_link(text)):
        return []
    if name in BACKGROUND_SETS:
        urls = _best_of_sets(text)
    else:
        urls = images_of_value(text) if _CSS_FUNCTION.search(text) else [text]
    return [url for url in urls if is_fetchable(url) and looks_like_url(url)]


def _best_of_sets(text: str) -> list[str]:
    """The largest of sets with bars between them, whatever screens (`[(max-width: 600px)]`) they are for."""
    joined = _BETWEEN_SETS.sub(", ", _MEDIA.sub(" ", text))
    if "url(" in joined.lower():
        return images_of_value(f"image-set({joined})")
    best = largest(joined)
    return [best] if best else []


def _present(ranks: Mapping[str, int], attributes: Attributes) -> list[str]:
    """Those of some attributes that an element has, in order of trust."""
    return sorted(ranks.keys() & attributes.keys(), key=ranks.__getitem__)
