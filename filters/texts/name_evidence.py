"""What speaks for and against some characters of a text being a person's name."""

import functools
from collections.abc import Iterator, Sequence

from filters.texts.name_candidates import Candidate, is_known, people
from filters.texts.name_characters import (
    ACTS,
    COMMON_GIVEN,
    CUES,
    FOLLOWERS,
    FOOD_ENDS,
    NOT_GIVEN,
    PLACE_GIVEN,
    ROLE_ENDS,
    ROLES,
    SINGLE_GIVEN,
    THING_ENDS,
    THINGS,
    TRANSCRIBES,
    WEAK_CUES,
    WEAK_SURNAMES,
)
from filters.texts.unknown_words import Word, emission_odds
from filters.texts.words import tagged

SIGNS_OF_LISTS = frozenset(("与", "和", "、", "及", "跟", "同", "携", "&", "/"))


def evidence(words: Sequence[Word], place: int, found: Candidate) -> dict[str, float]:
    """How much there is of each kind of evidence, by the names that `name_scores` has weights for."""
    kind = found.kind if found.kind != "chinese" else f"given {len(found.given)}"
    held = {kind: 1.0}
    if found.kind == "chinese":
        inner = [*_of_characters(found), *_of_words(words, place, found)]
    else:
        inner = [*_of_others(words, place, found)]
    held.update(inner)
    before, after = _before(words, place), _after(words, place + found.taken, found.rest)
    held[f"before {before}"] = 1.0
    if before in ("list", "sign") and found.name in people():
        held[f"listed after {before}"] = 1.0
    for sign in after:
        held[f"after {sign}"] = 1.0
    is_cued = before == "role" or "cue" in after
    if is_cued:
        held[f"cued {kind}"] = 1.0
    return held


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
    if found.surname in WEAK_SURNAMES:
        yield "weak surname", 1.0
    if not NOT_GIVEN.isdisjoint(given):
        yield "not given", 1.0
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
    if name in people():
        yield f"listed {size}", 1.0
        if size == 1 and not tag:
            yield "listed anew", 1.0
    elif tag:
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
    if found.rest:
        yield f"splits {'known' if is_known(parts[-1][0]) else 'unknown'}", 1.0


def _of_others(words: Sequence[Word], place: int, found: Candidate) -> Iterator[tuple[str, float]]:
    parts = words[place : place + found.taken]
    size = min(len(found.name), 4)
    yield f"{found.kind} {size}", 1.0
    if found.rest:
        yield f"splits {'known' if is_known(parts[-1][0]) else 'unknown'}", 1.0


def _before(words: Sequence[Word], place: int) -> str:
    """What stands before a name: the start of a text, a role, a list's sign, a sign, or a part of speech."""
    if not place or "\n" in words[place - 1][0]:
        return "start"
    word, tag = words[place - 1]
    earlier = words[place - 2][0] if place > 1 else ""
    if not word[0].isalnum() and earlier.endswith(ROLES) and word in " :：（(/·":
        return "role"
    if word in SIGNS_OF_LISTS:
        return "list"
    if not word[0].isalnum():
        return "dot" if word == "·" else "sign"
    if word.endswith(ROLES):
        return "role"
    if word[-1] in ROLE_ENDS and tag[:1] == "n" and len(word) > 1:
        return "role end"
    return tag[:2] if tag[:2] in ("nr", "ns") else tag[:1] if tag[:1] in "nvpdumtr" else "other"


def _after(words: Sequence[Word], place: int, rest: str) -> list[str]:
    """What stands behind a name, all that is so of it."""
    if not rest and (place >= len(words) or "\n" in words[place][0]):
        return ["end"]
    word, tag = (rest, "") if rest else words[place]
    ahead = (rest + "".join(following for following, _ in words[place : place + 4])).partition("\n")[0]
    found = (
        ["cue"]
        if ahead.startswith(CUES)
        else ["act"]
        if ahead.startswith(ACTS)
        else ["weak"]
        if ahead.startswith(WEAK_CUES)
        else []
    )
    if ahead.startswith(THINGS) and not ahead.startswith("机场"):
        found.append("goods")
    nouns = _nouns(words, place, rest)
    first, last = (nouns[0], nouns[-1]) if nouns else ("", "")
    if word[0] in FOLLOWERS:
        found.append("follower" if len(word) == 1 else "long follower")
    if last.endswith(THINGS):
        found.append("thing")
    elif last[-1:] in FOOD_ENDS and len(last) > 1 and not last.endswith("照片"):
        found.append("food")
    elif last[-1:] in THING_ENDS and len(last) > 1:
        found.append("thing end")
    if any(noun.endswith(THINGS) for noun in nouns[:-1]):
        found.append("thing among")
    if first.startswith(THINGS) or first.endswith(THINGS):
        found.append("thing next")
    if not word[0].isalnum():
        kind = "dot" if word == "·" else "sign"
    else:
        kind = (
            "rest" if rest else tag[:2] if tag[:2] in ("nr", "ns") else tag[:1] if tag[:1] in "nvpducamfr" else "other"
        )
    return [*found, kind, *(["one"] if len(word) == 1 and kind != "sign" else [])]


def _nouns(words: Sequence[Word], place: int, rest: str) -> list[str]:
    """The run of nouns behind a name: what the whole may be called."""
    found = [rest] if rest else []
    for word, tag in words[place : place + 4]:
        if tag[:1] not in "nbjagkvl" or "\n" in word or (tag[:1] == "v" and tag != "vn"):
            break
        found.append(word)
    return found


@functools.lru_cache(maxsize=1 << 14)
def tag_of(word: str) -> str:
    """The tag that jieba gives the word alone; `cut` where it cuts it."""
    found = tagged([word])
    return found[0][1] if len(found) == 1 else "cut"
