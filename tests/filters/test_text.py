"""Texts in one form, and what is measured of them."""

import csv
import html
import time
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.characters import HAN, TextColumn, bounded_slices, character_kinds
from filters.contacts import CONTACT_MASK, is_identity_number, mask_contact
from filters.measures import measures_of
from filters.settings import TextSettings
from filters.text import NORMALISED, normalise, text_measures

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PLAIN = TextSettings(names=None, contacts="keep", simplify=False)
ALL_MEASURES = measures_of(
    ["zh_chars", "zh_ratio", "text_len", "is_filename", "is_url", "special_ratio", "digit_ratio"], "collect", "text"
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("红烧肉的做法", "红烧肉的做法"),
        ("你好，世界！（真的）：好；吗？～", "你好，世界！（真的）：好；吗？～"),
        ("ＡＢＣ１２３％", "ABC123%"),
        ("  a \t b\r\n\u3000c \u00a0", "a b c"),
        ("a\u2028b\x1cc\x85d", "a b c d"),
        ("\u3164空\u2800白\uffa0", "空 白"),
        ("零\u200b宽\u200d连\ufeff接\u00ad", "零宽连接"),
        ("a\u202eb\u2066c\u2069d\u200e", "abcd"),
        ("控\x00制\x07\x1b[31m", "控制[31m"),
        ("私\ue000有\U000f0000区", "私有区"),
        ("非\uffff字\ufdd0符\U0001fffe\ufffc", "非字符"),
        ("e\u0301\u212b", "é\u00c5"),
        ("ｶﾞ", "ｶﾞ"),
        ("z" + "\u0335" * 40 + "a", "z\u0335\u0335a"),
        ("&lt;b&gt; &amp;amp; &#20013;&#x6587;&nbsp;x", "<b> & 中文 x"),
        ("e&#x301;", "é"),
        ("e\u200b\u0301", "é"),
        ("AT&T & R&D", "AT&T & R&D"),
        ("&#xD800;", None),
        ("\ufffd乱码", None),
        ("", None),
        (" \u200b\u3000", None),
        (None, None),
        ("字" * 10_000, "字" * 10_000),
        ("字" * 10_001, None),
        ("龍" * 3, "龍龍龍"),
        ("👨‍👩‍👧家", "👨👩👧家"),
        ("\uf900\U0002f800", "豈丽"),
    ],
)
def test_text_is_stored_in_one_form(raw: str | None, expected: str | None) -> None:
    found = normalise(pa.array([raw], pa.string()), PLAIN).to_pylist()[0]
    assert found["text"] == expected
    assert found["drop_reason"] == (None if expected is not None else "bad_text")


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"\xff\xfe", "invalid UTF-8"),
        (b"\xed\xa0\x80", "invalid UTF-8"),
        (b"\xc0\x80", "invalid UTF-8"),
        (b"\xd6\xd0\xce\xc4", "invalid UTF-8"),
        ("\ufffd".encode(), "undecodable characters"),
        (b"", "no text"),
        (None, "no text"),
        (b"x" * 10_001, "length 10001"),
        (b"a" * 10_000_000, "length 10000000"),
        ("中".encode(), None),
    ],
)
def test_rejected_text_says_why(raw: bytes | None, detail: str | None) -> None:
    found = normalise(pa.array([b"ok", raw, b"ok"], pa.binary()), PLAIN).to_pylist()
    assert [row["text"] for row in found[::2]] == ["ok", "ok"]
    assert found[1]["detail"] == detail
    assert (found[1]["drop_reason"] == "bad_text") == (detail is not None)


@pytest.mark.parametrize(
    "texts", [pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.nulls(0, pa.string())]
)
def test_no_rows_give_no_rows(texts: pa.Array) -> None:
    assert normalise(texts, TextSettings()) == NORMALISED.empty_table()
    assert {name: len(column) for name, column in text_measures(texts, ALL_MEASURES).items()} == dict.fromkeys(
        ALL_MEASURES, 0
    )


def test_slices_chunks_and_large_strings_are_alike() -> None:
    texts = ["甲 ", None, "  乙", "&lt;", "漢字", "丙"] * 5
    whole = normalise(pa.array(texts), TextSettings())
    chunked = pa.chunked_array([texts[:7], [], texts[7:]], pa.string())
    assert normalise(chunked, TextSettings()).to_pylist() == whole.to_pylist()
    assert normalise(pa.array(texts, pa.large_string()), TextSettings()).to_pylist() == whole.to_pylist()
    assert normalise(pa.array(texts).slice(4, 9), TextSettings()).to_pylist() == whole.to_pylist()[4:13]
    measured = text_measures(pa.array(texts).slice(3, 4), ALL_MEASURES)
    assert measured["text_len"].to_pylist() == [4, 2, 1, 2]


def test_a_long_column_is_worked_on_in_bounded_pieces() -> None:
    texts = pa.array(["字" * 9_000] * 2_000 + [None])
    sizes = [piece.nbytes for piece in bounded_slices(texts)]
    assert len(sizes) > 4
    assert sum(len(piece) for piece in bounded_slices(texts)) == len(texts)
    assert normalise(texts, PLAIN)["text"].combine_chunks() == texts


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=6))
def test_stored_texts_are_nfc_without_controls_and_single_spaced(texts: list[str | None]) -> None:
    column = pa.array(texts, pa.string())
    found = normalise(column, PLAIN)
    assert found.num_rows == len(texts)
    for text in found["text"].drop_null().to_pylist():
        assert unicodedata.is_normalized("NFC", text)
        assert not {unicodedata.category(character) for character in text} & {"Cc", "Cf", "Cs", "Co"}
        assert "\ufffd" not in text
        assert text == " ".join(text.split(" ")).strip() != ""
        if text == html.unescape(text):
            assert normalise(pa.array([text]), PLAIN)["text"].to_pylist() == [text]


@pytest.mark.parametrize(
    "hostile", ["&" * 50_000, "&" * 9_999, "a\u0301" * 5_000, " " * 50_000, "1" * 9_999, "a@" * 4_900, "qq" * 4_900]
)
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    normalise(pa.array(["暖"]), TextSettings())
    started = time.process_time()
    found = normalise(pa.array([hostile]), TextSettings())
    text_measures(found["text"], ALL_MEASURES)
    assert time.process_time() - started < 1.0  # measured at 4-12 ms; quadratic work takes many seconds


@pytest.mark.parametrize(
    ("text", "zh_chars", "zh_ratio", "text_len", "special_ratio", "digit_ratio"),
    [
        ("中文", 2, 1.0, 2, 0.0, 0.0),
        ("中文 ab", 2, 0.5, 5, 0.0, 0.0),
        ("a1，！", 0, 0.0, 4, 0.5, 0.25),
        ("𠮷野家", 3, 1.0, 3, 0.0, 0.0),
        ("々〇", 2, 1.0, 2, 0.0, 0.0),
        ("ひらがな", 0, 0.0, 4, 0.0, 0.0),
        ("", 0, 0.0, 0, 0.0, 0.0),
        (None, None, None, None, None, None),
    ],
)
def test_counts_of_a_text(
    text: str | None,
    zh_chars: int | None,
    zh_ratio: float | None,
    text_len: int | None,
    special_ratio: float | None,
    digit_ratio: float | None,
) -> None:
    found = text_measures(pa.array(["前", text], pa.string()), ALL_MEASURES)
    names = ("zh_chars", "zh_ratio", "text_len", "special_ratio", "digit_ratio")
    expected = (zh_chars, zh_ratio, text_len, special_ratio, digit_ratio)
    assert tuple(found[name].to_pylist()[1] for name in names) == expected


def test_measures_have_the_types_of_the_table() -> None:
    from filters.measures import MEASURES

    for name, column in text_measures(pa.array(["中", None]), ALL_MEASURES).items():
        assert column.type == MEASURES[name].dtype
        assert column.to_pylist()[1] is None


def test_chinese_characters_are_those_of_the_script() -> None:
    codes = [code for code in range(0x20, 0x32400) if not 0xD800 <= code <= 0xDFFF]
    characters = pa.array([chr(code) for code in codes])
    by_re2 = pc.match_substring_regex(characters, r"^\p{Han}$").to_numpy(zero_copy_only=False)
    ours = character_kinds()[np.array(codes)] & HAN != 0
    # RE2 may know an older Unicode, which only lacks the latest extensions.
    differing = [codes[place] for place in np.flatnonzero(by_re2 != ours)]
    assert all(code in range(0x2EBF0, 0x2EE5E) or code in range(0x30000, 0x323B0) for code in differing), differing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IMG_2034.JPG", True),
        ("DSC00123", True),
        ("微信图片_20190102030405", True),
        ("屏幕快照 2018-11-20 下午6.09.08", True),
        ("image-20220722102926055", True),
        ("3f786850e387550fdab836ed7e6dc881de23001b", True),
        ("550e8400-e29b-41d4-a716-446655440000", True),
        ("img_wx_render_compare", True),
        ("1657545748254", True),
        ("陈亿钦-人物海报.jpg", True),
        ("图1", True),
        ("照片 (3)", True),
        ("图1 测试计划", False),
        ("图片", False),
        ("COVID-19", False),
        ("iPhone 15", False),
        ("Windows", False),
        ("一只猫在沙发上", False),
        ("jpg 格式", False),
        ("", False),
        (None, None),
    ],
)
def test_file_names(text: str | None, expected: bool | None) -> None:
    assert text_measures(pa.array([text], pa.string()), ["is_filename"])["is_filename"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://www.example.cn/a.jpg?b=1", True),
        ("HTTPS://例子.中国/图", True),
        ("www.example.com", True),
        ("example.com.cn/path", True),
        ("//cdn.example.cn/x", True),
        ("来自 www.example.com", False),
        ("http://a b", False),
        ("3.14", False),
        ("ASP.NET", True),
        ("中文", False),
        (None, None),
    ],
)
def test_addresses(text: str | None, expected: bool | None) -> None:
    assert text_measures(pa.array([text], pa.string()), ["is_url"])["is_url"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("电话13800138000谢谢", "电话*谢谢"),
        ("+86 138-0013-8000", "*"),
        ("订单号913800138000", "订单号913800138000"),
        ("12800138000", "12800138000"),
        ("(010)62345678", "*"),
        ("0755-12345678 转 8", "* 转 8"),
        ("400-820-8820", "*"),
        ("2020-12-345678", "2020-12-345678"),
        ("邮箱abc.def@example.com.cn。", "邮箱*。"),
        ("某@人", "某@人"),
        ("QQ：123456", "*"),
        ("qq群 7654321", "*"),
        ("QQ音乐", "QQ音乐"),
        ("加微信abc_12345吧", "加*吧"),
        ("微信号：wxid_abc1234", "*"),
        ("微信支付", "微信支付"),
        ("vx: hello123", "*"),
        ("身份证11010519491231002X", "身份证*"),
        ("身份证110105194912310021", "身份证110105194912310021"),
        ("编号110105194913310021", "编号110105194913310021"),
        ("1949年10月1日 1280x1024", "1949年10月1日 1280x1024"),
    ],
)
def test_contacts_are_masked_and_other_numbers_stay(text: str, masked: str) -> None:
    assert mask_contact(text).replace(CONTACT_MASK, "*") == masked
    column = pa.array(["甲", text, None])
    found = normalise(column, TextSettings(names=None, contacts="mask"))
    assert found["text"].to_pylist() == ["甲", masked.replace("*", CONTACT_MASK), None]


@pytest.mark.parametrize(
    ("contacts", "text", "reason", "detail"),
    [
        ("drop", f"电话{CONTACT_MASK}", "bad_text", "contact"),
        ("mask", f"电话{CONTACT_MASK}", None, None),
        ("keep", "电话13800138000", None, None),
    ],
)
def test_the_recipe_says_what_becomes_of_a_text_with_a_contact(
    contacts: str, text: str, reason: str | None, detail: str | None
) -> None:
    chosen = TextSettings.model_validate({"contacts": contacts})
    rows = normalise(pa.array(["电话13800138000"]), chosen).to_pylist()
    assert rows == [{"text": text, "drop_reason": reason, "detail": detail}]


@pytest.mark.parametrize(
    ("number", "valid"), [("11010519491231002X", True), ("11010519491231002x", True), ("1" * 18, False)]
)
def test_identity_numbers_carry_a_date_and_a_check_character(number: str, valid: bool) -> None:
    assert is_identity_number(number) is valid


def test_real_alt_strings_are_told_apart_from_file_names() -> None:
    path = DATA / "text" / "real-alt-strings.tsv"
    if not path.is_file():
        pytest.skip("shared/data is not here")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = pa.array([row["alt"] for row in rows])
    named = text_measures(texts, ["is_filename"])["is_filename"].to_pylist()
    share = {
        kind: np.mean([hit for hit, row in zip(named, rows, strict=True) if row["class_by_rule"] == kind])
        for kind in ("text with Chinese", "file name/number")
    }
    assert share["text with Chinese"] < 0.01  # one of them is a file's name
    assert share["file name/number"] > 0.9


def test_text_column_counts_across_null_and_empty_texts() -> None:
    column = TextColumn(pa.array([None, "中a", "", "文文", None]).slice(1))
    assert column.count(HAN).tolist() == [1, 0, 2, 0]
    assert column.lengths.tolist() == [2, 0, 2, 0]
    assert column.rows_with(column.kinds & HAN != 0).tolist() == [0, 2]
