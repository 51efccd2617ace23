"""The demo from its crawl to its release, seen as its three users see it."""

import json
import subprocess
import sys
from typing import Any

import duckdb
import numpy as np
import pytest

from pipelines.drops import funnel_rows
from shards.catalog import open_catalog
from shards.schema import REASONS
from shards.storage import sha256_of
from tests.conftest import FinishedDemo

EXPECTED_REASONS = {
    # what the web did
    *("robots_disallowed", "opt_out", "http_status", "not_an_image", "decode_error", "blocked_address"),
    # what the rules said
    *("file_name", "no_chinese", "boilerplate", "repeated_text", "too_small", "bad_aspect", "plain"),
    *("near_duplicate", "weak_match"),
}


def rows_of(demo: FinishedDemo, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(demo.folder) as catalog:
        return list(catalog.sql(query).fetchall())


def test_every_candidate_is_accounted_for(demo_run: FinishedDemo) -> None:
    ((candidates, images),) = rows_of(demo_run, "SELECT count(*), count(DISTINCT uid) FROM candidates")
    ((samples, uids),) = rows_of(demo_run, "SELECT count(*), count(DISTINCT uid) FROM manifest")
    by_status = dict(rows_of(demo_run, "SELECT status, count(*) FROM manifest GROUP BY ALL"))
    stats = json.loads((demo_run.folder / "release" / "stats.json").read_text())
    assert samples == uids == images
    assert (stats["candidates"], stats["samples"]) == (candidates, samples)
    assert stats["candidates"] == stats["merged"] + stats["samples"]
    assert samples == by_status["kept"] + by_status["dropped"]
    assert rows_of(demo_run, "SELECT count(*) FROM manifest WHERE (status = 'kept') <> (drop_reason IS NULL)") == [(0,)]
    assert rows_of(demo_run, "SELECT count(*) FROM manifest WHERE (status = 'kept') <> (shard IS NOT NULL)") == [(0,)]


def test_the_demo_shows_every_reason_that_matters(demo_run: FinishedDemo) -> None:
    reasons = {reason for (reason,) in rows_of(demo_run, "SELECT DISTINCT drop_reason FROM manifest")} - {None}
    assert reasons >= EXPECTED_REASONS
    rules = set(json.loads((demo_run.folder / "release" / "stats.json").read_text())["measures"])
    assert rules >= {"min_side", "sharpness", "clip_score"}
    pages = dict(rows_of(demo_run, "SELECT url, drop_reason FROM pages WHERE drop_reason IS NOT NULL"))
    assert {"robots_disallowed", "opt_out", "http_status"} <= set(pages.values()) <= set(REASONS)


def test_captions_are_true_ones(demo_run: FinishedDemo) -> None:
    swapped = "SELECT count(*) FROM manifest WHERE status = 'kept' AND page_url LIKE '%/swapped.html'"
    assert rows_of(demo_run, swapped) == [(0,)]
    gbk = "SELECT count(*) FROM manifest WHERE status = 'kept' AND page_url LIKE '%/gbk.html'"
    lazy = "SELECT count(*) FROM manifest WHERE status = 'kept' AND page_url LIKE '%/lazy.html'"
    assert rows_of(demo_run, gbk) != [(0,)]
    assert rows_of(demo_run, lazy) != [(0,)]
    assert rows_of(demo_run, "SELECT count(*) FROM manifest WHERE status = 'kept' AND text LIKE '%�%'") == [(0,)]


def test_texts_of_duplicates_merge_into_who_stays(demo_run: FinishedDemo) -> None:
    fell = rows_of(demo_run, "SELECT uid, dup_of, dup_group FROM manifest WHERE drop_reason = 'near_duplicate'")
    stayed = dict(rows_of(demo_run, "SELECT uid, dup_group FROM manifest WHERE dup_of IS NULL"))
    assert fell
    assert all(stayed[dup_of] == group for _, dup_of, group in fell)


def test_shards_open_in_webdataset_and_hold_the_stored_bytes(demo_run: FinishedDemo) -> None:
    shards = sorted((demo_run.folder / "release" / "shards").glob("*.tar"))
    manifest = {
        uid: (digest, text, shard)
        for uid, digest, text, shard in rows_of(
            demo_run, "SELECT uid, stored_sha256, text, shard FROM manifest WHERE status = 'kept'"
        )
    }
    read = subprocess.run(
        [sys.executable, "-c", READER, *map(str, shards)], capture_output=True, text=True, check=True, timeout=60
    )
    samples = [json.loads(line) for line in read.stdout.splitlines()]
    for sample in samples:
        facts = json.loads(sample["json"])
        assert facts["uid"] == sample["key"]
        assert any(text["text"] == facts["text"] for text in facts["texts"])
    assert {sample["key"]: (sample["sha256"], sample["txt"], sample["shard"]) for sample in samples} == manifest


READER = """
import hashlib, json, sys, webdataset
for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False):
    image = next(sample[kind] for kind in ("jpg", "png", "webp") if kind in sample)
    print(json.dumps({
        "key": sample["__key__"], "sha256": hashlib.sha256(image).hexdigest(), "txt": sample["txt"].decode(),
        "json": sample["json"].decode(), "shard": sample["__url__"].rsplit("/", 1)[1],
    }))
"""
"""A trainer's reader, in a process of its own: webdataset leaves shards open."""


def test_the_release_can_be_checked_and_queried_by_itself(demo_run: FinishedDemo) -> None:
    release = demo_run.folder / "release"
    lines = [line.split("  ", 1) for line in (release / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    there = {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()}
    assert {name for name in there if not name.startswith("_done/")} == {*listed, "SHA256SUMS"}
    assert all(sha256_of(release / name) == digest for name, digest in listed.items())
    query = f"SELECT count(*), any_value(status) FROM read_parquet('{release}/manifest/kept-*.parquet')"
    assert duckdb.execute(query).fetchall() == rows_of(
        demo_run, "SELECT count(*), 'kept' FROM manifest WHERE status = 'kept'"
    )
    uids = np.load(release / "uids.npy")
    kept = rows_of(demo_run, "SELECT uid FROM manifest WHERE status = 'kept' ORDER BY uid")
    assert [f"{high:016x}{low:016x}" for high, low in uids.tolist()] == [uid for (uid,) in kept]


def test_the_funnel_is_printed_and_adds_up(demo_run: FinishedDemo) -> None:
    from pipelines.plan_file import read_plan

    stats = json.loads((demo_run.folder / "release" / "stats.json").read_text())
    rows = funnel_rows(read_plan(demo_run.folder).rules, stats)
    assert rows[-1]["left"] == stats["kept"]
    for row in rows:
        assert f"{row['reason']} " in demo_run.output
    assert str(demo_run.folder / "release") in demo_run.output


def test_images_are_asked_for_once_and_never_where_robots_or_the_guard_forbid(demo_run: FinishedDemo) -> None:
    asked = [line.split()[2] for line in demo_run.access_log.read_text().splitlines()]
    images = [path for path in asked if path.startswith("/img/")]
    failing = {path for path in images if images.count(path) > 1}
    statuses = dict(rows_of(demo_run, "SELECT url, drop_reason FROM manifest WHERE http_status IS NOT NULL"))
    repeatable = ("http_status", "incomplete_body", "too_many_redirects")
    excused = {url.split("18080")[1] for url, reason in statuses.items() if reason in repeatable}
    assert failing <= excused, "only what may heal, or leads back to itself, is asked for twice"
    assert not [path for path in asked if path.startswith(("/members/", "/img/private/"))]


@pytest.mark.parametrize(
    "view", ["pages", "candidates", "samples", "images", "measures", "scores", "manifest", "funnel"]
)
def test_every_view_is_there(demo_run: FinishedDemo, view: str) -> None:
    ((count,),) = rows_of(demo_run, f"SELECT count(*) FROM {view}")
    assert count > 0
