"""The page of measures and the one table of measures say the same."""

from pathlib import Path

from filters.measures import BASE_COLUMNS, MEASURES
from pipelines.measures_page import measures_page

PAGE = Path(__file__).parents[2] / "infra" / "docs" / "measures.md"


def test_the_page_is_what_the_table_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == measures_page(), (
        "run `python -m pipelines.measures_page > infra/docs/measures.md`"
    )


def test_every_column_that_a_rule_may_name_stands_on_the_page() -> None:
    page = measures_page()
    assert [name for name in (*MEASURES, *BASE_COLUMNS) if page.count(f"`{name}`") != 1] == []
