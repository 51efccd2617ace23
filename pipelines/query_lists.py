"""`curate queries`: which words become queries, and what is told of the choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crawler.search.query_words import (
    DEFAULT_TAGS,
    LinesRead,
    WordChoice,
    choose_words,
    jieba_dictionary,
    query_list,
    read_stop_words,
    read_words,
    with_tags_of_jieba,
)
from shards.errors import UsageError
from shards.storage import put_whole

ALL_TAGS = "all"


@dataclass(frozen=True)
class QueryList:
    """A list as a file holds it, and what is to be said of it."""

    text: str
    num_queries: int
    lines: LinesRead

    def write(self, path: Path) -> None:
        if path.is_dir() or not path.parent.is_dir():
            raise UsageError(f"-o {path}: expected a file in a folder that is there")
        put_whole(path, self.text.encode())

    def told(self, path: Path) -> str:
        return f"{self.num_queries:,} queries in {path}"

    @property
    def left_out(self) -> str:
        """What is said of lines that hold no word and frequency; empty where there are none."""
        left = self.lines.num_left_out
        return (
            f"{left:,} of {left + self.lines.num_words:,} lines left out: {self.lines.first_left_out}" if left else ""
        )


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
    where the list has none; with them, such a list is tagged by jieba's. Raises `UsageError` where no word is left.
    """
    if min_chars > max_chars:
        raise UsageError(f"--min-chars {min_chars} is more than --max-chars {max_chars}")
    path = words or jieba_dictionary()
    has_tags = words is None or _has_tags(path)
    wanted = _tags(tags, has_tags)
    choice = WordChoice(top, wanted, read_stop_words(stop), min_chars, max_chars, any_script)
    lines = LinesRead()
    found = read_words(path, lines)
    chosen = choose_words(found if has_tags or not wanted else with_tags_of_jieba(found), choice)
    if not chosen:
        raise UsageError(
            f"{path}: no word is left of it: tags {','.join(wanted) or ALL_TAGS}, {min_chars} to {max_chars} characters"
            f"{'' if any_script else ', with a Chinese one'}; ask for less"
        )
    return QueryList(query_list(chosen), len(chosen), lines)


def _tags(tags: str | None, has_tags: bool) -> tuple[str, ...]:
    if tags == ALL_TAGS:
        return ()
    if tags is not None:
        return tuple(tag.strip() for tag in tags.split(",") if tag.strip())
    return DEFAULT_TAGS if has_tags else ()


def _has_tags(path: str) -> bool:
    return any(word.tag for word, _ in zip(read_words(path), range(_LOOKED_AT), strict=False))


_LOOKED_AT = 1000
"""Words that are looked at to see if a list has tags."""
