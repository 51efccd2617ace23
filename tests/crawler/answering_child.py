"""A child for tests: it answers by the question, or breaks in the way that the question names."""

import os
import sys
import time

from crawler.child_process import Answer, answer_questions

_MEMORY_BYTES = 2**31


def main() -> None:
    answer_questions(_answer_with, _MEMORY_BYTES)


def _answer_with(settings: bytes) -> Answer:
    if settings == b"broken":
        raise RuntimeError("no such settings")

    def answer(question: bytes, body: bytes) -> bytes:
        if question == b"die":
            os._exit(3)
        if question.startswith(b"die at first, "):
            _die_unless_made(question.removeprefix(b"die at first, "))
        if question == b"sleep":
            time.sleep(60)
        if question == b"greedy":
            try:
                bytearray(2 * _MEMORY_BYTES)
            except MemoryError:
                return b"no memory"
        print("said to nobody", file=sys.stdout, flush=True)
        return b"|".join((settings, question, b"%d" % len(body), b"%d" % os.getpid()))

    return answer


def _die_unless_made(mark: bytes) -> None:
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os._exit(3)
