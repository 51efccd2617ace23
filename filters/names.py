"""People's names in texts, found by rjieba's tags and guarded by a surname list, and masked."""

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from filters.characters import HAN, Bools, TextColumn, replaced

# Common surnames, chosen by hand, without those that are words far more often: 于 和 时 万 向 边.
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蔡蒋余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范"
    "金石廖贾夏韦付傅方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵钱严覃武戴莫孔汤樊阎俞鲍骆翁柯兰毕路葛尤倪梅童"
    "颜庄鲁项祝盛林欧易章单柴耿裴甘霍柳庞蓝管纪左华申康施牛洪游安季关齐凌舒涂翟辛焦聂成靳祁阮岑娄喻詹柏殷"
)
_COMPOUND_SURNAMES = frozenset(
    {"欧阳", "上官", "司马", "诸葛", "司徒", "东方", "慕容", "皇甫", "尉迟", "令狐", "夏侯", "公孙"}
)

# Single given names; a surname with any other one character is left alone: too many are words (黄金, 高清, 温泉).
_SINGLE_GIVEN = frozenset(
    "云娜伟强磊军勇艳杰涛超霞刚飞鹏亮辉毅丽敏燕玲丹萍颖琳倩婷帅凯波斌浩宇峰洋芳琴莉芬娟健俊彬瑶琪璐妍薇昊轩晨旭鑫森"
    "备羽迅甫操权邦禅飒雯静博晖欣怡骏翔威栋锋炜凡坤睿哲"
)
# Characters that no given name holds: places, dishes, things, titles.
_NOT_GIVEN = frozenset(
    "路街巷村镇乡县市区州省庄桥岭河湖沟湾岛寨寺庙塔店馆铺楼宫殿门港井界家场站厂院校园城墙坝堡关口"
    "肉鸡鸭鱼虾蟹面饭粥饼糕汤菜豆腐果瓜卜萝菇蒜葱椒茶酒奶糖酱皮丝片粉包饺串锅碗杯盘"
    "犬狗猫兔猴蛇鼠羊草柱壁纸图机车器品牌彩枝证赛监皇帝后爷婆妈爸哥姐叔伯傅者们某总局部会队号级型色款"
    "柜道眼镜帽发衫裙裤衣鞋鹅背嘴满涂氏性链帧码单酸虫蛋"
    "的了是在和与及对为被把从这那些个又也很都不没着过吗呢吧"
)
_TITLES = ("师傅", "大夫", "太太", "先生", "女士", "老师", "小姐", "经理", "太后", "医生", "教授", "导演")
# Words and brands that rjieba tags as names, met in word lists and captions.
_TAKEN_FOR_NAMES = """
    王老吉 范思哲 莫斯科 马其顿 黄金周 杜鹃花 康乃馨 罗汉果 马卡龙 马拉松 马赛克 石榴花 金银花 白兰花 白玉兰
    高尔夫 江浙沪 华尔兹 华莱士 夏威夷 罗密欧 路易斯 柏拉图 欧莱雅 金骏眉 周大福 周生生 周大生 周六福 李锦记
    吴裕泰 李宁 马自达 戴姆勒 康明斯 邓禄普 余晖 白云 白雪 高峰 华丽 安静 石英 高亮 高强 海洋 毛丽 路飞 龙飞
    白波 金波 江波 成云 张大嘴 牛仔裤 牛油果 史努比 易拉宝 关东煮 龙舌兰 龙卷风 金刚石 金鱼草 毛毛虫 游乐园
    夏令营 方便面 罗曼史 兰亭序 金元宝 朱古力 苏打水 高粱米 安全带 单元格 单循环 关键帧 白名单 白求恩 东方红
    武侯祠 白天鹅 黄头发 马尾松 白灼响 金刚乙 傅里叶 傅立叶 高斯消 霍夫曼 周末风 杨柳风 石景山 何首乌 毛血旺
    毛峰 安格斯 马尔代
"""
_NOT_NAMES = frozenset(_TAKEN_FOR_NAMES.split())
# A name before one of these, as a noun of its own or the start of one, belongs to a dish, a shop or a place.
_FOLLOWERS = frozenset(
    "路街巷村镇乡县市区庄桥山河湖沟湾岛寨寺庙塔店馆铺楼肉鸡鸭鱼面饭粥饼糕汤菜豆虾蟹牌家堂祠墓陵记凉炒卤烤烧"
)
_BATCH_CHARS = 1 << 20


def mask_names(texts: pa.Array, mask: str) -> pa.Array:
    """The texts with each full Chinese name of a person replaced by `mask`; foreign names stay.

    Texts hold no line breaks (as `normalise` leaves them): ValueError otherwise, since rows would shift unseen.
    """
    column = TextColumn(texts)
    rows = column.rows_with(_may_begin_name(column))
    if not len(rows):
        return texts
    before = texts.take(pa.array(rows)).to_pylist()
    after = [masked for batch in _batches(before) for masked in _masked(batch, mask)]
    return replaced(texts, rows, pa.array(after, pa.string()))


def is_person_name(word: str, tag: str, following: str) -> bool:
    """Whether a word that rjieba tags `tag`, before the word `following`, is a person's full name.

    >>> is_person_name("刘德华", "nr", "在"), is_person_name("左宗棠", "nrfg", "鸡"), is_person_name("温泉", "nr", "")
    (True, False, False)
    """
    if not tag.startswith("nr") or not 2 <= len(word) <= 4:
        return False
    surname = 2 if word[:2] in _COMPOUND_SURNAMES else 1 if word[0] in _SURNAMES else 0
    given = word[surname:]
    if not surname or not 1 <= len(given) <= 2 or word in _NOT_NAMES or given in _TITLES:
        return False
    if surname == 1 and len(given) == 1 and given not in _SINGLE_GIVEN:
        return False
    if given.endswith("子"):
        return False
    return not _NOT_GIVEN.intersection(given) and following[:1] not in _FOLLOWERS


def _may_begin_name(column: TextColumn) -> Bools:
    """Characters that are a surname before another Chinese character; across texts it asks once too often."""
    surnames = np.array(sorted({ord(name[0]) for name in _SURNAMES | _COMPOUND_SURNAMES}), dtype=np.uint32)
    known = np.zeros(0x10000, dtype=np.bool_)
    known[surnames] = True
    is_han = column.kinds & HAN != 0
    begins = known[np.minimum(column.codes, 0xFFFF)]
    begins[:-1] &= is_han[1:]
    return np.asarray(begins)


def _batches(texts: list[str]) -> Iterator[list[str]]:
    """Runs of texts for one call of rjieba each: a call costs more than a caption."""
    ends = np.cumsum([len(text) + 1 for text in texts]) // _BATCH_CHARS
    for _, run in itertools.groupby(zip(ends.tolist(), texts, strict=True), key=lambda pair: pair[0]):
        yield [text for _, text in run]


def _masked(texts: list[str], mask: str) -> list[str]:
    import rjieba

    words: list[tuple[str, str]] = rjieba.tag("\n".join(texts))
    pieces = [word for word, _ in words]
    for place, (word, tag) in enumerate(words):
        if tag[:2] == "nr" and is_person_name(word, tag, pieces[place + 1] if place + 1 < len(pieces) else ""):
            pieces[place] = mask
    masked = "".join(pieces).split("\n")
    if len(masked) != len(texts):
        raise ValueError(f"{len(texts)} texts came back as {len(masked)}: one holds a line break")
    return masked
