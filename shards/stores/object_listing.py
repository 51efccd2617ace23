"""Pages of an object listing, read quickly: at 100,000 objects most of the time would go into parsing dates."""

from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

LISTED = "curate-listed"
"""Where a page's objects lie in the parsed answer."""


class StoredObject(NamedTuple):
    """One object of a listing. `etag` is what the store calls its content, without quotes."""

    key: str
    size: int
    etag: str


class Page(NamedTuple):
    """One answer of a listing: its objects, what lies deeper, and how to ask for the next, if there is one."""

    objects: list[StoredObject]
    prefixes: list[str]
    next_token: str | None = None


def read_page(xml: bytes) -> Page | None:
    """A page of ListObjectsV2; None for what is another document. Raises `ElementTree.ParseError` for half a page.

    The objects are cut out as text, which takes a quarter of a parser's time, and the rest is parsed.
    """
    rest: list[str] = []
    objects: list[StoredObject] = []
    for number, piece in enumerate(xml.decode().split("<Contents>")):
        told, end, after = piece.partition("</Contents>") if number else ("", "", piece)
        rest.append(after if end or not number else f"<Contents>{told}")
        if end:
            objects.append(StoredObject(_text(told, "Key"), int(_text(told, "Size")), _text(told, "ETag").strip('"')))
    root = ElementTree.fromstring("".join(rest))
    # The name space differs from store to store, and some have none.
    space = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
    if root.tag != f"{space}ListBucketResult":
        return None
    prefixes = [one.findtext(f"{space}Prefix", "") for one in root.iter(f"{space}CommonPrefixes")]
    if root.findtext(f"{space}EncodingType") == "url":
        objects = [one if _is_plain(one.key) else one._replace(key=unquote_plus(one.key)) for one in objects]
        prefixes = [unquote_plus(prefix) for prefix in prefixes]
    is_cut = root.findtext(f"{space}IsTruncated") == "true"
    return Page(objects, prefixes, root.findtext(f"{space}NextContinuationToken") if is_cut else None)


def _text(told: str, field: str) -> str:
    """The text of a field of one object. Raises `ElementTree.ParseError` where it is not there."""
    start, end = told.find(f"<{field}>"), told.find(f"</{field}>")
    if not 0 <= start < end:
        raise ElementTree.ParseError(f"an object without {field}")
    text = told[start + len(field) + 2 : end]
    return unescape(text, {"&quot;": '"', "&apos;": "'"}) if "&" in text else text


def _is_plain(key: str) -> bool:
    return "%" not in key and "+" not in key


def take_over_parsing(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Botocore's hook before it parses an answer to ListObjectsV2: read the page here, and leave it an empty one."""
    page = read_page(response_dict["body"]) if response_dict["status_code"] == 200 else None
    if page is not None:
        customized_response_dict[LISTED] = page
        response_dict["body"] = b"<ListBucketResult/>"
