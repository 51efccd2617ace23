"""Which encoding a page is in: the order of the WHATWG standard, then what the bytes themselves allow."""

import codecs
import itertools
import re
from dataclasses import dataclass

from crawler.chinese_codec import CHINESE_CODECS, chinese_text_of, likelier_codec
from crawler.meta_prescan import meta_labels, xml_label

_DETECTOR_BYTES = 16_384
_MISTAKEN = (*CHINESE_CODECS, "cp1252")
"""Codecs under which Chinese bytes of another one may be read without a fault, as other characters."""

_ANY = (*CHINESE_CODECS, "cp932", "euc_jp", "cp949", "cp1252", "cp1251")

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

# Labels that Python knows under another codec than the WHATWG Encoding Standard means, with `-` for `_`.
_LABELS = {
    "gb18030": "gb2312 gbk x-gbk chinese csgb2312 csiso58gb231280 gb-2312 gb-2312-80 iso-ir-58 gb18030 cp936 hz-gb",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5 big-5",
    "cp1252": "ascii us-ascii iso-8859-1 iso8859-1 iso88591 latin1 latin-1 l1 windows-1252 cp1252 x-cp1252"
    " x-user-defined",
    "cp1254": "iso-8859-9 latin5 windows-1254",
    "cp932": "shift-jis sjis x-sjis shift_jis ms-kanji windows-31j",
    "cp949": "euc-kr ks-c-5601-1987 ksc5601 korean windows-949",
    "cp874": "tis-620 iso-8859-11 windows-874",
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 x-unicode20utf8",
    "utf-16-le": "utf-16 utf-16le ucs-2 unicode csunicode iso-10646-ucs-2",
    "utf-16-be": "utf-16be unicodefffe",
    "euc_jp": "euc-jp x-euc-jp",
    "iso2022_jp": "iso-2022-jp csiso2022jp",
    "koi8-r": "koi8-r koi8 koi",
}
_CODEC_OF = {label.replace("_", "-"): codec for codec, labels in _LABELS.items() for label in labels.split()}
_OTHER_LABELS = re.compile(
    r"(?:(?:windows-|x-cp|cp)125\d|iso-?8859-?\d{1,2}(?:-[ei])?|latin\d|l\d|csisolatin\w+|iso-ir-\d{1,3}|arabic|cyrillic|greek8?"
    r"|hebrew|koi8-(?:r|u|ru)|mac(?:intosh)?|csmacintosh|x-mac-\w+|(?:cs)?ibm866|cp866|866|csiso\w+|csbig5)\Z"
)
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s;\"']{1,40})", re.IGNORECASE)
_MOST_SPOILT = 2000
"""A page may have one bad character in so many (a cut end, a stray byte) and still be what it declares."""


@dataclass(frozen=True)
class Decoded:
    """A page's text, bad bytes as U+FFFD; the Python codec that read it; and what settled the codec:
    `bom`, `header`, `meta`, `detector`, or `contents` where the bytes give a declaration the lie."""

    text: str
    codec: str
    settled_by: str
    is_utf8: bool = False
    """Whether the page's bytes are the text's UTF-8 as they stand."""


def decode(html: bytes, content_type: str | None) -> Decoded:
    """A page as text.

    The order is the byte order mark, the Content-Type header, the page's own declaration, then detection. (The mark
    comes first as in the WHATWG standard, though not in every list, and a header's Latin-1 comes after the page.)
    A declaration under which the page has many bad bytes yields to what the bytes are; so does one of another charset
    where all of the page is UTF-8, which bytes are not by chance; and so does one of GBK, Big5 or Latin-1 under which
    the page has none of the characters that Chinese is written with, and has them under another of these.
    """
    for mark, codec in _BOMS:
        if html.startswith(mark):
            return Decoded(html[len(mark) :].decode(codec, "replace"), codec, "bom")
    codec_in_header = header_codec(content_type)
    declared = codec_in_header or declared_codec(html)
    if codec_in_header == "cp1252":
        # A server's default for all it serves, which the page's author could not change.
        declared = declared_codec(html) or codec_in_header
    if declared is None:
        detected = _detect(html)
        return Decoded(html.decode(detected, "replace"), detected, "detector")
    settled_by = "header" if declared == codec_in_header else "meta"
    as_utf8 = _strictly(html, "utf-8")
    if as_utf8 is not None and (declared == "utf-8" or html.isascii()):
        return Decoded(as_utf8, declared, settled_by, is_utf8=True)
    if as_utf8 is not None and not declared.startswith("utf-16"):
        return Decoded(as_utf8, "utf-8", "contents", is_utf8=True)
    text = html.decode(declared, "replace")
    if _is_spoilt(text, html):
        detected = "utf-8" if as_utf8 is not None else likelier_codec(html)
        other = html.decode(detected, "replace")
        if not _is_spoilt(other, html):
            return Decoded(other, detected, "contents")
    text, codec = chinese_text_of(html, text, declared) if declared in _MISTAKEN else (text, declared)
    return Decoded(text, codec, settled_by if codec == declared else "contents")


def _is_spoilt(text: str, html: bytes) -> bool:
    """Whether more characters are bad than a cut end or a stray byte accounts for; those that stand in the bytes as
    U+FFFD are no fault of the decoding."""
    bad = text.count("\ufffd")
    return bad > 0 and bad - html.count(b"\xef\xbf\xbd") > 1 + len(text) // _MOST_SPOILT


def codec_of(label: str) -> str | None:
    """The Python codec for a label of the WHATWG Encoding Standard; None for one that is unknown.

    >>> codec_of(" GB2312 "), codec_of("Big5"), codec_of("latin1"), codec_of("nonsense")
    ('gb18030', 'big5hkscs', 'cp1252', None)
    """
    normal = label.strip().lower().replace("_", "-")
    if normal in _CODEC_OF:
        return _CODEC_OF[normal]
    try:
        return codecs.lookup(re.sub(r"-[ei]\Z", "", normal)).name if _OTHER_LABELS.match(normal) else None
    except LookupError:
        return None


def header_codec(content_type: str | None) -> str | None:
    """The codec that a Content-Type header names, if any."""
    match = _HEADER_CHARSET.search(content_type or "")
    return codec_of(match.group(1)) if match else None


def declared_codec(html: bytes) -> str | None:
    """The codec that the page itself names near its start; what claims UTF-16 there is UTF-8."""
    labels = itertools.chain(meta_labels(html), [xml_label(html) or ""])
    codec = next((codec for label in labels if (codec := codec_of(label))), None)
    return "utf-8" if codec and codec.startswith("utf-16") else codec


def _strictly(html: bytes, codec: str) -> str | None:
    try:
        return html.decode(codec)
    except UnicodeDecodeError:
        return None


def _detect(html: bytes) -> str:
    """UTF-8 if all of the page is; else what charset-normalizer makes of its start, but for which of the Chinese codecs
    it is: there it takes GBK for Big5."""
    if _strictly(html, "utf-8") is not None:
        return "utf-8"
    from charset_normalizer import from_bytes

    sample = re.sub(rb"<[^>]{0,2000}>", b" ", html[:_DETECTOR_BYTES])
    best = from_bytes(sample, cp_isolation=list(_ANY)).best()
    return likelier_codec(html) if best is None or best.encoding in CHINESE_CODECS else best.encoding
