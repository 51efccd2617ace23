"""Results of a search as raw candidates: an image's typed texts, its query, and its rank among the query's results."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from crawler.search.answers import Answer, read_answers
from crawler.search.source import SearchSource
from shards.schema import RAW_CANDIDATE

if TYPE_CHECKING:
    from crawler.search.asking import Pick

_BATCH_ROWS = 8192
_COLUMNS = ("url", "page_url", "license", "category")

Row = dict[str, str | int | None]


def read_search(path: Path, name: str, source: SearchSource) -> Iterator[pa.RecordBatch]:
    """The candidates of a committed part's answers as RAW_CANDIDATE batches, query by query.

    `origin` is `name:line:rank`, of the list of queries. An answer that came to nothing, and a result without a URL,
    is a row with a `drop_reason` and no url.
    """
    from crawler.search.asking import open_picker  # aiohttp comes with it

    rows: list[Row] = []
    with open_picker(source.described) as pick:
        line, rank = 0, 0
        for answer in read_answers(path):
            line, rank = (line, rank) if answer.line == line else (answer.line, 0)
            found, rank = _rows(answer, rank, name, source, pick)
            rows += found
            while len(rows) >= _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows[:_BATCH_ROWS], schema=RAW_CANDIDATE)
                rows = rows[_BATCH_ROWS:]
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=RAW_CANDIDATE)


def _rows(answer: Answer, rank: int, name: str, source: SearchSource, pick: "Pick") -> tuple[list[Row], int]:
    """The rows of one answer whose first result comes behind `rank`, and the rank of its last."""
    base: Row = {"source": source.name, "strength": "weak", "query": answer.query}
    read = pick(answer)
    fault = (answer.drop_reason, answer.detail) if answer.drop_reason else ("parse_error", read.fault)
    if answer.drop_reason or read.fault:
        origin = f"{name}:{answer.line}:page {answer.page + 1}"
        return [{**base, "origin": origin, "drop_reason": fault[0], "detail": fault[1]}], rank
    rows: list[Row] = []
    for item in read.items[: max(0, source.most_results - rank)]:
        rank += 1
        head = base | {"query_rank": rank, "origin": f"{name}:{answer.line}:{rank}"}
        rows += _rows_of_item(item, head | {column: item.get(column) for column in _COLUMNS}, answer.query, source)
    return rows, rank


def _rows_of_item(item: dict[str, str], head: Row, query: str, source: SearchSource) -> list[Row]:
    if not head["url"]:
        return [head | {"drop_reason": "bad_row", "detail": "no url"}]
    texts: list[tuple[str | None, str | None]] = [
        (field.removeprefix("text:"), text) for field, text in item.items() if field.startswith("text:")
    ]
    if source.query_as_text:
        texts.append(("query", query))
    return [head | {"kind": kind, "text": text} for kind, text in texts or [(None, None)]]
