"""Words and tags are those of `jieba.posseg` in every text: what rjieba finds and what stands alone between."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from filters.texts.words import tagged

ROOT = Path(__file__).parents[3]
TEXT_DATA = ROOT.parent / "shared" / "data" / "text"
_BY_JIEBA = """
import json, sys
from jieba import posseg
print(json.dumps([[(pair.word, pair.flag) for pair in posseg.cut(text)] for text in json.load(sys.stdin)]))
"""


def jieba_s(texts: list[str]) -> list[list[tuple[str, str]]]:
    """In a process of its own: jieba warns while it is imported."""
    command = [sys.executable, "-W", "ignore", "-c", _BY_JIEBA]
    asked = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    return [words_alone([(word, tag) for word, tag in found]) for found in json.loads(asked.stdout)]


def words_alone(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what is no word: signs and spaces, which the two cut apart otherwise."""
    return [(word, tag) for word, tag in found if tag != "x" and not word.isspace()]


def differences(texts: list[str]) -> list[tuple[str, object, object]]:
    pairs = zip(texts, [words_alone(tagged([text])) for text in texts], jieba_s(texts), strict=True)
    return [(text, ours, theirs) for text, ours, theirs in pairs if ours != theirs]


ODD = (
    "屠呦呦获奖",
    "欧阳娜娜拉大提琴",
    "abc3D打印机3.14abc",
    "A-B测试 100%棉",
    "𠮷野家好吃",
    "T恤QQ号4S店AT&T",
    "潛水艇",
    "γ射线",
    "龦龥龯㐂",
    "１２３ ①②",
    "a+b=c#d.e_f",
    "王" * 50,
    "龥" * 50,
    "联龥群" * 20,
    "😀王小明😀",
    "が王の李",
    "。",
    "",
)


def test_odd_texts_are_cut_and_tagged_as_jieba_does() -> None:
    assert differences(list(ODD)) == []


def test_labelled_texts_are_cut_and_tagged_as_jieba_does() -> None:
    rows = [
        row.split("\t")[1].replace("{", "").replace("}", "")
        for path in sorted((ROOT / "infra" / "labelled").glob("*.tsv"))
        for row in path.read_text(encoding="utf-8").splitlines()[1:]
    ]
    assert len(rows) > 2_000
    assert differences(random.Random(3).sample(rows, 500)) == []


def test_any_mixture_of_characters_is_cut_and_tagged_as_jieba_does() -> None:
    chance = random.Random(5)
    odd = "王李一二3a.+#&_- %𠮷😀龥のーABéγ射线①１\u9fd6\u3400\u3000"
    texts = ["".join(chance.choices(odd, k=chance.randint(1, 9))) for _ in range(250)]
    texts += ["".join(chr(chance.randint(0x4E00, 0x9FFF)) for _ in range(chance.randint(1, 6))) for _ in range(250)]
    assert differences(texts) == []


@pytest.mark.slow
def test_captions_and_word_lists_are_cut_and_tagged_as_jieba_does() -> None:
    paths = [*sorted((TEXT_DATA / "coco-cn").glob("*.txt")), *sorted((TEXT_DATA / "THUOCL").glob("*.txt"))]
    if not paths:
        pytest.skip("shared/data is not here")
    lines = [line.strip() for path in paths for line in path.read_text(encoding="utf-8-sig").splitlines()]
    texts = random.Random(7).sample(sorted({line for line in lines if line}), 20_000)
    assert differences(texts) == []


def test_texts_together_are_cut_as_each_alone() -> None:
    texts = ["一只猫", "", "屠呦呦", "3D", "打印机"]
    together = [word for word, _ in tagged(texts)]
    assert "".join(together) == "\n".join(texts)
    assert words_alone(tagged(texts)) == [word for text in texts for word in words_alone(tagged([text]))]
