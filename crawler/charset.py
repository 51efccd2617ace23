"""Which encoding a page is in: the order of the WHATWG standard, then what the bytes themselves allow."""

import codecs
import re

PRESCAN_BYTES = 1024
"""How far a `<meta charset>` is looked for (WHATWG HTML, "determining the character encoding")."""

_DETECTOR_BYTES = 16_384

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

# Labels that Python knows under another codec than the WHATWG Encoding Standard means, with `-` for `_`.
_LABELS = {
    "gb18030": "gb2312 gbk x-gbk chinese csgb2312 csiso58gb231280 gb-2312 gb-2312-80 iso-ir-58 gb18030 cp936 hz-gb",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5 big-5",
    "cp1252": "ascii us-ascii iso-8859-1 iso8859-1 iso88591 latin1 latin-1 l1 windows-1252 cp1252 x-cp1252",
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
_OTHER_LABELS = re.compile(r"(?:windows-125\d|iso-8859-\d{1,2}|koi8-[ru]|macintosh|ibm866)\Z")

_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s;\"']{1,40})", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"<meta[\s/][^>]{0,1000}", re.IGNORECASE)
_META_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.\-]{1,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\A<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.\-]{1,40})[\"']")


def decode(html: bytes, content_type: str | None) -> tuple[str, str]:
    """A page's text, bad bytes as U+FFFD, and the Python codec that read it.

    The order is the byte order mark, the Content-Type header, the page's own declaration, then detection. (The mark
    comes first as in the WHATWG standard, though not in every list.) A declaration under which the page has bad
    bytes yields to UTF-8 or GB18030 where one of them reads all of the page.
    """
    for mark, codec in _BOMS:
        if html.startswith(mark):
            return html[len(mark) :].decode(codec, "replace"), codec
    declared = header_codec(content_type) or declared_codec(html)
    if declared is None:
        detected = _detect(html)
        return html.decode(detected, "replace"), detected
    for codec in (declared, "utf-8", "gb18030"):
        text = _strictly(html, codec)
        if text is not None:
            return text, codec
    return html.decode(declared, "replace"), declared


def codec_of(label: str) -> str | None:
    """The Python codec for a label of the WHATWG Encoding Standard; None for one that is unknown.

    >>> codec_of(" GB2312 "), codec_of("Big5"), codec_of("latin1"), codec_of("nonsense")
    ('gb18030', 'big5hkscs', 'cp1252', None)
    """
    normal = label.strip().lower().replace("_", "-")
    if normal in _CODEC_OF:
        return _CODEC_OF[normal]
    try:
        return codecs.lookup(normal).name if _OTHER_LABELS.match(normal) else None
    except LookupError:
        return None


def header_codec(content_type: str | None) -> str | None:
    """The codec that a Content-Type header names, if any."""
    match = _HEADER_CHARSET.search(content_type or "")
    return codec_of(match.group(1)) if match else None


def declared_codec(html: bytes) -> str | None:
    """The codec that the page itself names in its first bytes; what claims UTF-16 there is UTF-8."""
    head = html[:PRESCAN_BYTES]
    for element in _META.finditer(_COMMENT.sub(b" ", head)):
        match = _META_CHARSET.search(element.group())
        codec = codec_of(match.group(1).decode("ascii")) if match else None
        if codec:
            return "utf-8" if codec.startswith("utf-16") else codec
    match = _XML_ENCODING.match(head)
    codec = codec_of(match.group(1).decode("ascii")) if match else None
    return "utf-8" if codec and codec.startswith("utf-16") else codec


def _strictly(html: bytes, codec: str) -> str | None:
    try:
        return html.decode(codec)
    except UnicodeDecodeError:
        return None


def _detect(html: bytes) -> str:
    """UTF-8 if all of the page is; else what charset-normalizer makes of its start; else GB18030."""
    if _strictly(html, "utf-8") is not None:
        return "utf-8"
    from charset_normalizer import from_bytes

    candidates = ["gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "cp1252", "cp1251"]
    sample = re.sub(rb"<[^>]{0,2000}>", b" ", html[:_DETECTOR_BYTES])
    best = from_bytes(sample, cp_isolation=candidates).best()
    return best.encoding if best is not None else "gb18030"
