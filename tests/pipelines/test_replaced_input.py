"""An object of the source that another is put over while it is read: the run ends with 75, and goes on with the new."""

import io
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crawler.lists import csv_rows, tables
from shards.errors import TryAgainError
from shards.stores import object_store
from shards.stores.object_store import ObjectStore
from shards.stores.ranged_reader import buffered
from tests.crawler.archives.tiny_crawl import Page, response
from tests.crawler.lists.shard_files import write_tar
from tests.object_server import Bucket
from tests.pipelines.conftest import InlinePool, run_inline, table_recipe

NUM_ROWS = 4000


def _csv(folder: Path, word: str) -> bytes:
    return "".join(["url,caption\n", *(f"ftp://a.cn/{n}.jpg,{word}{n}\n" for n in range(NUM_ROWS))]).encode()


def _jsonl(folder: Path, word: str) -> bytes:
    rows = (json.dumps({"url": f"ftp://a.cn/{n}.jpg", "caption": f"{word}{n}"}) for n in range(NUM_ROWS))
    return "\n".join(rows).encode()


def _parquet(folder: Path, word: str) -> bytes:
    urls, captions = [f"ftp://a.cn/{n}.jpg" for n in range(NUM_ROWS)], [f"{word}{n}" for n in range(NUM_ROWS)]
    sink = io.BytesIO()
    pq.write_table(pa.table({"url": urls, "caption": captions}), sink, row_group_size=200, use_dictionary=False)
    return sink.getvalue()


def _tar(folder: Path, word: str) -> bytes:
    members = [
        member for n in range(100) for member in ((f"{n}.txt", f"{word}{n}".encode()), (f"{n}.jpg", b"no image" * 20))
    ]
    return write_tar(folder / "t.tar", members).read_bytes()


def _warc(folder: Path, word: str) -> bytes:
    noise = random.Random(1)
    pages = (
        Page(
            f"http://h{n}.test/",
            f'<img src="ftp://a.cn/{n}.jpg" alt="{word}{n}"><!-- {noise.randbytes(2000).hex()} -->',
        )
        for n in range(100)
    )
    return b"".join(map(response, pages))


FORMS: dict[str, tuple[Callable[[Path, str], bytes], dict[str, Any]]] = {
    "t.csv": (_csv, {}),
    "t.jsonl": (_jsonl, {}),
    "t.parquet": (_parquet, {}),
    "t.tar": (_tar, {"kind": "shards"}),
    "t.warc.gz": (_warc, {"kind": "warc"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_replaced_object_ends_the_run_to_be_tried_again(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(object_store, "buffered", partial(buffered, read_ahead_bytes=2048))
    monkeypatch.setattr(tables, "BATCH_ROWS", 100)
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", 4096)
    monkeypatch.setattr("crawler.lists.json_rows._CHUNK", 4096)
    made, source = FORMS[name]
    store = ObjectStore(bucket.name)
    store.put(name, made(tmp_path, "old"))
    mapping = table_recipe(Path("none"))
    mapping["source"] = (source or mapping["source"]) | {"paths": [bucket.url(name)]}
    pool = InlinePool(fault=lambda task, _: armed.append(task.step))
    armed: list[str] = []
    read_range = ObjectStore.read_range

    def read(self: ObjectStore, key: str, start: int, length: int, etag: str | None = None) -> bytes:
        if "collect" in armed and start > 6000:
            armed.clear()
            store.put(name, made(tmp_path, "new"))
        return read_range(self, key, start, length, etag)

    monkeypatch.setattr(ObjectStore, "read_range", read)
    with pytest.raises(TryAgainError, match=rf"{name}: another object came in its place.*Run again") as caught:
        run_inline(mapping, tmp_path / "run", pool)
    assert caught.value.exit_code == 75
    stats = run_inline(mapping, tmp_path / "run").stats
    run_inline(mapping, tmp_path / "alone")
    assert stats == json.loads((tmp_path / "alone/release/stats.json").read_bytes())
    assert stats["samples"] > 90
