"""The page of measures, made from their one table: `python -m pipelines.measures_page > infra/docs/measures.md`."""

from collections.abc import Iterator
from itertools import groupby

from filters.measures import BASE_COLUMNS, MEASURES, BaseColumn, Measure
from pipelines.stages import STAGES

_INTRODUCTION = """\
# What a rule may name

Written by `python -m pipelines.measures_page > infra/docs/measures.md` from the table in `filters/measures.py`;
a test holds the two together. A rule is one SQL expression over these columns, and runs at the earliest stage at
which all of them exist. A rule that names a column of a **text** judges each text of a sample; all others judge the
sample. Null is not true: a rule drops what it cannot know. A measure is computed only if a rule or `measures:` names
it. *Relative* measures are worked out anew over the samples that still stand whenever a rule names them.
"""


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
        lines += ["| measure | of | type | unit | source |", "|---|---|---|---|---|", *_measure_rows(measures), ""]
    if plain:
        lines += [f"Known without measuring: {'; '.join(_plain_columns(plain))}.", ""]
    return "\n".join(lines)


def _measure_rows(measures: list[Measure]) -> Iterator[str]:
    for measure in measures:
        of = f"{measure.level}, relative" if measure.relative else measure.level

        yield f"| `{measure.name}` | {of} | {measure.dtype} | {measure.unit} | {measure.source} |"


def _plain_columns(columns: list[BaseColumn]) -> Iterator[str]:
    for level, group in groupby(columns, key=lambda column: column.level):
        yield f"of the {level} {', '.join(f'`{column.name}` {column.dtype}' for column in group)}"


if __name__ == "__main__":
    print(measures_page(), end="")
