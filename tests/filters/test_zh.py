"""Simplified characters, and the masking of people's names."""

import re
from pathlib import Path

import opencc
import pyarrow as pa
import pytest

from filters.names import mask_names
from filters.settings import TextSettings
from filters.text import normalise
from filters.zh import simplify

TEXT_DATA = Path(__file__).parents[2].parent / "shared" / "data" / "text"


def words_of(name: str) -> list[str]:
    path = TEXT_DATA / name
    if not path.is_file():
        pytest.skip("shared/data is not here")
    return [line.split("\t")[0].split(" ")[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("漢字", "汉字"),
        ("頭髮和發展", "头发和发展"),
        ("皇后在後面", "皇后在后面"),
        ("乾燥的乾坤", "干燥的乾坤"),
        ("已经简体", "已经简体"),
        ("打坏了", "打坏了"),
        ("abc", "abc"),
        ("", ""),
        (None, None),
    ],
)
def test_traditional_text_becomes_simplified(text: str | None, expected: str | None) -> None:
    assert simplify(pa.array(["字", text, "體"], pa.string())).to_pylist() == ["字", expected, "体"]


def test_simplified_words_stay_and_others_are_as_opencc_gives_them() -> None:
    words = words_of("jieba-dict.txt")
    by_opencc = opencc.OpenCC("t2s").convert("\n".join(words)).split("\n")
    differing = [
        (word, ours, theirs)
        for word, ours, theirs in zip(words, simplify(pa.array(words)).to_pylist(), by_opencc, strict=True)
        if ours != theirs
    ]
    assert all(word == ours for word, ours, _ in differing)
    # Characters that are Simplified too, and Traditional in some phrases only.
    assert all(set(word) & set("沈覆哩坏藉") for word, *_ in differing)


def test_simplification_is_the_recipes_choice() -> None:
    for chosen, expected in ((True, "汉字"), (False, "漢字")):
        found = normalise(pa.array(["漢字"]), TextSettings(simplify=chosen))
        assert found["text"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("刘德华在香港演唱会", "*在香港演唱会"),
        ("宋慧乔最新写真", "*最新写真"),
        ("马云在杭州", "*在杭州"),
        ("刘备关羽张飞", "***"),
        ("诸葛亮画像", "*画像"),
        ("高清壁纸风景", "高清壁纸风景"),
        ("温泉酒店", "温泉酒店"),
        ("东坡肉", "东坡肉"),
        ("左宗棠鸡", "左宗棠鸡"),
        ("李庄白肉", "李庄白肉"),
        ("麻婆豆腐的做法", "麻婆豆腐的做法"),
        ("周黑鸭", "周黑鸭"),
        ("陈皮牛肉", "陈皮牛肉"),
        ("张家界玻璃桥", "张家界玻璃桥"),
        ("黄山日出", "黄山日出"),
        ("王府井大街夜景", "王府井大街夜景"),
        ("康师傅牛肉面", "康师傅牛肉面"),
        ("一个戴眼镜的男人", "一个戴眼镜的男人"),
        ("张先生", "张先生"),
        ("", ""),
        (None, None),
    ],
)
def test_names_are_masked_and_dishes_and_places_are_not(text: str | None, expected: str | None) -> None:
    assert mask_names(pa.array(["花", text, "草"], pa.string()), "*").to_pylist() == ["花", expected, "草"]


def test_names_are_masked_the_same_alone_and_among_others() -> None:
    texts = ["刘德华演唱会", "小", "张学友\u3000门票", "王府井", "李小龙"] * 50
    together = normalise(pa.array(texts), TextSettings())["text"].to_pylist()
    alone = [normalise(pa.array([text]), TextSettings())["text"].to_pylist()[0] for text in texts[:5]]
    assert together == alone * 50


def test_a_line_break_is_refused_rather_than_shifting_the_rows() -> None:
    texts = pa.array(["漢字\n刘德华在香港", "刘德华"])
    for work in (simplify, lambda column: mask_names(column, "*")):
        with pytest.raises(ValueError, match="line break"):
            work(texts)
    found = normalise(texts, TextSettings(names="*"))
    assert found["text"].to_pylist() == ["汉字 *在香港", "*"]


def test_null_leaves_names_as_they_are() -> None:
    found = normalise(pa.array(["刘德华在香港"]), TextSettings(names=None))
    assert found["text"].to_pylist() == ["刘德华在香港"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("迈克尔·乔丹罚球线起跳扣篮", "*罚球线起跳扣篮"),
        ("玛格丽特·撒切尔肖像", "*肖像"),
        ("爱新觉罗·溥杰书法", "*书法"),
        ("克里斯蒂亚诺·罗纳尔多倒挂金钩", "*倒挂金钩"),
        ("文森特·梵高自画像", "*自画像"),
        ("迪丽热巴·迪力木拉提出席活动", "*出席活动"),
        ("沁园春·雪", "沁园春·雪"),
        ("中国·杭州", "中国·杭州"),
        ("贵州·黄果树", "贵州·黄果树"),
        ("《安娜·卡列尼娜》新译本", "《安娜·卡列尼娜》新译本"),
        ("·", "·"),
        ("斯·", "斯·"),
    ],
)
def test_names_with_dots_are_masked_and_titles_and_places_are_not(text: str, expected: str) -> None:
    assert mask_names(pa.array([text]), "*").to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("奥巴马在白宫玫瑰园发表讲话", "*在白宫玫瑰园发表讲话"),
        ("木村拓哉日剧截图", "*日剧截图"),
        ("《雷锋》电影海报", "《雷锋》电影海报"),
        ("李光耀公共政策学院", "李光耀公共政策学院"),
        ("唐太宗画像", "唐太宗画像"),
        ("李老师带着同学们春游", "李老师带着同学们春游"),
        ("《刘德华", "《*"),
        ("高一（3）班陈思源同学获奖", "高一（3）班*同学获奖"),
        ("谢霆锋王菲牵手看电影", "**牵手看电影"),
        ("苏炳添、谢震业出席活动", "*、*出席活动"),
        ("徐静蕾工作室", "徐静蕾工作室"),
        ("尹正酒庄", "尹正酒庄"),
    ],
)
def test_what_a_name_belongs_to_says_whether_it_is_masked(text: str, expected: str) -> None:
    assert mask_names(pa.array([text]), "*").to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("莱昂纳多·迪卡普里奥泰坦尼克号剧照", "*泰坦尼克号剧照"),
        ("帕提古丽·艾合买提家的葡萄架", "*家的葡萄架"),
        ("木拉提·哈斯木在边境线上巡逻", "*在边境线上巡逻"),
        ("玄奘西行路线图", "*西行路线图"),
        ("许家印系爱马仕皮带", "*系爱马仕皮带"),
        ("刘翔因伤退赛", "*因伤退赛"),
    ],
)
def test_a_name_ends_where_the_next_word_begins(text: str, expected: str) -> None:
    assert mask_names(pa.array([text]), "*").to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("王健林背手参观工厂", "*背手参观工厂"),
        ("六小龄童到小学讲述西游故事", "*到小学讲述西游故事"),
        ("雷锋擦汽车的照片", "*擦汽车的照片"),
        ("图为陆春龄", "图为*"),
        ("和刘德华合影留念", "和*合影留念"),
        ("北京，陆春龄走在街头", "北京，*走在街头"),
        ("陆川猪", "陆川猪"),
        ("茅以升科学技术奖", "茅以升科学技术奖"),
        ("荣威RX5", "荣威RX5"),
        ("哥伦布日", "哥伦布日"),
    ],
)
def test_well_known_people_are_masked_but_not_what_is_called_after_them(text: str, expected: str) -> None:
    assert mask_names(pa.array([text]), "*").to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("区小玲女士捐资助学", "*女士捐资助学"),
        ("东方婉清老师辅导学生练习古筝", "*老师辅导学生练习古筝"),
        ("高峰主任正在做手术", "*主任正在做手术"),
        ("高峰论坛", "高峰论坛"),
        ("高级教师", "高级教师"),
        ("文化局长", "文化局长"),
        ("嘉宾宁静分享经历", "嘉宾*分享经历"),
        ("宁静的夜", "宁静的夜"),
        ("地铁司机束明确认信号", "地铁司机*确认信号"),
        ("一束鲜花", "一束鲜花"),
        ("烘焙师宋扬做的面包", "烘焙师*做的面包"),
        ("左起：蔡文静、傅蓉、费强", "左起：*、*、*"),
    ],
)
def test_rare_surnames_and_plain_words_are_names_where_a_person_is_due(text: str, expected: str) -> None:
    assert mask_names(pa.array([text]), "*").to_pylist() == [expected]


@pytest.mark.parametrize(
    ("name", "most"), [("coco-cn/coco-cn_ext.icap2020.txt", 0.002), ("THUOCL/THUOCL_food.txt", 0.01)]
)
def test_few_texts_without_people_are_masked(name: str, most: float) -> None:
    path = TEXT_DATA / name
    if not path.is_file():
        pytest.skip("shared/data is not here")
    column = -1 if name.startswith("coco") else 0
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[column].strip() for line in lines if line.strip()]
    masked = mask_names(pa.array(texts), "*").to_pylist()
    assert sum(before != after for before, after in zip(texts, masked, strict=True)) <= most * len(texts)


def test_no_dish_and_no_place_of_a_recipe_site_is_masked() -> None:
    site = TEXT_DATA.parent / "sites" / "howtocook-a"
    if not site.is_dir():
        pytest.skip("shared/data is not here")
    pages = [page.read_text(encoding="utf-8") for page in sorted(site.rglob("*.html"))]
    truth = (site.parent / "howtocook-a.truth.tsv").read_text(encoding="utf-8").splitlines()
    texts = {line.strip() for page in pages for line in re.sub("<[^>]*>", "\n", page).splitlines()}
    texts |= {line.split("\t")[3] for line in truth[1:]}
    texts |= {part for page in site.rglob("*.html") for part in page.relative_to(site).with_suffix("").parts}
    names = sorted(texts - {""})
    assert len(names) > 1_500
    masked = mask_names(pa.array(names), "*").to_pylist()
    assert [(before, after) for before, after in zip(names, masked, strict=True) if before != after] == []
