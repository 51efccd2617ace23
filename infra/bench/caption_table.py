"""A made-up list of image URLs and Chinese captions in Wukong's CSV form: the same bytes wherever it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

NUM_HOSTS = 50_000
BLOCK_ROWS = 50_000
"""Rows made at a time, from random numbers of their own: a smaller table is the head of a larger one."""

REPEATED_SHARE = 0.10
"""Rows whose URL an earlier row has too."""

_SEED = 20261122
_HAN_WORD = r"^[\x{4e00}-\x{9fff}]{1,4}$"
_Objects = npt.NDArray[np.object_]

_LATIN = ("iPhone 12", "2019", "NBA", "H5", "1080P", "SUV", "3D", "t恤", "ins风", "100%", "A4", "diy", "No.1", "VS")
_PUNCTUATION = (" ", "，", "_", "-", "、", "：", "【", "】", "|", " - ", "！", "·")
_CONTACTS = ("电话13800138000", "QQ：123456789", "微信号abc123456", "service@example.cn")
_ODD = ("&amp;", "&nbsp;", "\u200b", "\u3000", "ＡＢＣ", "&#39;", "\ufe0f", "  ")
_BOILERPLATE = ("查看源网页", "点击查看源网页", "展开全文", "摄影部落", "图片加载中", "点击放大", "暂无图片", "二维码")
_FILE_NAMES = ("{}.jpg", "IMG_{}.JPG", "{}.png", "DSC{}", "微信图片_{}", "20190412{}", "mmexport{}")
_NOT_CHINESE = ("nice photo of a cat {}", "Untitled", "logo", "wallpaper {}x1080")

_PLAIN_URLS = (
    "https://gimg2.{h}.example.com/image_search/src=http%3A%2F%2Fimg.{h}.cn%2F{a}.jpg&refer=http%3A%2F%2F{h}.cn"
    "&app=2002&size=f9999,10000&q=a80&n=0&g=0n&fmt=jpeg?sec={b}&t={a}",
    "http://ss0.{h}.example.cn/70cFuHSh_Q1YnxGkpoWK1HF6hhy/it/u={a},{b}&fm=26&gp=0.jpg",
    "https://img.{h}.example.net/upload/2019/04/{a}_{b}.jpg",
    "http://pic.{h}.example.org/{b}/{a}/b.png?x-oss-process=image/resize,w_500",
)
_ODD_URLS = (
    "https://img.{h}.example.net/图片/{a}.jpg",
    "HTTP://WWW.{h}.Example.COM:80/{a}/../{b}.jpg#top",
    "http://{h}.图片.中国/{a}.jpg",
    "http://bücher.example/{h}/{a} {b}.jpg",
    "http://xn--fiq228c.cn/{h}/{a}.jpg",
)
_BAD_URLS = ("http://", "{a}.jpg", "http://[::1", "http://a b/{a}.jpg", "ftp://{h}.cn/{a}.jpg", "data:image/png,{a}")


@dataclass(frozen=True)
class Words:
    """What captions are made of: Chinese words with the share that each has among them, and people's names."""

    words: _Objects
    shares: npt.NDArray[np.float64]
    names: _Objects


def write_caption_table(folder: Path, num_rows: int, num_files: int) -> list[Path]:
    """Write `num_rows` rows (whole blocks) of `url,caption` into `num_files` CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    words = dictionary_words()
    edges = np.linspace(0, num_rows // BLOCK_ROWS, num_files + 1).astype(int).tolist()
    paths = [folder / f"wukong_100m_{number}.csv" for number in range(num_files)]
    for number, path in enumerate(paths):
        with arrow_csv.CSVWriter(path, pa.schema([("url", pa.string()), ("caption", pa.string())])) as writer:
            for block in range(edges[number], edges[number + 1]):
                random = np.random.default_rng([_SEED, block])
                writer.write_table(pa.table({"url": _urls(block, random), "caption": _captions(words, random)}))
    return paths


def dictionary_words() -> Words:
    """jieba's words, by the root of their frequency (else a caption were a run of 的), and its full names."""
    import jieba

    table = arrow_csv.read_csv(
        Path(jieba.__file__).parent / "dict.txt",
        read_options=arrow_csv.ReadOptions(column_names=["word", "frequency", "tag"]),
        parse_options=arrow_csv.ParseOptions(delimiter=" ", quote_char=False),
    )
    table = table.filter(pc.match_substring_regex(table["word"], _HAN_WORD))
    is_name = pc.starts_with(table["tag"], "nr")
    plain = table.filter(pc.invert(is_name))
    full_names = table.filter(pc.and_(is_name, pc.equal(pc.utf8_length(table["word"]), 3)))
    weights = np.sqrt(plain["frequency"].to_numpy().astype(np.float64))
    return Words(_objects(plain["word"].to_pylist()), weights / weights.sum(), _objects(full_names["word"].to_pylist()))


def _captions(words: Words, random: np.random.Generator) -> pa.Array:
    """Three to fourteen words each with what real captions carry beside words; some are boilerplate or file names."""
    lengths = random.integers(3, 15, BLOCK_ROWS)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    pieces = words.words[random.choice(len(words.words), int(starts[-1]), p=words.shares)]
    for share, extras in ((0.25, _PUNCTUATION), (0.25, _LATIN), (0.08, words.names), (0.002, _CONTACTS), (0.01, _ODD)):
        rows = np.flatnonzero(random.random(BLOCK_ROWS) < share)
        places = starts[rows] + random.integers(0, lengths[rows])
        pieces[places] = pieces[places] + _some(extras, len(rows), random)
    lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(pieces, pa.string()))
    captions = _objects(pc.binary_join(lists, "").to_pylist())
    for share, lines in ((0.03, _BOILERPLATE), (0.03, _FILE_NAMES), (0.02, _NOT_CHINESE)):
        rows = np.flatnonzero(random.random(BLOCK_ROWS) < share)
        numbers = random.integers(1000, 100_000, len(rows)).tolist()
        captions[rows] = [line.format(n) for line, n in zip(_some(lines, len(rows), random), numbers, strict=True)]
    rows = np.flatnonzero(random.random(BLOCK_ROWS) < 0.05)
    captions[rows] = _in_traditional(captions[rows].tolist())
    return pa.array(captions, pa.string())


def _in_traditional(captions: list[str]) -> list[str]:
    import opencc

    converted: list[str] = opencc.OpenCC("s2t").convert("\n".join(captions)).split("\n")
    return converted


def _urls(block: int, random: np.random.Generator) -> pa.Array:
    """A URL for each row's number, or for that of an earlier row; few hosts have many, many have few."""
    rows = block * BLOCK_ROWS + np.arange(BLOCK_ROWS)
    is_repeat = random.random(BLOCK_ROWS) < REPEATED_SHARE
    numbers = np.where(is_repeat, random.integers(0, rows + 1), rows)
    mixed = _mixed(numbers.astype(np.uint64))
    hosts = (NUM_HOSTS * ((mixed >> np.uint64(11)) / 2.0**53) ** 4).astype(np.int64)
    forms = _mixed(mixed) % np.uint64(1000)
    return pa.array(
        [
            _form(form, number).format(h=f"h{host}", a=number * 2654435761 % 2**32, b=mix % 10**9)
            for form, number, host, mix in zip(
                forms.tolist(), numbers.tolist(), hosts.tolist(), mixed.tolist(), strict=True
            )
        ],
        pa.string(),
    )


def _form(form: int, number: int) -> str:
    """4 URLs in 1000 are broken, 16 are odd but good."""
    forms = _BAD_URLS if form < 4 else _ODD_URLS if form < 20 else _PLAIN_URLS
    return forms[number % len(forms)]


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _some(values: Sequence[str] | _Objects, count: int, random: np.random.Generator) -> _Objects:
    chosen: _Objects = _objects(values)[random.integers(0, len(values), count)]
    return chosen


def _objects(values: Sequence[str] | _Objects) -> _Objects:
    return np.array(values, dtype=object)
