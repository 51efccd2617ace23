"""The text of a page around its images: blocks in reading order, and the heading above each place."""

from collections.abc import Collection
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

BLOCK_TAGS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl", "dt"}
    | {"fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "nav", "ol", "p"}
    | {"pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_SILENT = frozenset({"script", "style", "template", "title", "textarea", "select", "svg", "math", "figcaption"})
_MAX_BLOCK_CHARS = 2000


@dataclass
class Block:
    """A run of text between two block boundaries."""

    text: str = ""
    is_heading: bool = False


@dataclass
class PageText:
    """Blocks in order, and for each image's `mem_id` the number of its block."""

    blocks: list[Block] = field(default_factory=lambda: [Block()])
    place_of: dict[int, int] = field(default_factory=dict)

    def heading_above(self, mem_id: int) -> str:
        """The nearest heading before an image, or ''."""
        place = self._heading_at[self.place_of[mem_id]] if mem_id in self.place_of else None
        return "" if place is None else self.blocks[place].text

    def around(self, mem_id: int, max_chars: int) -> list[str]:
        """The text of the image's own block; where it has none, the ends of the blocks before and after it."""
        place = self.place_of.get(mem_id)
        if place is None:
            return []
        own = self.blocks[place]
        if own.text:
            return [] if own.is_heading else [own.text[:max_chars]]
        before = self._neighbour(place, -1)
        after = self._neighbour(place, +1)
        return [text for text in (before[-max_chars:], after[:max_chars]) if text]

    def finish(self) -> None:
        """Index the headings, once all blocks are there."""
        self._heading_at: list[int | None] = []
        last: int | None = None
        for number, block in enumerate(self.blocks):
            if block.is_heading and block.text:
                last = number
            self._heading_at.append(last)

    def _neighbour(self, place: int, step: int) -> str:
        """The nearest block with text, at most three boundaries away and not beyond a heading."""
        for number in range(place + step, place + 4 * step, step):
            if not 0 <= number < len(self.blocks) or self.blocks[number].is_heading:
                return ""
            if self.blocks[number].text:
                return self.blocks[number].text
        return ""


def read_page_text(page: LexborHTMLParser, image_ids: Collection[int]) -> PageText:
    """One walk over the page in document order: linear in its size."""
    text = PageText()
    if page.root is not None:
        pieces: list[str] = []
        block_parent: int | None = None
        for node in page.root.traverse(include_text=True):
            tag = node.tag
            if tag == "-text":
                parent = node.parent
                if parent is None or parent.tag in _SILENT:
                    continue
                # Text that goes on after a nested block ended belongs to the outer block: begin anew.
                owner = _block_of(parent)
                if owner != block_parent and pieces:
                    _close(text, pieces)
                block_parent = owner
                pieces.append(node.text_content or "")
            elif node.mem_id in image_ids:
                text.place_of[node.mem_id] = len(text.blocks) - 1
            if tag in BLOCK_TAGS:
                _close(text, pieces)
                block_parent = node.mem_id
                text.blocks[-1].is_heading = tag in _HEADINGS
                if node.mem_id in image_ids:
                    text.place_of[node.mem_id] = len(text.blocks) - 1
        _close(text, pieces)
    text.finish()
    return text


def _close(text: PageText, pieces: list[str]) -> None:
    """End the current block and open the next one."""
    text.blocks[-1].text = " ".join("".join(pieces).split())[:_MAX_BLOCK_CHARS]
    pieces.clear()
    text.blocks.append(Block())


def _block_of(node: LexborNode) -> int:
    """The nearest enclosing block, looked for a few levels up."""
    current: LexborNode | None = node
    for _ in range(6):
        if current is None or current.tag in BLOCK_TAGS:
            break
        current = current.parent
    return current.mem_id if current is not None else 0
