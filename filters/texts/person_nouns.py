"""Whether a noun for a person stands before a place of a text: a role of the list, or what its end and tag tell."""

from collections.abc import Sequence

from filters.texts.name_characters import LONG_ROLES, ROLES
from filters.texts.unknown_words import Word
from filters.texts.words import is_in_dictionary

SIGNS_OF_LISTS = frozenset(("与", "和", "、", "及", "跟", "同", "携", "&", "/"))
FOUND = "\ue001"
"""Stands for a name that was found before; no stored text holds it."""
_OPENERS = ' :：（()）/·|—-“"【[，,'
_BEFORE_APART = frozenset(_OPENERS + "\n。；;！!？?《“)）")
_ENDS = frozenset("员家长师者手户人民农贩匠医警兵生童工夫徒友迷客嫂婆爷娃妇主士祖官将帅王后星")
MADE_UP_ENDS = frozenset("员师者手户人贩匠工农医警友民兵")
"""Ends of words for people that no dictionary has: 锻造师, 赶海人."""
_NO_PERSONS = """
    人员 动员 裁员 总动员 大员 复员 派员 全员 满员 人手 国家 大家 回家 皇家 全家 老家 厂家 酒家 农家 世家 独家 商家
    回老家 公家 抄家 私家 离家 兵家 家家 人家 居家 搬家 买家 卖家 生长 全长 总长 漫长 波长 体长 道长 细长 特长 多长
    助长 过长 长长 年长 身长 专长 片长 瘦长 边长 短短 消长 冗长 中长 成长 增长 延长 擅长 周长 国师 京师 会师
    水师 出师 回师 拜师 班师 誓师 挥师 移师 兴师 偏师 雄师 两者 后者 前者 二者 三者 或者 双手 右手 左手 动手 毒手
    小手 空手 松手 交手 徒手 平手 住手 袖手 黑手 过手 经手 棘手 辣手 手拉手 佛手 机械手 信手 纤手 刀手 扳手 白手
    巨手 把手 扶手 二手 分手 亲手 入手 携手 握手 牵手 挥手 举手 联手 着手 上手 洗手 用户 客户 门户 窗户 账户 帐户
    落户 开户 下户 户户 入户 多用户 立户 首户 人民 国民 全民 军民 移民 殖民 万民 爱民 便民 扰民 健民 利民 支农 工农
    学农 坑农 害农 三农 神医 行医 中医 西医 藏医 国医 报警 机警 火警 预警 派兵 装甲兵 用兵 屯兵 当兵 收兵 救兵
    兴兵 举兵 奇兵 天兵 动兵 招兵 点兵 阅兵 征兵 产生 人生 花生 陌生 平生 水生 天生 亲生 畜生 民生 终生 共生 活生生
    长生 原生 胎生 公生 内生 半生 众生 卵生 硬生生 海生 双生 面生 土生 重生 速生 一生 养生 卫生 再生 野生 发生 出生
    寄生 写生 先生 新生 化工 人工 手工 轻工 森工 理工 动工 政工 佣工 军工 刀工 深加工 代工 煤化工 大工 日工 夜工
    热加工 费工 加工 施工 竣工 开工 完工 精工 分工 打工 收工 功夫 大夫 工夫 下功夫 祭祖 佛祖 妈祖 收徒 师徒 亲友
    用友 做客 作客 待客 好客 载客 住客 会客 宴客 空客 个人 私人 人人 成人 动人 惊人 迷人 感人 别人 他人 众人 无人
    机器人 稻草人 雪人 木偶人 行人 杀人 救人 做人 法人 所有人 当事人 国人 汉人 古人 世人 华人 某人 何人 本人 男人
    女人 黑人 白人 外国人 敌人 用人 家人 夫人 老人家 民主 自主 为主 宾主 力主 人士 女士 男士 的士 巴士 富士 瑞士
    便士 劳力士 佳洁士 爵士 军官 器官 感官 五官 做官 当官 升官 收官 麻将 战将 行将 天将 点将 激将 兹将 打麻将 挂帅
    将帅 高富帅 勤王 药王 魔王 霸王 蜂王 猫王 狮王 敌后 书后 售后 编后 洞后 产后 读后 观后 下课后 行星 卫星 五星
    恒星 火星 流星 彗星 木星 土星 水星 北极星 小行星 零星 繁星 石士 娃娃 洋娃娃 夫妇 老婆婆 湿婆 佛爷 财神爷 灶王爷
    兔儿爷 门神
"""
_NOT_PERSONS = frozenset(_NO_PERSONS.split())
_LENGTHS_OF_ROLES = tuple(sorted({len(role) for role in LONG_ROLES}))
BEFORE_RARE = (
    _BEFORE_APART
    | _ENDS
    | frozenset(role[-1] for role in ROLES)
    | frozenset(_OPENERS)
    | frozenset(SIGNS_OF_LISTS)
    | frozenset(FOUND)
)
"""What may stand right before a name with a rare surname."""


def person_before(words: Sequence[Word], place: int) -> str:
    """`role` or `person`, with ` sign` behind where a sign or space lies between; nothing where no such noun stands."""
    near = words[max(0, place - 4) : place]
    behind = "".join(word for word, _ in near).rpartition("\n")[2]
    bare = behind.rstrip(_OPENERS)
    skipped = len(behind) - len(bare)
    if not bare or skipped > 2:
        return ""
    nouns = list(near)
    while skipped and len(nouns) > 1 and not nouns[-1][0].strip(_OPENERS):
        nouns.pop()
    last = nouns[-1][0]
    sign = " sign" if skipped else ""
    if last in ROLES or any(bare[-length:] in LONG_ROLES for length in _LENGTHS_OF_ROLES):
        return "role" + sign
    return "person" + sign if _is_person(nouns) else ""


def is_expected(words: Sequence[Word], place: int) -> bool:
    """Whether a name is due: behind a noun for a person, or in a list behind a name."""
    if not place or words[place - 1][0][-1] not in BEFORE_RARE:
        return False
    if words[place - 1][0] in SIGNS_OF_LISTS and place > 1 and words[place - 2][0] == FOUND:
        return True
    return person_before(words, place) != ""


def is_apart(words: Sequence[Word], place: int) -> bool:
    """Whether a text begins at a place, or what a sign parts from it."""
    return not place or "\n" in words[place - 1][0] or words[place - 1][0][-1] in _BEFORE_APART


def _is_person(words: Sequence[Word]) -> bool:
    """Whether the last of some words is a noun for a person, or the end of one that no dictionary has."""
    word, tag = words[-1]
    if len(word) > 1:
        if word[-1] not in _ENDS or word in _NOT_PERSONS:
            return False
        if is_in_dictionary(word):
            return tag[:1] in "nb" or len(word) > 2
        return word[-1] in MADE_UP_ENDS and tag[:1] == "n" and tag[:2] not in ("nr", "ns")
    if word not in MADE_UP_ENDS or len(words) < 2:
        return False
    before, kind = words[-2]
    return len(before) > 1 and kind[:1] in "nv" and before + word not in _NOT_PERSONS
