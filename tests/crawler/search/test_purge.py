"""Search answers without some results: the item goes, the ranks of the others stay."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from crawler.search.answers import Answer, read_answers
from crawler.search.purge import purge_answers
from crawler.search.settings import Endpoint

GONE = "https://a.cn/2.jpg"


def written(path: Path, *bodies: bytes) -> Path:
    answers = [Answer(line=1, query="塔", page=page, url="https://s.cn/", body=b) for page, b in enumerate(bodies)]
    path.write_bytes(gzip.compress(b"".join(answer.to_line() for answer in answers)))
    return path


def body(*urls: str) -> bytes:
    items: list[Any] = [{"rank": n, "image": [{"url": url}], "title": f"题{n}"} for n, url in enumerate(urls)]
    return json.dumps({"results": items}, ensure_ascii=False).encode()


@pytest.fixture
def endpoint() -> Endpoint:
    fields = {"url": "$.image[*].url", "texts": {"title": "$.title"}}
    return Endpoint.model_validate(
        {"url": "https://s.cn/?q={query}", "items": "$.results[*]", "fields": fields}  # as its author would write it
    )


def test_an_item_is_emptied_and_keeps_its_place(tmp_path: Path, endpoint: Endpoint) -> None:
    path = written(tmp_path / "a.jsonl.gz", body("https://a.cn/1.jpg", GONE), body("https://a.cn/3.jpg"))
    assert purge_answers(path, None, {GONE}, endpoint) == 1
    assert purge_answers(path, tmp_path / "b.jsonl.gz", {GONE}, endpoint) == 1
    first, second = read_answers(tmp_path / "b.jsonl.gz")
    items = json.loads(first.body)["results"]
    assert items[1] == {"rank": 1, "image": [{"url": ""}], "title": ""}
    assert items[0]["title"] == "题0"
    assert second == list(read_answers(path))[1]


def test_an_answer_that_is_no_json_goes_as_a_whole(tmp_path: Path, endpoint: Endpoint) -> None:
    path = written(tmp_path / "a.jsonl.gz", f"<img src='{GONE}'>".encode(), b"<p>")
    assert purge_answers(path, tmp_path / "b.jsonl.gz", {GONE}, endpoint) == 1
    first, second = read_answers(tmp_path / "b.jsonl.gz")
    assert (first.body, first.drop_reason, second.body) == (b"", "removed", b"<p>")


def test_nothing_to_do_writes_nothing(tmp_path: Path, endpoint: Endpoint) -> None:
    path = written(tmp_path / "a.jsonl.gz", body("https://a.cn/1.jpg"))
    assert purge_answers(path, tmp_path / "b.jsonl.gz", {GONE}, endpoint) == 0
    assert not (tmp_path / "b.jsonl.gz").exists()
