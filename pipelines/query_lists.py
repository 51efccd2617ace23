"""`curate queries`: which words become queries, and what is told of the choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crawler.search.query_words import (
    DEFAULT_TAGS,
    WordChoice,
    choose_words,
    jieba_dictionary,
    query_list,
    read_stop_words,
    read_words,
)
from shards.errors import UsageError
from shards.storage import put_whole

ALL_TAGS = "all"


@dataclass(frozen=True)
class QueryList:
    """A list as a file holds it, and what is to be said of it."""

    text: str
    num_queries: int

    def write(self, path: Path) -> None:
        if path.is_dir() or not path.parent.is_dir():
            raise UsageError(f"-o {path}: expected a file in a folder that is there")
        put_whole(path, self.text.encode())

    def told(self, path: Path) -> str:
        return f"{self.num_queries:,} queries in {path}"


def make_query_list(
    words: str | None,
    top: int,
    tags: str | None,
    stop: Sequence[str],
    min_chars: int,
    max_chars: int,
    any_script: bool,
) -> QueryList:
    """The list of queries. Without `words` it is jieba's dictionary; without `tags` DEFAULT_TAGS, or any part of speech
    where the list has none. Raises `UsageError` where no word is left.
    """
    path = words or jieba_dictionary()
    wanted = _tags(tags, path)
    choice = WordChoice(top, wanted, read_stop_words(stop), min_chars, max_chars, any_script)
    chosen = choose_words(read_words(path), choice)
    if not chosen:
        raise UsageError(
            f"{path}: no word is left of it: tags {','.join(wanted) or ALL_TAGS}, {min_chars} to {max_chars} characters"
            f"{'' if any_script else ', with a Chinese one'}; ask for less"
        )
    return QueryList(query_list(chosen), len(chosen))


def _tags(tags: str | None, path: str) -> tuple[str, ...]:
    if tags == ALL_TAGS:
        return ()
    if tags is not None:
        return tuple(tag.strip() for tag in tags.split(",") if tag.strip())
    has_tags = any(word.tag for word, _ in zip(read_words(path), range(_LOOKED_AT), strict=False))
    return DEFAULT_TAGS if has_tags else ()


_LOOKED_AT = 1000
"""Words that are looked at to see if a list has tags."""
