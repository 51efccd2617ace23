"""Categories by keywords: the table that says them, and the category whose words an image's texts hold most of."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from filters.keywords import SHIPPED, categories_of, read_keywords
from shards.errors import UsageError

TABLE = (("动物", "猫"), ("动物", "小狗"), ("汽车", "轿车"), ("汽车", "suv"), ("花卉", "玫瑰"))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["一只猫"], "动物"),
        (["轿车旁的猫和小狗"], "动物"),
        (["一只猫", "轿车与SUV"], "汽车"),
        (["猫猫猫", "轿车和suv"], "汽车"),  # different keywords count, not how often one is there
        (["猫", "轿车"], "动物"),  # of equals the first of the table
        (["轿车", "猫"], "动物"),
        (["suvs"], None),
        (["山水"], None),
        ([None, "玫瑰"], "花卉"),
        ([None], None),
        ([], None),
    ],
)
def test_the_category_is_the_one_with_most_keywords(texts: list[str | None], expected: str | None) -> None:
    before, behind = ["玫瑰"], ["轿车"]
    rows = pa.array([*before, *texts, *behind], pa.string())
    owners = np.array([0, *([1] * len(texts)), 2], np.int64)
    assert categories_of(rows, owners, 3, TABLE).to_pylist() == ["花卉", expected, "汽车"]


def test_a_table_is_read_with_its_remarks_left_out(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("\ufeff# ours\n\n动物\t猫 小狗\n汽车\t 轿车  SUV \n动物\t马\n", encoding="utf-8")
    assert read_keywords(str(path)) == (
        ("动物", "猫"),
        ("动物", "小狗"),
        ("汽车", "轿车"),
        ("汽车", "suv"),
        ("动物", "马"),
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("动物 猫\n", "line 1 is '动物 猫'; expected a category, a tab, and its keywords"),
        ("动物\t\n", "line 1"),
        ("\t猫\n", "line 1"),
        ("动物\t猫\n宠物\t猫\n", "line 2 has '猫', which stands for 动物 already"),
        ("# nothing\n", "holds no keyword"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "words.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        read_keywords(str(path))


def test_an_unknown_table_names_the_shipped_ones() -> None:
    with pytest.raises(UsageError, match=r"nothing\.tsv: no such file, nor a shipped table \(wudaomm\)"):
        read_keywords("nothing.tsv")


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_table_finds_each_of_its_categories_by_its_own_name(name: str) -> None:
    table = read_keywords(name)
    names = list(dict.fromkeys(category for category, _ in table))
    first = [next(word for category, word in table if category == wanted) for wanted in names]
    found = categories_of(pa.array(first), np.arange(len(first)), len(first), table)
    assert found.to_pylist() == names
    assert len(names) == 18
