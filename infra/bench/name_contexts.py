"""What the weights of names learn from elsewhere: word lists, captions without people, made-up ones of known people."""

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from name_examples import Example, Row, common_words, examples, names_too

from filters.texts import name_candidates
from filters.texts.name_characters import LONG_ROLES, RARE_SURNAMES, SURNAMES, THINGS, TITLES_BEHIND
from filters.texts.words import tagged

_WORD, _CAPTION, _LISTING, _INSERTED, _THING, _PLAIN, _SAID = 0.3, 0.25, 0.06, 0.1, 0.1, 0.05, 0.1
_MEDICINES = ("药材", "草药", "中药材", "饮片", "盆栽")
_OF_PEOPLE = """
    和{}合影留念 与{}同台 图为{} 图：{} 左起：{} 北京，{}走在街头 今天，{}来到学校 电影《狂飙》{}剧照 “{}”
    （{}_摄） 采访{} 致敬{}！ 由{}主演 被{}打败 给{}写信 向{}学习 看{}比赛 {}到学校讲课 {}照片高清
    {}背手参观工厂 {}重返球场 {}擦汽车 {}躺在沙发上 {}西行路线图 {}北击敌军示意图 {}夺得步枪冠军 {}站在阁楼
    {}系着围巾 {}对话记者 {}晚年 {}的书房 {}骑自行车 {}在家中 {}版 我校{}老师获奖 {}先生像 {}教授讲座
    作家{}老师签售 {}小时候 {}发型 {}：我爱这片土地 {}，1936年 {}因伤退赛 {}家书 {}画像 {}、{}在现场 {}和{}
    {}{}同框 {}与{}握手 主演：{}、{} {}打{} 图左为{} 1月3日，{}抵达 有网友偶遇{} 学习{}精神 为{}点赞 {}国会讲话
    {}亮相北京 {}公司上市 {}谈中国文学 {}_油画_高清 {}生平 {}的艺术人生_讲座 著名歌手{} 小学生扮演{}
    展出的{}画作 饰演的{} 公园里的{}塑像 广场上的{}雕像 笔下的{} 会上，{}面对记者 广场，{}铜像
    凭借本片，{}首获影帝 2008年，{}点燃火炬 科学家{}像 诗人{}墓前摆满鲜花 {}故居 {}译作手稿 {}服饰还原图
    {}与{}在海边 {}点兵 {}上海演讲 {}代言护肤品广告 {}打虎雕塑 {}托塔 主帅{}与球员{} 导演{}、演员{}
    《三国》{}剧照 {}元旦致辞 {}写生现场 {}获终身成就奖 {}府邸 {}与{}合作 {}饰{} {}画像砖 {}汉服造型 {}春晚小品
    {}夺冠 {}盖帽 {}致辞 图为{}在训练 作家{} 歌手{}新专辑 {}画虾图 {}（左）与{}
"""
_TEMPLATES = _OF_PEOPLE.split()
"""What captions say of people, for the names of well-known ones."""


def outside_examples(lists: Path) -> list[Example]:
    """What is learnt from word lists and captions without people."""
    chance = random.Random(11)
    return [*_without_names(random.Random(9), lists), *_plain_words(chance), *_called(chance), *listed_examples(lists)]


def _without_names(chance: random.Random, lists: Path) -> Iterator[Example]:
    of_lists = {name: _list(lists, name) for name in ("food", "animal", "IT", "chengyu", "diming", "car", "law")}
    for words in of_lists.values():
        plain = [word for word in words if word not in name_candidates.people()]
        yield from examples([(word, frozenset()) for word in chance.sample(plain, min(2_000, len(plain)))], _WORD)
    yield from examples([(line, frozenset()) for line in _captions(lists)], _CAPTION)
    short = [word for name in ("food", "animal") for word in of_lists[name] if 2 <= len(word) <= 4]
    listings = ["、".join(chance.choices(short, k=3)) for _ in range(1_500)]
    yield from examples([(listing, frozenset()) for listing in listings], _LISTING)


def _plain_words(chance: random.Random) -> Iterator[Example]:
    """Words that begin with a surname behind nouns for persons and before titles: 高级教师, 市民安全出行."""
    roles, titles = sorted(LONG_ROLES), sorted(TITLES_BEHIND)
    for _ in range(1_000):
        word = chance.choice(_with_surname())
        texts = word + chance.choice(titles), chance.choice(roles) + word + chance.choice(common_words())
        yield from examples([(text, frozenset()) for text in texts], _PLAIN)


def _called(chance: random.Random) -> Iterator[Example]:
    """Words that are names too behind nouns for persons and before titles, with an act behind: 白雪护士长查房."""
    roles, titles = sorted(LONG_ROLES), sorted(TITLES_BEHIND)
    for _ in range(600):
        name, act = chance.choice(names_too()), chance.choice(_ACTS)
        yield from examples([(name + chance.choice(titles) + act, frozenset({(0, 2)}))], _PLAIN)
        role = chance.choice(roles)
        yield from examples([(role + name + act, frozenset({(len(role), len(role) + 2)}))], _PLAIN)


_OF_ACTS = "在讲课 在会上发言 查房 的书房 获奖 走访商户 ，男，1979年出生 介绍情况 分享经验 给新生儿洗澡 与客户签约"
_ACTS = _OF_ACTS.split()


@cache
def _with_surname() -> list[str]:
    return [word for word in common_words() if word[0] in SURNAMES | RARE_SURNAMES]


def listed_examples(lists: Path) -> list[Example]:
    """Well-known people put into captions between two words, and before things that are called after them."""
    chance = random.Random(10)
    captions = _captions(lists)
    known = sorted(name_candidates.people())
    found: list[Example] = []
    for name in chance.sample(known, 2_500):
        words = [word for word, _ in tagged([chance.choice(captions)])]
        cut = chance.randrange(len(words))
        before = "".join(words[:cut]) if cut % 2 else ""
        text = before + name + "".join(words[cut:])
        for held, is_name, _ in examples([(text, frozenset({(len(before), len(before) + len(name))}))], 1.0):
            if not is_name or not any("thing" in kind for kind in held):
                found.append((held, is_name, _INSERTED))
        for template in chance.sample(_TEMPLATES, 5):
            found += examples([_filled(template, [name, chance.choice(known)])], _SAID)
        if chance.random() < 0.4:
            thing = chance.choice(THINGS) if chance.random() < 0.9 else " " + chance.choice(_MEDICINES)
            found += examples([(name + thing, frozenset())], _THING)
    return found


def _filled(template: str, names: list[str]) -> Row:
    text, spans = "", set()
    for place, part in enumerate(template.replace("_", " ").split("{}")):
        if place:
            spans.add((len(text), len(text) + len(names[place - 1])))
            text += names[place - 1]
        text += part
    return text, frozenset(spans)


def _captions(lists: Path) -> list[str]:
    lines = (lists / "coco-cn" / "coco-cn_ext.icap2020.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[-1].strip() for line in lines]


def _list(lists: Path, name: str) -> list[str]:
    text = (lists / "THUOCL" / f"THUOCL_{name}.txt").read_text(encoding="utf-8-sig")
    return [line.split("\t")[0].strip() for line in text.splitlines() if line.strip()]
