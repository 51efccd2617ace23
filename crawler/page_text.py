"""The text around an image: whole sentences of its own block, or of the blocks beside it, without a page's furniture.

Only the neighbourhood of each image is read, a bounded number of nodes, so that a page costs what its images cost.
"""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.image_place import BLOCKS, HEADINGS, Place, Places, is_furniture
from crawler.image_texts import CAPTION_MARK
from crawler.sentences import first_sentences, last_sentences, sentences
from crawler.tag_numbers import TEXT, number_of, numbers_of

MAX_SURROUNDING_CHARS = 256

_SILENT = numbers_of("script style template title textarea select svg math figcaption noscript iframe")
_BREAK, _PARAGRAPH = number_of("br"), number_of("p")
_FURTHEST_UP = numbers_of("body main article section html")
_SPACES = re.compile(r"\s+")
_UNREAD = "\0"
_MAX_NODES = 96
_MAX_READ_CHARS = 2000
_MAX_STEPS = 3


class Surroundings:
    """Reads the text around the images of one page, and keeps what several images share."""

    def __init__(self) -> None:
        self._blocks: tuple[dict[int, str | None], dict[int, str | None]] = ({}, {})
        """What was read of blocks, from the end and from the start; None for what ends the search."""

    def around(self, node: LexborNode, place: Place) -> list[str]:
        """Whole sentences of the image's own block, at most MAX_SURROUNDING_CHARS characters; where the block has no
        other text, the nearest ones of the blocks before and after it, up to a heading. Nothing for an image among a
        page's furniture: its menu, footer, comments."""
        if place.is_in_furniture:
            return []
        first = last = node
        if node.tag_id in BLOCKS:
            own = _text_within(node, forward=True)
            if own:
                return [first_sentences(own, MAX_SURROUNDING_CHARS)]
        else:
            before, first = _side(node, forward=False)
            after, last = _side(node, forward=True)
            if before or after:
                return [] if place.is_in_heading else [_own_sentences(before, after)]
        texts = (
            last_sentences(self._beside(first, forward=False), MAX_SURROUNDING_CHARS),
            first_sentences(self._beside(last, forward=True), MAX_SURROUNDING_CHARS),
        )
        return [text for text in texts if text]

    def _beside(self, start: LexborNode, forward: bool) -> str:
        """The text of the nearest block with any, at most three blocks away, and not beyond a heading or furniture."""
        current, num_blocks, known = start, 0, self._blocks[forward]
        for _ in range(_MAX_NODES):
            sibling = current.next if forward else current.prev
            if sibling is None:
                parent = current.parent
                if parent is None or parent.tag_id in _FURTHEST_UP:
                    return ""
                current = parent
                continue
            current = sibling
            tag = sibling.tag_id
            if tag == TEXT:
                text = sibling.text_content
                if text and not text.isspace():
                    return " ".join(text.split())
            elif tag in BLOCKS:
                mem_id = sibling.mem_id
                of_block = known.get(mem_id, _UNREAD)
                if of_block is _UNREAD:
                    of_block = known[mem_id] = _of_block(sibling, tag, forward)
                num_blocks += 1
                if of_block is None or of_block or num_blocks == _MAX_STEPS:
                    return of_block or ""
            elif text := " ".join(_inline_text(sibling, tag, forward).split()):
                return text
        return ""


def _of_block(block: LexborNode, tag: int, forward: bool) -> str | None:
    """What is read of a block; None for a heading and for furniture, behind which nothing is looked for."""
    if tag in HEADINGS or is_furniture(block, tag):
        return None
    return "" if tag in _SILENT else _text_within(block, forward)


def first_sentence(page: LexborHTMLParser, places: Places) -> str:
    """The first sentence of the page's first paragraph that says anything: with ten characters or more."""
    node = page.css_first("p")
    for _ in range(20):
        if node is None:
            return ""
        if node.tag_id == _PARAGRAPH and not places.of(node).is_in_furniture:
            text = _text_within(node, forward=True)
            if len(text) >= 10 and not CAPTION_MARK.match(text):
                return next(sentences(text))[:MAX_SURROUNDING_CHARS]
        node = node.next
    return ""


def _own_sentences(before: str, after: str) -> str:
    """The block's text around the image: half of the bound from each side, more where the other side is short."""
    whole = f"{before}{after}".strip()
    if len(whole) <= MAX_SURROUNDING_CHARS:
        return whole
    half = MAX_SURROUNDING_CHARS // 2
    kept_after = first_sentences(after, max(half, MAX_SURROUNDING_CHARS - len(before)))
    return (last_sentences(before, MAX_SURROUNDING_CHARS - len(kept_after)) + kept_after).strip()


def _side(node: LexborNode, forward: bool) -> tuple[str, LexborNode]:
    """What stands in the image's own block on one side of it, and the node beyond which other blocks lie there.

    Runs of white space are one space; at the image's own side it stays, for the other side may go on there.
    """
    pieces: list[str] = []
    current: LexborNode = node
    for _ in range(_MAX_NODES):
        sibling = current.next if forward else current.prev
        if sibling is None:
            parent = current.parent
            if parent is None:
                break
            current = parent
            if parent.tag_id in BLOCKS:
                break
            continue
        tag = sibling.tag_id
        if tag in BLOCKS:
            break
        pieces.append(_inline_text(sibling, tag, forward))
        current = sibling
    text = "".join(pieces if forward else reversed(pieces)) if pieces else ""
    if not text or text.isspace():
        return "", current
    text = _SPACES.sub(" ", text)
    return (text.rstrip() if forward else text.lstrip()), current


def _inline_text(node: LexborNode, tag: int, forward: bool) -> str:
    if tag == TEXT:
        return node.text_content or ""
    if tag == _BREAK:
        return " "
    return "" if tag in _SILENT or not node.is_element_node else "".join(_pieces(node, forward))


def _text_within(node: LexborNode, forward: bool) -> str:
    return " ".join("".join(_pieces(node, forward)).split())


def _pieces(node: LexborNode, forward: bool) -> list[str]:
    """The text of an element from one of its ends: up to the first block boundary behind which text stood, a heading,
    or the bounds of nodes and characters."""
    current = node.first_child if forward else node.last_child
    if current is None:
        return []
    pieces: list[str] = []
    num_chars = 0
    says_something = False
    root = node.mem_id
    for _ in range(_MAX_NODES):
        tag = current.tag_id
        child: LexborNode | None = None
        if tag == TEXT:
            piece = current.text_content or ""
            pieces.append(piece)
            num_chars += len(piece)
            says_something = says_something or not (not piece or piece.isspace())
        elif tag in HEADINGS or (says_something and tag in BLOCKS):
            break
        elif tag not in _SILENT:
            child = current.first_child if forward else current.last_child
        following = child if child is not None else _following(current, root, forward, says_something)
        if following is None or num_chars > _MAX_READ_CHARS:
            break
        current = following
    return pieces if forward else pieces[::-1]


def _following(node: LexborNode, root: int, forward: bool, says_something: bool) -> LexborNode | None:
    """The next node in order that is no child; None at the end of the root, or of a block that had text."""
    current = node
    while True:
        sibling = current.next if forward else current.prev
        if sibling is not None:
            return sibling
        parent = current.parent
        if parent is None or parent.mem_id == root or (says_something and parent.tag_id in BLOCKS):
            return None
        current = parent
