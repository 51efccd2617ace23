"""What a part's download holds in memory: no rows, and nothing at all once it is over."""

import gc
from collections import Counter
from pathlib import Path

from crawler.spool import Spool
from tests.crawler.conftest import Server, picture, serve
from tests.crawler.test_download import download

_HELD_BY_A_PART = {"Spool", "SpoolEntry", "PartDownloads", "Politeness", "Fetcher", "HostWork", "Response"}


def held() -> Counter[str]:
    """How many objects of a part there are, those that wait for the garbage collector included."""
    return Counter(name for found in gc.get_objects() if (name := type(found).__name__) in _HELD_BY_A_PART)


def test_a_part_leaves_nothing_behind_that_waits_for_the_garbage_collector(server: Server, tmp_path: Path) -> None:
    """Cycles would: the collector looks at old objects so seldom that several parts' would lie beside each other."""
    server.pages = {f"/{number}.png": serve(picture()) for number in range(5)}
    gc.collect()
    gc.disable()
    try:
        before = held()
        rows = download(tmp_path, [server.url(path) for path in server.pages], [server])
        assert held() == before
    finally:
        gc.enable()
    assert all(row["drop_reason"] is None for row in rows.values())


def test_rows_stay_in_the_spool_and_not_in_memory(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", "k") as spool:
        spool.add({"uid": "a", "detail": "x" * 100}, b"stored")
        (entry,) = spool.entries.values()
        assert all(type(number) is int for number in entry)
        assert spool.row(entry) == {"uid": "a", "detail": "x" * 100}
