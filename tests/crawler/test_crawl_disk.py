"""A crawl whose disk takes no more: it ends at once, says where, asks nobody in vain, and is taken up again."""

import errno
import os
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crawler.crawl.archive import complete_bytes
from crawler.spider import crawl_part
from crawler.warc import read_responses
from shards.errors import DiskError
from shards.storage import disk_faults
from tests.crawler.conftest import Server, serve
from tests.crawler.test_spider import HTML, crawl, job_of

_NUM_PAGES = 12
_PAGE_BYTES = 3000


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """For processes that are started meanwhile, as a quota would: a write beyond it fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("num_pages_held", [0, 4])
def test_a_full_disk_ends_the_crawl_at_once_and_it_is_taken_up_again(
    tmp_path: Path, server: Server, num_pages_held: int
) -> None:
    """The bodies cannot be made smaller, so that the limit is met after so many pages."""
    for number in range(_NUM_PAGES):
        body = b"<title>" + os.urandom(_PAGE_BYTES).replace(b"<", b".")
        server.pages[f"/{number}.html"] = serve(body, Content_Type=HTML)
    job = job_of(
        tmp_path,
        server,
        [server.url(f"/{number}.html") for number in range(_NUM_PAGES)],
        crawler={"per_host": {"concurrency": 1, "delay_s": 0.0}},
    )
    limit = 1000 + num_pages_held * (_PAGE_BYTES + 1000)
    with pytest.raises(DiskError) as told, largest_file(limit), disk_faults(tmp_path):  # as around every attempt
        crawl_part(job)
    assert told.value.exit_code == 74
    assert str(told.value).startswith(f"cannot write {job.warc_path}: {os.strerror(errno.EFBIG)}")
    asked = [line.path for line in server.log if line.path.endswith(".html")]
    assert num_pages_held <= len(asked) < _NUM_PAGES, "nobody is asked for what cannot be kept"

    length = complete_bytes(job.warc_path)
    pages = [page for page in read_responses(str(job.warc_path), 0) if page.url.endswith(".html")]
    kept = {page.url for page in pages if page.offset < length}

    _, rows = crawl(job.model_copy(update={"resume_from": job.warc_path}))
    assert {row["drop_reason"] for row in rows.values()} == {None}
    assert len(rows) == _NUM_PAGES
    times_asked = Counter(server.url(line.path) for line in server.log if line.path.endswith(".html"))
    assert {times_asked[url] for url in kept} <= {1}, "what was kept is not asked for again"
    assert times_asked.total() <= _NUM_PAGES + 2, "the page that could not be kept, and the one in flight meanwhile"
    assert len(kept) >= num_pages_held - 1, "the WARC's other records take some of its room"


def test_a_folder_that_is_gone_is_told(tmp_path: Path, server: Server) -> None:
    job = job_of(tmp_path / "run", server, [server.url("/0.html")])
    lost = job.model_copy(update={"warc_path": tmp_path / "gone" / "part.warc.gz"})
    with pytest.raises(FileNotFoundError) as told:
        crawl_part(lost)
    assert told.value.filename == str(lost.warc_path)
