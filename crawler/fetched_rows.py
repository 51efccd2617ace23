"""Rows of FETCHED: what became of one sample, in valid text of bounded length."""

from crawler.decoder import StoredImage
from crawler.faults import Fault
from crawler.fetch import Response
from shards.schema import FETCHED

Row = dict[str, object]

_BLANK: Row = dict.fromkeys(FETCHED.names)
_IMAGE_FACTS = tuple(name for name in StoredImage.__dataclass_fields__ if name in _BLANK)
_MAX_CHARS = 300
_MAX_VALIDATOR_CHARS = 512


def fetched_row(
    sample: Row, response: Response | None, fault: Fault | None, said: tuple[str | None, str | None] = (None, None)
) -> Row:
    """The row of a sample without its image; `said` is what robots.txt said, and the directive against its use."""
    row = _BLANK.copy()
    row["uid"] = sample["uid"]
    row["robots"], row["opt_out"] = said[0], clean(said[1])
    if response is not None:
        row["final_url"] = response.final_url
        row["http_status"] = response.status
        row["content_type"] = clean(response.header("content-type"))
        row["etag"] = validator(response.header("etag"))
        row["last_modified"] = validator(response.header("last-modified"))
    if fault is not None:
        row["drop_reason"] = fault.reason
        row["detail"] = clean(fault.detail)
    return row


def put_image(row: Row, image: StoredImage, num_wire_bytes: int) -> None:
    """Fills in the columns of an image that was decoded."""
    row["bytes"] = num_wire_bytes
    for name in _IMAGE_FACTS:
        row[name] = getattr(image, name)
    row["tar_bytes"] = len(image.stored)


def put_earlier(row: Row, earlier: Row, stored: bytes) -> None:
    """Fills in the image that an earlier run stored; what the server just said of it stays."""
    for name in ("format", "bytes", *_IMAGE_FACTS):
        row[name] = earlier.get(name)
    for name in ("content_type", "etag", "last_modified"):
        row[name] = row[name] or earlier.get(name)
    row["tar_bytes"] = len(stored)


def clean(text: str | None) -> str | None:
    """What a server said, as valid text of bounded length on one line."""
    if text is None:
        return None
    if text.isascii() and text.isprintable():
        return text[:_MAX_CHARS]
    valid = text[:_MAX_CHARS].encode("utf-8", "replace").decode("utf-8")
    return "".join(character if character.isprintable() else " " for character in valid)


def validator(value: str | None) -> str | None:
    """An ETag or Last-Modified that can be sent back as it came; None where it cannot."""
    sound = value is not None and len(value) <= _MAX_VALIDATOR_CHARS and value.isascii() and value.isprintable()
    return value if sound else None
