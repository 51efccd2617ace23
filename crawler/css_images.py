"""The images that CSS shows: what `url()` names, and the best of each `image-set()` (CSS Images 4)."""

import re
from typing import NamedTuple

from crawler.image_address import MAX_ATTRIBUTE_CHARS, is_fetchable, is_readable_type

_STRING = r"\"[^\"]*+\"|'[^']*+'"
_URL = r"url\(\s*(?:\"([^\"]{1,8192})\"|'([^']{1,8192})'|([^\s\"'()]{1,8192}))\s*\)"
_SET = rf"image-set\(((?:[^()\"']|{_STRING}|\((?:[^()\"']|{_STRING})*+\))*+)\)"
_IMAGE = re.compile(rf"{_SET}|{_URL}", re.IGNORECASE)
_OPTION = re.compile(rf"(?:{_URL}|\"([^\"]*+)\"|'([^']*+)')((?:[^,\"']|{_STRING})*+)", re.IGNORECASE)
"""One of a set: its address in one of five ways, and what is said of it."""

_RESOLUTION = re.compile(r"(?<![\w.])(\d++(?:\.\d++)?|\.\d++)(x|dppx|dpi|dpcm)\b", re.IGNORECASE)
_TYPE = re.compile(r"type\(\s*[\"']([^\"';]*)", re.IGNORECASE)
_DOTS_PER_PX = {"x": 1.0, "dppx": 1.0, "dpi": 1 / 96, "dpcm": 2.54 / 96}
_PROPERTY = re.compile(
    r"(?:^|[;{\s])(?:background|background-image|content|list-style-image|--[\w-]{1,100})\s*:", re.IGNORECASE
)
"""Properties that show images, and custom ones, by which an element hands a style sheet its own."""

_MAX_IMAGES = 4


class _Option(NamedTuple):
    """One image of a set; `density` in dots for each px unit."""

    url: str
    is_readable: bool
    density: float


def images_of_style(style: str | None) -> list[str]:
    """URLs, as written, of the images that declarations show: at most four."""
    if not style or not _PROPERTY.search(style, 0, MAX_ATTRIBUTE_CHARS):
        return []
    return images_of_value(style)


def images_of_value(value: str) -> list[str]:
    """URLs, as written and in order, of the images of CSS values: at most four.

    Of a set, the densest that can be read, the first of equals; the others are not shown, and are left out where a
    `url()` names them too for browsers that know no sets.
    """
    shown: dict[str, None] = {}
    lesser: set[str] = set()
    for found in _IMAGE.finditer(value[:MAX_ATTRIBUTE_CHARS]):
        if (inside := found.group(1)) is None:
            shown[_first(found.groups()[1:])] = None
        elif options := _options(inside):
            best = max(options, key=lambda option: (option.is_readable, option.density)).url
            shown[best] = None
            lesser.update(option.url for option in options if option.url != best)
    return [url for url in shown if url and url not in lesser and is_fetchable(url)][:_MAX_IMAGES]


def _options(inside: str) -> list[_Option]:
    """What an image-set offers to be fetched. A resolution that is not stated, or calculated, is 1x."""
    options = []
    for found in _OPTION.finditer(inside):
        url, said = _first(found.groups()[:5]), found.group(6)
        kind = _TYPE.search(said)
        if url and is_fetchable(url):
            options.append(_Option(url, is_readable_type(kind.group(1) if kind else None), _density(said)))
    return options


def _density(said: str) -> float:
    found = _RESOLUTION.search(said)
    return float(found.group(1)) * _DOTS_PER_PX[found.group(2).lower()] if found else 1.0


def _first(groups: tuple[str | None, ...]) -> str:
    return next((group for group in groups if group), "").strip()
