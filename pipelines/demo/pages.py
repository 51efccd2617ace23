"""The pages of the demo site: what a small Chinese photo site serves, with every fault that matters among the good."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape

from pipelines.demo.album import Album
from pipelines.demo.captions import HELD_OUT, TAUGHT


@dataclass(frozen=True)
class Page:
    """One HTML file: `head` holds extra elements of the head, `body` the markup in order."""

    file: str
    title: str
    body: list[str]
    head: str = ""
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Answer:
    """What the server says for one path, where that is not 200 with the file's bytes."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = None
    cut_bytes: int = 0  # the body ends so many bytes before its declared length


@dataclass(frozen=True)
class Content:
    """All pages, and the answers that differ from plain files."""

    pages: list[Page]
    answers: dict[str, Answer]


def make_content(album: Album) -> Content:
    """Write the images and say what the pages show."""
    answers: dict[str, Answer] = {}
    pages = [
        _animals(album),
        _space(album),
        _city(album),
        _laboratory(album),
        _study(album),
        _gbk(album),
        _lazy(album),
        _swapped(album),
        _mirror(album),
        _junk(album),
        _broken(album, answers),
        _opted_out(album),
        _members(album),
        _about(),
    ]
    return Content([_index(album, pages), *pages], answers)


def caption_of(name: str, number: int) -> str:
    """A true caption of a view: the held-out wordings first, so that most pages say what training never saw."""
    wordings = HELD_OUT[name] + TAUGHT[name]
    return wordings[(number - 1) % len(wordings)]


def _alt(src: str, alt: str, more: str = "") -> str:
    return f'<div class="item"><img src="{src}" alt="{escape(alt)}"{more}></div>'


def _figure(src: str, caption: str) -> str:
    return f'<figure><img src="{src}"><figcaption>{escape(caption)}</figcaption></figure>'


def _titled(src: str, title: str) -> str:
    return f'<div class="item"><img src="{src}" title="{escape(title)}"></div>'


def _captioned(src: str, caption: str) -> str:
    return f'<div class="item"><img src="{src}"></div><p class="pic-text">{escape(caption)}</p>'


def _views(album: Album, shape: Callable[[str, str], str], wanted: Iterable[tuple[str, Iterable[int]]]) -> list[str]:
    return [shape(album.view(name, n), caption_of(name, n)) for name, numbers in wanted for n in numbers]


def _index(album: Album, pages: list[Page]) -> Page:
    links = [f'<li><a href="{page.file}">{escape(page.title)}</a></li>' for page in pages]
    links.append('<li><a href="gone.html">去年的专题</a></li>')
    body = [
        _alt(album.strip("temple", 20), "小城图片站"),
        f"<ul>{''.join(links)}</ul>",
        _alt(album.view("cat", 1), "窗台上的虎斑猫，绿色眼睛"),  # the same image stands on two pages
        _alt("./img/../img/temple-1.jpg#top", caption_of("temple", 2)),
        _alt(album.view("coffee", 1), caption_of("coffee", 2)),
    ]
    return Page("index.html", "小城图片站", body)


def _animals(album: Album) -> Page:
    wanted = (("cat", (1, 2, 3)), ("dahlia", (1, 2, 3)), ("grass", (1, 2)))
    return Page("animals.html", "身边的动植物", _views(album, _alt, wanted))


def _space(album: Album) -> Page:
    wanted = (("galaxies", (1, 2, 3)), ("moon", (1, 2, 3)), ("rocket", (1, 2, 3)))
    body = _views(album, _figure, wanted)
    body.append(_figure(album.view("moon", 4), "摄影师张伟拍摄的月球表面"))
    return Page("space.html", "航天专题", body)


def _city(album: Album) -> Page:
    wanted = (("temple", (1, 2, 3)), ("brick", (1, 2)), ("gravel", (1, 2)), ("clock", (1, 2)))
    return Page("city.html", "老城散步", _views(album, _titled, wanted))


def _laboratory(album: Album) -> Page:
    wanted = (("cell", (1, 2)), ("tissue", (1, 2, 3)), ("retina", (1, 2, 3)))
    return Page("laboratory.html", "实验室开放日", _views(album, _captioned, wanted))


def _study(album: Album) -> Page:
    wanted = (("page", (1, 2)), ("writing", (1, 2)), ("coins", (1, 2, 3)), ("coffee", (1, 2, 3)))
    long = (
        "今天下午在店里坐了很久，点了一杯浓缩咖啡，红色的杯碟放在木头桌面上，旁边还有一把小勺，味道很香，下次还想再来"
    )
    body = _views(album, _alt, wanted)
    body.append(_alt(album.view("coffee", 4), long))
    body.append(_alt(album.view("coins", 4), "古代钱币转让，联系电话13800138000"))
    return Page("study.html", "书房一角", body)


def _gbk(album: Album) -> Page:
    wanted = (("terrain", (1, 2, 3)), ("temple", (4,)), ("coffee", (5,)), ("dahlia", (4,)))
    body = _views(album, _alt, wanted)
    return Page("gbk.html", "旧版网页", body, head='<meta charset="gb2312">', encoding="gbk")


def _lazy(album: Album) -> Page:
    blank = album.plain("loading", 238)
    body = [
        f'<div><img src="{blank}" data-src="{album.view(name, 5)}" alt="{caption_of(name, 1)}"></div>'
        for name in ("cat", "moon", "rocket", "coins", "gravel", "tissue")
    ]
    for name in ("dahlia", "galaxies", "retina"):
        small, large = album.icon(name, 6), album.view(name, 6)
        body.append(
            f'<div><picture><source srcset="{small} 48w, {large} 800w"><img src="{small}" '
            f'alt="{caption_of(name, 2)}"></picture></div>'
        )
    return Page("lazy.html", "懒加载画廊", body)


def _swapped(album: Album) -> Page:
    """Each picture beside the caption of another: only the score can tell."""
    names = (
        "cat",
        "coins",
        "moon",
        "temple",
        "brick",
        "coffee",
        "rocket",
        "tissue",
        "dahlia",
        "page",
        "retina",
        "grass",
    )
    pairs = zip(names, names[1:] + names[:1], strict=True)
    body = [_alt(album.view(name, 7), caption_of(other, 1)) for name, other in pairs]
    return Page("swapped.html", "图文错位", body)


def _mirror(album: Album) -> Page:
    """Pictures of other pages once more: smaller, coarser, or in another format."""
    body = []
    for name, number in (("cat", 2), ("temple", 1), ("rocket", 1), ("coins", 2)):
        for how, wording in (("small", 3), ("coarse", 4), ("webp", 5)):
            body.append(_alt(album.copy_of(name, number, how), caption_of(name, wording)))
    body.append(_alt(album.copy_of("tissue", 1, "png"), caption_of("tissue", 3)))
    return Page("mirror.html", "转载图集", body)


def _junk(album: Album) -> Page:
    body = [
        _alt(album.renamed("cat", 11, "IMG_0001.jpg"), "IMG_0001.jpg"),
        _alt(album.renamed("moon", 11, "DSC_1024.jpg"), "DSC_1024.JPG"),
        _alt(album.renamed("brick", 11, "mmexport1700000000.jpg"), "微信图片_20240101.jpg"),
        _alt(album.view("dahlia", 11), "a dahlia in full bloom"),
        _alt(album.view("rocket", 11), "rocket on the launch pad"),
        _alt(album.view("coffee", 11), "Coffee time!"),
        _alt(album.view("temple", 11), ""),
        _alt(album.plain("white", 255), "一只猫的脸部特写"),
        _alt(album.plain("black", 0), "黑色夜空中的星系"),
        _alt(album.blurred("cat", 12), "毯子上的虎斑猫"),
        _alt(album.blurred("temple", 12), "昆明湖畔的古塔"),
        _alt(album.animated("blink", ("cat", "dahlia")), "小猫和橙色的花"),
    ]
    names = (
        "cat",
        "cell",
        "coins",
        "dahlia",
        "galaxies",
        "gravel",
        "moon",
        "page",
        "rocket",
        "terrain",
        "tissue",
        "writing",
    )
    body += [_alt(album.view(name, 13), "点击查看大图") for name in names]
    body += [_alt(album.view(name, 14), "查看源网页") for name in ("brick", "retina")]
    body += [_alt(album.icon(name, 14), caption_of(name, 1)) for name in ("cat", "coffee", "rocket", "moon")]
    body += [_alt(album.strip(name, 15), caption_of(name, 1)) for name in ("rocket", "dahlia", "gravel")]
    return Page("junk.html", "未整理的相册", body)


def _broken(album: Album, answers: dict[str, Answer]) -> Page:
    moved, looping = "img/moved.jpg", "img/loop.jpg"
    error, short = album.view("coins", 16), album.view("temple", 16)
    noai, hidden = album.view("cat", 16), album.raw("private/plan.jpg", b"never served to a polite crawler")
    answers[f"/{moved}"] = Answer(302, {"Location": f"/{album.view('rocket', 16)}"})
    answers[f"/{looping}"] = Answer(302, {"Location": f"/{looping}"})
    answers[f"/{error}"] = Answer(500)
    answers[f"/{short}"] = Answer(cut_bytes=2000)
    answers[f"/{noai}"] = Answer(headers={"X-Robots-Tag": "noai, noimageai"})
    page_as_image = album.raw("not-an-image.jpg", b"<!DOCTYPE html><title>404</title><p>not found</p>")
    answers[f"/{page_as_image}"] = Answer(content_type="image/jpeg")
    drawing = album.raw(
        "drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="300" height="300"/></svg>'
    )
    body = [
        _alt(moved, caption_of("rocket", 2)),
        _alt(looping, caption_of("rocket", 1)),
        _alt(error, caption_of("coins", 1)),
        _alt(short, caption_of("temple", 1)),
        _alt(noai, caption_of("cat", 1)),
        _alt(hidden, caption_of("terrain", 1)),
        _alt(page_as_image, caption_of("moon", 1)),
        _alt(drawing, "一个黑色方块"),
        _alt(album.truncated("dahlia", 16), caption_of("dahlia", 1)),
        _alt(album.raw("empty.jpg", b""), caption_of("gravel", 1)),
        _alt(album.pixel_bomb("huge"), caption_of("writing", 1)),
        *(_alt(f"img/gone-{name}.jpg", caption_of(name, 1)) for name in ("cat", "coffee", "temple")),
        _alt("ftp://127.0.0.1/moon.jpg", caption_of("moon", 2)),
        _alt("http://10.0.0.8/moon.jpg", caption_of("moon", 1)),
    ]
    return Page("broken.html", "失效的图片", body)


def _opted_out(album: Album) -> Page:
    body = _views(album, _alt, (("cell", (17,)), ("retina", (17,)), ("coins", (17,))))
    return Page("noai.html", "谢绝训练", body, head='<meta name="robots" content="noai, noimageai">')


def _members(album: Album) -> Page:
    body = _views(album, _alt, (("temple", (18,)), ("moon", (18,))))
    return Page("members/album.html", "会员相册", [part.replace('src="', 'src="../') for part in body])


def _about() -> Page:
    return Page("about.html", "关于本站", ["<p>本站是 curate 的演示站点，只在本机回环地址上运行。</p>"])
