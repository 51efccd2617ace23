"""What speaks for and against some characters of a text being a person's name."""

import functools
from collections.abc import Iterator, Sequence

from filters.texts.name_candidates import GOES_ON, Candidate, is_known, people
from filters.texts.name_characters import (
    COMMON_GIVEN,
    CUE_WORDS,
    NOT_GIVEN,
    NOT_NAMES,
    NOT_STARTS,
    PLACE_GIVEN,
    RARE_SURNAMES,
    SINGLE_GIVEN,
    SURNAMES,
    TRANSCRIBES,
    WEAK_COMPOUNDS,
    WEAK_SURNAMES,
)
from filters.texts.name_surroundings import after, before
from filters.texts.unknown_words import Word, emission_odds
from filters.texts.words import tagged

_ENDS_AS_ACT = frozenset("教带在为给向从送抱骑唱弹拉打跳做写画拍摄饰演讲说领获到站坐走看吃喝")
_ENDS_AS_FUNCTION = frozenset(
    "因正等已被将曾均也都就才又再刚仅还能可会要应须由从自往向对给让使把为以于与及或但而并且若如虽却在和是的"
)
"""Given names may end so (林徽因), but what the tagger has as a word of its own is none."""
_OF_FAMILIES = frozenset("家氏府村庄公")


def evidence(
    words: Sequence[Word], place: int, found: Candidate, earlier: Sequence[str] | None = None
) -> dict[str, float]:
    """How much there is of each kind of evidence, by the names that `name_scores` has weights for.

    Of names that the list has, the kinds begin with `L`: what stands beside them says other things. `earlier` is what
    stands before, where it is known from another candidate at the place.
    """
    is_listed = found.name in people()
    earlier = before(words, place) if earlier is None else earlier
    behind, at, rest = _behind(words, place, found, is_listed)
    later, following = after(behind, at, rest), behind[at] if at < len(behind) else ("", "")
    sides = f"{_side(earlier, _SIDES_BEFORE)}|{_side(later, _SIDES_BEHIND)}"
    if is_listed:
        held = dict(_of_listed(words, place, found))
        held[f"L{min(len(found.name), 3)} {sides}"] = 1.0
    elif found.kind == "chinese":
        shape = _shape(words, place, found)
        held = dict(_of_characters(found))
        held.update(_of_words(words, place, found, shape))
        held.update(_of_border(words, place, found))
        held.update(_of_both(sides, "barred" if "barred" in held else shape, held, found))
    else:
        held = {f"{found.kind} {min(len(found.name), 4)}": 1.0}
    if found.rest:
        held.update(_of_rest(words, place, found, is_listed))
        if is_listed and len(following[0]) > 1 and is_known(following[0]):
            held[f"L{min(len(found.name), 3)} cut anew"] = 1.0
    kind = "L" if is_listed else f"given {len(found.given)}" if found.kind == "chinese" else found.kind
    held[kind] = 1.0
    mark = "L " if is_listed else ""
    for sign in earlier:
        held[f"{mark}before {sign if not is_listed else _TELLS_OF_LISTED.get(sign, 'other')}"] = 1.0
    for sign in later:
        if not is_listed or sign in _TELLS_OF_LISTED or sign.startswith("thing"):
            held[f"{mark}after {sign}"] = 1.0
    if not _CUED_BEFORE.isdisjoint(earlier) or "cue" in later or "title" in later:
        held[f"cued {kind}"] = 1.0
    if not _PERSONS.isdisjoint(earlier):
        held.update(_of_expected(held, kind))
    return held


def _behind(words: Sequence[Word], place: int, found: Candidate, is_listed: bool) -> tuple[Sequence[Word], int, str]:
    """The words behind a name, the place among them, and what is left of the name's last word.

    Behind a name that the list has they are cut anew: the tagger has 英汉 of 仇英汉宫春晓图 as a word.
    """
    end = place + found.taken
    if not is_listed or not found.rest:
        return words, end, found.rest
    near = "".join(word for word, _ in words[end : end + _CUT_ANEW]).partition("\n")[0]
    return (*_cut_anew(found.rest + near), *words[end + _CUT_ANEW : end + 2 * _CUT_ANEW]), 0, ""


_CUT_ANEW = 4


@functools.lru_cache(maxsize=1 << 12)
def _cut_anew(text: str) -> tuple[Word, ...]:
    return tuple(tagged([text]))


_TELLS = "start|role|role sign|role list|person|person sign|name list|list|nr list|with|sign|title|dot"
_TELLS_BEHIND = "end|title|cue|office|act|weak|listed|nr list|follower|long follower|nrt|v|p"
_TELLS_OF_LISTED = {sign: sign for sign in f"{_TELLS}|{_TELLS_BEHIND}".split("|")} | {"name": "name list"}
"""The signs beside a listed name that are told apart, by what they count as."""
_PERSONS = frozenset({"role", "role sign", "role list", "person", "person sign", "name list"})
_CUED_BEFORE = frozenset({"role", "role sign", "role list", "name list"})
_SIDES_BEFORE = {
    "due": frozenset({"role", "person", "name list", "role list"}),
    "due sign": frozenset({"role sign", "person sign"}),
    "apart": frozenset({"start", "sign", "name", "with"}),
    "listed": frozenset({"list"}),
}
_SIDES_BEHIND = {
    "thing": frozenset({"thing next", "thing near", "thing code", "thing apart", "thing food 0", "thing of a title"}),
    "title": frozenset({"title"}),
    "cue": frozenset({"cue", "office", "act"}),
    "ends": frozenset({"end", "sign", "weak", "name"}),
    "goes on": frozenset({"v", "p", "d", "c"}),
    "of": frozenset({"u"}),
}


def _side(signs: Sequence[str], sides: dict[str, frozenset[str]]) -> str:
    """The first kind of surroundings that one of the signs is of."""
    for side, kinds in sides.items():
        if not kinds.isdisjoint(signs):
            return side
    return "other"


def _of_both(sides: str, shape: str, held: dict[str, float], found: Candidate) -> Iterator[tuple[str, float]]:
    """What the two sides say together, of a name of this form."""
    size = len(found.given)
    yield f"{size} {sides}", 1.0
    yield f"{size} {shape} {sides}", 1.0
    if "rare surname" in held:
        yield f"rare {sides}", 1.0


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


def _of_rest(words: Sequence[Word], place: int, found: Candidate, is_listed: bool) -> Iterator[tuple[str, float]]:
    """What a last word says that the name ends within."""
    end = place + found.taken
    last, following = words[end - 1][0], words[end][0] if end < len(words) else ""
    mark = f"L{min(len(found.name), 3)} " if is_listed else ""
    is_last_known = is_known(last)
    if found.rest in GOES_ON and not is_last_known:
        yield f"{mark}splits before", 1.0
    elif len(found.rest) > 1 and found.rest in CUE_WORDS:
        yield f"{mark}splits before cue", 1.0
    else:
        yield f"{mark}splits {'known' if is_last_known else 'unknown'}", 1.0
    if len(found.rest) == 1 and (is_known(found.rest + following) or is_known(found.rest + following[:1])):
        yield f"{mark}rest goes on", 1.0


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
        yield "weak compound" if found.surname in WEAK_COMPOUNDS else "compound", 1.0
    if found.surname in RARE_SURNAMES and found.surname not in SURNAMES:
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
    if found.name in NOT_NAMES or found.name[:2] in NOT_STARTS:
        yield "barred", 1.0
    if given[-1] == "子":
        yield "ends in 子", 1.0


def _mean_odds(found: Candidate) -> float:
    surname = odds(found.surname, 0) if len(found.surname) == 1 else 4.0
    return (surname + odds(found.given[0], 1) + odds(found.given[-1], 2)) / 3


_KNOWN_AS = {"nrt": "foreign", "ns": "place"}


def _shape(words: Sequence[Word], place: int, found: Candidate) -> str:
    """Whether a dictionary knows the name as one word, or the tagger has it as one, and as what."""
    if is_known(found.name):
        tag = tag_of(found.name)
        return f"known {_KNOWN_AS.get(tag[:3], 'name' if tag.startswith('nr') else 'other')}"
    if found.taken > 1 or found.rest:
        return "parts"
    tag = words[place][1]
    return f"one word {'foreign' if tag == 'nrt' else 'name' if tag.startswith('nr') else 'other'}"


def _of_words(words: Sequence[Word], place: int, found: Candidate, shape: str) -> Iterator[tuple[str, float]]:
    """How the tagger cut it: as one word, or into these."""
    size = len(found.given)
    if shape != "parts":
        yield f"{shape} {size}", 1.0
        if size == 2:
            yield f"{shape} {size} odds", _mean_odds(found)
        return
    parts = words[place : place + found.taken]
    starts = parts[0][0] == found.surname
    given = "".join(word for word, _ in parts[1:])
    yield f"parts {size} {'stands' if starts else 'inside'}", 1.0
    if starts and size == 2 and given == found.given and is_known(given):
        yield f"given is a word {tag_of(given)[:2] if tag_of(given)[:1] == 'n' else tag_of(given)[:1]}", 1.0
    if not starts and len(parts[0][0]) > 1 and is_known(parts[0][0]):
        yield "starts known", 1.0
    if size == 2 and parts[-1][0] in _ENDS_AS_FUNCTION:
        yield "ends as function", 1.0
    if not starts and parts[0][1] == "nr" and len(parts[0][0]) > 1:
        yield "goes beyond a name", 1.0


@functools.lru_cache(maxsize=1 << 14)
def tag_of(word: str) -> str:
    """The tag that jieba gives the word alone; `cut` where it cuts it."""
    found = tagged([word])
    return found[0][1] if len(found) == 1 else "cut"
