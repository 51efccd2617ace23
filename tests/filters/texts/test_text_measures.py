"""What is measured of texts beyond counts of characters: a table for each measure, with edges and nulls."""

from pathlib import Path

import pyarrow as pa
import pytest

from filters.contacts import CONTACT_MASK
from filters.measures import MEASURES, measures_of
from filters.settings import TextSettings
from filters.text import MAX_CHARS, normalise, normalise_with_sources, text_measures
from filters.texts.beside import Beside
from filters.texts.phrases import LISTS, PhraseMatcher, read_phrases

ALL = measures_of(MEASURES, "collect", "text")


def measured(name: str, text: str | None, beside: Beside | None = None) -> object:
    """Between two others, as it stands in a column."""
    found = text_measures(pa.array(["前一行", text, "后一行"], pa.string()), [name], beside)[name]
    assert found.type == MEASURES[name].dtype
    return found.to_pylist()[1]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("num_tokens", "两只猫 IMG_01, ok", 8),
        ("num_tokens", "", 0),
        ("num_tokens", None, None),
        ("char_repetition", "美女美女美女美女", 1.0),
        ("char_repetition", "一只猫在沙发上", 0.0),
        ("char_repetition", "啊啊啊", 0.0),
        ("char_repetition", "啊啊啊啊", 1.0),
        ("char_repetition", "ab", 0.0),
        ("char_repetition", "", 0.0),
        ("char_repetition", None, None),
        ("word_repetition", "红色 连衣裙 红色 连衣裙", 2 / 3),
        ("word_repetition", "红色连衣裙", 0.0),
        ("word_repetition", "", 0.0),
        ("word_repetition", None, None),
        ("num_nouns", "小猫在沙发上睡觉", 2),
        ("num_nouns", "跑得很快", 0),
        ("num_nouns", "", 0),
        ("num_nouns", None, None),
        ("noun_ratio", "苹果、香蕉、西瓜", 1.0),
        ("noun_ratio", "！！", 0.0),
        ("noun_ratio", None, None),
        ("has_contact", "电话13800138000", True),
        ("has_contact", f"电话{CONTACT_MASK}", True),
        ("has_contact", "订单号913800138000", False),
        ("has_contact", "", False),
        ("has_contact", None, None),
        ("num_names", "<人名>与<人名>合影", 2),
        ("num_names", "红烧肉", 0),
        ("num_names", None, None),
        ("sensitive_hits", "时时彩和六合彩，六合彩", 3),
        ("sensitive_hits", "红烧肉", 0),
        ("sensitive_hits", "", 0),
        ("sensitive_hits", None, None),
        ("ad_hits", "全场包邮 加QQ领券", 3),
        ("ad_hits", "一只猫", 0),
        ("ad_hits", None, None),
        ("text_kind_tags", "孩子们在教室里做科学实验", "sentence"),
        ("text_kind_tags", "今天真美。", "sentence"),
        ("text_kind_tags", "天空,光,绿叶, 向日葵, 草", "tags"),
        ("text_kind_tags", "#美食 #火锅 #重庆", "tags"),
        ("text_kind_tags", "红色连衣裙", "query"),
        ("text_kind_tags", "红色连衣裙 女款夏季新款：雪纺印花", "title"),
        ("text_kind_tags", "", "query"),
        ("text_kind_tags", None, None),
        ("language", "一只猫", "zh"),
        ("language", "臺北101大樓", "zh"),
        ("language", "の春の物语", "zh"),
        ("language", "東京タワー", "ja"),
        ("language", "渋谷駅", "ja"),
        ("language", "佢哋喺公園度跑步", "yue"),
        ("language", "서울타워 야경", "ko"),
        ("language", "首尔塔(서울타워)夜景", "zh"),
        ("language", "a cat sitting on a sofa", "en"),
        ("language", "Willkommen in Berlin", "de"),
        ("language", "12345 😀", "und"),
        ("language", "", "und"),
        ("language", None, None),
        ("is_traditional", "漢字", True),
        ("is_traditional", "汉字", False),
        ("is_traditional", "乾隆", False),
        ("is_traditional", "", False),
        ("is_traditional", None, None),
        ("is_boilerplate", "点击查看大图", True),
        ("is_boilerplate", "【查看更多 >>】", True),
        ("is_boilerplate", "图片来源于网络，侵删", True),
        ("is_boilerplate", "点击率曲线图", False),
        ("is_boilerplate", "下载速度测试截图", False),
        ("is_boilerplate", "", False),
        ("is_boilerplate", None, None),
        ("query_in_text", "红烧肉", None),
    ],
)
def test_measure_of_a_text(name: str, text: str | None, expected: object) -> None:
    assert measured(name, text) == expected


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("红烧肉的做法", "红烧肉", True),
        ("iPhone 15 手机壳", "iphone15", True),
        ("糖醋排骨", "红烧肉", False),
        ("糖醋排骨", None, None),
        (None, "红烧肉", None),
    ],
)
def test_a_text_holds_its_query(text: str | None, query: str | None, expected: bool | None) -> None:
    queries = pa.array(["花", query, "草"], pa.string())
    assert measured("query_in_text", text, Beside(queries=queries)) is expected


def test_language_and_script_are_of_the_text_as_it_came() -> None:
    came = pa.array(["東京都庁タワー", "漢字", "汉字", None])
    stored = normalise_with_sources(came, TextSettings())
    assert stored["text"].to_pylist()[1] == "汉字"
    beside = Beside(TextSettings(), stored["source"])
    found = text_measures(stored["text"], ["language", "is_traditional"], beside)
    assert found["language"].to_pylist() == ["ja", "zh", "zh", None]
    assert found["is_traditional"].to_pylist() == [True, True, False, None]


def test_names_that_stand_are_counted_where_nothing_masks_them() -> None:
    texts = pa.array(["刘德华与周杰伦合影", "红烧肉", None])
    beside = Beside(TextSettings(names=None))
    assert text_measures(texts, ["num_names"], beside)["num_names"].to_pylist() == [2, 0, None]


@pytest.mark.parametrize(("policy", "expected"), [("keep", "猫😀在❤️家 ★☎ 1"), ("drop", "猫在家 ★☎ 1")])
def test_the_recipe_says_what_becomes_of_emoji(policy: str, expected: str) -> None:
    settings = TextSettings.model_validate({"emoji": policy, "names": None})
    assert normalise(pa.array(["猫😀在❤️家 🎉★☎ 1" if policy == "drop" else "猫😀在❤️家 ★☎ 1"]), settings)[
        "text"
    ].to_pylist() == [expected]


def test_word_pieces_are_counted_by_a_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[UNK]\n猫\nplay\n##ing\nun\n##aff\n##able\n", encoding="utf-8")
    texts = ["猫Playing", "unaffable, 猫", "xyz", "plàying playing", "", None, "a" * 200]
    beside = Beside(TextSettings(vocabulary=str(path)))
    found = text_measures(pa.array(texts, pa.string()), ["num_tokens"], beside)["num_tokens"].to_pylist()
    assert found == [3, 5, 1, 4, 0, None, 1]


def test_word_pieces_are_those_of_the_tokenizers_library(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    pieces = [
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[PAD]",
        "一",
        "只",
        "猫",
        "play",
        "##ing",
        "##s",
        "new",
        "20",
        "##24",
        ",",
        "n",
        "##ew",
    ]
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(pieces), encoding="utf-8")
    peer = tokenizers.BertWordPieceTokenizer(str(path), lowercase=True)
    texts = ["一只猫Playing, plays", "NEW 2024 newing", "É ne", "猫猫,,new猫s", "20242024"]
    beside = Beside(TextSettings(vocabulary=str(path)))
    found = text_measures(pa.array(texts), ["num_tokens"], beside)["num_tokens"].to_pylist()
    assert found == [len(peer.encode(text, add_special_tokens=False).ids) for text in texts]


def test_lists_of_ones_own_count_beside_the_shipped(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# mine\n本店独有\nABC\n\n", encoding="utf-8")
    own = [str(path)]
    beside = Beside(TextSettings(sensitive=own, ads=own, boilerplate=own))
    texts = pa.array(["本店独有 abc 包邮", "六合彩", "本店独有！"])
    found = text_measures(texts, ["sensitive_hits", "ad_hits", "is_boilerplate"], beside)
    assert found["sensitive_hits"].to_pylist() == [2, 1, 1]
    assert found["ad_hits"].to_pylist() == [3, 0, 1]
    assert found["is_boilerplate"].to_pylist() == [False, False, True]


def test_of_phrases_that_overlap_the_longest_counts() -> None:
    from filters.characters import TextColumn

    counts = PhraseMatcher(["加微信", "微信", "信号"]).counts(
        TextColumn(pa.array(["加微信号", None, "微信号", "𠮷微信"]))
    )
    assert counts.to_pylist() == [1, None, 1, 1]


@pytest.mark.parametrize("name", ["sensitive", "ads", "boilerplate"])
def test_shipped_lists_hold_each_phrase_once(name: str) -> None:
    phrases = read_phrases(LISTS / f"{name}.txt")
    assert len(phrases) == len(set(phrases)) > 50


def test_measures_of_slices_are_those_of_the_whole() -> None:
    texts = ["刘德华在香港", None, "天空,光,草", "點擊查看大圖", "", "a cat 猫猫猫猫猫"] * 3
    queries = pa.array(["香港", "x", "光", None, "y", "猫"] * 3)
    whole = text_measures(pa.array(texts), ALL, Beside(queries=queries))
    chunked = pa.chunked_array([pa.array(texts[:5]), pa.array(texts[5:])])
    parts = text_measures(chunked, ALL, Beside(queries=pa.chunked_array([queries[:9], queries[9:]])))
    alone = [
        text_measures(pa.array([text], pa.string()), ALL, Beside(queries=queries[n : n + 1]))
        for n, text in enumerate(texts)
    ]
    for name in ALL:
        assert parts[name].to_pylist() == whole[name].to_pylist(), name
        assert [found[name].to_pylist()[0] for found in alone] == whole[name].to_pylist(), name


def test_no_texts_have_no_measures() -> None:
    found = text_measures(pa.array([], pa.string()), ALL)
    assert {name: (len(column), column.type) for name, column in found.items()} == {
        name: (0, MEASURES[name].dtype) for name in ALL
    }
    assert all(column.null_count == 2 for column in text_measures(pa.nulls(2, pa.string()), ALL).values())


@pytest.mark.parametrize(
    "hostile",
    ["王", "王小明", "a\u0335\u0335", "(", "（【", "1", "查看", "点击", "😀", "1a", "加v", "，天", "の", "13800138000"],
)
def test_texts_as_long_as_may_be_have_measures_within_their_ranges(hostile: str) -> None:
    text = (hostile * MAX_CHARS)[:MAX_CHARS]
    found = text_measures(pa.array([text]), ALL)
    for name, column in found.items():
        ends = MEASURES[name].range
        value = column.to_pylist()[0]
        assert ends is None or ends[0] <= value <= ends[1], name
