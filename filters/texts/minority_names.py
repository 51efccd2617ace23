"""Tibetan, Uyghur and Mongolian names in Chinese characters that no dot parts: 普布扎西, 阿依古丽, 娜仁其其格."""

import functools

_WORDS = """
    扎西 卓玛 次仁 多吉 普布 达瓦 尼玛 平措 旺堆 顿珠 拉姆 央金 曲珍 白玛 罗布 格桑 洛桑 丹增 索朗 巴桑 边巴 仁青
    德吉 加措 嘉措 占堆 强巴 旦增 益西 桑吉 才让 才仁 拉毛 卓嘎 旺姆 旺久 旺杰 旺扎 云丹 仓决 仓央 措姆 玉珍 贡布
    贡嘎 次旦 次旺 次珍 江村 班丹 群培 土登 晋美 欧珠 阿旺 坚赞 坚参 伦珠 索南 才旦 多杰 公保 南杰 斗尕 更登 年措
    克珠 曲扎 曲央 曲措 桑布 桑杰 达娃 米玛 拉巴 古丽 阿依 买买提 吐尔逊 努尔 艾山 玉素甫 阿不都 艾合买提 热依木
    木拉提 巴哈尔 帕提古 夏提 买买 热娜 迪丽 努尔江 阿依夏 阿依努尔 玛依拉 吾买尔 肉孜 依明 艾力 库尔班 阿曼 阿布都
    穆罕默德 沙吾提 托合提 热合曼 帕夏 塔依尔 麦麦提 图尔荪 阿卜杜 热西提 萨拉买提 其其格 巴特尔 格日勒 斯琴 娜仁
    乌云 苏日 那木 呼和 图雅 高娃 花日 巴雅尔 朝鲁 阿拉坦 宝音 孟和 满都拉 萨仁 哈斯 塔娜 乌日娜 巴根 额尔德尼 敖登
    托娅 布和 苏和 铁木尔 吉日格勒 达来 牧仁 乌力吉 毕力格 呼斯楞 阿古拉 那顺 钢巴图 巴图 德力格尔 通拉嘎
"""
_PARTS = frozenset(_WORDS.split())
_LENGTHS = (4, 3, 2)


def is_minority_name(name: str) -> bool:
    """Whether a name is made of two such words or more."""
    return any(
        name[:length] in _PARTS and (name[length:] in _PARTS or is_minority_name(name[length:]))
        for length in _LENGTHS
        if length < len(name)
    )


@functools.cache
def minority_pairs() -> frozenset[str]:
    """The first two characters of such names."""
    return frozenset(part[:2] for part in _PARTS)
