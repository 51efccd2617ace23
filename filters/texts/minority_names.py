"""Tibetan, Uyghur and Mongolian names in Chinese characters that no dot parts: 普布扎西, 阿依古丽, 娜仁其其格."""

import functools

_WORDS = """
    扎西 卓玛 次仁 多吉 普布 达瓦 尼玛 平措 旺堆 顿珠 拉姆 央金 曲珍 白玛 罗布 格桑 洛桑 丹增 索朗 巴桑 边巴 仁青 德吉
    加措 嘉措 占堆 强巴 旦增 益西 桑吉 才让 才仁 拉毛 卓嘎 旺姆 旺久 旺杰 旺扎 云丹 仓决 仓央 措姆 玉珍 贡布 贡嘎 次旦
    次旺 次珍 江村 班丹 群培 土登 晋美 欧珠 阿旺 坚赞 坚参 伦珠 索南 才旦 多杰 公保 南杰 斗尕 更登 年措 克珠 曲扎 曲央
    曲措 桑布 桑杰 达娃 米玛 拉巴 古丽 阿依 买买提 吐尔逊 努尔 艾山 玉素甫 阿不都 艾合买提 热依木 木拉提 巴哈尔 帕提古
    夏提 买买 热娜 迪丽 努尔江 阿依夏 阿依努尔 玛依拉 吾买尔 肉孜 依明 艾力 库尔班 阿曼 阿布都 穆罕默德 沙吾提 托合提
    热合曼 帕夏 塔依尔 麦麦提 图尔荪 阿卜杜 热西提 萨拉买提 其其格 巴特尔 格日勒 斯琴 娜仁 乌云 苏日 那木 呼和 图雅
    高娃 花日 巴雅尔 朝鲁 阿拉坦 宝音 孟和 满都拉 萨仁 哈斯 塔娜 乌日娜 巴根 额尔德尼 敖登 阿布力孜 阿布都热西提
    阿卜杜拉 艾尼瓦尔 艾则孜 艾尔肯 巴哈提 巴图尔 迪里夏提 地里木拉提 依力哈木 伊力哈木 依布拉音 伊敏 喀迪尔 卡德尔
    卡米力 克里木 居来提 麦麦提江 买买提江 木合塔尔 穆合塔尔 穆萨 帕尔哈提 肉孜买买提 赛买提 赛福鼎 沙拉木 沙依提
    司马义 苏力坦 吐尔洪 吐尔地 托乎提 乌斯曼 乌买尔 西尔艾力 牙生 亚森 玉素普 扎克尔 祖农 祖力皮卡尔 亚尔 阿力木
    哈斯木 哈木提 吾斯曼 阿孜古丽 古丽娜尔 古丽努尔 古丽扎尔 帕提曼 帕丽达 热孜万 米日古丽 迪丽拜尔 祖丽菲娅 茹鲜
    阿米娜 再努尔 再乃普 麦尔耶姆 玛依努尔 吐逊 哈妮克孜 努尔曼 买尔哈巴 早热 阿丽米热 海丽且姆 茹克亚 佐日 齐曼
    拜合提 艾买提 阿布拉 阿不来提 艾克拜尔 买合木提 别克 哈山 叶尔肯 努尔兰 赛力克 哈那提 巴合提 叶尔兰 居马 阿依达娜
    加娜尔 达列力 卡哈尔曼 巴依卡 拉齐尼 帕提 米日 热汗 努日 祖丽 旺青 旺庆 扎桑 拉珍 次央 次吉 白珍 尼珍 拉措 曲宗
    央宗 卓央 德庆 晋巴 贡秋 贡桑 洛追 赤列 丹巴 旦巴 更藏 尕玛 嘎玛 嘎松 噶玛 巴丹 贡觉 江措 加参 泽仁 泽郎 泽旺 夏吾
    完玛 才旺 仁增 仁钦 桑珠 桑旦 关却 旦知 图娅 其木格 阿茹娜 萨日娜 苏日娜 乌日罕 娜荷芽 那日苏 阿日斯楞 呼格吉勒
    呼格吉勒图 朝克图 青格乐 青格勒 斯日古楞 宝力高 宝力道 托娅 布和 苏和 铁木尔 吉日格勒 达来 牧仁 乌力吉 毕力格
    呼斯楞 阿古拉 那顺 钢巴图 巴图 德力格尔 通拉嘎
"""
MINORITY_PARTS = frozenset(_WORDS.split())
"""Of what such names are made, the whole parts of dotted ones too."""
_LENGTHS = (4, 3, 2)


def is_minority_name(name: str) -> bool:
    """Whether a name is made of two such words or more."""
    return any(
        name[:length] in MINORITY_PARTS and (name[length:] in MINORITY_PARTS or is_minority_name(name[length:]))
        for length in _LENGTHS
        if length < len(name)
    )


@functools.cache
def minority_pairs() -> frozenset[str]:
    """The first two characters of such names."""
    return frozenset(part[:2] for part in MINORITY_PARTS)
