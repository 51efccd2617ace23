"""The released formats of image-text datasets: what each calls the columns that it has, for readers and writers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Columns:
    """The format's name for each thing that a source may know; null where it has no such column."""

    url: str
    text: str | None = None
    page_url: str | None = None
    query: str | None = None
    license: str | None = None
    sha256: str | None = None
    category: str | None = None


@dataclass(frozen=True)
class Layout:
    """A released format that needs no `columns:`.

    One text a record: `columns.text`, of kind `text_kind`. Several: `kinds` (column -> kind), or `sentences`, a column
    of [type, text] pairs whose `types` (type -> kind) are ours under another name. Only JSON holds several.
    """

    columns: Columns
    text_kind: str = "caption"
    strength: Literal["strong", "weak"] | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    sentences: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds_several_texts(self) -> bool:
        return bool(self.kinds or self.sentences)


LAYOUTS = {
    "wukong": Layout(Columns(url="url", text="caption"), strength="weak"),
    "zero": Layout(
        Columns(url="ImageUrl", page_url="Url", query="ImageQuery"),
        strength="weak",
        kinds={"Title": "title", "Content": "surrounding", "ImageQuery": "query"},
    ),
    "wudaomm": Layout(Columns(url="url", text="captions", category="tag"), strength="strong"),
    "wenlan": Layout(
        Columns(url="url", page_url="page_url"),
        strength="weak",
        sentences="sentences",
        types={"alt_text": "alt", "sur_text": "surrounding", "first": "first_sentence"},
    ),
    "laion": Layout(Columns(url="URL", text="TEXT"), text_kind="alt", strength="weak"),
    "coyo": Layout(Columns(url="url", text="text"), text_kind="alt", strength="weak"),
    "datacomp": Layout(Columns(url="url", text="text", sha256="sha256"), text_kind="alt", strength="weak"),
    "danqing": Layout(Columns(url="url", text="alt_text"), text_kind="alt", strength="weak"),
    "taisu": Layout(Columns(url="url", text="caption"), strength="weak"),
    "img2dataset": Layout(Columns(url="url", text="caption", sha256="sha256")),
}
"""Lists of URLs, as their authors released them: `../shared/RELEASES.md` section 2 names the source of each.

The sha256 of DataComp and img2dataset is of the bytes as downloaded; LAION's `hash` is of URL and text, COYO's is
perceptual: neither says what bytes to expect. WenLan's records were released without URLs: `url` is ours. Of TaiSu's
CSV the column `url` is known from its authors' downloader, `caption` is not: where it is another, give `columns:`.
"""
