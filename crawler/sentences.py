"""Texts cut at the ends of their sentences."""

import re
from collections.abc import Iterator

_ENDS = re.compile(r"[。！？!?…；]+[”’」』）)]*|[.](?=\s|\Z)")


def first_sentences(text: str, max_chars: int) -> str:
    """As many whole sentences from the start as fit; a first one that is longer is cut."""
    if len(text) <= max_chars:
        return text
    end = 0
    for found in _ENDS.finditer(text):
        if found.end() > max_chars:
            break
        end = found.end()
    return text[: end or max_chars].strip()


def last_sentences(text: str, max_chars: int) -> str:
    """As many whole sentences from the end as fit; a last one that is longer keeps its end."""
    if len(text) <= max_chars:
        return text
    start = len(text) - max_chars
    ends = (found.end() for found in _ENDS.finditer(text, max(0, start - 4)))
    return text[next((end for end in ends if start <= end < len(text)), start) :].strip()


def sentences(text: str) -> Iterator[str]:
    """One after another; what follows the last end is one too."""
    start = 0
    for found in _ENDS.finditer(text):
        yield text[start : found.end()].strip()
        start = found.end()
    yield text[start:].strip()
