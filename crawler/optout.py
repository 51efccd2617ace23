"""Opt-outs that a response or a page states: X-Robots-Tag, meta robots, TDM-Reservation, Content-Usage."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

OPT_OUT_DIRECTIVES = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""Directives that keep an image out of a dataset (img2dataset's list, and `none`, which includes noindex)."""

_NO_LINKS = frozenset({"nofollow", "none"})

# Directives with a value of their own: what precedes their colon is no crawler's name.
_VALUED = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
_SCOPE = re.compile(r"\s*(\*|[A-Za-z_][A-Za-z0-9_.-]*)(?:/[\w.]*)?\s*:(.*)", re.DOTALL)
_MAX_HEADER_CHARS = 16384
_MAX_DETAIL_CHARS = 200

# The uses that a training set is made for, as draft-ietf-aipref-vocab calls them (train-ai), as its earlier drafts did,
# which sites still serve (bots, train-genai, tdm, ai, genai), and as Content-Signal does (ai-train).
_TRAINING_USES = {"all", "bots", "tdm", "ai", "genai", "train-ai", "train-genai", "ai-train"}
_REFUSALS = {"n", "no", "?0"}
_USE_HEADERS = ("content-usage", "content-signal")
_USE_HEADER = re.compile(r"\Acontent-(?:usage|signal) ?:")
_EQUALS = re.compile(r" ?= ?")
_BETWEEN_ITEMS = re.compile(r"[,;]")
_BETWEEN_WORDS = re.compile(r"[,;\s]+")


@dataclass(frozen=True)
class PageDirectives:
    """What a page's meta elements ask of us: `opt_out` is the directive that decided."""

    opt_out: str | None
    nofollow: bool


def opt_out_of_headers(headers: Iterable[tuple[str, str]], agent: str) -> str | None:
    """The header text that keeps a response out of the dataset, or None. `agent` is our product token."""
    for name, value in headers:
        key = name.lower()
        bounded = value[:_MAX_HEADER_CHARS]
        if key == "x-robots-tag":
            opted_out = bool(OPT_OUT_DIRECTIVES & _robots_tag(bounded, agent))
        elif key == "tdm-reservation":
            opted_out = bounded.strip() == "1"
        elif key in _USE_HEADERS:
            opted_out = usage_opt_out(bounded)
        else:
            continue
        if opted_out:
            return f"{key}: {bounded.strip()}"[:_MAX_DETAIL_CHARS]
    return None


def opt_out_of_meta(elements: Iterable[tuple[str, str]], agent: str) -> PageDirectives:
    """What (name, content) of a page's meta elements ask: `robots`, our own name, and what names a header that opts out
    (`tdm-reservation`; `x-robots-tag` and `content-usage`, by `http-equiv` as by `name`)."""
    deciding: str | None = None
    nofollow = False
    for name, content in elements:
        key = name.strip().lower()
        bounded = content[:_MAX_HEADER_CHARS]
        as_header = [(key, bounded)]
        if key in ("robots", agent.lower()):
            directives = _words(bounded)
            opted_out = bool(directives & OPT_OUT_DIRECTIVES)
            nofollow = nofollow or bool(directives & _NO_LINKS)
        else:
            opted_out = opt_out_of_headers(as_header, agent) is not None
            nofollow = nofollow or nofollow_of_headers(as_header, agent)
        if deciding is None and opted_out:
            deciding = f"meta {key}: {bounded.strip()}"[:_MAX_DETAIL_CHARS]
    return PageDirectives(deciding, nofollow)


def nofollow_of_headers(headers: Iterable[tuple[str, str]], agent: str) -> bool:
    """Whether an X-Robots-Tag asks us not to follow the links of a page."""
    tags = [value[:_MAX_HEADER_CHARS] for name, value in headers if name.lower() == "x-robots-tag"]
    return any(_robots_tag(tag, agent) & _NO_LINKS for tag in tags)


def usage_opt_out(line: str) -> bool:
    """Whether a Content-Usage (`train-ai=n`) or Content-Signal (`ai-train=no`) line refuses training.

    >>> usage_opt_out("search=y, train-ai=n"), usage_opt_out("ai-train=yes")
    (True, False)
    """
    text = " ".join(line.lower().split())  # so that one space stands where any may
    pairs = (item.partition("=") for item in _BETWEEN_WORDS.split(_EQUALS.sub("=", _USE_HEADER.sub("", text))))
    return any(use in _TRAINING_USES and verdict.strip("\"'") in _REFUSALS for use, _, verdict in pairs)


def _words(directives: str) -> set[str]:
    """Directives in lower case, without those that have a value. Commas part them; semicolons and spaces are met."""
    words: set[str] = set()
    for item in _BETWEEN_ITEMS.split(directives.lower()):
        plain, colon, _ = item.partition(":")
        words.update(plain.split()[:-1] if colon else plain.split())
    return words


def _robots_tag(value: str, agent: str) -> set[str]:
    """The directives of one X-Robots-Tag that are meant for us: a name holds until the next name."""
    directives: set[str] = set()
    applies = True
    for item in value.split(","):
        scope = _SCOPE.match(item)
        rest = item
        if scope is not None and scope.group(1).lower() not in _VALUED:
            applies = scope.group(1).lower() in ("*", "robots", agent.lower())
            rest = scope.group(2)
        if applies:
            directives |= _words(rest)
    return directives
