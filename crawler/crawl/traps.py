"""URLs that sites make without end: known by their shape before anybody visits them, or made one again.

What looks like any other page, a calendar's next month or a game's next room, is bounded by the budgets of its host.
"""

import re
from collections import Counter

MAX_SEGMENTS = 20
"""Parts of a path. Heritrix gives up at 20 too (TooManyPathSegmentsDecideRule)."""

MAX_PARAMETERS = 16
MAX_SAME_SEGMENT = 3
"""How often a part may stand in a path: a relative link that climbs into itself repeats all of them."""

_SESSION_IN_PATH = re.compile(r";jsessionid=[^?#/]*|\(S\([0-9A-Za-z]{20,}\)\)/", re.IGNORECASE)
_SESSION_IN_QUERY = re.compile(
    r"(?<![^&])(?:(?:jsessionid|phpsessid|aspsessionid[a-z]*|cfid|cftoken)=[^&]*|(?:sid|sessid|session_?id)=[0-9a-z]{24,})(?:&|\Z)",
    re.IGNORECASE,
)


def without_session(url: str) -> str:
    """A canonical URL without the name of a visitor's session, which makes another URL of a page at each visit.

    >>> without_session("http://a.cn/show;jsessionid=1F?id=7&PHPSESSID=0c1d")
    'http://a.cn/show?id=7'
    """
    path, mark, query = url.partition("?")
    plain = _SESSION_IN_QUERY.sub("", query)
    if plain != query:
        mark, query = ("?", plain.rstrip("&")) if plain else ("", "")
    return _SESSION_IN_PATH.sub("", path) + mark + query


def is_trap(url: str) -> bool:
    """Whether a canonical URL has an endless path, or more parameters than a page needs."""
    path, _, query = url.split("/", 3)[3].partition("?")
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > MAX_SEGMENTS or query.count("&") >= MAX_PARAMETERS:
        return True
    return len(segments) > MAX_SAME_SEGMENT and max(Counter(segments).values()) > MAX_SAME_SEGMENT
