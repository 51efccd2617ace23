"""Pages of an object listing, read quickly: at 100,000 objects most of the time would go into parsing dates."""

import re
from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

_USUAL_OBJECT = re.compile(
    r"\s*<Key>([^<]*)</Key>.*?<ETag>([^<]*)</ETag>.*?<Size>(\d+)</Size>.*?</Contents>", re.DOTALL
)
"""What follows `<Contents>`, in the order in which AWS, MinIO and Aliyun give an object's fields."""

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

    The objects are cut out as text, which takes a tenth of a parser's time, and the rest is parsed.
    """
    head, *pieces = xml.decode().split("<Contents>")
    rest, objects = [head], []
    for piece in pieces:
        found = _USUAL_OBJECT.match(piece)
        after, one = (piece[found.end() :], _usual(found)) if found else _unusual(piece)
        rest.append(after)
        if one is not None:
            objects.append(one)
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


def _usual(found: re.Match[str]) -> StoredObject:
    key, etag, size = found.groups()
    return StoredObject(_plain(key) if "&" in key else key, int(size), _plain(etag.replace("&quot;", "")).strip('"'))


def _unusual(piece: str) -> tuple[str, StoredObject | None]:
    """An object whose fields come in another order, and what follows it; the whole piece where it does not end."""
    told, end, after = piece.partition("</Contents>")
    if not end:
        return f"<Contents>{piece}", None
    return after, StoredObject(_text(told, "Key"), int(_text(told, "Size")), _text(told, "ETag").strip('"'))


def _text(told: str, field: str) -> str:
    """The text of a field of one object. Raises `ElementTree.ParseError` where it is not there."""
    start, end = told.find(f"<{field}>"), told.find(f"</{field}>")
    if not 0 <= start < end:
        raise ElementTree.ParseError(f"an object without {field}")
    text = told[start + len(field) + 2 : end]
    return _plain(text)


def _plain(text: str) -> str:
    return unescape(text, {"&quot;": '"', "&apos;": "'"}) if "&" in text else text


def _is_plain(key: str) -> bool:
    return "%" not in key and "+" not in key


def read_listings_here(events: Any) -> None:
    """Let a client's answers to ListObjectsV2 be read by `read_page`, before botocore parses them, once or twice."""
    from botocore import handlers

    # Whether a 200 is an error in truth botocore sees by parsing the whole answer; it is to look at what we leave.
    looks_for_errors = getattr(handlers, "_handle_200_error", None)
    if looks_for_errors is not None:
        events.unregister(_EVENT, looks_for_errors)
    events.register_first(_EVENT, _take_over_parsing)
    if looks_for_errors is not None:
        events.register_first(_EVENT, looks_for_errors)


_EVENT = "before-parse.s3.*"


def _take_over_parsing(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    if operation_model.name != "ListObjectsV2" or response_dict["status_code"] != 200:
        return
    page = read_page(response_dict["body"])
    if page is not None:
        customized_response_dict[LISTED] = page
        response_dict["body"] = b"<ListBucketResult/>"
