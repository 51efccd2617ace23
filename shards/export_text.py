"""Wukong, Zero and WenLan, written: CSV and JSON lines of URLs and texts."""

import json
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from shards.export_losses import ONE_CAPTION, Losses, Text, count_no_text, count_one_caption, cut, standing_texts
from shards.layouts import LAYOUTS
from shards.released import Release

WUKONG_FILES = 256
RECORDS_A_FILE = 1_000_000

_LINES_AT_ONCE = 10_000
_QUOTED = re.compile(r'[",\r\n]')


def write_wukong(release: Release, folder: Path, losses: Losses) -> None:
    """256 files of about as many rows each, in the release's order: `wukong_100m_<n>.csv`, url and caption."""
    layout = LAYOUTS["wukong"]
    files = [folder / f"wukong_100m_{number}.csv" for number in range(WUKONG_FILES)]
    for path in files:
        append_text(path, [f"{layout.columns.url},{layout.columns.text}\n"])
    num = release.num_samples()
    samples = release.samples(["url", *ONE_CAPTION])
    for number, piece in cut(samples, lambda file: (file + 1) * num // WUKONG_FILES):
        count_one_caption(losses, piece, layout)
        rows = zip(piece.column("url").to_pylist(), piece.column("text").to_pylist(), strict=True)
        append_text(files[number], [f"{_cell(url)},{_cell(text or '')}\n" for url, text in rows])


def _cell(value: str) -> str:
    """A CSV field (RFC 4180). What a spreadsheet would run stays as it is: a dataset holds what the page said."""
    return '"' + value.replace('"', '""') + '"' if _QUOTED.search(value) else value


def write_zero(release: Release, folder: Path, losses: Losses) -> None:
    """JSON lines: under each column the best text of its kind, and where there is no title, the best of other kinds."""
    columns = ["uid", "url", "page_url", "texts"]
    records = (
        _zero_record(row, texts, losses)
        for batch in release.samples(columns)
        for row, texts in zip(batch.select(columns[:3]).to_pylist(), standing_texts(batch), strict=True)
    )
    _write_lines(folder, "zero", records)


def _zero_record(row: dict[str, Any], texts: list[Text], losses: Losses) -> dict[str, str]:
    layout = LAYOUTS["zero"]
    by_kind = dict(reversed(texts))  # the best of each kind comes last, and stays
    held = {column: by_kind.get(kind, "") for column, kind in layout.kinds.items()}
    others = [(kind, text) for kind, text in texts if kind not in layout.kinds.values()]
    if not held["Title"] and others:
        kind, held["Title"] = others[0]
        losses.count(1, "texts of other kinds under Title, which read back as title", kind)
    losses.count(len(texts) - sum(map(bool, held.values())), "one text of each kind a sample; further texts left out")
    count_no_text(losses, not texts)
    return {
        "Url": row["page_url"] or "",
        "Title": held["Title"],
        "Content": held["Content"],
        "Keywords": "",
        "ImageKey": row["uid"],
        "ImageUrl": row["url"],
        "ImageQuery": held["ImageQuery"],
    }


def write_wenlan(release: Release, folder: Path, losses: Losses) -> None:
    """JSON lines with every text that stood; `bbox` is the whole stored copy, the one box that is known."""
    columns = ["uid", "url", "page_url", "width", "height", "stored_format", "texts"]
    records = (
        _wenlan_record(row, texts, losses)
        for batch in release.samples(columns)
        for row, texts in zip(batch.select(columns[:-1]).to_pylist(), standing_texts(batch), strict=True)
    )
    _write_lines(folder, "wenlan", records)


def _wenlan_record(row: dict[str, Any], texts: list[Text], losses: Losses) -> dict[str, Any]:
    types = {kind: name for name, kind in LAYOUTS["wenlan"].types.items()}
    sentences = [[types.get(kind, kind), text] for kind, text in texts]
    count_no_text(losses, not texts)
    if texts and all(name != "sur_text" for name, _ in sentences):
        losses.count(1, "samples without sur_text, the one text that BriVL's own loader reads")
    return {
        "image_id": f"{row['uid']}.{row['stored_format']}",
        "sentences": sentences,
        "bbox": [[0, 0, row["width"], row["height"]]],
        "url": row["url"],
        "page_url": row["page_url"] or "",
    }


def _write_lines(folder: Path, stem: str, records: Iterable[dict[str, Any]]) -> None:
    """`<stem>_<n>.jsonl`, a million records each; the first is there even if it has none."""
    (folder / f"{stem}_000000.jsonl").touch()
    for place, some in groupby(enumerate(records), key=lambda numbered: numbered[0] // _LINES_AT_ONCE):
        number = place * _LINES_AT_ONCE // RECORDS_A_FILE
        append_text(folder / f"{stem}_{number:06d}.jsonl", [json_line(record) + "\n" for _, record in some])


def json_line(record: dict[str, Any]) -> str:
    """One line, whatever the texts hold: JSON escapes line ends and NUL."""
    return json.dumps(record, ensure_ascii=False)


def append_text(path: Path, pieces: Iterable[str]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
