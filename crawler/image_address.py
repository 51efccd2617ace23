"""Which addresses that markup names may lead to an image that can be fetched and read."""

import re

MAX_ATTRIBUTE_CHARS = 65_536
"""What is read of one attribute."""

_IMAGE_PATH = re.compile(r"\.(?:jpe?g|png|gif|webp|jfif)(?:[!@_][^/?#]*)?(?:[?#]|\Z)", re.IGNORECASE)
_LOOKS_LIKE_URL = re.compile(r"(?:https?:)?//|[^\s]*[/.][^\s]*\Z", re.IGNORECASE)
_UNREADABLE_TYPES = ("image/avif", "image/svg+xml", "image/jxl", "image/jp2", "image/heic")
_NOT_FETCHED = ("data:", "blob:", "about:", "javascript:", "#")
_NOT_FETCHED_STARTS = tuple("dDbBaAjJ#")


def is_image_link(href: str) -> bool:
    """Whether a link's path ends like an image file, also with a CDN's size suffix (`a.jpg!w600`).

    >>> is_image_link("/a/b.JPG?x=1"), is_image_link("/a/b.jpg!large"), is_image_link("/jpg/index.html")
    (True, True, False)
    """
    return _IMAGE_PATH.search(href, 0, MAX_ATTRIBUTE_CHARS) is not None


def is_fetchable(href: str) -> bool:
    """Whether an address leads out of the page: not `data:`, a script or a fragment."""
    return not href.startswith(_NOT_FETCHED_STARTS) or not href[:12].lower().startswith(_NOT_FETCHED)


def looks_like_url(text: str) -> bool:
    """Whether an attribute of a site's own holds an address, and not a word or a number of words."""
    return _LOOKS_LIKE_URL.match(text) is not None


def is_readable_type(kind: str | None) -> bool:
    """Whether images of a MIME type can be decoded; one that is not stated may be."""
    return (kind or "").strip().lower() not in _UNREADABLE_TYPES


def url_in(value: str | None) -> str | None:
    """The address that an attribute holds, if it may be fetched."""
    if not value:
        return None
    href = value[:MAX_ATTRIBUTE_CHARS].strip()
    return href if href and is_fetchable(href) else None
