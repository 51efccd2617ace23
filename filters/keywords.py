"""A category by a table of keywords: the one whose words an image's texts hold most of."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from filters.balance import Counts, EntryMatcher
from shards.errors import UsageError

SHIPPED = {"wudaomm": Path(__file__).parent / "wudaomm_keywords.tsv"}
"""Tables that the package carries. The names of WuDaoMM's categories are BAAI's; the words are ours."""

KeywordTable = tuple[tuple[str, str], ...]
"""(category, keyword) in the order of the file."""


def read_keywords(name: str) -> KeywordTable:
    """A shipped table by name, or a file: a line is a category, a tab, and its keywords between spaces.

    Blank lines and lines from # on are left out. Raises `UsageError` for any other line, and for one keyword twice.
    """
    path = SHIPPED.get(name, Path(name).expanduser())
    if not path.is_file():
        raise UsageError(f"{name}: no such file, nor a shipped table ({', '.join(SHIPPED)})")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        category, tab, words = line.partition("\t")
        if not (tab and category.strip() and words.split()):
            raise UsageError(f"{path}: line {number} is {line[:60]!r}; expected a category, a tab, and its keywords")
        for word in words.split():
            if found.setdefault(word.lower(), category.strip()) != category.strip():
                raise UsageError(
                    f"{path}: line {number} has {word!r}, which stands for {found[word.lower()]} already; choose one"
                )
    if not found:
        raise UsageError(f"{path}: holds no keyword; expected lines of a category, a tab, and its keywords")
    return tuple((category, word) for word, category in found.items())


def categories_of(texts: pa.Array, owners: Counts, num_owners: int, table: KeywordTable) -> pa.Array:
    """Of each owner the category with most different keywords in its texts; of several the one first in the table.

    `owners` says whose each text is (int64 [texts], 0 to `num_owners`). Null where no keyword is found.
    """
    names = list(dict.fromkeys(category for category, _ in table))
    category_of_word = np.array([names.index(category) for category, _ in table], np.int64)
    matches = _matcher(table).matches(texts)
    pairs = np.unique(np.stack([owners[matches.texts], matches.entries], axis=1), axis=0)
    hits, numbers = np.unique(
        np.stack([pairs[:, 0], category_of_word[pairs[:, 1]]], axis=1), axis=0, return_counts=True
    )
    best = np.lexsort((hits[:, 1], -numbers, hits[:, 0]))
    holders, first = np.unique(hits[best, 0], return_index=True)
    chosen = np.zeros(num_owners, np.int64)
    chosen[holders] = hits[best[first], 1]
    return pa.array(names, pa.string()).take(pa.array(chosen, mask=~np.isin(np.arange(num_owners), holders)))


def _matcher(table: KeywordTable) -> EntryMatcher:
    return EntryMatcher([word for _, word in table])
