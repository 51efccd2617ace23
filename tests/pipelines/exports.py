"""What tests of exports share: samples with odd texts, and what a recipe's source reads of an export."""

import re
from pathlib import Path
from typing import Any

from crawler.lists.tables import plan_table, read_table_slice
from crawler.sources import TableSource
from pipelines.export import Exported
from tests.pipelines.made_release import Sample

GLOBS = {
    "wukong": "wukong_100m_*.csv",
    "zero": "*.jsonl",
    "wudaomm": "*/*.json",
    "wenlan": "*.jsonl",
    "laion": "*.parquet",
    "coyo": "*.parquet",
    "datacomp": "metadata/*.parquet",
}
"""Where an export's records are: all formats but Chinese-CLIP's, which has no URLs."""

HOSTILE = [
    "普通的一句话",
    "第一行\n第二行\r\n第三行\r",
    '他说"你好",然后走了',
    "制表\t符",
    "零\0字节",
    "\u202e从右到左\u202c \u200f",
    '=HYPERLINK("http://evil/")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "  前后有空格  ",
    "😀 \u2028 \x85 \x7f \ufeff",
    "<script>alert(1)</script>",
    "NA",
    "\\n \\\\ \\",
    ",",
    '"',
    "'",
    "]},{",
    "\x1b[31m红",
]
ODD_SAMPLES = [Sample(f'http://a.cn/{n}.jpg?q="a,b"&汉', [("caption", text)]) for n, text in enumerate(HOSTILE)]

Pair = tuple[str | None, str | None, str | None]


def collected(layout: str, exported: Path, **more: Any) -> list[Pair]:
    """(url, text, kind) of each candidate that a recipe's source finds."""
    paths = [str(exported / GLOBS[layout])]
    source = TableSource.model_validate({"kind": "table", "layout": layout, "paths": paths, **more})
    rows = [row for p in plan_table(source) for b in read_table_slice(p, source) for row in b.to_pylist()]
    assert [row["detail"] for row in rows if row["drop_reason"]] == []
    return sorted(((row["url"], row["text"], row["kind"]) for row in rows), key=repr)


SEVERAL = [
    Sample(
        "http://a.cn/1", [("caption", "图注"), ("title", "标题"), ("title", "又一个标题"), ("surrounding", "上下文")]
    ),
    Sample(
        "http://a.cn/2",
        [("query", "查询"), ("alt", "替代文字"), ("first_sentence", "第一句")],
        [("title", "落选的标题")],
    ),
    Sample("http://a.cn/3", [("说明", "别的种类")]),
    Sample("http://a.cn/4", [], [("alt", "落选")]),
]


def counted(done: Exported) -> list[str]:
    """The losses that have a count."""
    return [line for line in done.losses if re.search(r": [\d,]+( \(.*\))?$", line)]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
