"""Lists of queries, as a person or `curate queries` writes them."""

import gzip
from pathlib import Path

import pytest

from crawler.search.queries import MAX_LINE_BYTES, Query, read_queries
from shards.errors import BadInputError


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("湖\n塔\n", [(1, "湖"), (2, "塔")]),
        ("湖", [(1, "湖")]),
        ("query\tfrequency\ttag\n湖\t12\tn\n", [(2, "湖")]),
        ("湖\nquery\n", [(1, "湖"), (2, "query")]),
        ("\n  湖  泊 \r\n\n塔\n湖 泊\n", [(2, "湖 泊"), (4, "塔")]),
        ("\ufeff湖\n", [(1, "湖")]),
        ("#hashtag\n", [(1, "#hashtag")]),
        ("湖\r\r塔\r", [(1, "湖"), (3, "塔")]),
    ],
)
def test_a_list_is_read_line_by_line(tmp_path: Path, data: str, expected: list[tuple[int, str]]) -> None:
    path = tmp_path / "q.tsv"
    path.write_bytes(data.encode())
    assert read_queries(str(path)) == [Query(*pair) for pair in expected]
    (tmp_path / "q.tsv.gz").write_bytes(gzip.compress(data.encode()))
    assert read_queries(str(tmp_path / "q.tsv.gz")) == [Query(*pair) for pair in expected]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "holds no query"),
        (b"query\n\n\t12\n", "holds no query"),
        (b"a\n\xff\xfe\n", "line 2 is not UTF-8"),
        ("长".encode() * 501, "line 1 is a query of 501 characters"),
        (b"a\x1bb", "line 1 holds a control character"),
        (b"x" * (MAX_LINE_BYTES + 1), "a line of more than"),
    ],
)
def test_a_list_that_is_none_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "q.txt"
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=told):
        read_queries(str(path))


def test_a_list_that_is_not_there_or_cut_short_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"q\.txt"):
        read_queries(str(tmp_path / "q.txt"))
    (tmp_path / "q.tsv.gz").write_bytes(gzip.compress(b"a\n" * 100_000)[:-20])
    with pytest.raises(BadInputError, match="cut short"):
        read_queries(str(tmp_path / "q.tsv.gz"))
