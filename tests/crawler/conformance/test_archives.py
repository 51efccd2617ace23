"""Archives of others, whole and broken: each ends in records, or in an error that says what is wrong."""

import pytest

from crawler.warc import WarcSlice, read_responses, warc_slices
from crawler.warc_candidates import read_warc
from shards.errors import BadInputError
from tests.crawler.conformance.material import DATA, needs_data

FOLDER = DATA / "warc"
MAX_BYTES = 5 * 2**20

# What is read of each: the statuses of its responses, and how many candidates they give.
WHOLE = {
    "jwarc/cc.warc.gz": ([200], 32),
    "jwarc/gzip_extra_sl.warc.gz": ([], 0),  # a warcinfo alone, in a gzip member with an extra field
    "warcio/example-bad-non-chunked.warc.gz": ([200], 0),  # all records in one gzip member, against the standard
    "warcio/example-digest.warc": ([], 0),  # requests alone
    "warcio/example-iana.org-chunked.warc": ([200], 0),
    "warcio/example-resource.warc.gz": ([], 0),
    "warcio/example-space-in-target-uri.warc.gz": ([], 0),
    "warcio/example-wget-bad-target-uri.warc.gz": ([200], 0),
    "warcio/example-wrong-chunks.warc.gz": ([200], 0),  # says chunked, and is not
    "warcio/example.warc": ([200], 0),
    "warcio/example.warc.gz": ([200], 0),
    "warcio/post-test.warc.gz": ([200, 200, 200], 0),
    "wget-zh/zh-gbk-debian-faq.warc.gz": ([200, 404, *[200] * 19], None),
    "wget-zh/zh-utf8-howtocook.warc.gz": ([200] * 78, None),
}
BROKEN = {
    "warcio/example-bad.warc.gz.bad": ([], ["bad_row"]),  # one gzip member, and no record where one should follow
    "warcio/example-trunc.warc": ([200], ["parse_error", "bad_row"]),  # a body that breaks off, and what follows
}
REFUSED = ["warcio/bad.arc", "warcio/example-space-in-url.arc", "warcio/example.arc", "warcio/example.arc.gz"]


def slice_of(name: str) -> WarcSlice:
    (piece,) = warc_slices([str(FOLDER / name)])
    return piece


@needs_data
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_archive_ends_in_records(name: str) -> None:
    statuses, num_candidates = WHOLE[name]
    pages = list(read_responses(str(FOLDER / name), MAX_BYTES))
    rows = [row for batch in read_warc(slice_of(name), "mybot", MAX_BYTES) for row in batch.to_pylist()]
    assert [page.error for page in pages] == [None] * len(pages)
    assert sorted(page.status for page in pages) == sorted(statuses)
    assert [row for row in rows if row["drop_reason"]] == []
    assert num_candidates is None or len(rows) == num_candidates


@needs_data
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_gives_what_can_be_read_and_a_reason(name: str) -> None:
    statuses, reasons = BROKEN[name]
    assert [page.status for page in read_responses(str(FOLDER / name), MAX_BYTES) if not page.error] == statuses
    rows = [row for batch in read_warc(slice_of(name), "mybot", MAX_BYTES) for row in batch.to_pylist()]
    assert [row["drop_reason"] for row in rows] == reasons
    assert all(row["detail"] and row["url"] is None for row in rows)


@needs_data
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_warc_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadInputError, match=name.rpartition("/")[2]):
        slice_of(name)


@needs_data
def test_no_archive_is_forgotten() -> None:
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*")}
    known = {*WHOLE, *BROKEN, *REFUSED}
    assert {name for name in there - known if not name.endswith(("LICENSE", ".cdx"))} == set()
