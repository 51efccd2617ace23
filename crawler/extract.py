"""One HTML page as image candidates with typed texts, and as links to other pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from crawler.charset import Decoded, decode
from crawler.image_markup import Attributes, image_hrefs
from crawler.image_place import Places
from crawler.image_role import role_of_element, role_of_url
from crawler.image_texts import MAX_CAPTION_CHARS, ImageTexts
from crawler.json_ld import LinkedData, read_linked_data
from crawler.optout import nofollow_of_headers, opt_out_of_headers, opt_out_of_meta
from crawler.page_candidates import Gathering, PageCandidates
from crawler.page_elements import MAX_IMAGES, MAX_LINKS, PageElements, may_show_images
from crawler.page_facts import author_of, language_of, license_of, social_images, social_texts
from crawler.page_text import Surroundings, first_sentence
from crawler.urls import Base, resolve


@dataclass(frozen=True)
class Page:
    """What a page holds. `error` says why nothing, or not all, could be read."""

    title: str = ""
    charset: str = ""
    links: list[str] = field(default_factory=list)
    candidates: PageCandidates = field(default_factory=PageCandidates)
    opt_out: str | None = None
    error: str | None = None
    charset_from: str = ""
    """What settled the charset: bom, header, meta, detector, or contents against what was declared."""
    language: str | None = None
    author: str | None = None
    license: str | None = None
    canonical: str | None = None
    """The canonical form of the URL that the page gives as its own (`rel=canonical`)."""


def extract_page(
    html: bytes,
    url: str,
    content_type: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    agent: str = "*",
    wants_links: bool = True,
) -> Page:
    """Candidates in document order, links once each and canonical. Pages, links and images that opt out for
    `agent` (a product token) have no texts, no links, or both. Where no links are wanted, a page that shows no image
    is not parsed.

    Time grows with the square of the depth or of the attributes of one element: for pages that nobody vouches for
    use `crawler.parse_child`, which ends a parse that takes too long.
    """
    decoded = decode(html, content_type)
    try:
        markup = _utf8(html, decoded)
        lowered = markup.lower()
        if not wants_links and not may_show_images(lowered):
            return Page(charset=decoded.codec, charset_from=decoded.settled_by)
        page = LexborHTMLParser(markup)
    except (SelectolaxError, UnicodeEncodeError) as error:
        return Page(charset=decoded.codec, charset_from=decoded.settled_by, error=str(error)[:200])
    elements = PageElements.of(page, lowered)
    facts = elements.facts
    by_name = dict(reversed(facts.metas))
    asked = opt_out_of_meta(facts.metas, agent)
    opt_out = opt_out_of_headers(headers, agent) or asked.opt_out
    base = Base((resolve(url, facts.base_href.strip()) if facts.base_href else None) or url)
    nofollow = asked.nofollow or nofollow_of_headers(headers, agent)
    data = read_linked_data([node.text(deep=True) for node in facts.data_scripts[:20]])
    reader = _Reader(page, elements, base, by_name, data)
    candidates = reader.opted_out(opt_out) if opt_out else reader.candidates()
    in_header = next((value for name, value in headers if name.lower() == "content-language"), None)
    return Page(
        title=facts.title,
        charset=decoded.codec,
        links=_links(page, base) if wants_links and not nofollow else [],
        candidates=candidates,
        opt_out=opt_out,
        error=f"more than {MAX_IMAGES} images" if elements.is_cut else None,
        charset_from=decoded.settled_by,
        language=language_of((facts.declared_language, in_header, by_name.get("content-language")), facts.title),
        author=author_of(facts, by_name, data.author),
        license=license_of(facts, base, data.license),
        canonical=base.resolve(facts.canonical_href.strip()) if facts.canonical_href else None,
    )


def _utf8(html: bytes, decoded: Decoded) -> bytes:
    """The page in UTF-8, as the parser takes it. NUL is U+FFFD, as the HTML standard has it."""
    markup = html if decoded.is_utf8 else decoded.text.encode()
    return markup.replace(b"\0", b"\xef\xbf\xbd") if b"\0" in markup else markup


class _Reader:
    """The images of one parsed page."""

    def __init__(
        self, page: LexborHTMLParser, elements: PageElements, base: Base, metas: dict[str, str], data: LinkedData
    ) -> None:
        self._page = page
        self._elements = elements
        self._base = base
        self._metas = metas
        self._data = data
        self._title = elements.facts.title
        self._lead: str | None = None
        self._places = Places()
        self._texts_of = ImageTexts(self._places)
        self._surroundings = Surroundings()
        self._headings: dict[int, str] = {}
        self._found = Gathering()

    def opted_out(self, directive: str) -> PageCandidates:
        """Every image of a page that asks not to be used: no text is kept."""
        of_elements = ((node, attributes) for node, attributes, _ in self._elements.images)
        urls = [_absolute(self._base, href) for each in of_elements for href in image_hrefs(*each)]
        urls += [url for _, _, url in self._image_links()]
        urls += [url for url, _ in (*self._social_images(), *self._described_images())]
        for url in urls:
            self._found.opt_out(url, directive)
        return self._found.done()

    def candidates(self) -> PageCandidates:
        found = self._found
        for node, attributes, heading in self._elements.images:
            hrefs = image_hrefs(node, attributes)
            texts = self._texts_of_image(node, attributes, heading) if hrefs else []
            for href in hrefs:
                url = _absolute(self._base, href)
                found.take(url, role_of_element(url, attributes), texts)
        for link, attributes, url in self._image_links():
            found.take(url, role_of_url(url), self._texts_of.of_link(link, attributes))
        for url, description in self._social_images():
            texts = [("alt", description), *social_texts(self._metas, self._title)]
            found.take(url, role_of_url(url), texts)
        for url, texts in self._described_images():
            found.take(url, role_of_url(url), [*texts, ("page_title", self._title)])
        return found.done()

    def _image_links(self) -> Iterator[tuple[LexborNode, Attributes, str]]:
        for link, attributes in self._elements.image_links:
            if url := self._base.resolve((attributes.get("href") or "").strip()):
                yield link, attributes, url

    def _social_images(self) -> Iterator[tuple[str, str]]:
        facts, found = self._elements.facts, dict[str, str]()
        for href, description in (*social_images(facts.metas), ((facts.image_src or "").strip(), "")):
            if href:
                url = _absolute(self._base, href)
                found[url] = found.get(url) or description
        yield from found.items()

    def _described_images(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        for href, texts in self._data.images[:MAX_IMAGES]:
            if href.strip():
                yield _absolute(self._base, href.strip()), texts

    def _texts_of_image(
        self, node: LexborNode, attributes: Attributes, heading: LexborNode | None
    ) -> list[tuple[str, str]]:
        """The typed texts of one image element."""
        place = self._places.of(node)
        texts = self._texts_of.of_image(node, attributes, place)
        beside = self._surroundings.around(node, place)
        if beside:
            texts += [("surrounding", text) for text in beside]
            texts.append(("first_sentence", self._first_sentence()))
        if heading is not None:
            mem_id = heading.mem_id
            if mem_id not in self._headings:
                self._headings[mem_id] = heading.text(deep=True)[:MAX_CAPTION_CHARS]
            texts.append(("heading", self._headings[mem_id]))
        if place.link is not None:
            texts.append(("link", self._texts_of.of_enclosing(place.link)))
        texts.append(("page_title", self._title))
        return texts

    def _first_sentence(self) -> str:
        if self._lead is None:
            self._lead = first_sentence(self._page, self._places)
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
