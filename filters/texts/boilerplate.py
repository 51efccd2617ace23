"""Texts that say nothing of their image, because every page of a site or every site has them: 点击查看大图."""

import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import TextColumn
from filters.texts.beside import beside_of
from filters.texts.phrases import LISTS, read_phrases

_MOST_CHARS = 40
# A text is compared by its letters, digits and characters alone: 「查看更多 >>」 is 查看更多.
_NOT_COMPARED = r"[^\p{L}\p{N}]+"
# Words of buttons and links. A text that holds nothing else is one, whatever their order; a noun alone is not.
_DOES = (
    "请?(点击|点此|点我|点开|单击|双击|轻触|右键|长按)|(立即|马上|一键|免费|快速|直接)|查看|查询|观看|浏览|放大|缩小|展开|收起|显示|加载"
    "|阅读|下载|保存|另存为?|还原|识别|扫描|扫码|扫一扫|关注|分享到?|转发|返回|回到|进入|跳转|播放|刷新|重试|关闭|登录|登陆|注册|复制"
    "|打开|加入|了解|咨询|购买|继续|切换|隐藏|访问|安装|报名|预览"
)
_THING = (
    "大图|小图|原图|源图|原网页|源网页|源站|网页|更多|全部|全文|原文|正文|内容|余下|剩余|详情|详细|信息|更多精彩|精彩|顶部|首页|主页|列表|目录"
    "|[上下]一[页张篇章条个]|末页|尾页|二维码|公众号|公众平台|微信|微博|朋友圈|客户端|app|手机版?|专题|页面|视频|图片|图像|照片|链接|购物车|收藏夹"
    "|我们|本页|来源|相册|高清|完整|窗口|组图|幻灯片|评论|回复|介绍|说明"
)
_GLUE = "可以?|后|即可|以|看|并|或|及|和|到|至|此处|这里|用|使用|的|了|请|中|来|在|新|为"
_BUTTON = rf"^(?:{_DOES}|{_THING}|{_GLUE})*(?:{_DOES})(?:{_DOES}|{_THING}|{_GLUE})*$"
_STARTS_AS_BUTTON = rf"^(?:{_GLUE})*(?:{_DOES}|[上下]一[页张篇]$|更多|微信|手机|用)"
# What stands where an image should, or tells where it came from and no more.
_STANDS_IN = (
    r"^(?:该|此|这张|本)?图片(?:[^，。]{0,6})?(?:来自|来源于?|源于?|取自)(?:于|自)?(?:互联网|网络|网上|微信公众(?:号)?平台.*)(?:侵(?:权)?(?:即|必|请)?(?:联系)?删(?:除)?)?$"
    r"|^图(?:片)?(?:源|来源|来自)(?:于|自)?(?:互联)?网(?:络)?(?:侵(?:权)?(?:即|必|请)?(?:联系)?删(?:除)?)?$"
    r"|^(?:该|此)(?:图片|图像|内容|视频).*(?:登录|会员|仅|不可|禁止|失效|删除|设置).*$"
    r"|^(?:图片|图像|视频|页面|数据|内容)?(?:正在)?(?:加载|载入|上传|读取)(?:中|失败|出错|错误|完成)?(?:请)?(?:稍[候后等]|点击重试)?$"
    r"|^(?:暂无|没有|无|暂时没有|尚无)(?:任何)?(?:图片?|图像|照片|封面|头像|数据|简介|内容|介绍|评论|信息|缩略图)(?:信息|说明)?$"
    r"|^(?:在?这里|此处|请)?(?:插入|输入|添加|填写|写)(?:图片|图像|图)(?:的)?(?:描述|说明|标题|注释|名称)$"
    r"|^图片(?:无法|不能|暂时无法|未能)?(?:显示|加载|打开)(?:失败|不出来)?$"
    r"|^图片(?:已|已经)?(?:失效|过期|删除|被删除|不存在|丢失|损坏)$"
    r"|^(?:来自|来源)(?:于)?(?:互联网|网络)$"
    r"|^上一篇(?:没有了|无)$|^下一篇(?:没有了|无)$"
    r"|^(?:图片|效果图|照片)?仅供参考(?:请?以?实物为准)?$"
    r"|^您的浏览器(?:不支持|版本).*$|^不支持的.*格式$"
)
_PATTERN = f"{_STANDS_IN}|{_BUTTON}"


def is_boilerplate(column: TextColumn) -> pa.Array:
    """True for what the shipped list or `text.boilerplate` holds, and for texts made of words of buttons alone.

    Signs and spaces do not count. A list of one's own is learned from a run: texts of the highest `text_count`.
    """
    short = np.flatnonzero((column.lengths > 0) & (column.lengths <= _MOST_CHARS))
    texts = _compared(column.texts.take(pa.array(short)))
    known = pc.is_in(texts, value_set=_known(*beside_of(column).settings.boilerplate))
    found = np.zeros(len(column.texts), np.bool_)
    found[short] = pc.or_(known, pc.match_substring_regex(texts, _PATTERN)).to_numpy(zero_copy_only=False)
    return column.column(found, pa.bool_())


def _compared(texts: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.replace_substring_regex(texts, _NOT_COMPARED, ""))


@functools.lru_cache(maxsize=8)
def _known(*paths: Path | str) -> pa.Array:
    """What the shipped list and these files hold, in the form in which texts are compared."""
    phrases: Iterable[str] = [phrase for path in (LISTS / "boilerplate.txt", *paths) for phrase in read_phrases(path)]
    return pc.unique(_compared(pa.array(phrases, pa.string())))
