"""Which of the two families of Chinese codecs a page is in, told by how common its characters come out."""

import re
from itertools import chain, islice

CHINESE_CODECS = ("gb18030", "big5hkscs")

# Characters that make up about half of running Chinese text, in both scripts.
_COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分"
    "还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等"
    "产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反"
    "受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死"
    "张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运這個們來為國說時會對過發後裡還進樣實軍無與長機動現當沒開關點業將兩間問產應戰體見話記頭題電數總報結認條"
    "係氣變處義員論聲兒東門給書聽達強難權設學經許統區隊決馬傳師觀讓識帶導爭運麼務場計資種從於著裏圖網頁"
)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_READ_CHARS, _LEAST_CHARS = 2000, 16

# Measured on pages, and on lists of 20 names of animals, in both scripts: 0.11 at the least under the right codec,
# 0.06 at the most under the other.
_LEAST_SHARE, _MOST_SHARE = 0.1, 0.07


def likelier_codec(html: bytes) -> str:
    """The codec of CHINESE_CODECS under which fewer of the page's bytes are bad, and more of its characters common;
    GB18030 of equals."""
    return max(CHINESE_CODECS, key=lambda codec: _likeness(html.decode(codec, "replace")))


def chinese_text_of(html: bytes, text: str, codec: str) -> tuple[str, str]:
    """The page and its codec: `text` and `codec` as they are, but where its characters are none that Chinese is
    written with, and they are under a Chinese codec. Bytes of one family are bytes of the other, too, and of Latin-1.
    """
    share, num_read = _common(text)
    if num_read < _LEAST_CHARS or share >= _MOST_SHARE:
        return text, codec
    for other in CHINESE_CODECS:
        if other != codec:
            read = html.decode(other, "replace")
            if _common(read)[0] >= max(_LEAST_SHARE, 3 * share):
                return read, other
    return text, codec


def _likeness(text: str) -> tuple[int, float]:
    share, num_read = _common(text)
    return -(text.count("\ufffd") * 50 // max(1, num_read)), share


def _common(text: str) -> tuple[float, int]:
    """The share of common Chinese characters among the first 2,000 beyond ASCII, and how many there are."""
    runs = (run.group() for run in _BEYOND_ASCII.finditer(text))
    seen = "".join(islice(chain.from_iterable(runs), _READ_CHARS))
    return sum(map(_COMMON.__contains__, seen)) / max(1, len(seen)), len(seen)
