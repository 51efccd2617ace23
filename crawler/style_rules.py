"""Backgrounds that a page's own `<style>` blocks give to its elements: a few rules, and a few elements of each."""

import re
from collections.abc import Iterator, Sequence

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

_BRACE = re.compile(r"([{}])")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_BACKGROUND = re.compile(r"(?:^|[;\s])background(?:-image)?\s*:[^;]{0,2000}?(?:url|image-set)\(", re.IGNORECASE)
_NEVER_THERE = re.compile(r":(?:hover|focus|active|visited|checked|target|disabled)", re.IGNORECASE)
_PART = re.compile(r"(?<=[\w\])])::?(?:before|after)(?=\s*(?:,|\Z))", re.IGNORECASE)
"""What is before or after an element's contents belongs to the element."""

_MAX_CHARS = 262_144
_MAX_SELECTOR_CHARS = 200
_MAX_RULES = 40
_MAX_ELEMENTS = 20


def backgrounds_of_rules(page: LexborHTMLParser, styles: Sequence[str]) -> Iterator[tuple[LexborNode, str]]:
    """Elements, and the declarations that a rule with a background image gives them, in the order of the rules.

    Later rules and more specific ones do not put others out of force: which one wins is for a browser to say. What a
    rule shows only while somebody points at it is left out, and so is what lexbor cannot select.
    """
    num_rules = 0
    for selector, declarations in _rules(_COMMENT.sub(" ", "\n".join(styles)[:_MAX_CHARS])):
        if not _BACKGROUND.search(declarations) or _NEVER_THERE.search(selector):
            continue
        num_rules += 1
        if num_rules > _MAX_RULES:
            return
        try:
            nodes = page.css(_PART.sub("", selector))
        except SelectolaxError:
            continue
        for node in nodes[:_MAX_ELEMENTS]:
            yield node, declarations


def _rules(text: str) -> Iterator[tuple[str, str]]:
    """(selector, declarations) of the innermost blocks: those of `@media` too, but for those of `@font-face`."""
    pieces = _BRACE.split(text)
    for place in range(1, len(pieces) - 2, 2):
        if pieces[place] == "{" and pieces[place + 2] == "}":
            selector = pieces[place - 1].rpartition(";")[2].strip()
            if 0 < len(selector) <= _MAX_SELECTOR_CHARS and not selector.startswith("@"):
                yield selector, pieces[place + 1]
