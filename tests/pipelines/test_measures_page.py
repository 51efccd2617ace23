"""The page of measures and the one table of measures say the same."""

import re
from pathlib import Path

import pytest

from filters.measures import BASE_COLUMNS, MEASURES
from filters.models.files import MODEL_MEASURES
from pipelines.measures_page import measure_costs, measures_page

PAGE = Path(__file__).parents[2] / "infra" / "docs" / "measures.md"


def test_the_page_is_what_the_table_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == measures_page(), (
        "run `python -m pipelines.measures_page > infra/docs/measures.md`"
    )


def test_every_column_that_a_rule_may_name_stands_on_the_page() -> None:
    page = measures_page()
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(f"| `{name}`" for name in (*MEASURES, *BASE_COLUMNS))


def test_no_cell_of_the_page_is_empty() -> None:
    rows = [line.strip("| ").split(" | ") for line in measures_page().splitlines() if line.startswith("| `")]
    assert {len(cells) for cells in rows} == {4, 6}
    assert [cells[0] for cells in rows if not all(cell.strip() for cell in cells)] == []


def test_every_measure_says_what_it_costs_and_no_other_name_does() -> None:
    costs = measure_costs()
    assert list(costs) == list(MEASURES)
    told = re.compile(r"[0-9.]+ us a row|[0-9.]+ ms an image( more)?|not measured")
    assert [name for name, cost in costs.items() if not told.fullmatch(cost)] == []


def test_what_was_not_measured_is_a_model_whose_weights_no_package_carries() -> None:
    assert [name for name, cost in measure_costs().items() if cost == "not measured"] == ["num_faces", "face_area"]


@pytest.mark.parametrize("name", sorted(MODEL_MEASURES | {"clip_score", "aesthetic", "pwatermark", "punsafe"}))
def test_every_model_has_its_licence_in_the_docs(name: str) -> None:
    tables = [table for page in ("models.md", "score.md") for table in _tables(PAGE.with_name(page))]
    rows = [row for table in tables if "licence" in table[0] for row in table[2:]]
    assert any(f"`{name}`" in row for row in rows)


def _tables(page: Path) -> list[list[str]]:
    paragraphs = page.read_text(encoding="utf-8").split("\n\n")
    return [paragraph.splitlines() for paragraph in paragraphs if paragraph.startswith("|")]
