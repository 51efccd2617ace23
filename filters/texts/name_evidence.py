"""What speaks for and against some characters of a text being a person's name."""

import functools
import itertools
from collections.abc import Iterator, Sequence

from filters.texts.name_candidates import Candidate, is_known, people
from filters.texts.name_characters import (
    ACTS,
    COMMON_GIVEN,
    CUE_WORDS,
    FOLLOWERS,
    FOOD_ENDS,
    LONG_ROLES,
    LONG_THINGS,
    NOT_GIVEN,
    PLACE_GIVEN,
    RARE_SURNAMES,
    SINGLE_GIVEN,
    THING_ENDS,
    THING_WORDS,
    TRANSCRIBES,
    WEAK_CUES,
    WEAK_SURNAMES,
)
from filters.texts.person_nouns import FOUND, SIGNS_OF_LISTS, person_before
from filters.texts.unknown_words import Word, emission_odds
from filters.texts.words import tagged

_ENDS_AS_ACT = frozenset("教带在为给向从送抱骑唱弹拉打跳做写画拍摄饰演讲说领获到站坐走看吃喝")
_OF_FAMILIES = frozenset("家氏府村庄公")
_GOES_ON = frozenset("为在和与对向从是的把被将也说给")
"""What a tagger joins to the end of a name although it is a word of its own."""


def evidence(words: Sequence[Word], place: int, found: Candidate) -> dict[str, float]:
    """How much there is of each kind of evidence, by the names that `name_scores` has weights for.

    Of names that the list has, the kinds begin with `L`: what stands beside them says other things.
    """
    is_listed = found.name in people()
    if is_listed:
        inner = _of_listed(words, place, found)
    elif found.kind == "chinese":
        inner = itertools.chain(_of_characters(found), _of_words(words, place, found), _of_border(words, place, found))
    else:
        inner = iter([(f"{found.kind} {min(len(found.name), 4)}", 1.0)])
    held = dict(inner)
    held.update(_of_rest(words, place, found))
    kind = "L" if is_listed else f"given {len(found.given)}" if found.kind == "chinese" else found.kind
    held[kind] = 1.0
    before, after = _before(words, place), _after(words, place + found.taken, found.rest)
    mark = "L " if is_listed else ""
    for sign in before:
        held[f"{mark}before {sign if not is_listed else _TELLS_OF_LISTED.get(sign, 'other')}"] = 1.0
    for sign in after:
        if not is_listed or sign in _TELLS_OF_LISTED or sign.startswith("thing"):
            held[f"{mark}after {sign}"] = 1.0
    if not _CUED_BEFORE.isdisjoint(before) or "cue" in after:
        held[f"cued {kind}"] = 1.0
    if not _PERSONS.isdisjoint(before):
        held.update(_of_expected(held, kind))
    return held


_TELLS = "start|role|role sign|person|person sign|name list|list|sign|title|dot"
_TELLS_BEHIND = "end|cue|office|act|weak|listed|follower|long follower"
_TELLS_OF_LISTED = {sign: sign for sign in f"{_TELLS}|{_TELLS_BEHIND}".split("|")} | {"name": "name list"}
"""The signs beside a listed name that are told apart, by what they count as."""

_TITLES_BEHIND = frozenset(role for role in LONG_ROLES if role[-1] in "长员师授士席任理记官监兵警教")
"""What someone is called behind the name: 护士长, 研究员."""
_LENGTHS_OF_CUES = tuple(sorted({len(cue) for cue in CUE_WORDS}))
_PERSONS = frozenset({"role", "role sign", "person", "person sign", "name list"})
_CUED_BEFORE = frozenset({"role", "role sign", "name list"})


_EXPECTED = (
    "one word",
    "known",
    "parts",
    "given is",
    "splits",
    "rare",
    "weak surname",
    "after v",
    "after n",
    "after end",
)


def _of_expected(held: dict[str, float], kind: str) -> dict[str, float]:
    """Behind a noun for a person the same says other things."""
    if kind.startswith("L"):
        return {"expected L": 1.0}
    kinds = [each for each in held if each.startswith(_EXPECTED) and not each.endswith("odds")]
    return {f"expected {each}": 1.0 for each in (*kinds, kind)}


def _of_listed(words: Sequence[Word], place: int, found: Candidate) -> Iterator[tuple[str, float]]:
    parts = words[place : place + found.taken]
    name, size = found.name, min(len(found.name), 4)
    tag = tag_of(name) if is_known(name) else ""
    is_word = "" if not tag else " name" if tag.startswith("nr") else " other"
    yield f"listed {size}{is_word}", 1.0
    if found.name[0] in WEAK_SURNAMES and size == 2:
        yield "listed weak", 1.0
    if len(parts) > 1:
        yield f"listed in parts {size}", 1.0
    if size == 2:
        ahead = found.rest or "".join(word for word, _ in words[place + found.taken : place + found.taken + 1])
        if len(ahead) == 1 and ahead in COMMON_GIVEN and odds(ahead, 2) > 0.5:
            yield "listed goes on", 1.0


def _of_border(words: Sequence[Word], place: int, found: Candidate) -> Iterator[tuple[str, float]]:
    """Whether the last character begins a word with the next: 溪山 of 范宽溪山行旅图."""
    following = found.rest or (words[place + found.taken][0] if place + found.taken < len(words) else "")
    if following and is_known(found.given[-1] + following[0]):
        is_common = found.given[-1] in COMMON_GIVEN
        yield f"joins {len(found.given)}{' common' if is_common else ''}", 1.0
        if len(found.given) == 2 and found.name[:2] in people():
            yield "joins after listed", 1.0


def _of_rest(words: Sequence[Word], place: int, found: Candidate) -> Iterator[tuple[str, float]]:
    if found.rest:
        last = words[place + found.taken - 1][0]
        if found.rest in _GOES_ON:
            yield "splits before", 1.0
        elif len(found.rest) > 1 and found.rest in CUE_WORDS:
            yield "splits before cue", 1.0
        else:
            yield f"splits {'known' if is_known(last) else 'unknown'}", 1.0


def odds(character: str, place: int) -> float:
    """Logarithm of how much likelier a character is at the place (0, 1, 2: surname, middle, last) of a name."""
    found = emission_odds().get(character)
    if found is None or found[place] < -5.0:
        if character in COMMON_GIVEN or character in SINGLE_GIVEN:
            return 3.0
        return 1.0 if (found is None or max(found[1:]) > 0.0) and character not in NOT_GIVEN else -3.0
    return found[place]


def _of_characters(found: Candidate) -> Iterator[tuple[str, float]]:
    given = found.given
    surname = odds(found.surname, 0) if len(found.surname) == 1 else 4.0
    last = odds(given[-1], 2)
    if len(given) == 2:
        total = _mean_odds(found)
        yield "odds 2", total
        yield "good odds" if total > 3.0 else "fair odds" if total > 1.5 else "poor odds", 1.0
        if given[0] == given[1]:
            yield "twice", 1.0
        if COMMON_GIVEN.issuperset(given):
            yield "common", 1.0
    else:
        yield "odds 1", (surname + last) / 2
        if given in SINGLE_GIVEN:
            yield "single given", 1.0
    if len(found.surname) == 2:
        yield "compound", 1.0
    if found.surname in RARE_SURNAMES:
        yield "rare surname", 1.0
    if found.surname in WEAK_SURNAMES:
        yield "weak surname", 1.0
    if not NOT_GIVEN.isdisjoint(given):
        yield "not given", 1.0
    if given[-1] in NOT_GIVEN:
        yield "ends not given", 1.0
    if given[-1] in _ENDS_AS_ACT:
        yield "ends in an act", 1.0
    if len(given) == 2 and given[0] in _OF_FAMILIES:
        yield "family's", 1.0
    if len(given) == 2 and found.name[:2] in people():
        yield "extends listed", 1.0
    if given[-1] in PLACE_GIVEN:
        yield "place end", 1.0
    if given[-1] in TRANSCRIBES:
        yield "transcribes", 1.0
    if given[-1] == "子":
        yield "ends in 子", 1.0


def _mean_odds(found: Candidate) -> float:
    surname = odds(found.surname, 0) if len(found.surname) == 1 else 4.0
    return (surname + odds(found.given[0], 1) + odds(found.given[-1], 2)) / 3


def _of_words(words: Sequence[Word], place: int, found: Candidate) -> Iterator[tuple[str, float]]:
    """How the tagger cut it: as one word, or into these."""
    parts = words[place : place + found.taken]
    name, size = found.name, len(found.given)
    tag = tag_of(name) if is_known(name) else ""
    if tag:
        kind = f"known {'name' if tag.startswith('nr') else 'other'} {size}"
        yield kind, 1.0
        if size == 2:
            yield f"{kind} odds", _mean_odds(found)
    elif len(parts) == 1 and not found.rest:
        kind = f"one word {'name' if parts[0][1].startswith('nr') else 'other'} {size}"
        yield kind, 1.0
        if size == 2:
            yield f"{kind} odds", _mean_odds(found)
    else:
        starts = parts[0][0] == found.surname
        given = "".join(word for word, _ in parts[1:])
        is_word = starts and size == 2 and given == found.given and is_known(given)
        yield f"parts {size} {'stands' if starts else 'inside'}", 1.0
        if is_word:
            yield f"given is a word {tag_of(given)[:2] if tag_of(given)[:1] == 'n' else tag_of(given)[:1]}", 1.0
        if not starts and len(parts[0][0]) > 1 and is_known(parts[0][0]):
            yield "starts known", 1.0


def _before(words: Sequence[Word], place: int) -> list[str]:
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
        return [*found, "list"]
    if not word[0].isalnum():
        return [*found, "dot" if word == "·" else "title" if word in "》〉" else "sign"]
    if found:
        return found
    return [tag[:2] if tag[:2] in ("nr", "ns") else tag[:1] if tag[:1] in "nvpdumtr" else "other"]


def _after(words: Sequence[Word], place: int, rest: str) -> list[str]:
    """What stands behind a name, all that is so of it."""
    if not rest and (place >= len(words) or "\n" in words[place][0]):
        return ["end"]
    word, tag = (rest, "") if rest else words[place]
    ahead = (rest + "".join(following for following, _ in words[place : place + 4])).partition("\n")[0]
    if word == FOUND:
        return ["name"]
    found = [f"thing {each}" for each in _things(words, place, rest)]
    if any(ahead[:length] in CUE_WORDS for length in _LENGTHS_OF_CUES):
        found.append("cue")
    elif any(ahead[:length] in _TITLES_BEHIND for length in (4, 3, 2)):
        found.append("office")
    elif ahead.startswith(ACTS):
        found.append("act")
    elif ahead.startswith(WEAK_CUES):
        found.append("weak")
    if _begins_listed(ahead[1:] if word in SIGNS_OF_LISTS or word == " " else ahead):
        found.append("listed")
    if word[0] in FOLLOWERS and not is_thing_word(word) and ahead[:2] not in _NO_FOLLOWERS:
        found.append("follower" if len(word) == 1 else "long follower")
    if not word[0].isalnum():
        return [*found, "dot" if word == "·" else "sign"]
    kind = "rest" if rest else tag[:2] if tag[:2] in ("nr", "ns") else tag[:1] if tag[:1] in "nvpducamfr" else "other"
    return [*found, kind, *(["one"] if len(word) == 1 else [])]


def _begins_listed(text: str) -> bool:
    return any(text[:length] in people() for length in (4, 3, 2))


def _things(words: Sequence[Word], place: int, rest: str) -> Iterator[str]:
    """Where among the nouns behind a name a thing is: next to it, near or last."""
    nouns = _nouns(words, place, rest)
    if not _WORKS.isdisjoint(nouns[1:]) or _is_of_a_time(words, place, rest, nouns):
        return
    for number, noun in enumerate(nouns):
        if is_thing_word(noun) and (len(noun) > 1 or number == 0):
            yield "next" if number == 0 else "near"
            return
        if number == 0 and noun in CUE_WORDS:
            if any(each.endswith(_INSTITUTIONS) for each in nouns[1:3]):
                yield "near"
            return
        if len(noun) > 1 and number < 3 and not noun.endswith(_PICTURES):
            if noun[-1] in FOOD_ENDS:
                yield f"food {min(number, 1)}"
                return
            if noun[-1] in THING_ENDS:
                yield f"place {min(number, 1)}"
                return


def _is_of_a_time(words: Sequence[Word], place: int, rest: str, nouns: Sequence[str]) -> bool:
    """Whether a school or the like is where someone was then: 大学 of 撒贝宁大学时."""
    if not nouns:
        return False
    behind = words[place + 1 - bool(rest) : place + 2 - bool(rest)]
    return bool(behind) and behind[0][0].startswith(("时", "期间", "毕业", "任教", "读书", "讲学"))


_WORKS_OF_ART = """
    照 图 图轴 立轴 手卷 扇面 年画 砖雕 木雕 石雕 雕塑 塑像 雕像 泥人 剪纸 剧照 旧影 海报 皮影 邮票
"""
_WORKS = frozenset(_WORKS_OF_ART.split())
"""What shows a person with something: 齐白石虾图立轴, 秋瑾男装照."""
_NOT_CALLED = """
    面无 面对 面带 面色 面向 面前 表示 表演 表达 表情 服装 服饰 球迷 球衣 街拍 街头 家中 家人 站在 站着
    站起 站上 站立 站到 装扮 墓前 墓地 墓碑 糖人 表彰 服务 面试 镇守 市场 派出
"""
_NO_FOLLOWERS = frozenset(_NOT_CALLED.split())
_INSTITUTIONS = (
    "奖",
    "馆",
    "奖学金",
    "基金会",
    "书院",
    "学院",
    "学校",
    "中学",
    "小学",
    "公园",
    "研究会",
    "读书会",
    "协会",
    "俱乐部",
    "会所",
    "公司",
    "大赛",
    "比赛",
)
_PICTURES = ("照片", "图片", "相片", "名片", "影片", "短片", "唱片", "贺卡", "书法", "领奖", "颁奖", "获奖", "等奖")


@functools.lru_cache(maxsize=1 << 14)
def is_thing_word(word: str) -> bool:
    """Whether a word is, or ends in, a shop, goods, an institution or a place."""
    return (word in THING_WORDS and word != "机场") or (
        len(word) > 2 and word.endswith(LONG_THINGS) and word not in CUE_WORDS
    )


def _nouns(words: Sequence[Word], place: int, rest: str) -> list[str]:
    """The run of nouns behind a name: what the whole may be called."""
    found = [rest] if rest else []
    for word, tag in words[place : place + 5]:
        is_thing = is_thing_word(word) and (len(word) > 1 or tag[:1] != "v")
        if "\n" in word or not (is_thing or tag[:1] in "nbjagklsm" or tag == "vn" or (tag == "v" and not found)):
            break
        if tag == "v" and not is_thing and (word in CUE_WORDS or is_thing_word(word)):
            break
        found.append(word)
    return found


@functools.lru_cache(maxsize=1 << 14)
def tag_of(word: str) -> str:
    """The tag that jieba gives the word alone; `cut` where it cuts it."""
    found = tagged([word])
    return found[0][1] if len(found) == 1 else "cut"
