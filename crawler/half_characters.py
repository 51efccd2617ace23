"""Halves of characters, as JSON may hold them (`\\ud800`): U+FFFD stands for each, so that a text with one is bad."""

import re

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """The text with U+FFFD for halves of characters, which no file can hold."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def utf8(text: str) -> bytes:
    """`whole(text)` in UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return whole(text).encode()
