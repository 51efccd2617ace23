"""The numbers that the parser gives to tags: to compare them costs less than to spell the names."""

from selectolax.lexbor import LexborHTMLParser, create_tag


def _text_number() -> int:
    body = LexborHTMLParser("x").body
    assert body is not None
    assert body.first_child is not None
    return body.first_child.tag_id


TEXT = _text_number()


def number_of(tag: str) -> int:
    """Of a tag of the HTML standard. Others, as `amp-img`, have one in each document."""
    return create_tag(tag).tag_id


def numbers_of(tags: str) -> frozenset[int]:
    """Of tags with spaces between them."""
    return frozenset(map(number_of, tags.split()))
