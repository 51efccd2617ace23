"""Which encoding a page is in."""

from pathlib import Path

import pytest

from crawler.charset import codec_of, declared_codec, decode
from crawler.meta_prescan import PRESCAN_BYTES

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CHINESE = "这是一张图片的说明文字，红烧肉和酸菜鱼的做法。" * 3
TRADITIONAL = "這是一張圖片的說明文字，紅燒肉與酸菜魚的做法。" * 3


@pytest.mark.parametrize(
    ("html", "content_type", "codec", "text"),
    [
        (CHINESE.encode("gbk"), "text/html; charset=gb2312", "gb18030", CHINESE),
        (CHINESE.encode("utf-8"), 'text/html; charset="UTF-8"', "utf-8", CHINESE),
        (b"<meta charset=gb2312>" + CHINESE.encode("gbk"), "text/html", "gb18030", "<meta charset=gb2312>" + CHINESE),
        (TRADITIONAL.encode("big5"), "text/html; charset=Big5", "big5hkscs", TRADITIONAL),
        # The byte order mark beats the header, the header beats the page.
        (b"\xef\xbb\xbf" + CHINESE.encode(), "text/html; charset=gbk", "utf-8", CHINESE),
        (b"\xff\xfe" + CHINESE.encode("utf-16-le"), None, "utf-16-le", CHINESE),
        (b"<meta charset=utf-8>" + CHINESE.encode("gbk"), "text/html; charset=gbk", "gb18030", None),
        # A page that says UTF-16 in ASCII is not.
        (b"<meta charset=utf-16>" + CHINESE.encode(), None, "utf-8", None),
        # Lies: what cannot decode the page gives way to what can.
        (CHINESE.encode(), "text/html; charset=gb2312", "utf-8", CHINESE),
        (CHINESE.encode("gbk"), "text/html; charset=utf-8", "gb18030", CHINESE),
        # Nothing declared.
        (CHINESE.encode(), None, "utf-8", CHINESE),
        (CHINESE.encode("gbk"), None, "gb18030", CHINESE),
        (TRADITIONAL.encode("big5"), None, "big5hkscs", TRADITIONAL),
        (b"", None, "utf-8", ""),
        (CHINESE.encode(), "text/html; charset=nonsense", "utf-8", CHINESE),
    ],
)
def test_the_encoding_is_found(html: bytes, content_type: str | None, codec: str | None, text: str | None) -> None:
    decoded = decode(html, content_type)
    assert codec is None or decoded.codec == codec
    assert text is None or decoded.text == text


@pytest.mark.parametrize(
    ("html", "content_type", "settled_by"),
    [
        (b"\xef\xbb\xbf" + CHINESE.encode(), "text/html; charset=gbk", "bom"),
        (CHINESE.encode("gbk"), "text/html; charset=gb2312", "header"),
        (b"<meta charset=gb2312>" + CHINESE.encode("gbk"), "text/html", "meta"),
        (b"<meta charset=gb2312>" + CHINESE.encode("gbk"), "text/html; charset=iso-8859-1", "meta"),
        (CHINESE.encode("gbk"), None, "detector"),
        (CHINESE.encode("gbk"), "text/html; charset=utf-8", "contents"),
        (b"<meta charset=gb2312>" + CHINESE.encode(), "text/html", "contents"),
        (b"plain", "text/html; charset=gb2312", "header"),
    ],
)
def test_it_is_said_what_settled_the_encoding(html: bytes, content_type: str | None, settled_by: str) -> None:
    assert decode(html, content_type).settled_by == settled_by


@pytest.mark.parametrize("label", ["utf-8", "gbk", "big5"])
def test_a_page_cut_within_a_character_keeps_the_encoding_it_declares(label: str) -> None:
    text = TRADITIONAL if label == "big5" else CHINESE
    decoded = decode(f"<meta charset={label}>{text}".encode(label)[:-1], None)
    assert (decoded.codec, decoded.settled_by) == (codec_of(label), "meta")
    assert text[:-1] in decoded.text


@pytest.mark.parametrize("declared", ["gb2312", "gbk", "big5", "latin1", "shift_jis"])
def test_utf_8_under_any_other_name_is_utf_8(declared: str) -> None:
    decoded = decode(f"<meta charset={declared}>{CHINESE}".encode(), f"text/html; charset={declared}")
    assert (decoded.codec, decoded.text.endswith(CHINESE)) == ("utf-8", True)


def test_a_traditional_page_that_claims_utf_8_is_read_as_big5() -> None:
    assert decode(TRADITIONAL.encode("big5"), "text/html; charset=utf-8").codec == "big5hkscs"


DISHES = "土豆炖牛肉 清蒸鲈鱼的做法 新鲜蔬菜 番茄炒蛋 猫和狗在草地上 城市的夜景 雪山下的小屋 海边日落"
DISHES_TRADITIONAL = "土豆燉牛肉 清蒸鱸魚的做法 新鮮蔬菜 番茄炒蛋 貓和狗在草地上 城市的夜景 雪山下的小屋 海邊日落"


def album(captions: str, declared: str | None) -> str:
    images = "".join(
        f'<p class="x"><img src="/{place}.jpg" alt="{text}">' for place, text in enumerate(captions.split())
    )
    return (f"<meta charset={declared}>" if declared else "") + images


@pytest.mark.parametrize("declared", [None, "gb2312", "big5", "iso-8859-1", "utf-8"])
@pytest.mark.parametrize(("captions", "codec"), [(DISHES, "gb18030"), (DISHES_TRADITIONAL, "big5hkscs")])
def test_chinese_is_read_as_chinese_whatever_a_page_claims(captions: str, codec: str, declared: str | None) -> None:
    decoded = decode(album(captions, declared).encode(codec), None)
    assert (decoded.codec, decoded.text) == (codec, album(captions, declared))


@pytest.mark.parametrize("declared", [None, "big5", "utf-8"])
@pytest.mark.parametrize("codec", ["gb18030", "big5hkscs"])
def test_pages_of_many_captions_are_told_apart(codec: str, declared: str | None) -> None:
    if not DATA.exists():
        pytest.skip("no shared test material beside the project")
    from opencc import OpenCC

    lines = (DATA / "text" / "coco-cn" / "coco-cn_ext.icap2020.txt").read_text("utf-8").splitlines()
    captions = ["".join(line.split("\t", 1)[1].split()) for line in lines]
    script = OpenCC("s2t") if codec == "big5hkscs" else None
    for start in range(0, 1000, 5):
        text = " ".join(captions[start : start + 5])
        page = album(script.convert(text) if script else text, declared).encode(codec, "ignore")
        assert decode(page, None).codec == codec, captions[start]


@pytest.mark.parametrize(
    ("text", "codec", "declared"),
    [
        ("Les élèves étaient très étonnés : déjà, où, être, forêt, garçon, Noël. " * 20, "cp1252", "iso-8859-1"),
        ("豚の角煮の作り方を写真で紹介します。簡単でおいしいレシピです。" * 5, "euc_jp", None),
        ("豚の角煮の作り方を写真で紹介します。簡単でおいしいレシピです。" * 5, "cp932", None),
        ("김치찌개를 맛있게 끓이는 방법을 사진으로 소개합니다." * 5, "cp949", None),
        ("简", "gb18030", "gb2312"),
        ("罕见字：魑魅魍魉饕餮耄耋囹圄蹀躞", "gb18030", "gb2312"),
    ],
)
def test_what_is_not_chinese_or_says_too_little_stays_as_it_is(text: str, codec: str, declared: str | None) -> None:
    html = ((f"<meta charset={declared}>" if declared else "") + text).encode(codec)
    assert decode(html, None).codec == codec


def test_undecodable_bytes_become_replacement_characters() -> None:
    decoded = decode(b"<meta charset=utf-8>\xff\xff\x80 ok", None)
    assert decoded.codec == "utf-8"
    assert "�" in decoded.text
    assert decoded.text.endswith("ok")


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("GB2312", "gb18030"),
        ("x-gbk", "gb18030"),
        ("Big5-HKSCS", "big5hkscs"),
        ("latin1", "cp1252"),
        ("Shift_JIS", "cp932"),
        ("windows-1251", "cp1251"),
        ("rot13", None),
        ("", None),
        ("idna", None),
        ("zip", None),
    ],
)
def test_labels_mean_what_the_encoding_standard_says(label: str, codec: str | None) -> None:
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b"<!-- <meta charset=big5> --><meta charset=gbk>", "gb18030"),
        (b'<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=gb2312">', "gb18030"),
        (b'<?xml version="1.0" encoding="big5"?>', "big5hkscs"),
        (b" " * 1024 + b"<meta charset=gbk>", "gb18030"),  # a browser starts anew when it comes to it
        (b" " * PRESCAN_BYTES + b"<meta charset=gbk>", None),
        (b"<p title='<meta charset=big5>'><meta charset=gbk>", "gb18030"),
        (b"<meta charset=nonsense><meta charset=gbk>", "gb18030"),
        (b"<metadata charset=gbk>", None),
        (b"<meta " + b"x" * 100_000, None),
    ],
)
def test_only_a_declaration_in_the_first_bytes_counts(head: bytes, codec: str | None) -> None:
    assert declared_codec(head) == codec


@pytest.mark.skipif(not DATA.exists(), reason="no shared test material beside the project")
@pytest.mark.parametrize(
    ("folder", "codec"), [("faq-gbk-declared-gb2312", "gb18030"), ("maintguide-big5", "big5hkscs")]
)
def test_real_pages_decode_without_a_bad_character(folder: str, codec: str) -> None:
    pages = sorted((DATA / "encoding" / folder).glob("*.html"))
    assert pages
    for page in pages:
        decoded = decode(page.read_bytes(), "text/html")
        assert (decoded.codec, decoded.settled_by, decoded.text.count("�")) == (codec, "meta", 0), page.name
