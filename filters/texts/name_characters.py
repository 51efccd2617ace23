"""Characters and words by which people's names are told: surnames, given names, and what stands beside a name."""

from pathlib import Path

LISTS = Path(__file__).parent / "lists"


def _words(name: str) -> list[str]:
    """The words of a list, between spaces and line breaks; lines that begin with # say nothing."""
    lines = (LISTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


# Common surnames, chosen by hand, without those that are words far more often: 和 时 万 向 边.
SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蔡蒋余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆"
    "汪范"
    "金石廖贾夏韦付傅方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵钱严覃武戴莫孔汤樊阎俞鲍骆翁柯兰毕路葛尤倪梅童"
    "颜庄鲁项祝盛林欧易章单柴耿裴甘霍柳庞蓝管纪左华申康施牛洪游安季关齐凌舒涂翟辛焦聂成靳祁阮岑娄喻詹柏殷"
    "岳戚巩屠郎谷于宁包文撒邢卜匡冀谌阚麦简卓臧苗乔滕温苑常仇储巫仲邬桑桂濮牟郁芦佟闵解宗鞠栾刁沙荣"
    "隋褚窦迟晏卞庾晁訾冼苟饶楚竺鹿甄敖揭习逄茅扈虞裘缪燕冉尉尚凤惠狄房丛戈粟郗寇郏佘郦艾亓茹仝祖伊瞿聂屈司米封车景荀芮蔺郜胥鄢邝奚逯"
    "穆蒲丘雒邸郗郄缑昝仉笪虢栗桓褟"
    "费萧厉卫曲伍廉冷戎钮禹嵇姬邰辜綦琚眭贠佀鄞恽郈扆蔺凃禤佘泮苌厍殳夔鄣銮逄茆瓮"
)
RARE_SURNAMES = frozenset(
    "万向盘索党商池宫支蒙连古全应皮查鄂班闻滑丰平元税阳仉佴侍候冒劳召吉呼哈图妙姒嬴宓宦宣容富寻展岐岱师幸库延弓强扁"
    "才拓操斐斛昌昝晋普智暨暴朴束校楼沃沐油泥泽洛浦涓渠湛满潭澹炎烟牧独狐玄玉瑞皎盖睢矫禄禚秘稽笃符笪紫缑羊羿肇脱臾"
    "芈苍苓荆莘莱菅营萨蓬蓟蔚薄藏虎虢融衡衣诸谯豆贝贡贲赖赫蹇迮逮逸那邸邴郄郇郐郓郸郿酆释铁铎银锁镇镡闪阙隗雍雪青靖"
    "革頔顿颉香骞鬲鱼鲜鹏黑默璩撖揣侬么来由种良相保利承敬达"
    "尧亢卿阴帖练步权农乐花时和明乌益粘腾过弋忻旷巴水信伏原边红秋隆言腊刀冶撒干门亚"
    "云计席麻危经杭汲糜松井山仰韶印宿怀咸籍双扶堵宰寿慕慎居弘广越勾毋养须巢蒯督帅况琴归海汝钦伯赏墨爱福区占淡檀线寸木代"
    "初修战植买南续塔仵揆皇宾母闭岁枚鹤翦茶旺昂桐衷赛舍掌咏佛滚战兆竹撤朵字肯杞柘楮皋遆郐酉阳禾"
)
"""Surnames that few have, or that are words far more often: a name may begin with one behind a noun for a person."""
SURNAMES_APART = frozenset(
    "莘汲贲蒯羿隗昝澹糜郇酆宓邴蓟璩宦忻阙禄萨檀旷堵仵符赖荆鄂闻韶雍赫占矫亢毋查湛练麻暨区危杭巢况粘睢谯尧揆掌佴蒙"
)
"""Those of them that begin few words: a text or a clause may begin with such a name, where the tagger has one."""
COMPOUND_SURNAMES = frozenset(
    {
        "欧阳",
        "上官",
        "司马",
        "诸葛",
        "司徒",
        "东方",
        "慕容",
        "皇甫",
        "尉迟",
        "令狐",
        "夏侯",
        "公孙",
        "端木",
        "轩辕",
        "宇文",
        "长孙",
        "独孤",
        "百里",
        "呼延",
        "南宫",
        "西门",
        "申屠",
        "钟离",
        "鲜于",
        "闾丘",
        "澹台",
        "公冶",
        "濮阳",
        "淳于",
        "太史",
        "拓跋",
        "赫连",
        "完颜",
        "纳兰",
        "叶赫",
        "闻人",
        "万俟",
        "东郭",
        "公羊",
        "宗政",
        "仲孙",
        "第五",
        "司空",
        "巫马",
        "颛孙",
        "漆雕",
        "乐正",
        "谷梁",
        "段干",
        "羊舌",
        "梁丘",
        "左丘",
        "耶律",
        "斛律",
        "贺兰",
        "贺若",
        "范姜",
        "张简",
        "太叔",
        "夹谷",
        "达奚",
    }
)
WEAK_COMPOUNDS = frozenset(
    ("东方", "西门", "南宫", "百里", "第五", "太史", "贺兰", "东郭", "司空", "张简", "达奚", "乐正")
)
"""Those that are words, too, or surname and given name."""
# Single given names that make a name whatever stands beside; most others are words (黄金, 高清, 温泉).
SINGLE_GIVEN = frozenset(
    "云娜伟强磊军勇艳杰涛超霞刚飞鹏亮辉毅丽敏燕玲丹萍颖琳倩婷帅凯斌浩宇峰芳琴莉芬娟健俊彬瑶琪璐妍薇昊轩晨旭鑫森"
    "备羽迅甫操权邦禅飒雯静博晖欣怡骏翔威栋锋炜坤睿哲楠妮涵烨俐俪晔铎渤炅蕾淼垚钰瑾琦琰娅媛嫣姝婕芸茜菲"
)
# What given names are made of, most of them.
COMMON_GIVEN = frozenset(
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲华梅红建国庆志海燕春晓小东云龙宇欣怡佳嘉思雨子涵梓轩浩然博"
    "雅婷雪倩颖慧琳洁莹薇璐瑶琪佩珊珍凤玉翠荣贵福祥林森鹏飞翔波斌彬凯旋峰岩松柏楠桦桐栋天宏鸿达远诚信义仁礼智德正清俊豪"
    "才学诗书琴艺歌美善良安康宁泰和昌盛兴旺锦绣永元利新生成功立业光耀亮晨曦阳晶星辰伦迅唯妮涵烨俐俪晔铎渤大中一正"
    "之其士少如若诺亦奕千万百尔可心悦宁萌蓉莲菊竹丹彤紫青蓝虹虞世先克家印守孝忠恩卫民爱党胜利群众继学敬连万金银宝珠玲"
    "曾歌宗延令昭彦彪泽润沛洪涵淑惠贤贞娥婉娇媚婵娴嫦姗妍霖震雷霆雯菲蕾蓓蔚芝芬芸苗茹莎莉萍菁筱筠琦琼瑞璇瑾珂珏珺"
    "炳煜焕炜烁煌灿焱照熙勋勇劲力动勤励劳竞竣端童凡帆帅师希常幼广序庭康延弘张强彭征律徐循德怀恒恺悟惟愉慎懿战振搏攀"
    "政敬斯施旭时昆昊昌昕晋晖晗景智曙朋朗望朝木本权材杏杉楷槐欢武殿毅民江池沁沙河治法波泓洲津浦浩淇淳清渊温湘源溪"
    "满滨潇澜瀚灵爽牧犁献玄玮环玺珉理瑜甜甫田男畅益眉真知石碧磊祖祥禄禹秋程稷立笑笛策纯经统维绍缘罡罗羽耘聪肖胤育"
    "臣自航艾苏范荔莫萱葆蕴藜行衡裕西言记训许诗谊谦赞起超跃轶辉达迈迎运迪逸邦郁都重野鉴钊钧钢铁铭锋锐锡镇长闯阁陆"
    "隆雁雄雍霄露非靖韬韶顺颂颜風馨驰骁骏魁鲁鸣鹤鹰麒麟黎龄冰冬净准凌决则创初勃卓南占双晴承添奕霆纲章游雨艺歌"
    "贝呦公徽因淑昱晟宸皓翰墨瑜瑄瑛璟瓒稚绮羿翊茵荃荷蔷薰赫铠镕颐骐黛仪仙伊佑冠厚召吉向喆增士奎存季崇念扬拓挺捷斐昂晏"
    "普楚滨珑祺笙绣芹苇虎谋赛轼迟铮韧骥炎焰寿岱侃倬允兑僖兢几卉台吾友叶君启吟含周咏品哲唐喜嗣四"
    "圆圣在坚坤城培基墨壮声夏多天太夫奇妙姬婧宇守宜宝实宣宪容宽富寒尊尚居山岚岳川州左巧布并幸云"
)
# Characters that no given name holds: places, dishes, things, titles.
NOT_GIVEN = frozenset(
    "路街巷村镇乡县市区州省庄桥河湖沟湾岛寨寺庙塔店馆铺楼宫殿门港井界家场站厂院校园城墙坝堡关口渚"
    "肉鸡鸭鱼虾蟹面饭粥饼糕汤菜豆腐果瓜卜萝菇蒜葱椒茶酒奶糖酱皮丝片粉包饺串锅碗杯盘"
    "犬狗猫兔猴蛇鼠羊草壁纸图机车器品牌证赛监皇帝后爷婆妈爸哥姐叔伯傅者们某总局部会队号级型色款"
    "柜道眼镜帽衫裙裤衣鞋鹅背嘴涂氏性链帧码单酸虫蛋剑刀枪格画像照曲剧片摄饰演旧新堤甸鳌阵鹿剂榜股室费目药币"
    "菌病症法权死导董婶嫂姨"
    "布砚篮纹岗箱桌椅床扇炉壶瓶盆鼓锣杆板网绳棉钉刷膜漆胶泵阀轴轮缸桶罐袋垫毯帘巾袜靴棒架槽座砖瓦"
    "员的了是在和与及对为被把从这那些个又也很都不没着过吗呢吧"
)
"""Those of both sets are given names only where a dictionary or what stands beside says so."""
_TITLES = """
    师傅 大夫 太太 先生 女士 老师 小姐 经理 太后 医生 教授 导演 利人 大爷 大妈 大娘 大叔 大婶 大嫂 大姐 大哥 阿姨 叔叔
    奶奶 爷爷 伯伯 婆婆 姥姥 姑姑 舅舅 主任 局长 书记 部长 处长 科长 院长 校长 班长 队长 厂长 总理 主席 总统 司令 将军
    元帅 律师 法官 警官 同学 同志 老板 掌柜 公子 员外 夫人 贵妃 皇后 皇妃 昭仪 秀才 举人 进士 状元 道长 真人 法师 大师
    和尚 居士 半仙 天师 教练 院士 博士 硕士 会计 秘书 助理 记者 编辑 老汉 老太 老头 姑娘 少爷 长老 帮主 亲王 大侠 公公
    相公 太尉 大人 姨妈 姨娘 妹妹 姐姐 哥哥 弟弟 师弟 师兄 师姐 师妹 师父 掌门 香主 政委 爵爷 铁匠 木匠 瞎子 麻子 胖子
    瘦子 家人 太公 府尹 丞相 道士 处士 夫子 老爷 老五 老三 老二 老四 督师 教头 都头 少侠 警察 护士 代表 委员 参谋 总监
    导师 学长 学姐 秘书 董事 家长 大帅 副官 家军 家将 家班 家帮 家人 家儿 氏家 记者 族长 掌柜 店主 主播 主持 经纪 总裁
"""
TITLES = frozenset(_TITLES.split())
TITLES_BEHIND = frozenset(_words("name_titles"))
_FIRST_OF_TITLES = frozenset(title[0] for title in TITLES_BEHIND)


def begins_title(text: str) -> bool:
    """Whether a text begins with what someone is called behind the whole name."""
    return text[:1] in _FIRST_OF_TITLES and any(text[:length] in TITLES_BEHIND for length in (2, 3, 4))


# Words and brands that jieba tags as names, met in word lists and captions.
NOT_NAMES = frozenset(_words("not_names"))
NOT_STARTS = frozenset(_words("not_name_starts"))
"""Common words that begin with a surname: three characters with one of them are a name only where one is well known."""
# A name before a word that begins or ends like this belongs to a dish, a shop, a thing or a place.
FOLLOWERS = frozenset(
    "号舰传路街巷村镇乡县市区庄桥山河湖沟湾岛寨寺庙塔店馆铺楼肉鸡鸭鱼面饭粥饼糕汤菜豆虾蟹牌家堂祠墓陵记凉炒卤烤烧"
    "帽酒鞋表茶鹅体式装服裙锁灯扇椅床枪醋糖膏站校院宫殿杯奖球粉液丸散派氏"
)
THING_ENDS = frozenset(
    "馆堂陵祠墓园寺庙路街村镇湾桥楼阁亭塔山湖江河岛县市区鹉腐肉鱼鸡鸭鹅面饭酒茶饼乳汤"
    "粉糕糖果瓜米油醋酱药鞋衫菜虾蟹蛋草树洞碑"
)
THING_CHARACTERS = frozenset("奖杯法丹膏药丸散汤猪犬酒茶日节")
"""Things that one character says where it ends a run of nouns: 陆川猪, 茅以升科学技术奖."""
FOOD_ENDS = frozenset("腐肉鱼鸡鸭鹅面饭酒茶饼乳汤粉糕糖瓜米油醋酱药鞋衫菜虾蟹蛋膏丸片酥鹉")
# Who a name belongs to, before it; what a person does or is shown as, after it.
ROLES = frozenset(_words("person_roles"))
LONG_ROLES = frozenset(role for role in ROLES if len(role) > 1)
CUE_WORDS = frozenset(_words("name_cues"))
ACTS = tuple("晒谈说骑导著绘书撰作画刻版做教称签弹跳唱演舞跑投打踢译校题")
"""What a person does or a work is, in one character, which begins other words too."""
WEAK_CUES = ("像", "获", "弹", "拉", "唱", "携", "与", "和", "在", "及", "、", "的故事", "版")
"""What follows other words as readily: enough for a word that a dictionary calls a name."""
PLACE_GIVEN = frozenset("岭堂池山洞溪坪洲峡滩阁亭观渡崖谷泉潭岩林园台院里屯营栏塘墩渠岗坡坳尖坊海江川原峰石花木")
"""Ends of places' names: a word of three characters with one is a name where a person is spoken of."""
TRANSCRIBES = frozenset("斯特尔姆克德顿森尼卡拉夫奇基茨蒂塞蕾布伯巴厄瓦莱诺修朗索亚迪马萨里利罗维丁默曼根")
"""Ends of foreign names in Chinese characters, which stay as they are (罗伯特 begins like a Chinese name)."""
WEAK_SURNAMES = frozenset(
    "卫曲冷厉费伍成温于安常解高白金牛石文叶华龙方海花单项包荣明康严毛关连水沙易黄江林钟麦时左盛乔柯雷"
)
"""Surnames that begin other words more often: an unknown word with one is a name where a person is spoken of."""

THINGS = tuple(_words("named_things"))
THING_WORDS = frozenset(THINGS)
LONG_THINGS = (*(thing for thing in THINGS if len(thing) > 1), "牌", "奖", "号", "舰", "厂", "杯")
"""Shops, goods, institutions and places: what is called after a person is no person."""

TRANSLITERATES = frozenset(
    "阿艾爱埃安奥巴班邦贝本比彼毕别宾波伯勃博布采查茨达戴丹德登迪蒂丁杜顿多俄厄恩尔法凡范菲费芬佛夫弗福盖甘冈高戈哥格葛"
    "古圭哈汉豪赫亨胡华霍基吉季加贾简杰金卡凯坎康考柯科克肯孔库夸拉莱兰朗劳勒雷蕾里丽利莉林琳龙卢鲁露路伦罗洛马玛迈麦曼"
    "芒梅门蒙米密敏摩莫墨默姆穆娜纳奈内尼涅宁纽努诺欧帕潘庞佩彭皮珀普齐奇契恰钦琼丘屈让热茹儒瑞若萨塞赛桑瑟森沙莎舍什圣"
    "施史舒斯思司丝苏索塔泰坦汤唐特腾提廷图托陀瓦万旺威韦维魏温翁沃乌伍希辛休修逊雅亚延扬耶叶伊依易因英尤约泽扎詹珍朱兹"
    "祖佐伽伏梵芙茜妮缇娅琪薇洁蓓黛嘉倩买卜才仁央吾孜汗木晋美艺钱钧奎坡根翰曹歇肖纪喀噶恺昂昆朵笛给罕聂芭裴赖邓锡骆鲍黎"
    "隆吐孜逊觉新沛贡歌梦力列露弥奴道荷雪措帖历撒切莲乔文当西可汀侬尚瓜雍嫩昌甫卜朴仓慈旦增顿珠央宗达娃洛桑巴扎西赤烈吉美彭措旺堆强"
)
"""Characters by which foreign names are written."""
CLANS = ("爱新觉罗", "叶赫那拉", "钮祜禄", "博尔济吉特", "富察", "赫舍里", "乌拉那拉", "瓜尔佳")
"""Manchu families, whose given names may be made of any characters."""
DOTS = frozenset("·•・‧∙")
_JAPANESE = """
    佐藤 铃木 高桥 田中 渡边 伊藤 山本 中村 小林 加藤 吉田 山田 佐佐木 山口 松本 井上 木村 山崎 中岛 池田 阿部
    桥本 山下 石川 小川 前田 冈田 长谷川 藤田 后藤 近藤 村上 远藤 青木 坂本 斋藤 福田 太田 西村 藤井 藤原 冈本 三浦
    中野 原田 松田 竹内 小野 田村 河野 和田 石田 上田 森田 柴田 酒井 工藤 横山 宫崎 宫本 内田 高木 安藤 谷口 大野 丸山
    今井 高田 藤本 武田 村田 上野 杉山 增田 菅原 平野 大塚 千叶 久保 松井 小岛 岩崎 樱井 野口 松尾 野村 木下 佐野 大西
    杉本 新井 浜田 市川 古川 水野 小松 岛田 小山 山内 西田 菊池 菊地 川端 三岛 东野 夏目 芥川 太宰 黑泽 北野 是枝 新海
    手塚 鸟山 尾田 高仓 福山 竹野内 反町 深田 广末 石原 新垣 长泽 绫濑 北川 堀北 户田 上户 苍井 滨崎 安室 宇多田 仓木
    久石 小泽 羽生 浅田 福原 中田 本田 香川 大谷 樱木 流川 野比 葛饰 歌川 丹下 伊东 三宅 川久保 德川 丰臣 织田 上杉
    西乡 东条 安倍 小泉 麻生 鸠山 岸田 石破 松下 稻盛 盛田 土屋 大岛 大桥 江口 神木 菅田 星野 三谷 吉永 吉本 吉泽 二宫
    相叶 泷泽 赤西 龟梨 锦户 生田 向井 玉木 小栗 松坂 谷崎 大江 渡部 役所 浅野 真田 草间 奈良
"""
JAPANESE_SURNAMES = frozenset(_JAPANESE.split())
JAPANESE_ENDS = frozenset(
    "子美惠衣奈代香郎介也树人男夫雄司治哉太一二三平彦之助吉辉武明骏弦爱真央纯希里菜莉纱织绘穗花道吾造健康成石圭惠优葵"
    "凉藏信政晋晴久司隆"
)
"""Ends of given names beside a Japanese surname."""
TEMPLE_NAMES = frozenset(
    a + b for a in "太高中世玄德宪穆敬文武宣懿僖昭徽钦孝光宁理度神仁英真哲成景显圣肃代顺" for b in "宗祖帝王公"
)
"""What emperors are called after their death, which is no name."""
