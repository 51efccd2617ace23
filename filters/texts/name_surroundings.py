"""What stands before and behind some characters that may be a person's name."""

import functools
import re
from collections.abc import Iterator, Sequence

from filters.texts.name_candidates import people
from filters.texts.name_characters import (
    ACTS,
    CUE_WORDS,
    FOLLOWERS,
    FOOD_ENDS,
    LONG_ROLES,
    LONG_THINGS,
    SURNAMES,
    THING_CHARACTERS,
    THING_ENDS,
    THING_WORDS,
    WEAK_CUES,
    begins_title,
)
from filters.texts.person_nouns import FOUND, SIGNS_OF_LISTS, person_before
from filters.texts.unknown_words import Word

_OFFICES = frozenset(role for role in LONG_ROLES if role[-1] in "长员师授士席任理记官监兵警教")
"""What someone is called behind the name beside the titles."""
_LENGTHS_OF_CUES = tuple(sorted({len(cue) for cue in CUE_WORDS}))
_MOST_AHEAD, _MOST_OF_AN_ITEM = 7, 3


def before(words: Sequence[Word], place: int) -> list[str]:
    """What stands before a name: the start of a text, a role, a list's sign, a sign, or a part of speech."""
    if not place or "\n" in words[place - 1][0]:
        return ["start"]
    word, tag = words[place - 1]
    earlier = words[place - 2][0] if place > 1 else ""
    if word == FOUND:
        return ["name"]
    if earlier == FOUND and (word in SIGNS_OF_LISTS or word == " "):
        return ["name list"]
    person = person_before(words, place)
    found = [person] if person else []
    if word in SIGNS_OF_LISTS:
        head = _head_of_list(words, place)
        if not head and (place == 1 or not words[place - 2][0][-1].isalnum()):
            head = "with"
        return [*found, head] if head else [*found, "list", *_nr_before(words, place - 1)]
    if not word[0].isalnum():
        return [*found, "dot" if word == "·" else "title" if word in "》〉" else "sign"]
    if found:
        return found
    if tag in ("nr", "nrt", "ns"):
        return [tag]
    return [tag[:1] if tag[:1] in "nvpdumtr" else "other"]


def _head_of_list(words: Sequence[Word], place: int) -> str:
    """`name list` in a list that holds a name, `role list` in one that a noun for a person opens."""
    sign = place - 1
    while sign > 0 and words[sign][0] in SIGNS_OF_LISTS:
        begin = sign
        while begin > 0 and sign - begin < _MOST_OF_AN_ITEM and words[begin - 1][0][0].isalpha():
            begin -= 1
        if begin and words[begin - 1][0] == FOUND:
            return "name list"
        if any(person_before(words, at) for at in range(begin, sign)):
            return "role list"
        sign = begin - 1
    return ""


def _nr_before(words: Sequence[Word], sign: int) -> list[str]:
    return ["nr list"] if sign and words[sign - 1][1].startswith("nr") and words[sign - 1][0][0] in SURNAMES else []


def after(words: Sequence[Word], place: int, rest: str) -> list[str]:
    """What stands behind a name, all that is so of it."""
    if not rest and (place >= len(words) or "\n" in words[place][0]):
        return ["end"]
    word, tag = (rest, "") if rest else words[place]
    ahead = (rest + "".join(following for following, _ in words[place : place + _MOST_AHEAD])).partition("\n")[0]
    if word == FOUND:
        return ["name"]
    found = [f"thing {each}" for each in _things(words, place, rest)]
    if ahead[0] == "之" and ahead[:2] not in _KIN:
        found.append("thing of a title")
    if begins_title(ahead[ahead[0] == " " :]) or (ahead[0] in _BESIDE and _COUNTED.match(ahead)):
        found.append("title")
    elif any(ahead[:length] in CUE_WORDS for length in _LENGTHS_OF_CUES):
        found.append("cue")
    elif any(ahead[:length] in _OFFICES for length in (4, 3, 2)):
        found.append("office")
    elif ahead.startswith(ACTS):
        found.append("act")
    elif ahead.startswith(WEAK_CUES):
        found.append("weak")
    if word in SIGNS_OF_LISTS or word == " ":
        found += _nr_behind(words, place)
    if _begins_listed(ahead[1:] if word in SIGNS_OF_LISTS or word == " " else ahead):
        found.append("listed")
    if word[0] in FOLLOWERS and not is_thing_word(word) and ahead[:2] not in _NO_FOLLOWERS:
        found.append("follower" if len(word) == 1 else "long follower")
    if not word[0].isalnum():
        return [*found, "dot" if word == "·" else "sign"]
    kind = "rest" if rest else tag if tag in ("nr", "nrt", "ns") else tag[:1] if tag[:1] in "nvpducamfr" else "other"
    return [*found, kind, *(["one"] if len(word) == 1 else [])]


_KIN = frozenset(("之墓", "之死", "之子", "之女", "之妻", "之父", "之母", "之孙", "之弟", "之兄", "之后"))
"""With other words behind it 之 makes the title of a work: 哪吒之魔童闹海."""
_BESIDE = frozenset("、和与及 ")
_COUNTED = re.compile(
    "(?:[、和与及 ][\u4e00-\u9fff]{2,4}){1,4} ?(?:[两二三四五六七八九十几多]位|[两二三四五六]人|等人|摄|供图|报道)"
)
"""The rest of a list of names, and how many they are or what they made: 、李四两位老师."""


def _nr_behind(words: Sequence[Word], sign: int) -> list[str]:
    following = words[sign + 1] if sign + 1 < len(words) else ("", "")
    return ["nr list"] if following[1].startswith("nr") and following[0][0] in SURNAMES else []


def _begins_listed(text: str) -> bool:
    return any(text[:length] in people() for length in (4, 3, 2))


def _things(words: Sequence[Word], place: int, rest: str) -> Iterator[str]:
    """Where among the nouns behind a name a thing is: next to it, near or last."""
    nouns = _nouns(words, place, rest)
    if not nouns:
        yield from _things_apart(words, place)
        return
    if not _WORKS.isdisjoint(nouns[1:]) or _is_of_a_time(words, place, rest, nouns):
        return
    is_verb = not rest and words[place][1] == "v"
    for number, noun in enumerate(nouns):
        if is_thing_word(noun) and (len(noun) > 1 or number == 0):
            yield ("either" if noun in CUE_WORDS else "next") if number == 0 else "of an act" if is_verb else "near"
            return
        if noun in THING_CHARACTERS and number + 1 == len(nouns):
            yield "near" if number else "next"
            return
        if noun in CUE_WORDS:
            if any(each.endswith(_INSTITUTIONS) for each in nouns[number + 1 : number + 3]):
                yield "near"
            return
        if len(noun) > 1 and number < 3 and not noun.endswith(_PICTURES):
            if noun[-1] in FOOD_ENDS:
                yield f"food {min(number, 1)}"
                return
            if noun[-1] in THING_ENDS:
                yield f"place {min(number, 1)}"
                return


def _things_apart(words: Sequence[Word], place: int) -> Iterator[str]:
    """What stands right behind that is no word of Chinese, or behind a space: RX5 of 荣威RX5, 药材."""
    word = words[place][0]
    if word == " " and place + 1 < len(words) and words[place + 1][0] in _GOODS:
        yield "apart"
    elif word[0].isascii() and word[0].isupper() and word[-1].isdigit():
        yield "code"


def _is_of_a_time(words: Sequence[Word], place: int, rest: str, nouns: Sequence[str]) -> bool:
    """Whether a school or the like is where someone was then: 大学 of 撒贝宁大学时."""
    behind = words[place + 1 - bool(rest) : place + 2 - bool(rest)]
    return bool(behind) and behind[0][0].startswith(("时", "期间", "毕业", "任教", "读书", "讲学"))


_WORKS_OF_ART = """
    照 图 图轴 立轴 手卷 扇面 年画 砖雕 木雕 石雕 雕塑 塑像 雕像 泥人 剪纸 剧照 旧影 海报 皮影 邮票
"""
_WORKS = frozenset(_WORKS_OF_ART.split())
"""What shows a person with something: 齐白石虾图立轴, 秋瑾男装照."""
_GOODS_APART = """
    药材 草药 中药 中药材 药用 药用植物 饮片 盆栽 苗木 种子 标本 纪念币 银币 手表 香水 女鞋 男鞋
"""
_GOODS = frozenset(_GOODS_APART.split())
_NOT_CALLED = """
    面无 面对 面带 面色 面向 面前 表示 表演 表达 表情 服装 服饰 球迷 球衣 街拍 街头 家中 家人 站在 站着
    站起 站上 站立 站到 装扮 墓前 墓地 墓碑 糖人 表彰 服务 面试 镇守 市场 派出
"""
_NO_FOLLOWERS = frozenset(_NOT_CALLED.split())
_CALLED_AFTER = """
    奖 馆 奖学金 基金会 书院 学院 学校 中学 小学 公园 研究会 读书会 协会 俱乐部 会所 公司 大赛 比赛
"""
_INSTITUTIONS = tuple(_CALLED_AFTER.split())
_PICTURES = ("照片", "图片", "相片", "名片", "影片", "短片", "唱片", "贺卡", "书法", "领奖", "颁奖", "获奖", "等奖")


@functools.lru_cache(maxsize=1 << 14)
def is_thing_word(word: str) -> bool:
    """Whether a word is, or ends in, a shop, goods, an institution or a place."""
    return (word in THING_WORDS and word != "机场") or (
        len(word) > 2 and word.endswith(LONG_THINGS) and word not in CUE_WORDS
    )


def _nouns(words: Sequence[Word], place: int, rest: str) -> list[str]:
    """The run of nouns behind a name, after one act at most: what the whole may be called."""
    found = [rest] if rest else []
    for word, tag in words[place : place + 5]:
        is_thing = (is_thing_word(word) or word in THING_CHARACTERS) and (len(word) > 1 or tag[:1] != "v")
        is_act = tag == "v" and len(word) > 1 and not found
        if "\n" in word or not (is_thing or tag[:1] in "nbjagklsm" or tag == "vn" or is_act):
            break
        if tag == "v" and not is_thing and (word in CUE_WORDS or is_thing_word(word)):
            break
        found.append(word)
    return found
