"""What a page shows of the pages that it links to: whether they are likely to have many images, or to be in Chinese."""

import re
from collections.abc import Iterable

MANY_IMAGES = 8
"""Different images on one page, icons included: galleries and articles have them, menus do not."""

_MIN_HAN_SHARE = 0.3
_MAX_KANA_SHARE = 0.05
_MOST_CHARS = 20_000
_LETTER = re.compile(r"[^\W\d_]")
_HAN = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]")
_KANA = re.compile(r"[\u3040-\u30ff]")


def reads_chinese(title: str, texts: Iterable[str]) -> bool:
    """Whether the title and the images' texts are in Chinese: Han characters, and hardly any kana."""
    text = " ".join((title, *texts))[:_MOST_CHARS]
    num_letters = len(_LETTER.findall(text))
    num_han, num_kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    return num_han > 0 and num_han >= _MIN_HAN_SHARE * num_letters and num_kana <= _MAX_KANA_SHARE * num_letters
