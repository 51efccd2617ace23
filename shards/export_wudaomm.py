"""WuDaoMM, written: a JSON array of records for each category, the strong pairs apart from the weak ones."""

import hashlib
import re
import unicodedata
from itertools import groupby
from pathlib import Path
from typing import Any

from shards.errors import UsageError
from shards.export_losses import ONE_CAPTION, Losses, count_one_caption
from shards.export_text import append_text, json_line
from shards.layouts import LAYOUTS
from shards.released import Release

MAX_CATEGORIES = 10_000

_COLUMNS = ("url", "category", "strength", "text")
_PLAIN_NAME = re.compile(r"\w[\w -]{0,59}")
_NO_CATEGORY = "uncategorised"


def write_wudaomm(release: Release, folder: Path, losses: Losses) -> None:
    """`strong/<category>.json` and `weak/<category>.json`; each record is named by the md5 of its fields."""
    names = _file_names(release)
    started: set[Path] = set()
    for batch in release.samples([*_COLUMNS, *ONE_CAPTION]):
        count_one_caption(losses, batch, LAYOUTS["wudaomm"])
        rows = batch.select(list(_COLUMNS)).to_pylist()
        losses.count(sum(row["strength"] is None for row in rows), "samples of unknown strength, put among the weak")
        losses.count(sum(row["category"] is None for row in rows), "samples without a category, whose tag is empty")
        for (strength, category), group in groupby(sorted(rows, key=_place), key=_place):
            path = folder / strength / f"{names[category]}.json"
            path.parent.mkdir(exist_ok=True)
            begun = ",\n" if path in started else "[\n"
            append_text(path, [begun + ",\n".join(json_line(_record(row)) for row in group)])
            started.add(path)
    if (folder / "weak").is_dir():
        losses.say("weak/ reads back as weak with `strength: weak` in the source: the layout itself is of strong pairs")
    for path in started:
        append_text(path, ["\n]\n"])


def _place(row: dict[str, Any]) -> tuple[str, str]:
    return row["strength"] or "weak", row["category"] or ""


def _record(row: dict[str, Any]) -> dict[str, str]:
    """WuDaoMM's download_img_tools.py names images so: md5 of tag + url + captions."""
    layout = LAYOUTS["wudaomm"].columns
    tag, url, captions = row["category"] or "", row["url"], row["text"] or ""
    name = hashlib.md5((tag + url + captions).encode(), usedforsecurity=False).hexdigest()
    return {"name": f"{name}.jpg", str(layout.category): tag, layout.url: url, str(layout.text): captions}


def _file_names(release: Release) -> dict[str, str]:
    """A name for each category, told apart even where a file system does not tell large letters from small ones."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for category in sorted(_categories(release)):
        plain = unicodedata.normalize("NFC", category or _NO_CATEGORY)
        digest = hashlib.md5(category.encode(), usedforsecurity=False).hexdigest()[:8]
        name = plain if _PLAIN_NAME.fullmatch(plain) else f"category-{digest}"
        names[category] = f"{name}-{digest}" if name.casefold() in taken else name
        taken.add(names[category].casefold())
    return names


def _categories(release: Release) -> set[str]:
    """The empty one stands for none. Raises `UsageError` where there are more than files make sense for."""
    found: set[str] = set()
    for batch in release.samples(["category"]):
        found |= {category or "" for category in batch.column("category").unique().to_pylist()}
        if len(found) > MAX_CATEGORIES:
            raise UsageError(
                f"--layout wudaomm writes a file a category, and this release has more than {MAX_CATEGORIES:,} of them"
            )
    return found
