"""`curate diff`: what changed between two releases, as a table for people or one JSON object for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.diff.samples import KEPT, Fate, Move, Samples, moves_between, together
from pipelines.diff.settings import ChangedSetting, changed_settings
from pipelines.diff.sides import Side, side_of
from pipelines.live_line import printable
from shards.errors import UsageError

FORMATS = ("table", "json")

_ABSENT = "(not there)"
_SAME = "kept in both"
_SHOWN_CHARS = 60


@dataclass(frozen=True)
class Difference:
    """All that is told of two releases. `settings` is None where a side has no recipe beside it."""

    a: Side
    b: Side
    moves: list[Move]
    settings: list[ChangedSetting] | None


def describe_difference(a: Path, b: Path, format_: str) -> str:
    """What changed from `a` to `b`. Raises `UsageError` for what is no run, no release or no format."""
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: expected one of {', '.join(FORMATS)}")
    ours, theirs = side_of(a), side_of(b)
    settings = None
    if ours.recipe is not None and theirs.recipe is not None:
        settings = changed_settings(ours.recipe, theirs.recipe)
    found = Difference(ours, theirs, moves_between(ours, theirs), settings)
    return _as_json(found) if format_ == "json" else printable("\n".join(_lines(found)))


def _summary(moves: Sequence[Move]) -> dict[str, Samples]:
    """The groups that are told in any case."""
    return {
        "only in A": together(move for move in moves if move.b is None),
        "only in B": together(move for move in moves if move.a is None),
        _SAME: together(move for move in moves if move.is_kept_by_both),
        "caption changed": together(move for move in moves if move.is_caption_changed),
        "image changed": together(move for move in moves if move.is_image_changed),
    }


def _changed_fates(moves: Sequence[Move]) -> list[tuple[Fate, Fate, Samples]]:
    """Where samples went that have another fate now: those that were kept first, then the most."""
    pairs = dict.fromkeys((move.a, move.b) for move in moves if move.a != move.b)
    found = [(*pair, together(move for move in moves if (move.a, move.b) == pair)) for pair in pairs]
    return sorted(found, key=lambda row: (_turn(row[0], row[1]), -row[2].num_samples, str(row[:2])))


def _turn(a: Fate, b: Fate) -> int:
    """Kept to something else, something else to kept, dropped for another reason."""
    return 0 if a is not None and a[0] == KEPT else 1 if b is not None and b[0] == KEPT else 2


def _counts(moves: Sequence[Move], side: str) -> dict[str, int]:
    fates = [(getattr(move, side), move.samples.num_samples) for move in moves]
    kept = sum(number for fate, number in fates if fate is not None and fate[0] == KEPT)
    total = sum(number for fate, number in fates if fate is not None)
    return {"samples": total, "kept": kept, "dropped": total - kept}


def _as_json(found: Difference) -> str:
    moves = [{"from": _named(a), "to": _named(b), **_told(samples)} for a, b, samples in _changed_fates(found.moves)]
    told = {
        "a": {"path": str(found.a.path), **_counts(found.moves, "a")},
        "b": {"path": str(found.b.path), **_counts(found.moves, "b")},
        **{name.replace(" ", "_").lower(): _told(samples) for name, samples in _summary(found.moves).items()},
        "moves": moves,
        "settings": None if found.settings is None else [_told_setting(setting) for setting in found.settings],
    }
    return json.dumps(told, ensure_ascii=False, indent=1)


def _told(samples: Samples) -> dict[str, Any]:
    return {"samples": samples.num_samples, "examples": list(samples.examples)}


def _named(fate: Fate) -> dict[str, str | None] | None:
    return None if fate is None else {"status": fate[0], "reason": fate[1]}


def _told_setting(setting: ChangedSetting) -> dict[str, Any]:
    """A key that a side lacks is left out on that side."""
    values = {"a": (setting.has_a, setting.a), "b": (setting.has_b, setting.b)}
    return {"key": setting.key, **{side: value for side, (has, value) in values.items() if has}}


def _lines(found: Difference) -> Iterator[str]:
    """The table: sizes, what is common, where samples went, which settings differ."""
    sizes = _counts(found.moves, "a"), _counts(found.moves, "b")
    yield f"A  {found.a.path}"
    yield f"B  {found.b.path}"
    yield ""
    yield from _columns([("", "A", "B", "change"), *((name, *_change(*(s[name] for s in sizes))) for name in sizes[0])])
    yield ""
    summary = _summary(found.moves).items()
    groups = [(name, f"{group.num_samples:,}", "" if name == _SAME else _shown(group)) for name, group in summary]
    yield from _columns([("", "samples", "examples"), *groups])
    for name, side in (("A", found.a), ("B", found.b)):
        if not side.lists_dropped:
            yield f"{name} does not list what it dropped: such samples are told as not there"
    yield ""
    yield from _told_moves(found.moves)
    yield ""
    yield from _told_settings(found.settings)


def _change(a: int, b: int) -> tuple[str, str, str]:
    return f"{a:,}", f"{b:,}", f"{b - a:+,}" if a != b else ""


def _told_moves(moves: Sequence[Move]) -> Iterator[str]:
    changed = _changed_fates(moves)
    if not changed:
        yield "every sample has the fate that it had"
        return
    rows = [(_word(a), f"{samples.num_samples:,}", _word(b), _shown(samples)) for a, b, samples in changed]
    yield from _columns([("from", "samples", "to", "examples"), *rows])


def _told_settings(settings: Sequence[ChangedSetting] | None) -> Iterator[str]:
    if settings is None:
        yield "recipes are not compared: a side has no recipe.yaml beside it"
    elif not settings:
        yield "both recipes say the same"
    else:
        rows = [
            (setting.key, _value(setting.a, setting.has_a), _value(setting.b, setting.has_b)) for setting in settings
        ]
        yield from _columns([("setting", "A", "B"), *rows])


def _word(fate: Fate) -> str:
    return _ABSENT if fate is None else fate[1] or fate[0]


def _shown(samples: Samples) -> str:
    return " ".join(samples.examples)


def _value(value: object, has: bool) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if has else _ABSENT
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of cells, each column as wide as its widest cell; numbers stand to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    is_number = [all(_is_number(row[place]) for row in rows[1:]) for place in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, is_number, strict=True)
        yield "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip()


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").lstrip("+-").isdecimal() or not cell
