"""Paths of the page: its own files, questions to the index, images and labels."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pipelines.explore.conditions import ConditionReader, RefusedQuestionError, checked_uid
from pipelines.explore.explored import Explored
from pipelines.explore.http_server import Reply, Request, json_reply
from pipelines.explore.labelling import Labelling
from pipelines.explore.one_sample import column_kinds, tell_sample
from pipelines.explore.pages import MAX_PAGES, PAGE_ROWS, Order, count_reasons, find_samples, page_of_samples
from pipelines.explore.sample_index import SampleIndex
from pipelines.explore.stored_copies import CONTENT_TYPES
from pipelines.explore.thresholds import OPERATORS, Threshold, measured_columns, moved, spread_of, thresholds_of
from shards.errors import CurateError

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_MAX_WORDS = 20


class Routes:
    """Answers requests that have passed the gate. Files are those that lay there at the start, by their names."""

    def __init__(self, explored: Explored, index: SampleIndex, labelling: Labelling | None) -> None:
        self._explored = explored
        self._index = index
        self._labelling = labelling
        self._reader = ConditionReader(index.kinds)
        self._files = {f"/{path.name}": path for path in _STATIC.iterdir() if path.suffix in _TYPES}
        self._files["/"] = _STATIC / "index.html"
        self._questions: Mapping[str, Callable[[dict[str, str]], Any]] = {
            "/api/about": self._about,
            "/api/samples": self._samples,
            "/api/sample": self._sample,
            "/api/spread": self._spread,
            "/api/move": self._move,
            "/api/tasks": self._tasks,
            "/api/agreement": self._agreement,
        }

    def answer(self, request: Request) -> Reply:
        try:
            return self._answer(request)
        except CurateError as refusal:
            return json_reply({"refused": str(refusal)}, 400)

    def _answer(self, request: Request) -> Reply:
        if request.method == "POST":
            return json_reply(self._label(request)) if request.path == "/api/label" else _missing()
        if request.path in self._questions:
            told = self._questions[request.path](_words(request.query))
            return json_reply(told) if told is not None else _missing()
        if request.path in self._files:
            path = self._files[request.path]
            return Reply(200, _TYPES[path.suffix], path.read_bytes())
        if request.path.startswith("/image/"):
            return self._image(request.path.removeprefix("/image/"))
        return _missing()

    def _about(self, words: dict[str, str]) -> Any:
        found = count_reasons(self._index, self._reader.read("", ""))
        return {
            "name": self._explored.name,
            "samples": found.matched,
            "kept": found.kept,
            "reasons": found.reasons,
            "rules": [
                {"name": rule.name, "expression": rule.expression, "stage": rule.stage} for rule in self._explored.rules
            ],
            "columns": column_kinds(self._index),
            "measures": measured_columns(self._index.kinds),
            "thresholds": [vars(at) for at in thresholds_of(self._explored.rules, self._index.kinds)],
            "operators": OPERATORS,
            "page_rows": PAGE_ROWS,
            "max_pages": MAX_PAGES,
            "labelling": self._labelling and self._labelling.about(),
        }

    def _samples(self, words: dict[str, str]) -> Any:
        """One page and, unless it is another page of what was counted before (`counted`), how many there are."""
        where, reason = words.get("where", ""), words.get("reason", "")
        order = Order(words.get("sort", ""), words.get("way", "down") != "up", _whole(words.get("page", "0")))
        both, alone = self._reader.read(where, reason), self._reader.read(where, "")
        asked = (self._index, self._explored.copies, self._reader)
        if words.get("counted"):
            return {"cards": page_of_samples(*asked, both, order), "found": None}
        if where.strip():
            found, cards = find_samples(*asked, alone, reason, order)
        else:
            found, cards = count_reasons(self._index, alone), page_of_samples(*asked, both, order)
        return {"cards": cards, "found": {"matched": found.matched, "reasons": found.reasons}}

    def _sample(self, words: dict[str, str]) -> Any:
        return tell_sample(self._index, self._explored.copies, self._explored.rules, words.get("uid", ""))

    def _spread(self, words: dict[str, str]) -> Any:
        condition = self._reader.read(words.get("where", ""), "")
        return spread_of(self._index, self._reader, condition, self._threshold(words))

    def _move(self, words: dict[str, str]) -> Any:
        condition = self._reader.read(words.get("where", ""), "")
        return moved(self._index, self._explored.copies, self._reader, condition, self._threshold(words))

    def _threshold(self, words: dict[str, str]) -> Threshold:
        """Raises `RefusedQuestionError`; a rule counts only where it cuts that very measure that way."""
        try:
            value = float(words.get("value", ""))
        except ValueError:
            raise RefusedQuestionError("a threshold is a number") from None
        at = Threshold(words.get("measure", ""), words.get("operator", ""), value, words.get("rule") or None)
        known = thresholds_of(self._explored.rules, self._index.kinds)
        same = [
            rule for rule in known if (rule.rule, rule.measure, rule.operator) == (at.rule, at.measure, at.operator)
        ]
        if at.rule and not same:
            raise RefusedQuestionError(f"no rule {at.rule} cuts {at.measure} with {at.operator}")
        return at

    def _image(self, uid: str) -> Reply:
        """The stored copy under the type that we stored it as, whatever its bytes may look like to a browser."""
        place = self._index.place(checked_uid(uid))
        content_type = CONTENT_TYPES.get(place.stored_format or "") if place else None
        if place is None or content_type is None:
            return _missing()
        data = self._explored.copies.read(place)
        return _missing() if data is None else Reply(200, content_type, data)

    def _tasks(self, words: dict[str, str]) -> Any:
        if self._labelling is None:
            return None
        condition = self._reader.read(words.get("where", ""), words.get("reason", ""))
        return self._labelling.tasks(None if self._labelling.has_list else condition)

    def _agreement(self, words: dict[str, str]) -> Any:
        return self._labelling and self._labelling.agreement()

    def _label(self, request: Request) -> Any:
        if self._labelling is None:
            raise RefusedQuestionError("nothing is labelled here; start with --annotator NAME")
        return self._labelling.put(request.body)


def _words(query: str) -> dict[str, str]:
    """The query's words, each once. Raises `RefusedQuestionError`."""
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=_MAX_WORDS, errors="strict")
    except ValueError:
        raise RefusedQuestionError("the address is not well formed") from None
    return {name: values[-1] for name, values in found.items()}


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RefusedQuestionError("a page is a whole number from 0")
    return int(text)


def _missing() -> Reply:
    return Reply(404, "text/plain; charset=utf-8", b"there is nothing here\n")
