"""The `srcset` attribute: the WHATWG parser, and the largest image that it offers."""

import re
from dataclasses import dataclass

MAX_SRCSET_CHARS = 65_536

_PLAIN_URL = re.compile(r"[ \t\n\f\r]*([^ \t\n\f\r,]+)[ \t\n\f\r]*\Z")
"""A srcset of one URL, without a descriptor or a comma."""

_MOST_PLAIN_CHARS = 2048
_SPACE = " \t\n\f\r"
_NEXT_URL = re.compile(r"[ \t\n\f\r,]*+([^ \t\n\f\r]+)")
_PLAIN_DESCRIPTORS = re.compile(r"([^,()]*+)(?:,|\Z)")
_WORD = re.compile(r"[^ \t\n\f\r]+")
_INTEGER = re.compile(r"\d+\Z", re.ASCII)
_FLOAT = re.compile(r"-?(?:\d+|\d*\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)


@dataclass(frozen=True)
class SrcsetCandidate:
    """One image of a srcset: `width` in pixels, or else `density` (1.0 where nothing is said)."""

    url: str
    width: int | None
    density: float | None


def parse_srcset(value: str) -> list[SrcsetCandidate]:
    """The candidates in order; those whose descriptors are in error are left out (HTML, "parse a srcset")."""
    text = value[:MAX_SRCSET_CHARS]
    candidates: list[SrcsetCandidate] = []
    position = 0
    while found := _NEXT_URL.match(text, position):
        url, position = found.group(1), found.end()
        descriptors: list[str] = []
        if url.endswith(","):
            url = url.rstrip(",")
        elif plain := _PLAIN_DESCRIPTORS.match(text, position):
            descriptors, position = _WORD.findall(plain.group(1)), plain.end()
        else:
            descriptors, position = _descriptors(text, position)
        candidate = _candidate(url, descriptors)
        if candidate is not None:
            candidates.append(candidate)
    return candidates


def largest(value: str) -> str | None:
    """The URL of the widest candidate; of the densest, where none states a width; the first on a tie."""
    if len(value) <= _MOST_PLAIN_CHARS and (only := _PLAIN_URL.match(value)):
        return only.group(1)
    candidates = parse_srcset(value)
    if not candidates:
        return None
    return max(candidates, key=lambda c: (c.width or 0, c.density if c.density is not None else 1.0)).url


def _descriptors(text: str, position: int) -> tuple[list[str], int]:
    """Space-separated words up to a comma outside parentheses, and where to go on."""
    words, word, in_parentheses = [], "", False
    while position < len(text):
        character = text[position]
        position += 1
        if in_parentheses:
            word += character
            in_parentheses = character != ")"
        elif character == ",":
            break
        elif character in _SPACE:
            words.append(word)
            word = ""
        else:
            word += character
            in_parentheses = character == "("
    return [found for found in (*words, word) if found], position


def _candidate(url: str, descriptors: list[str]) -> SrcsetCandidate | None:
    """None where descriptors contradict each other. Ones of no known form are ignored, as the standard does now."""
    width: int | None = None
    density: float | None = None
    height: int | None = None
    for word in descriptors:
        number, unit = word[:-1], word[-1]
        if unit in "wh" and _INTEGER.match(number):
            value = int(number[:10])
            if value == 0 or density is not None or (width if unit == "w" else height) is not None:
                return None
            width, height = (value, height) if unit == "w" else (width, value)
        elif unit == "x" and _FLOAT.match(number) and float(number) >= 0:
            if width is not None or density is not None or height is not None:
                return None
            density = float(number)
    return None if height is not None and width is None else SrcsetCandidate(url, width, density)
