"""Answers on disk: what a kill leaves is taken up, and the same answers make the same bytes."""

from pathlib import Path

import pytest

from crawler.search.answers import Answer, AnswerSpool, read_answers

ANSWERS = [
    Answer(2, "塔", 0, "https://a.org/?q=t", 200, "application/json", '{"a": "塔"}'.encode()),
    Answer(1, "湖", 1, "https://a.org/?q=h&page=2", 500, None, b"", "http_status", "500"),
    Answer(1, "湖", 0, "https://a.org/?q=h", 200, "text/html; charset=gbk", "湖".encode("gbk")),
]


def spool_of(path: Path, answers: list[Answer]) -> None:
    with AnswerSpool(path) as spool:
        for answer in answers:
            spool.add(answer)


def test_answers_read_back_as_they_were_in_order(tmp_path: Path) -> None:
    spool_of(tmp_path / "spool", ANSWERS)
    with AnswerSpool(tmp_path / "spool") as spool:
        assert spool.num_kept == 3
        assert spool.get((2, 0)) == ANSWERS[0]
        assert spool.get((3, 0)) is None
        assert spool.write_whole(tmp_path / "out.jsonl.gz") == 3
    assert list(read_answers(tmp_path / "out.jsonl.gz")) == [ANSWERS[2], ANSWERS[1], ANSWERS[0]]


def test_the_order_of_arrival_does_not_reach_the_file(tmp_path: Path) -> None:
    spool_of(tmp_path / "a", ANSWERS)
    spool_of(tmp_path / "b", ANSWERS[::-1])
    for name in ("a", "b"):
        with AnswerSpool(tmp_path / name) as spool:
            spool.write_whole(tmp_path / f"{name}.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("tail", [b'{"line": 3, "que', b"\0" * 100, b"[1]\n", b'{"line": 3}'])
def test_a_torn_end_costs_itself_alone(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "spool"
    spool_of(path, ANSWERS)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    with AnswerSpool(path) as spool:
        assert spool.num_kept == 3
        spool.add(Answer(3, "桥", 0, "u", body=b"{}"))
    assert path.read_bytes().startswith(whole)
    with AnswerSpool(path) as spool:
        assert spool.num_kept == 4
        assert spool.get((3, 0)) == Answer(3, "桥", 0, "u", body=b"{}")


def test_what_is_forgotten_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool_of(path, ANSWERS)
    with AnswerSpool(path) as spool:
        spool.forget([(1, 1), (9, 9)])
        assert spool.get((1, 1)) is None
    with AnswerSpool(path) as spool:
        assert (spool.num_kept, spool.get((1, 1))) == (2, None)
        spool.add(ANSWERS[1])
        assert spool.get((1, 1)) == ANSWERS[1]
