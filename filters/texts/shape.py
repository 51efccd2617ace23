"""What shape a text has, and whether it holds the words it was searched for by."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import Bools, TextColumn
from filters.texts.beside import beside_of
from filters.texts.words import words_of

_MOST_QUERY_WORDS = 3
_MOST_QUERY_CHARS = 10
_FEWEST_TAGS = 3
# Words as between the commas of a list: short, and without the marks that end a sentence.
_TAG = r"[^,，、;；|/#\s。！？!?：:]{1,8}"
_TAG_LIST = rf"^#?{_TAG}(?:\s*[,，、;；|/#]\s*#?{_TAG}|\s+#?{_TAG}){{{_FEWEST_TAGS - 1},}}[,，、;；|/#]?$"
_SENTENCE_END = r"[。！？!?…]$|。"
_SIGNS = r"[,，、;；|/#:：()（）《》【】\[\]\-—_·~～]"
# Tags of jieba of words that hold a sentence together: particles, prepositions, adverbs, pronouns, conjunctions.
_BINDING = r"^(?:u|p|d|r|c|y)"


def text_kind_tags(column: TextColumn) -> pa.Array:
    """`tags` for three or more short words set apart; `sentence` for what ends as one, or has a verb among words that
    bind; `query` for up to three words (ten characters) without a sign; `title` for the rest.
    """
    words = words_of(column)
    num_texts = len(column.texts)
    verbs = words.count(num_texts, _tagged(words.tags, "^v")) > 0
    bound = words.count(num_texts, _tagged(words.tags, _BINDING)) > 0
    few = (words.count(num_texts) <= _MOST_QUERY_WORDS) & (column.lengths <= _MOST_QUERY_CHARS)
    ended = _matches(column, _SENTENCE_END)
    cases = [
        ("sentence", ended),
        ("tags", _matches(column, _TAG_LIST)),
        ("sentence", verbs & bound),
        ("query", few & ~_matches(column, _SIGNS)),
    ]
    shapes = np.select([case for _, case in cases], [name for name, _ in cases], "title")
    return column.column(shapes.astype(object), pa.string())


def query_in_text(column: TextColumn) -> pa.Array:
    """True where a text holds its candidate's query, whatever its case and spaces; null without a query."""
    queries = beside_of(column).queries
    if queries is None:
        return pa.nulls(len(column.texts), pa.bool_())
    return pa.array(
        [
            None if text is None or query is None else _plain(query) in _plain(text)
            for text, query in zip(column.texts.to_pylist(), queries.to_pylist(), strict=True)
        ],
        pa.bool_(),
    )


def _plain(text: str) -> str:
    return text.casefold().replace(" ", "")


def _tagged(tags: pa.Array, pattern: str) -> Bools:
    return np.asarray(pc.match_substring_regex(tags, pattern).to_numpy(zero_copy_only=False))


def _matches(column: TextColumn, pattern: str) -> Bools:
    found = pc.fill_null(pc.match_substring_regex(column.texts, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False))
