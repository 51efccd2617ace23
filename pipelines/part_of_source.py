"""`--limit` and `--sample`: how they are read, which run they belong to, and how a run says that it saw only a part."""

import math
from collections.abc import Mapping
from pathlib import Path

from crawler.part_of_source import told_part
from crawler.sources import Source
from pipelines.recipe import RecipeMapping, said_at
from shards.errors import UsageError

WHOLE: dict[str, None] = {"limit": None, "sample": None}
"""The part of a source that is all of it, as an update of its settings."""

STATS_KEY = "part_of_source"
"""In a release's numbers: the part in words; not there where the run looked at all of its source."""


def with_part(mapping: RecipeMapping, limit: str | None, sample: str | None) -> RecipeMapping:
    """The recipe with what the command line says of its source. Raises `UsageError` for what can be no part."""
    said: dict[str, int | float] = {}
    if limit is not None:
        said["limit"] = _limit(limit)
    if sample is not None:
        said["sample"] = _sample(sample)
    source = mapping.get("source")
    if not said or not isinstance(source, dict):  # a recipe without a source is refused with all its problems
        return mapping
    places = {f"source.{name}": f"--{name}" for name in said}
    return RecipeMapping({**mapping, "source": {**source, **said}}, {**mapping.said_at, **places})


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
        raise UsageError(
            f"--limit {text}: expected how many rows (of a crawl: pages) to look at, a whole number from 1"
        )
    return int(text)


def _sample(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise UsageError(f"--sample {text}: expected a share of the source's images above 0 and up to 1, as 0.01")
    return share


def told_source(source: Source) -> str | None:
    """The part of its source that a run looks at, in words; None for all of it."""
    return told_part(source.kind, source.limit, source.sample)


def is_whole_alike(one: Source, other: Source) -> bool:
    """Whether two sources are the same, whatever part of them is looked at."""
    return one.model_copy(update=WHOLE) == other.model_copy(update=WHOLE)


def refuse_other_part(run: Path, before: Source, now: Source) -> None:
    """A run goes on with the part of its source with which it began. Raises `UsageError`."""
    if (before.limit, before.sample) == (now.limit, now.sample):
        return
    options = [f"--{name} {value}" for name in WHOLE if (value := getattr(before, name)) is not None]
    raise UsageError(
        f"--out {run}: this run looks at {_in_words(before)}, and now {_in_words(now)} is asked for; go on "
        f"{'with ' + ' '.join(options) if options else 'without --limit and --sample'}, or choose another folder "
        "(with `reuse:` it takes over the images that are here)"
    )


def _in_words(source: Source) -> str:
    told = told_source(source)
    return f"a part of its source ({told})" if told else "all of its source"


def as_of(run_source: Source, mapping: Mapping[str, object]) -> Mapping[str, object]:
    """Another recipe for what a run has: where it says nothing of a part, it means the run's."""
    source = mapping.get("source")
    if not isinstance(source, dict) or any(source.get(name) is not None for name in WHOLE):
        return mapping
    part = {name: value for name in WHOLE if (value := getattr(run_source, name)) is not None}
    return RecipeMapping({**mapping, "source": {**source, **part}}, said_at(mapping)) if part else mapping
