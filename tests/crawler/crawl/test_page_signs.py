"""What a page shows of the pages that it links to."""

import pytest

from crawler.crawl.page_signs import reads_chinese


@pytest.mark.parametrize(
    ("title", "texts", "expected"),
    [
        ("", [], False),
        ("红烧肉的做法", [], True),
        ("", ["鱼 1.2", "123"], True),
        ("Photos", ["一只猫"], True),
        ("Photos of the old town and its harbour", ["港口"], False),
        ("港の写真をたのしむ", [], False),
        ("한국어 사진", [], False),
    ],
)
def test_chinese_is_told_by_its_characters(title: str, texts: list[str], expected: bool) -> None:
    assert reads_chinese(title, texts) == expected
