"""The page of measures, made from their one table: `python -m pipelines.measures_page > infra/docs/measures.md`."""

import csv
from collections.abc import Iterator
from pathlib import Path

from filters.measures import BASE_COLUMNS, MEASURES, BaseColumn, Measure
from pipelines.stages import STAGES
from shards.columns import MANIFEST_COLUMNS

_INTRODUCTION = """\
# What a rule may name

Written by `python -m pipelines.measures_page > infra/docs/measures.md` from the table in `filters/measures.py`;
a test holds the two together. A rule is one SQL expression over these columns, and runs at the earliest stage at
which all of them exist. A rule that names a column of a **text** judges each text of a sample; all others judge the
sample. Null is not true: a rule drops what it cannot know. A measure is computed only if a rule or `measures:` names
it. *Relative* measures are worked out anew over the samples that still stand whenever a rule names them.

Costs are CPU time of one core where a measure is computed alone, as the benches named in
`pipelines/measure_costs.tsv` found them. What measures share is not in the cost of each. Those that need the words of
a text (`num_nouns`, `noun_ratio`, `word_repetition`, `text_kind_tags`) find them once: all four cost little more than
one. Those of one line in `infra/docs/models.md` share a run of their model. Those of the stage `measure` share the one
decode of the stored copy (1.1 ms) and its grey (0.2 ms). Of measures that many rows decide together, reading and
writing rows is not counted. `clip_score` and its like are of ViT-B/32 on a CPU; another model costs as it is large.

"Ours" is a measure that no release described.
"""
_OF_NO_MANIFEST = {
    "kind": "kind of the text: caption, figcaption, alt, title, surrounding, ...",
    "text": "the text in its stored form",
    "canonical_url": "WHATWG serialisation of `url` without its fragment: what the uid is of",
    "etag": "validator of the server's answer, for a later check",
    "last_modified": "the same, as a date",
}
"""What columns say that the manifest lacks, or has of the caption alone."""

COSTS = Path(__file__).parent / "measure_costs.tsv"


def measures_page() -> str:
    """The page in Markdown: a table of measures and the plain columns for each stage at which any come to be."""
    sections = [_section(stage.name, stage.does) for stage in STAGES]
    return "\n".join([_INTRODUCTION, *(section for section in sections if section)])


def _section(stage: str, does: str) -> str:
    measures = [measure for measure in MEASURES.values() if measure.stage == stage]
    plain = [column for column in BASE_COLUMNS.values() if column.stage == stage]
    if not measures and not plain:
        return ""
    lines = [f"## From {stage} on", "", f"What the stage does: {does}.", ""]
    if measures:
        lines += ["| measure | of | type | unit and range | source | cost |", "|---|---|---|---|---|---|"]
        lines += [*_measure_rows(measures), ""]
    if plain:
        lines += ["Known without measuring, and free:", "", "| column | of | type | says |", "|---|---|---|---|"]
        lines += [*_plain_rows(plain), ""]
    return "\n".join(lines)


def _measure_rows(measures: list[Measure]) -> Iterator[str]:
    costs = measure_costs()
    for measure in measures:
        of = f"{measure.level}, relative" if measure.relative else measure.level
        cost = costs.get(measure.name, "")
        yield f"| `{measure.name}` | {of} | {measure.dtype} | {measure.unit} | {measure.source} | {cost} |"


def measure_costs() -> dict[str, str]:
    """What each measure cost when a bench last looked, as `2.4 us a row` or `1.1 ms an image`."""
    with COSTS.open(encoding="utf-8", newline="") as file:
        return {row["measure"]: row["cost"] for row in csv.DictReader(file, delimiter="\t")}


def _plain_rows(columns: list[BaseColumn]) -> Iterator[str]:
    for column in columns:
        says = _OF_NO_MANIFEST.get(column.name) or MANIFEST_COLUMNS[column.name]
        yield f"| `{column.name}` | {column.level} | {column.dtype} | {says} |"


if __name__ == "__main__":
    print(measures_page(), end="")
