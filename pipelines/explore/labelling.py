"""A labelling session: what one annotator is to answer, what is answered already, and how far all agree."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.explore.agreement import agreements
from pipelines.explore.answers import LABELS, AnswerBook, answers_of_all
from pipelines.explore.conditions import Condition, RefusedQuestionError, checked_uid
from pipelines.explore.label_task import Task, read_tasks, tasks_of_filter
from pipelines.explore.sample_index import SampleIndex

_MAX_TEXT_CHARS = 20_000
_MAX_KIND_CHARS = 100


class Labelling:
    """One annotator's session over a list, or over whatever a filter finds. Close the book behind it."""

    def __init__(self, index: SampleIndex, folder: Path, book: AnswerBook, listed: Path | None) -> None:
        self._index = index
        self._folder = folder
        self._book = book
        self._list = None if listed is None else read_tasks(listed, index)

    @property
    def has_list(self) -> bool:
        return self._list is not None

    def about(self) -> dict[str, Any]:
        tasks = self._list or ()
        return {
            "annotator": self._book.annotator,
            "labels": LABELS,
            "listed": len(tasks) if self.has_list else None,
            "answered": len(self._book.answers()),
        }

    def tasks(self, condition: Condition | None) -> list[dict[str, Any]]:
        """What is to be answered, each with the annotator's own answer; nothing that could sway it is told."""
        tasks: tuple[Task, ...] = self._list or ()
        if condition is not None:
            tasks = tasks_of_filter(self._index, condition)
        answers = self._book.answers()
        return [{**vars(task), "label": answers.get((task.uid, task.text))} for task in tasks]

    def put(self, body: Any) -> dict[str, Any]:
        """Write one answer, `{uid, text, text_kind, label}`, with a null label to take it back."""
        fields = body if isinstance(body, dict) else {}
        uid, text, kind, label = (fields.get(name) for name in ("uid", "text", "text_kind", "label"))
        if not isinstance(uid, str) or not isinstance(text, str) or len(text) > _MAX_TEXT_CHARS:
            raise RefusedQuestionError("expected a uid and a text")
        if kind is not None and not (isinstance(kind, str) and len(kind) <= _MAX_KIND_CHARS):
            raise RefusedQuestionError("expected a kind of text, or null")
        if label is not None and label not in LABELS:
            raise RefusedQuestionError(f"a label is one of {', '.join(LABELS)}, or null")
        if self._index.place(checked_uid(uid)) is None:
            raise RefusedQuestionError(f"no sample is called {uid}")
        self._book.put(uid, text, kind, label)
        return {"answered": len(self._book.answers())}

    def agreement(self) -> dict[str, Any]:
        """Of all annotators whose files lie there; on a list, over its items alone. This one's answers as they are."""
        answers = {**answers_of_all(self._folder), self._book.annotator: self._book.answers()}
        if self._list is not None:
            wanted = {(task.uid, task.text) for task in self._list}
            answers = {name: {i: said for i, said in one.items() if i in wanted} for name, one in answers.items()}
        counts = [
            {"annotator": name, "answers": len(one), **{label: list(one.values()).count(label) for label in LABELS}}
            for name, one in sorted(answers.items())
        ]
        return {"annotators": counts, "agreements": [asdict(found) for found in agreements(answers)]}
