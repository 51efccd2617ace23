"""What is asked of a scorer beside `clip_score`: what each measure rests on in the recipe, and whether it is there."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from filters.clip.categories import Categories, encode_categories
from filters.clip.heads import Head, check_width, read_head
from filters.clip.scorer import BACKENDS, Scorer
from filters.clip.settings import Heads, HeadSettings, ScoreSettings
from filters.clip.weights import folder_width
from filters.measures import code_version
from shards.errors import UsageError
from shards.parts import fingerprint

HEADS = tuple(Heads.model_fields)
"""The measures that heads give."""

CATEGORY, CATEGORY_SCORE = "zero_shot_category", "zero_shot_score"
TEXT_RANK, IMAGE_RANK = "group_text_rank", "group_image_rank"


@dataclass(frozen=True)
class Asked:
    """The measures of the score stage that a part is to have, with what they need beside the model."""

    names: frozenset[str] = frozenset({"clip_score"})
    heads: Mapping[str, Head] = field(default_factory=dict)
    categories: Categories | None = None
    group_size: int = 0


def prepared(names: Collection[str], settings: ScoreSettings, scorer: Scorer) -> Asked:
    """Heads are read, and prompts encoded. Raises UsageError where a file is not there any more."""
    wants_categories = not {CATEGORY, CATEGORY_SCORE}.isdisjoint(names)
    categories = encode_categories(scorer, settings.categories) if wants_categories else None
    return Asked(frozenset(names), _heads(names, settings), categories, settings.group_size)


def measure_marks(names: Collection[str], settings: ScoreSettings) -> dict[str, str]:
    """What a fingerprint says of each measure: its code, and what decides it beside the model; a file by content."""
    heads = _heads(names, settings)
    marks = {}
    for name in sorted(names):
        deciding: object = None
        if name in heads:
            deciding = heads[name].identity
        elif name in (CATEGORY, CATEGORY_SCORE):
            deciding = list(settings.categories.items())
        elif name in (TEXT_RANK, IMAGE_RANK):
            deciding = settings.group_size
        marks[name] = code_version(name) + ("" if deciding is None else f" {fingerprint(deciding)}")
    return marks


def deciding_settings(names: Collection[str], settings: ScoreSettings) -> dict[str, object]:
    """By dotted place below `score`, the settings that decide some measures beside the model."""
    told: dict[str, object] = {f"heads.{name}": _told(name, settings) for name in HEADS if name in names}
    if not {CATEGORY, CATEGORY_SCORE}.isdisjoint(names):
        told["categories"] = list(settings.categories.items())
    if not {TEXT_RANK, IMAGE_RANK}.isdisjoint(names):
        told["group_size"] = settings.group_size
    return told


def problems_of(names: Collection[str], settings: ScoreSettings, bring_models: bool) -> Iterator[tuple[str, str]]:
    """What some measures lack, each with its dotted place; found before anything is fetched.

    With `bring_models` a model that lies in no folder may be asked how wide its embeddings are, which loads its
    library.
    """
    width: int | None = None
    for name in (name for name in HEADS if name in names):
        told = _told(name, settings)
        if told is None:
            yield f"score.heads.{name}", f"is required, because {name} is asked for: say {{path: FILE}}, or drop it"
            continue
        try:
            head = read_head(name, told)
            width = width or _embedding_width(settings, bring_models)
            if width is not None:
                check_width(head, width)
        except UsageError as error:
            place, _, message = str(error).partition(": ")
            yield place, message
    if not {CATEGORY, CATEGORY_SCORE}.isdisjoint(names) and len(settings.categories) < 2:
        asked = " and ".join(name for name in (CATEGORY, CATEGORY_SCORE) if name in names)
        yield "score.categories", f"needs two labels or more with their prompts, because {asked} is asked for"


def _heads(names: Collection[str], settings: ScoreSettings) -> dict[str, Head]:
    heads = {}
    for name in (name for name in HEADS if name in names):
        told = _told(name, settings)
        if told is None:
            raise UsageError(f"score.heads.{name}: is required, because {name} is asked for: say {{path: FILE}}")
        heads[name] = read_head(name, told)
    return heads


def _told(name: str, settings: ScoreSettings) -> HeadSettings | None:
    told: HeadSettings | None = getattr(settings.heads, name)
    return told


def _embedding_width(settings: ScoreSettings, bring_models: bool) -> int | None:
    width = folder_width(settings)
    if width is None and bring_models:
        backend: Any = import_module(BACKENDS[settings.backend])
        width = int(backend.embedding_width(settings))
    return width
