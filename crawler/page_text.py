"""The text around an image: whole sentences of its own block, or of the blocks beside it, without a page's furniture.

Only the neighbourhood of each image is read, a bounded number of nodes, so that a page costs what its images cost.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.image_texts import CAPTION_MARK

MAX_SURROUNDING_CHARS = 256

BLOCK_TAGS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl", "dt"}
    | {"fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "nav", "ol", "p"}
    | {"pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
)
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_SILENT = frozenset(
    {"script", "style", "template", "title", "textarea", "select", "svg", "math", "figcaption", "noscript", "iframe"}
)
_FURNITURE_TAGS = frozenset({"nav", "footer", "aside", "menu"})
_FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navi|menu|footer|copyright|breadcrumbs?|crumbs?|share|related|recommend|comments?"
    r"|pagination|pager|login|cookies?|toolbar|ads?|adsense|advert\w*)(?:[\s_-]|\Z)",
    re.IGNORECASE,
)
_PAGE_ITSELF = frozenset({"body", "main", "article"})
_FURTHEST_UP = frozenset({"body", "main", "article", "section", "html"})
_SENTENCE_ENDS = re.compile(r"[。！？!?…；]+[”’」』）)]*|[.](?=\s|\Z)")
_SPACES = re.compile(r"\s+")
_MAX_CLASS_CHARS = 200
_MAX_NODES = 96
_MAX_READ_CHARS = 2000
_MAX_LEVELS = 8
_MAX_STEPS = 3


class Surroundings:
    """Reads the text around the images of one page, and keeps what several images share."""

    def __init__(self) -> None:
        self._furniture: dict[int, bool] = {}
        self._texts: dict[tuple[int, bool], str] = {}

    def around(self, node: LexborNode) -> list[str]:
        """Whole sentences of the image's own block, at most MAX_SURROUNDING_CHARS characters; where the block has no
        other text, the nearest ones of the blocks before and after it, up to a heading. Nothing for an image among a
        page's furniture: its menu, footer, comments."""
        if _is_in_furniture(node, self._furniture):
            return []
        if node.tag in BLOCK_TAGS:
            own = _own_text(node, forward=True)
            if own:
                return [first_sentences(own, MAX_SURROUNDING_CHARS)]
            ends = (node, node)
        else:
            before, first = _side(node, forward=False)
            after, last = _side(node, forward=True)
            if before.strip() or after.strip():
                return [] if _is_in_heading(node) else [_own_sentences(before, after)]
            ends = (first, last)
        texts = (
            last_sentences(self._beside(ends[0], forward=False), MAX_SURROUNDING_CHARS),
            first_sentences(self._beside(ends[1], forward=True), MAX_SURROUNDING_CHARS),
        )
        return [text for text in texts if text]

    def _beside(self, start: LexborNode, forward: bool) -> str:
        """The text of the nearest block with any, at most three blocks away, and not beyond a heading or furniture."""
        current, num_blocks = start, 0
        for _ in range(_MAX_NODES):
            sibling = current.next if forward else current.prev
            if sibling is None:
                parent = current.parent
                if parent is None or parent.tag in _FURTHEST_UP:
                    return ""
                current = parent
                continue
            tag = sibling.tag or ""
            if tag in HEADINGS or (tag in BLOCK_TAGS and _is_furniture(sibling, tag)):
                return ""
            text = self._text(sibling, tag, forward)
            if text:
                return text
            num_blocks += tag in BLOCK_TAGS
            if num_blocks == _MAX_STEPS:
                return ""
            current = sibling
        return ""

    def _text(self, node: LexborNode, tag: str, forward: bool) -> str:
        if tag not in BLOCK_TAGS:
            return " ".join(_inline_text(node, tag, forward).split())
        key = (node.mem_id, forward)
        if key not in self._texts:
            self._texts[key] = " ".join(_inline_text(node, tag, forward).split())
        return self._texts[key]


def first_sentence(page: LexborHTMLParser) -> str:
    """The first sentence of the page's first paragraph that says anything: with ten characters or more."""
    node = page.css_first("p")
    for _ in range(20):
        if node is None:
            return ""
        if node.tag == "p" and not _is_in_furniture(node, {}):
            text = _own_text(node, forward=True)
            if len(text) >= 10 and not CAPTION_MARK.match(text):
                return next(_sentences(text))[:MAX_SURROUNDING_CHARS]
        node = node.next
    return ""


def first_sentences(text: str, max_chars: int) -> str:
    """As many whole sentences from the start as fit; a first one that is longer is cut."""
    if len(text) <= max_chars:
        return text
    end = 0
    for found in _SENTENCE_ENDS.finditer(text):
        if found.end() > max_chars:
            break
        end = found.end()
    return text[: end or max_chars].strip()


def last_sentences(text: str, max_chars: int) -> str:
    """As many whole sentences from the end as fit; a last one that is longer keeps its end."""
    if len(text) <= max_chars:
        return text
    start = len(text) - max_chars
    ends = (found.end() for found in _SENTENCE_ENDS.finditer(text, max(0, start - 4)))
    return text[next((end for end in ends if start <= end < len(text)), start) :].strip()


def _own_sentences(before: str, after: str) -> str:
    """The block's text around the image: half of the bound from each side, more where the other side is short."""
    whole = f"{before}{after}".strip()
    if len(whole) <= MAX_SURROUNDING_CHARS:
        return whole
    half = MAX_SURROUNDING_CHARS // 2
    kept_after = first_sentences(after, max(half, MAX_SURROUNDING_CHARS - len(before)))
    return (last_sentences(before, MAX_SURROUNDING_CHARS - len(kept_after)) + kept_after).strip()


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for found in _SENTENCE_ENDS.finditer(text):
        yield text[start : found.end()].strip()
        start = found.end()
    yield text[start:].strip()


def _side(node: LexborNode, forward: bool) -> tuple[str, LexborNode]:
    """What stands in the image's own block on one side of it, and the node beyond which other blocks lie there."""
    pieces: list[str] = []
    current: LexborNode = node
    for _ in range(_MAX_NODES):
        sibling = current.next if forward else current.prev
        if sibling is None:
            parent = current.parent
            if parent is None:
                break
            current = parent
            if parent.tag in BLOCK_TAGS:
                break
            continue
        tag = sibling.tag or ""
        if tag in BLOCK_TAGS:
            break
        pieces.append(_inline_text(sibling, tag, forward))
        current = sibling
    return (_joined(pieces, forward) if pieces else ""), current


def _inline_text(node: LexborNode, tag: str, forward: bool) -> str:
    if tag == "-text":
        return node.text_content or ""
    if tag == "br":
        return " "
    return "" if tag in _SILENT or tag[0] in "-!" else _own_text(node, forward, strip=False)


def _joined(pieces: list[str], forward: bool) -> str:
    """Runs of white space as one space; at the image's own side it stays, for the other side may go on there."""
    text = _SPACES.sub(" ", "".join(pieces if forward else reversed(pieces)))
    return text.rstrip() if forward else text.lstrip()


def _own_text(node: LexborNode, forward: bool, strip: bool = True) -> str:
    """The text of a node from one of its ends: up to the first block boundary behind which text stood, a heading,
    or the bounds of nodes and characters."""
    child = node.first_child
    if child is None:
        return ""
    if child.next is None and child.is_text_node:
        text = child.text_content or ""
        return " ".join(text.split()) if strip else text
    pieces: list[str] = []
    num_chars = 0
    root, current = node.mem_id, node
    for _ in range(_MAX_NODES):
        tag = current.tag or ""
        is_silent = tag in _SILENT or tag[:1] in ("-", "!", "")
        if tag == "-text":
            piece = current.text_content or ""
            pieces.append(piece)
            num_chars += len(piece)
        elif current.mem_id != root and (tag in HEADINGS or (tag in BLOCK_TAGS and _says_something(pieces))):
            break
        child = None if is_silent else (current.first_child if forward else current.last_child)
        following = child if child is not None else _following(current, root, forward, pieces)
        if following is None or num_chars > _MAX_READ_CHARS:
            break
        current = following
    text = "".join(pieces if forward else reversed(pieces))
    return " ".join(text.split()) if strip else text


def _following(node: LexborNode, root: int, forward: bool, pieces: list[str]) -> LexborNode | None:
    """The next node in order that is no child; None at the end of the root, or of a block that had text."""
    current = node
    while current.mem_id != root:
        sibling = current.next if forward else current.prev
        if sibling is not None:
            return sibling
        parent = current.parent
        if parent is None:
            return None
        if parent.tag in BLOCK_TAGS and _says_something(pieces):
            return None
        current = parent
    return None


def _says_something(pieces: list[str]) -> bool:
    return any(piece and not piece.isspace() for piece in pieces)


def _is_in_heading(node: LexborNode) -> bool:
    parent = node.parent
    for _ in range(_MAX_LEVELS):
        if parent is None or parent.tag in BLOCK_TAGS:
            break
        parent = parent.parent
    return parent is not None and parent.tag in HEADINGS


def _is_in_furniture(node: LexborNode, known: dict[int, bool]) -> bool:
    passed: list[int] = []
    verdict = False
    current = node.parent
    for _ in range(_MAX_LEVELS):
        tag = (current.tag if current is not None else None) or "body"
        if current is None or tag in _PAGE_ITSELF:
            break
        mem_id = current.mem_id
        if mem_id in known:
            verdict = known[mem_id]
            break
        passed.append(mem_id)
        if _is_furniture(current, tag):
            verdict = True
            break
        current = current.parent
    known.update(dict.fromkeys(passed, verdict))
    return verdict


def _is_furniture(node: LexborNode, tag: str) -> bool:
    """Whether an element is a menu, a footer, a list of comments or the like, by its tag or its class."""
    if tag in _FURNITURE_TAGS:
        return True
    if tag not in BLOCK_TAGS or tag in ("p", "figure"):
        return False
    named = node.attrs.get("class") or node.attrs.get("id") or ""
    return bool(named) and _FURNITURE.search(named[:_MAX_CLASS_CHARS]) is not None
