"""One HTML page as image candidates with typed texts, and as links to other pages."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from crawler.charset import decode
from crawler.image_markup import IMAGE_SELECTOR, image_hrefs, is_image_link
from crawler.optout import nofollow_of_headers, opt_out_of_headers, opt_out_of_meta
from crawler.page_text import PageText, read_page_text
from crawler.urls import resolve

MAX_IMAGES = 5000
MAX_LINKS = 20_000
MAX_TEXT_CHARS = 10_000
MAX_SURROUNDING_CHARS = 256
MAX_CAPTION_CHARS = 1000

_CAPTION_CLASS = re.compile(
    r"(?:^|[\s_-])(?:caption|captions|pic-?(?:text|desc|title|info)|img-?(?:text|desc|title|info)"
    r"|image-?(?:text|desc|title|info|caption)|photo-?(?:text|desc|title|info)|tuzhu|tushuo|figcaption)"
    r"(?:[\s_-]|\Z)|caption-?text",
    re.IGNORECASE,
)
_CAPTION_MARK = re.compile(r"(?:图(?:片|注|说|示)?\s*[\d一二三四五六七八九十]{0,3}\s*[:：]|[▲△↑]+)\s*")


@dataclass(frozen=True)
class Candidate:
    """One text of one image. `kind` and `text` are null for an image without text, or one that opted out."""

    url: str
    kind: str | None
    text: str | None
    drop_reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Page:
    """What a page holds. `error` says why nothing, or not all, could be read."""

    title: str = ""
    charset: str = ""
    links: list[str] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    opt_out: str | None = None
    error: str | None = None


def extract_page(
    html: bytes,
    url: str,
    content_type: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    agent: str = "*",
) -> Page:
    """Candidates in document order, links once each and canonical. Pages, links and images that opt out for
    `agent` (a product token) have no texts, no links, or both.

    Time grows with the square of the depth or of the attributes of one element: for pages that nobody vouches for
    use `crawler.parse_child`, which ends a parse that takes too long.
    """
    text, charset = decode(html, content_type)
    try:
        page = LexborHTMLParser(text.replace("\0", "\ufffd"))
    except (SelectolaxError, UnicodeEncodeError) as error:
        return Page(charset=charset, error=str(error)[:200])
    metas = [_meta(node) for node in page.css("meta[content]")[:1000]]
    asked = opt_out_of_meta(metas, agent)
    opt_out = opt_out_of_headers(headers, agent) or asked.opt_out
    base = _base(page, url)
    title = _title(page)
    nofollow = asked.nofollow or nofollow_of_headers(headers, agent)
    reader = _Reader(page, base, title, dict(reversed(metas)))
    candidates = list(reader.opted_out(opt_out) if opt_out else reader.candidates())
    return Page(
        title=title,
        charset=charset,
        links=[] if nofollow else _links(page, base),
        candidates=list(dict.fromkeys(candidates)),
        opt_out=opt_out,
        error=f"more than {MAX_IMAGES} images" if reader.is_cut else None,
    )


class _Reader:
    """The images of one parsed page."""

    def __init__(self, page: LexborHTMLParser, base: str, title: str, metas: dict[str, str]) -> None:
        self._page = page
        self._base = base
        self._title = title
        self._metas = metas
        nodes = page.css(IMAGE_SELECTOR)
        self.is_cut = len(nodes) > MAX_IMAGES
        self._nodes = nodes[:MAX_IMAGES]

    def opted_out(self, directive: str) -> Iterator[Candidate]:
        """Every image of a page that asks not to be used: no text is kept."""
        for _, url in self._images():
            yield Candidate(url, None, None, "opt_out", directive)
        for _, _, url in self._image_links():
            yield Candidate(url, None, None, "opt_out", directive)
        for url in self._social_images():
            yield Candidate(url, None, None, "opt_out", directive)

    def candidates(self) -> Iterator[Candidate]:
        around = read_page_text(self._page, {node.mem_id for node in self._nodes})
        for node, url in self._images():
            yield from _candidates(url, self._texts(node, around))
        for link, attributes, url in self._image_links():
            yield from _candidates(url, _texts_of_link(link, attributes))
        for url in self._social_images():
            yield from _candidates(url, self._social_texts())

    def _images(self) -> Iterator[tuple[LexborNode, str]]:
        for node in self._nodes:
            for href in image_hrefs(node, node.attributes):
                yield node, _absolute(self._base, href)

    def _image_links(self) -> Iterator[tuple[LexborNode, dict[str, str | None], str]]:
        for link in self._page.css("a[href]")[:MAX_LINKS]:
            attributes = link.attributes
            href = (attributes.get("href") or "").strip()
            if is_image_link(href) and (url := resolve(self._base, href)):
                yield link, attributes, url

    def _social_images(self) -> Iterator[str]:
        names = ("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src")
        hrefs = (self._metas.get(name, "").strip() for name in names)
        yield from dict.fromkeys(_absolute(self._base, href) for href in hrefs if href)

    def _social_texts(self) -> Iterator[tuple[str, str]]:
        for name in ("og:image:alt", "twitter:image:alt"):
            yield "alt", self._metas.get(name, "")
        yield "page_title", self._metas.get("og:title", "")
        yield "page_title", self._title
        for name in ("og:description", "description"):
            yield "description", self._metas.get(name, "")[:MAX_CAPTION_CHARS]

    def _texts(self, node: LexborNode, around: PageText) -> Iterator[tuple[str, str]]:
        """The typed texts of one image element."""
        attributes = node.attributes
        yield "alt", attributes.get("alt") or ""
        yield "title", attributes.get("title") or ""
        yield "aria_label", attributes.get("aria-label") or ""
        yield "figcaption", _figcaption(node)
        yield "caption", _caption_below(node)
        for text in around.around(node.mem_id, MAX_SURROUNDING_CHARS):
            yield "surrounding", text
        yield "heading", around.heading_above(node.mem_id)
        yield "link", _link_text(node)
        yield "page_title", self._title


def _candidates(url: str, texts: Iterator[tuple[str, str]]) -> Iterator[Candidate]:
    """One candidate a text; one without text where there is none."""
    is_empty = True
    for kind, raw in texts:
        text = " ".join(raw[: 10 * MAX_TEXT_CHARS].split())
        if len(text) > MAX_TEXT_CHARS:
            yield Candidate(url, kind, None, "bad_text", f"{len(raw)} characters")
        elif text:
            yield Candidate(url, kind, text)
        is_empty = is_empty and not text
    if is_empty:
        yield Candidate(url, None, None)


def _texts_of_link(link: LexborNode, attributes: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    """Texts of an image that a link leads to: the thumbnail's, and the link's own."""
    image = link.css_first("img")
    if image is not None:
        thumbnail = image.attributes
        yield "alt", thumbnail.get("alt") or ""
        yield "title", thumbnail.get("title") or ""
        yield "figcaption", _figcaption(image)
        yield "caption", _caption_below(image)
    yield "link", attributes.get("title") or ""
    yield "link", link.text(deep=True)[:MAX_CAPTION_CHARS]


def _figcaption(node: LexborNode) -> str:
    figure = _ancestor(node, "figure", 6)
    caption = figure.css_first("figcaption") if figure is not None else None
    return _CAPTION_MARK.sub("", caption.text(deep=True).strip()[:MAX_CAPTION_CHARS], count=1) if caption else ""


def _caption_below(node: LexborNode) -> str:
    """The text of an element right after the image, or after an ancestor that ends with it, that is classed as
    a caption (or opens with a caption's mark, as `图：` or `▲`)."""
    current = node
    for _ in range(4):
        follower = _next_element(current)
        if follower is not None:
            is_classed = _CAPTION_CLASS.search((follower.attributes.get("class") or "")[:500])
            text = follower.text(deep=True).strip()[:MAX_CAPTION_CHARS] if is_classed or _is_small(follower) else ""
            mark = _CAPTION_MARK.match(text)
            if is_classed or mark:
                return text[mark.end() :] if mark else text
            return ""
        parent = current.parent
        if parent is None or parent.tag in ("body", "main", "article", "section"):
            return ""
        current = parent
    return ""


def _is_small(node: LexborNode) -> bool:
    """Whether an element has few children, so that reading its text is cheap."""
    child = node.first_child
    for _ in range(4):
        if child is None:
            return True
        child = child.next
    return False


def _next_element(node: LexborNode) -> LexborNode | None:
    """The next sibling, if only white space lies between; None if there is none, or text comes first."""
    follower = node.next
    for _ in range(3):
        if follower is None or follower.is_element_node:
            break
        if (follower.text_content or "").strip():
            return None
        follower = follower.next
    return follower if follower is not None and follower.is_element_node else None


def _link_text(node: LexborNode) -> str:
    """The title or the text of the link that the image lies in."""
    link = _ancestor(node, "a", 4)
    if link is None:
        return ""
    return link.attributes.get("title") or link.text(deep=True)[:MAX_CAPTION_CHARS]


def _ancestor(node: LexborNode, tag: str, levels: int) -> LexborNode | None:
    current = node.parent
    for _ in range(levels):
        if current is None or current.tag == tag:
            return current
        current = current.parent
    return None


def _links(page: LexborHTMLParser, base: str) -> list[str]:
    """Canonical URLs of the pages that may be visited next, in order."""
    found: dict[str, None] = {}
    for node in page.css("a[href], area[href], iframe[src], frame[src]")[:MAX_LINKS]:
        attributes = node.attributes
        href = (attributes.get("href") or attributes.get("src") or "").strip()
        if not href or href.startswith("#") or "nofollow" in (attributes.get("rel") or "").lower():
            continue
        url = resolve(base, href)
        if url is not None:
            found[url] = None
    return list(found)


def _base(page: LexborHTMLParser, url: str) -> str:
    element = page.css_first("base[href]")
    href = element.attributes.get("href") if element is not None else None
    return (resolve(url, href.strip()) if href else None) or url


def _absolute(base: str, href: str) -> str:
    """The image's canonical URL; the text itself where it is none, for collect to say what is wrong with it."""
    return resolve(base, href) or href


def _title(page: LexborHTMLParser) -> str:
    nodes = page.css("title")[:20]
    titles = (node.text(deep=True) for node in nodes if node.parent is None or node.parent.tag != "svg")
    return " ".join(next(titles, "")[:MAX_CAPTION_CHARS].split())


def _meta(node: LexborNode) -> tuple[str, str]:
    attributes = node.attributes
    name = attributes.get("name") or attributes.get("property") or ""
    return name.strip().lower(), attributes.get("content") or ""
