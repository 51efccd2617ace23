"""One HTML page as image candidates with typed texts, and as links to other pages."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from crawler.charset import decode
from crawler.image_markup import IMAGE_SELECTOR, image_hrefs, is_image_link
from crawler.image_role import Role, role_of_element, role_of_url
from crawler.image_texts import MAX_CAPTION_CHARS, link_text, texts_of_image, texts_of_link
from crawler.json_ld import LinkedData, read_linked_data
from crawler.optout import nofollow_of_headers, opt_out_of_headers, opt_out_of_meta
from crawler.page_facts import FACT_SELECTOR, FACT_TAGS, PageFacts, author_of, language_of, license_of
from crawler.page_text import HEADINGS, Surroundings, first_sentence
from crawler.urls import Base, resolve

MAX_IMAGES = 5000
MAX_LINKS = 20_000
MAX_TEXT_CHARS = 10_000

_IMAGE_LINKS = ", ".join(f"a[href*='.{end}' i]" for end in ("jp", "png", "gif", "webp", "jfif"))
_SELECTOR = f"{', '.join(sorted(HEADINGS))}, {IMAGE_SELECTOR}, {_IMAGE_LINKS}, {FACT_SELECTOR}"
_SOCIAL_IMAGES = ("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src", "image")

Typed = Iterable[tuple[str, str]]


class Candidate(NamedTuple):
    """One text of one image. `kind` and `text` are null for an image without text, or one that opted out."""

    url: str
    kind: str | None
    text: str | None
    drop_reason: str | None = None
    detail: str | None = None
    role: Role = Role()


@dataclass(frozen=True)
class Page:
    """What a page holds. `error` says why nothing, or not all, could be read."""

    title: str = ""
    charset: str = ""
    links: list[str] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    opt_out: str | None = None
    error: str | None = None
    charset_from: str = ""
    """What settled the charset: bom, header, meta, detector, or contents against what was declared."""
    language: str | None = None
    author: str | None = None
    license: str | None = None


def extract_page(
    html: bytes,
    url: str,
    content_type: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    agent: str = "*",
    wants_links: bool = True,
) -> Page:
    """Candidates in document order, links once each and canonical. Pages, links and images that opt out for
    `agent` (a product token) have no texts, no links, or both.

    Time grows with the square of the depth or of the attributes of one element: for pages that nobody vouches for
    use `crawler.parse_child`, which ends a parse that takes too long.
    """
    decoded = decode(html, content_type)
    try:
        page = LexborHTMLParser(decoded.text.replace("\0", "\ufffd"))
    except (SelectolaxError, UnicodeEncodeError) as error:
        return Page(charset=decoded.codec, charset_from=decoded.settled_by, error=str(error)[:200])
    marked = _Marked.of(page)
    facts = marked.facts
    by_name = dict(reversed(facts.metas))
    asked = opt_out_of_meta(facts.metas, agent)
    opt_out = opt_out_of_headers(headers, agent) or asked.opt_out
    base = Base((resolve(url, facts.base_href.strip()) if facts.base_href else None) or url)
    nofollow = asked.nofollow or nofollow_of_headers(headers, agent)
    data = read_linked_data([node.text(deep=True) for node in facts.data_scripts[:20]])
    reader = _Reader(page, marked, base, by_name, data)
    candidates = reader.opted_out(opt_out) if opt_out else reader.candidates()
    in_header = next((value for name, value in headers if name.lower() == "content-language"), None)
    return Page(
        title=facts.title,
        charset=decoded.codec,
        links=_links(page, base) if wants_links and not nofollow else [],
        candidates=list(dict.fromkeys(candidates)),
        opt_out=opt_out,
        error=f"more than {MAX_IMAGES} images" if marked.is_cut else None,
        charset_from=decoded.settled_by,
        language=language_of((facts.declared_language, in_header, by_name.get("content-language")), facts.title),
        author=author_of(facts, by_name, data.author),
        license=license_of(facts, base, data.license),
    )


@dataclass
class _Marked:
    """The elements of a page that say anything, found in one pass over it."""

    facts: PageFacts = field(default_factory=PageFacts)
    images: list[tuple[LexborNode, LexborNode | None]] = field(default_factory=list)
    """Image elements, each with the nearest heading before it."""
    image_links: list[LexborNode] = field(default_factory=list)
    is_cut: bool = False

    @classmethod
    def of(cls, page: LexborHTMLParser) -> "_Marked":
        found = cls()
        heading: LexborNode | None = None
        for node in page.css(_SELECTOR):
            tag = node.tag or ""
            if tag in HEADINGS:
                heading = node
                if not node.attrs.get("style"):
                    continue
            if tag in FACT_TAGS:
                found.facts.take(node, tag)
                if tag == "a":
                    found.image_links.append(node)
            else:
                found.images.append((node, heading))
        found.is_cut = len(found.images) > MAX_IMAGES
        del found.images[MAX_IMAGES:]
        del found.image_links[MAX_LINKS:]
        return found


class _Reader:
    """The images of one parsed page."""

    def __init__(
        self, page: LexborHTMLParser, marked: _Marked, base: Base, metas: dict[str, str], data: LinkedData
    ) -> None:
        self._page = page
        self._marked = marked
        self._base = base
        self._title = marked.facts.title
        self._metas = metas
        self._data = data
        self._lead: str | None = None
        self._surroundings = Surroundings()
        self._headings: dict[int, str] = {}
        self._clean: dict[str, str] = {}

    def opted_out(self, directive: str) -> Iterator[Candidate]:
        """Every image of a page that asks not to be used: no text is kept."""
        urls = [url for _, _, url, _ in self._images()]
        urls += [url for _, _, url in self._image_links()]
        urls += [*self._social_images(), *(url for url, _ in self._described_images())]
        for url in urls:
            yield Candidate(url, None, None, "opt_out", directive)

    def candidates(self) -> Iterator[Candidate]:
        for node, attributes, url, heading in self._images():
            yield from self._candidates(url, role_of_element(url, attributes), self._texts(node, attributes, heading))
        for link, attributes, url in self._image_links():
            yield from self._candidates(url, role_of_url(url), texts_of_link(link, attributes))
        for url in self._social_images():
            yield from self._candidates(url, role_of_url(url), self._social_texts())
        for url, texts in self._described_images():
            yield from self._candidates(url, role_of_url(url), [*texts, ("page_title", self._title)])

    def _candidates(self, url: str, role: Role, texts: Typed) -> Iterator[Candidate]:
        """One candidate a text; one without text where there is none."""
        is_empty = True
        for kind, raw in texts:
            if not raw:
                continue
            text = self._clean.get(raw)
            if text is None:
                text = self._clean[raw] = " ".join(raw[: 10 * MAX_TEXT_CHARS].split())
            if len(text) > MAX_TEXT_CHARS:
                yield Candidate(url, kind, None, "bad_text", f"{len(raw)} characters", role)
            elif text:
                yield Candidate(url, kind, text, None, None, role)
            is_empty = is_empty and not text
        if is_empty:
            yield Candidate(url, None, None, None, None, role)

    def _images(self) -> Iterator[tuple[LexborNode, dict[str, str | None], str, LexborNode | None]]:
        """Image elements with their attributes, an URL, and the nearest heading before them."""
        for node, heading in self._marked.images:
            attributes = node.attributes
            for href in image_hrefs(node, attributes):
                yield node, attributes, _absolute(self._base, href), heading

    def _image_links(self) -> Iterator[tuple[LexborNode, dict[str, str | None], str]]:
        for link in self._marked.image_links:
            attributes = link.attributes
            href = (attributes.get("href") or "").strip()
            if is_image_link(href) and (url := self._base.resolve(href)):
                yield link, attributes, url

    def _social_images(self) -> Iterator[str]:
        hrefs = [self._metas.get(name, "").strip() for name in _SOCIAL_IMAGES]
        hrefs.append((self._marked.facts.image_src or "").strip())
        yield from dict.fromkeys(_absolute(self._base, href) for href in hrefs if href)

    def _described_images(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        for href, texts in self._data.images[:MAX_IMAGES]:
            if href.strip():
                yield _absolute(self._base, href.strip()), texts

    def _social_texts(self) -> Iterator[tuple[str, str]]:
        for name in ("og:image:alt", "twitter:image:alt"):
            yield "alt", self._metas.get(name, "")
        yield "page_title", self._metas.get("og:title", "")
        yield "page_title", self._title
        for name in ("og:description", "description"):
            yield "description", self._metas.get(name, "")[:MAX_CAPTION_CHARS]

    def _texts(
        self, node: LexborNode, attributes: dict[str, str | None], heading: LexborNode | None
    ) -> Iterator[tuple[str, str]]:
        """The typed texts of one image element."""
        yield from texts_of_image(node, attributes)
        beside = self._surroundings.around(node)
        for text in beside:
            yield "surrounding", text
        if beside:
            yield "first_sentence", self._first_sentence()
        if heading is not None:
            if heading.mem_id not in self._headings:
                self._headings[heading.mem_id] = heading.text(deep=True)[:MAX_CAPTION_CHARS]
            yield "heading", self._headings[heading.mem_id]
        yield "link", link_text(node)
        yield "page_title", self._title

    def _first_sentence(self) -> str:
        if self._lead is None:
            self._lead = first_sentence(self._page)
        return self._lead


def _links(page: LexborHTMLParser, base: Base) -> list[str]:
    """Canonical URLs of the pages that may be visited next, in order."""
    found: dict[str, None] = {}
    for node in page.css("a[href], area[href], iframe[src], frame[src]")[:MAX_LINKS]:
        attributes = node.attributes
        href = (attributes.get("href") or attributes.get("src") or "").strip()
        if not href or href.startswith("#") or "nofollow" in (attributes.get("rel") or "").lower():
            continue
        url = base.resolve(href)
        if url is not None:
            found[url] = None
    return list(found)


def _absolute(base: Base, href: str) -> str:
    """The image's canonical URL; the text itself where it is none, for collect to say what is wrong with it."""
    return base.resolve(href) or href
