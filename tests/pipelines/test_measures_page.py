"""The page of measures and the one table of measures say the same."""

from pathlib import Path

from filters.measures import BASE_COLUMNS, MEASURES, measures_of
from pipelines.measures_page import measure_costs, measures_page

PAGE = Path(__file__).parents[2] / "infra" / "docs" / "measures.md"


def test_the_page_is_what_the_table_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == measures_page(), (
        "run `python -m pipelines.measures_page > infra/docs/measures.md`"
    )


def test_every_column_that_a_rule_may_name_stands_on_the_page() -> None:
    page = measures_page()
    tables = "\n".join(line for line in page.splitlines() if line.startswith(("|", "Known")))
    assert [name for name in (*MEASURES, *BASE_COLUMNS) if tables.count(f"`{name}`") != 1] == []


def test_every_measure_of_texts_says_its_cost_and_no_other_name_does() -> None:
    costs = measure_costs()
    assert set(costs) <= set(MEASURES)
    assert set(measures_of(MEASURES, "collect", "text")) <= set(costs)
