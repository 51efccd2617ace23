"""The selectors that find elements with a background of their own: of a page's bytes, to ask for nothing they lack."""

import re

from crawler.lazy_attributes import BACKGROUND_ATTRIBUTES

_LAZY_NAMES = {
    b"data-b": re.compile(rb"data-b[a-z-]+"),
    b"lazy-b": re.compile(rb"(?:data|nitro)-lazy-b[a-z-]+"),
    b"data-setbg": re.compile(rb"data-setbg"),
}
"""What a page holds where it may hold some of BACKGROUND_ATTRIBUTES, and those names."""

_ORIGINAL = re.compile(rb"data-original\s*=")
_ATTRIBUTE = re.compile(rb"[\s\"'/]background\s*=")
_READ_ANYWAY = (b"<img", b"<input")
_MOST_TAG_BYTES = 2000


def background_selectors(lowered: bytes) -> list[str]:
    """CSS selectors; `lowered` are the page's bytes in lower case."""
    patterns = [pattern for sign, pattern in _LAZY_NAMES.items() if sign in lowered]
    names = {name.decode() for pattern in patterns for name in pattern.findall(lowered)}
    selectors = [f"[{name}]" for name in BACKGROUND_ATTRIBUTES if name in names]
    if _has_original_elsewhere(lowered):
        selectors.append("[data-original]:not(input)")
    if b"background" in lowered and _ATTRIBUTE.search(lowered):
        selectors.append("[background]")
    if b"<amp-" in lowered:
        selectors.append("amp-img, amp-anim")
    return selectors + [
        f"[style*='{function}' i]" for function in ("url(", "image-set(") if _is_in_style(function.encode(), lowered)
    ]


def _has_original_elsewhere(lowered: bytes) -> bool:
    """Whether some element that is no img has `data-original`."""
    starts = (found.start() for found in _ORIGINAL.finditer(lowered))
    tags = (lowered.rfind(b"<", max(0, start - _MOST_TAG_BYTES), start) for start in starts)
    return any(not lowered.startswith(_READ_ANYWAY, tag) for tag in tags)


def _is_in_style(function: bytes, lowered: bytes) -> bool:
    """Whether a CSS function stands somewhere behind `style` with no `>` between, as in a tag."""
    looked_at, start = 0, lowered.find(function)
    while start >= 0:
        first = max(looked_at, start - _MOST_TAG_BYTES)
        if lowered.rfind(b"style", first, start) > lowered.rfind(b">", first, start):
            return True
        looked_at, start = start, lowered.find(function, start + len(function))
    return False
