"""Children that answer questions: what breaks one costs that answer alone."""

from pathlib import Path

import pytest

from crawler.child_process import AnsweringChild

CHILD = "tests.crawler.answering_child"
PATIENT_S = 60.0


def test_one_child_answers_one_question_after_another() -> None:
    with AnsweringChild(CHILD, b"set") as child:
        answers = [child.ask(b"ask", bytes(size), PATIENT_S) for size in (0, 3_000_000, 1)]
    assert [(answer or b"").rpartition(b"|")[0] for answer in answers] == [
        b"set|ask|0",
        b"set|ask|3000000",
        b"set|ask|1",
    ]
    assert len({(answer or b"").rpartition(b"|")[2] for answer in answers}) == 1


@pytest.mark.parametrize(("question", "seconds", "has_died"), [(b"die", PATIENT_S, True), (b"sleep", 0.2, False)])
def test_a_child_that_breaks_costs_that_answer_alone(question: bytes, seconds: float, has_died: bool) -> None:
    with AnsweringChild(CHILD) as child:
        assert child.ask(question, b"x", seconds) is None
        assert child.has_died is has_died
        assert child.ask(b"ask", b"xy", PATIENT_S) is not None


def test_a_child_that_dies_once_costs_no_answer(tmp_path: Path) -> None:
    with AnsweringChild(CHILD) as child:
        question = b"die at first, " + bytes(tmp_path / "mark")
        answer = child.ask(question, b"xy", PATIENT_S)
    assert answer is not None
    assert answer.startswith(b"|" + question + b"|2|")


def test_a_child_has_a_bound_of_memory() -> None:
    with AnsweringChild(CHILD) as child:
        assert child.ask(b"greedy", b"", PATIENT_S) == b"no memory"


@pytest.mark.parametrize(("module", "settings"), [(CHILD, b"broken"), ("tests.crawler.no_such_child", b"")])
def test_a_child_that_cannot_start_is_a_fault_of_ours(module: str, settings: bytes) -> None:
    with AnsweringChild(module, settings) as child, pytest.raises(RuntimeError, match="did not start"):
        child.ask(b"ask", b"", PATIENT_S)
