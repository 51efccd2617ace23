"""The charset that a page's own markup names: the WHATWG prescan of a byte stream, tag by tag.

HTML, section 13.2.3.2, "prescan a byte stream to determine its encoding". Comments, end tags and the attributes of
other elements are stepped over as that section says, so that a `<meta` inside them names nothing.
"""

import re
from collections.abc import Iterator

PRESCAN_BYTES = 65_536
"""How far a `<meta charset>` is looked for. The prescan itself ends after 1024 bytes, but a browser that meets the
element later on starts anew with it ("changing the encoding while parsing"), so it counts wherever the head is long."""

_SPACE = b"\t\n\x0c\r "
_MARK = re.compile(rb"<(?:(!--)|[!/?](?![A-Za-z])|[!?]|/?([A-Za-z][^\t\n\x0c\r />]*))")
_BEFORE_ATTRIBUTE = re.compile(rb"[\t\n\x0c\r /]*")
_ATTRIBUTE_NAME = re.compile(rb"=?[^\t\n\x0c\r />=]*")
_EQUALS = re.compile(rb"[\t\n\x0c\r ]*=[\t\n\x0c\r ]*")
_UNQUOTED = re.compile(rb"[^\t\n\x0c\r >]+")
_CHARSET = re.compile(
    rb"charset[\t\n\x0c\r ]*=[\t\n\x0c\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\"'\t\n\x0c\r ;][^\t\n\x0c\r ;]*))",
    re.IGNORECASE,
)
_XML = re.compile(rb"<\?xml[^>]{0,200}?encoding[\t\n\r ]*=[\t\n\r ]*[\"']([^\"'>]{1,40})[\"']")


class _EndOfHead(Exception):
    """The bytes end within a tag: what it says does not count."""


def meta_labels(html: bytes) -> Iterator[str]:
    """The labels that `<meta>` elements name, in order; those of unknown encodings too."""
    head = html[:PRESCAN_BYTES]
    if b"charset" not in head.lower():
        return
    position = 0
    try:
        while found := _MARK.search(head, position):
            position = found.end()
            if found.group(1):
                # `<!-->` is a whole comment: the dashes that open one may close it.
                position = _after(head, b"-->", found.start() + 2)
            elif found.group(2) is None:
                position = _after(head, b">", position)
            else:
                attributes, position = _attributes(head, position)
                is_meta = found.group().lower() == b"<meta"
                if is_meta and (label := _label_of(attributes)):
                    yield label
    except _EndOfHead:
        return


def xml_label(html: bytes) -> str | None:
    """The encoding that an XML declaration at the very start names."""
    found = _XML.match(html[:1024])
    return found.group(1).decode("latin-1") if found else None


def _after(head: bytes, mark: bytes, position: int) -> int:
    end = head.find(mark, position)
    if end < 0:
        raise _EndOfHead
    return end + len(mark)


def _attributes(head: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of the tag whose name ends at `position`, the first of a name, and where the tag ends."""
    found: dict[bytes, bytes] = {}
    while True:
        position = _skipped(_BEFORE_ATTRIBUTE, head, position)
        if position >= len(head):
            raise _EndOfHead
        if head[position] == 0x3E:
            return found, position + 1
        name = _ATTRIBUTE_NAME.match(head, position)
        assert name is not None
        position = name.end()
        equals = _EQUALS.match(head, position)
        value = b""
        if equals:
            value, position = _value(head, equals.end())
        found.setdefault(name.group().lower(), value)


def _skipped(passed: re.Pattern[bytes], head: bytes, position: int) -> int:
    """Where what a pattern matches at `position` ends; `position` where it matches nothing."""
    found = passed.match(head, position)
    return position if found is None else found.end()


def _value(head: bytes, position: int) -> tuple[bytes, int]:
    if position >= len(head):
        raise _EndOfHead
    quote = head[position : position + 1]
    if quote in (b'"', b"'"):
        end = _after(head, quote, position + 1)
        return head[position + 1 : end - 1], end
    unquoted = _UNQUOTED.match(head, position)
    if unquoted is None:
        return b"", position
    if unquoted.end() >= len(head):
        raise _EndOfHead
    return unquoted.group(), unquoted.end()


def _label_of(attributes: dict[bytes, bytes]) -> str | None:
    """What one `<meta>` says: `charset`, or the `content` of a Content-Type pragma."""
    if b"charset" in attributes:
        return attributes[b"charset"].strip(_SPACE).decode("latin-1") or None
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    return label_in_content(attributes.get(b"content", b""))


def label_in_content(content: bytes) -> str | None:
    """The label in `text/html; charset=…` ("extracting a character encoding from a meta element")."""
    found = _CHARSET.search(content)
    return next(group for group in found.groups() if group is not None).decode("latin-1") if found else None
