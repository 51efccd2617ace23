"""What a page says of itself, what an image is for, and the texts around an image."""

import pytest

from crawler.extract import Page, extract_page
from crawler.image_role import Role, role_of_element, role_of_url
from crawler.page_facts import social_images
from crawler.parse_child import PageParser

URL = "http://site.test/dir/page.html"
LONG = "这一句话正好有十五个字那么长吗。"


def page_of(markup: str, headers: list[tuple[str, str]] | None = None) -> Page:
    return extract_page(markup.encode(), URL, "text/html; charset=utf-8", headers or [])


def said(markup: str, kind: str) -> list[str | None]:
    return [candidate.text for candidate in page_of(markup).candidates if candidate.kind == kind]


@pytest.mark.parametrize(
    ("markup", "language"),
    [
        ('<html lang="zh-CN"><title>x</title>', "zh-cn"),
        ('<html xml:lang="zh_TW">', "zh-tw"),
        ('<html lang="x y z"><title>红烧肉的做法</title>', "zh"),
        ("<title>红烧肉的做法</title>", "zh"),
        ("<title>豚の角煮の作り方</title>", "ja"),
        ("<title>김치찌개</title>", "ko"),
        ('<meta http-equiv="Content-Language" content="zh-TW, en"><title>x</title>', "zh-tw"),
        ("<title>Braised pork</title>", None),
        ("", None),
    ],
)
def test_the_language_is_as_declared_or_by_the_title(markup: str, language: str | None) -> None:
    assert page_of(markup).language == language


def test_the_header_declares_a_language_too() -> None:
    assert page_of("<title>x</title>", [("Content-Language", "zh-Hans, en")]).language == "zh-hans"


@pytest.mark.parametrize(
    ("markup", "author", "license_"),
    [
        ('<meta name="author" content=" 王 小明 ">', "王 小明", None),
        ('<a rel="author" href="/u">李四</a>', "李四", None),
        ('<link rel="license" href="/terms">', None, "http://site.test/terms"),
        (
            '<p><a href="https://creativecommons.org/licenses/by/4.0/">署名</a>',
            None,
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        ('<a href="https://creativecommons.org/about/">关于</a>', None, None),
        (
            '<script type="application/ld+json; charset=utf-8">{"author": [{"name": "张三"}], "license": "http://l.test/by"}</script>',
            "张三",
            "http://l.test/by",
        ),
        ("", None, None),
    ],
)
def test_author_and_licence_are_what_the_page_states(markup: str, author: str | None, license_: str | None) -> None:
    page = page_of(markup)
    assert (page.author, page.license) == (author, license_)


@pytest.mark.parametrize(
    ("markup", "canonical"),
    [
        ('<link rel="canonical" href="/a?b=1#c">', "http://site.test/a?b=1"),
        ('<base href="http://other.test/"><link rel="CANONICAL shortlink" href=" a ">', "http://other.test/a"),
        ('<link rel="canonical" href="/1"><link rel="canonical" href="/2">', "http://site.test/1"),
        ('<link rel="canonical" href="javascript:0"><link rel="canonical">', None),
        ('<a rel="canonical" href="/a">x</a>', None),
    ],
)
def test_a_page_names_its_own_url(markup: str, canonical: str | None) -> None:
    assert page_of(markup).canonical == canonical


@pytest.mark.parametrize(
    ("metas", "images"),
    [
        ([("og:image", " /1.jpg ")], [("/1.jpg", "")]),
        (
            [("og:image", "/1.jpg"), ("og:image:width", "9"), ("og:image:alt", "一"), ("og:image", "/2.jpg")],
            [("/1.jpg", "一"), ("/2.jpg", "")],
        ),
        ([("og:image", "/1.jpg"), ("og:image", "/2.jpg"), ("og:image:alt", "二")], [("/1.jpg", ""), ("/2.jpg", "二")]),
        ([("twitter:image", "/t.jpg"), ("og:image", "/o.jpg")], [("/o.jpg", ""), ("/t.jpg", "")]),
        ([("twitter:image:alt", "先"), ("og:image", "/1.jpg"), ("twitter:image", "/1.jpg")], [("/1.jpg", "先")]),
        ([("og:image", " "), ("og:image:alt", "无")], []),
        ([("og:image", f"/{number}.jpg") for number in range(1000)], [(f"/{number}.jpg", "") for number in range(100)]),
    ],
)
def test_every_image_that_a_page_is_shared_with_has_its_own_description(
    metas: list[tuple[str, str]], images: list[tuple[str, str]]
) -> None:
    assert social_images(metas) == images


def test_images_of_json_ld_have_their_captions() -> None:
    markup = """<title>菜</title><script type="application/ld+json">
        {"@graph": [{"@type": "ImageObject", "contentUrl": "/a.jpg", "caption": "红烧肉", "name": "肉"},
                    {"@type": "Article", "image": ["/b.jpg", {"@type": "ImageObject", "url": "/c.jpg"}]}]}</script>"""
    found = {(c.url.removeprefix("http://site.test/"), c.kind, c.text) for c in page_of(markup).candidates}
    assert {("a.jpg", "caption", "红烧肉"), ("a.jpg", "title", "肉")} <= found
    assert {("b.jpg", "page_title", "菜"), ("c.jpg", "page_title", "菜")} <= found


def test_half_a_character_leaves_a_mark_that_no_caption_may_hold() -> None:
    script = '{"@type": "ImageObject", "contentUrl": "/a.jpg", "caption": "红烧\\ud800肉", "name": "\\ud83c\\udf5a饭"}'
    markup = f'<script type="application/ld+json">{script}</script>'
    with PageParser("mybot") as parser:
        page = parser.extract(markup.encode(), URL, "text/html; charset=utf-8", [])
    texts = {candidate.kind: candidate.text for candidate in page.candidates}
    assert (texts["caption"], texts["title"]) == ("红烧\ufffd肉", "🍚饭")


@pytest.mark.parametrize("script", ["{", "[" * 50_000, "null", '{"image": 5, "@type": 7, "author": {}}', "1e999"])
def test_broken_json_ld_says_nothing(script: str) -> None:
    page = page_of(f'<script type="application/ld+json">{script}</script><img src=a.jpg alt=鱼>')
    assert [candidate.text for candidate in page.candidates if candidate.kind == "alt"] == ["鱼"]


@pytest.mark.parametrize(
    ("url", "attributes", "role"),
    [
        ("http://a.cn/photos/cat.jpg", {}, Role()),
        ("http://a.cn/silicon/iconic.jpg", {}, Role()),
        ("http://a.cn/static/logo.gif", {}, Role(is_icon=True)),
        ("http://a.cn/favicon.ico", {}, Role(is_icon=True)),
        ("http://a.cn/a.png", {"width": "16", "height": "16px"}, Role(is_icon=True)),
        ("http://a.cn/a.png", {"width": "48", "height": "49"}, Role()),
        ("http://a.cn/a.png", {"style": "width:20px; height: 20px"}, Role(is_icon=True)),
        ("http://a.cn/a.png", {"width": "100%", "height": "1"}, Role()),
        ("http://a.cn/a.png", {"class": "btn-left"}, Role(is_icon=True)),
        ("http://hm.baidu.com/hm.gif?si=1", {}, Role(is_tracker=True)),
        ("http://s4.cnzz.com/z_stat.php?id=1", {}, Role(is_tracker=True)),
        ("http://a.cn/v?id=1", {"width": "1", "height": "1"}, Role(is_tracker=True)),
        ("http://a.cn/v.gif", {"width": "1", "height": "1"}, Role(is_spacer=True)),
        ("http://a.cn/img/spacer.gif", {}, Role(is_spacer=True)),
        ("http://a.cn/img/loading.gif?v=2", {}, Role(is_spacer=True)),
        ("http://a.cn/img/my_blank_2.png", {}, Role(is_spacer=True)),
        ("http://a.cn/img/white_1x1.png", {}, Role(is_spacer=True)),
        ("http://a.cn/img/bg-gray.gif", {}, Role(is_spacer=True)),
        ("http://a.cn/img/transparent-pixel.png", {}, Role(is_spacer=True)),
        ("http://a.cn/white-house.jpg", {}, Role()),
        ("http://a.cn/deep-space.jpg", {}, Role()),
        ("http://a.cn/clear_sky.jpg", {}, Role()),
        ("http://a.cn/polka-dot.png", {}, Role()),
        ("http://a.cn/avatar/12.jpg", {}, Role(is_avatar=True)),
        ("http://a.cn/12.jpg", {"class": "user-head"}, Role(is_avatar=True)),
    ],
)
def test_what_an_image_is_for(url: str, attributes: dict[str, str | None], role: Role) -> None:
    assert role_of_element(url, attributes) == role
    assert attributes or role_of_url(url) == role


def test_an_icon_is_kept_with_its_role() -> None:
    (found,) = page_of('<img src="/logo.gif" alt="标志">').candidates
    assert (found.text, found.role) == ("标志", Role(is_icon=True))


def test_a_placeholder_gives_way_to_the_image_whichever_attribute_holds_it() -> None:
    found = page_of('<img src="/photo.jpg" data-src="/static/blank.gif" alt="鱼">').candidates
    assert [candidate.url for candidate in found] == ["http://site.test/photo.jpg"]


@pytest.mark.parametrize(
    "markup",
    [
        f"<nav><p>{LONG}</p><img src=a.jpg></nav>",
        f"<footer>{LONG}<img src=a.jpg></footer>",
        f'<div class="share-box"><p>{LONG}</p><p><img src=a.jpg></p></div>',
        f'<div class="breadcrumb">{LONG}</div><p><img src=a.jpg></p><ul class="related"><li>{LONG}</ul>',
    ],
)
def test_a_pages_furniture_surrounds_no_image(markup: str) -> None:
    assert said(markup, "surrounding") == []


def test_surrounding_texts_are_whole_sentences_within_the_bound() -> None:
    sides = said(f"<div>前。{LONG * 40}</div><p><img src=a.jpg></p><div>{LONG * 40}后。</div>", "surrounding")
    assert sides == [LONG * 16]  # of the text before the end, of the text after the start: the same here, so once
    sides = said(f"<div>{LONG}前。</div><p><img src=a.jpg></p><div>后。{LONG}</div>", "surrounding")
    assert sides == [f"{LONG}前。", f"后。{LONG}"]


def test_a_block_that_is_too_long_is_cut_around_its_image() -> None:
    (found,) = said(f"<p>甲。{LONG * 40}乙。<img src=a.jpg>丙。{LONG * 40}丁。</p>", "surrounding")
    assert found is not None
    assert "乙。丙。" in found
    assert len(found) <= 256
    assert "甲" not in found
    assert found.endswith("。")


def test_the_first_sentence_is_the_first_paragraphs() -> None:
    markup = f"<p>短。</p><p>{LONG}后面还有。</p><h2>菜</h2><p>切肉</p><p><img src=a.jpg></p>"
    assert said(markup, "first_sentence") == [LONG]
