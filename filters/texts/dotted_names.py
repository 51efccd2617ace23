"""Names whose parts are joined by a dot, as foreigners' and some minorities' are: 迈克尔·乔丹, 阿沛·阿旺晋美."""

import re
from collections.abc import Iterator

from filters.texts.minority_names import MINORITY_PARTS
from filters.texts.name_candidates import people
from filters.texts.name_characters import CLANS, DOTS, THINGS, TRANSLITERATES
from filters.texts.words import is_in_dictionary

_PART = f"(?:亚历山大|[{''.join(sorted(TRANSLITERATES))}])"
_DOT = f"[{''.join(sorted(DOTS))}]"
# A part is at most eight characters long, so that a hostile text costs no more than its length.
_WORDS = f"(?:{'|'.join(sorted(MINORITY_PARTS, key=lambda part: (-len(part), part)))}){{1,3}}[江汗]?"
_NAME = re.compile(
    f"{_WORDS}{_DOT}{_WORDS}|小?{_PART}{{1,8}}(?:{_DOT}{_PART}{{1,8}}){{1,4}}|(?:{'|'.join(CLANS)}){_DOT}[\u4e00-\u9fff]{{2}}"
)
_AHEAD = 8
_BEFORE_DOTS = """
    巴黎 米兰 罗马 柏林 雅典 里昂 莫斯科 西雅图 马德里 瑞士
    加拿大 意大利 土耳其 西班牙 巴西 古巴 丹麦 新加坡 阿根廷 希腊
"""
_PLACES = frozenset(_BEFORE_DOTS.split())


def replace_dotted(text: str, mask: str) -> str:
    """The text with each such name replaced; titles that begin or end there stay, and so do places, goods and shops."""
    pieces, done = [], 0
    for start, end in dotted_names(text):
        pieces += [text[done:start], mask]
        done = end
    return "".join([*pieces, text[done:]]) if done else text


def dotted_names(text: str) -> Iterator[tuple[int, int]]:
    """Where each such name begins and ends."""
    if not DOTS.isdisjoint(text):
        for match in _NAME.finditer(text):
            if _is_name(text, match):
                yield match.start(), match.start() + _length(text, match)


def _is_name(text: str, match: re.Match[str]) -> bool:
    behind = text[match.end() : match.end() + _AHEAD]
    if len(match[0]) < 4 or behind.startswith(THINGS) or behind[:1] in _NO_PERSONS:
        return False
    return (
        re.split(_DOT, match[0])[0] not in _PLACES
        and text[max(0, match.start() - 1) : match.start()] not in _BEGINS_A_TITLE
    )


def _length(text: str, match: re.Match[str]) -> int:
    """Without what begins the word behind it, as 肖 in 撒切尔肖像 or 泰坦尼 in 迪卡普里奥泰坦尼克号.

    出 of 提出席 begins none.
    """
    end, last = match.end(), re.split(_DOT, match[0])[-1]
    start = end - len(last)
    for cut in range(end, start + 1, -1):
        if text[start:cut] in people():
            return cut - match.start()
    for cut in range(start + 2, end - 1):
        if any(is_in_dictionary(text[cut : cut + length]) for length in (3, 4, 5) if cut + length > end):
            return cut - match.start()
    begins = len(last) > 2 and is_in_dictionary(text[end - 1 : end + 1]) and not _is_word(text[end : end + 2])
    if len(last) > 4 and end < len(text) and is_in_dictionary(text[end - 2 : end + 1]):
        return len(match[0]) - 2
    return len(match[0]) - (begins and end < len(text))


def _is_word(pair: str) -> bool:
    return len(pair) == 2 and is_in_dictionary(pair)


_BEGINS_A_TITLE = frozenset("《〈")
_NO_PERSONS = frozenset("》〉牌号路街奖厅楼馆")
