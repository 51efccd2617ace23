"""The shuffle: bucket after bucket uids rise, and no row is lost between writing and reading."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.flow.shuffle import (
    _SLICE_ROWS,
    _SLICE_ROWS_A_BUCKET,
    bucket_of_uids,
    grouped_by_rows,
    read_bucket,
    write_buckets,
)
from pipelines.tasks import buckets_for
from shards.schema import uid_of

UIDS = st.lists(st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}"), max_size=20)


@given(UIDS, st.integers(1, 9))
@settings(deadline=None)
def test_buckets_rise_with_uids(uids: list[str], num_buckets: int) -> None:
    buckets = bucket_of_uids(pa.array(sorted(uids), pa.string()), num_buckets).tolist()
    assert buckets == sorted(buckets)
    assert all(0 <= bucket < num_buckets for bucket in buckets)


def test_the_first_and_the_last_uid_lie_in_the_first_and_the_last_bucket() -> None:
    assert bucket_of_uids(pa.array(["0" * 32, "f" * 32]), 7).tolist() == [0, 6]


def test_a_slice_of_a_column_is_read_from_its_start() -> None:
    uids = pa.chunked_array([["0" * 32, "f" * 32], ["8" + "0" * 31]])
    assert bucket_of_uids(uids[1:], 2).tolist() == [1, 1]
    assert bucket_of_uids(uids.chunk(0)[1:], 2).tolist() == [1]
    assert bucket_of_uids(uids[:1], 2).tolist() == [0]
    assert bucket_of_uids(uids[:0], 2).tolist() == []


def test_uids_spread_evenly() -> None:
    uids = pa.array([uid_of(str(number)) for number in range(4000)])
    counts = np.bincount(bucket_of_uids(uids, 4))
    assert counts.min() > 850


@given(st.lists(UIDS, min_size=1, max_size=3), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_every_row_comes_back_in_its_bucket_once(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[str]], num_buckets: int
) -> None:
    folder = tmp_path_factory.mktemp("shuffle")
    paths = []
    for number, uids in enumerate(files):
        table = pa.table({"uid": pa.array(uids, pa.string()), "place": pa.array(range(len(uids)), pa.int64())})
        paths.append(folder / f"{number}.parquet")
        write_buckets(paths[-1], table, bucket_of_uids(table["uid"], num_buckets), num_buckets)
    buckets = [read_bucket(paths, bucket)["uid"].to_pylist() for bucket in range(num_buckets)]
    assert sorted(uid for bucket in buckets for uid in bucket) == sorted(uid for uids in files for uid in uids)
    for number, bucket in enumerate(buckets):
        assert set(bucket_of_uids(pa.array(bucket, pa.string()), num_buckets).tolist()) <= {number}


def test_rows_of_a_bucket_keep_their_order(tmp_path: Path) -> None:
    table = pa.table({"n": list(range(10))})
    write_buckets(tmp_path / "a", table, np.array([1, 0] * 5), 2)
    assert read_bucket([tmp_path / "a"], 1)["n"].to_pylist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("rows", "limit", "groups"),
    [
        ([], 10, []),
        ([5], 10, [[0]]),
        ([5, 5, 1], 10, [[0, 1], [2]]),
        ([50, 1, 50], 10, [[0], [1], [2]]),
        ([0, 0, 10, 0], 10, [[0, 1, 2, 3]]),
    ],
)
def test_parts_are_grouped_by_rows(rows: list[int], limit: int, groups: list[list[int]]) -> None:
    assert list(grouped_by_rows(range(len(rows)), rows, limit)) == groups


@pytest.mark.parametrize(("rows", "buckets"), [(0, 1), (1, 1), (1_000_000, 1), (1_000_001, 2)])
def test_buckets_depend_on_rows_alone(rows: int, buckets: int) -> None:
    assert buckets_for(rows) == buckets


@pytest.mark.parametrize("num_buckets", [1, 3, 400])
def test_the_order_inside_a_bucket_is_kept_where_rows_are_dealt_in_several_slices(
    tmp_path: Path, num_buckets: int
) -> None:
    num_rows = 3 * max(_SLICE_ROWS, _SLICE_ROWS_A_BUCKET * num_buckets) // 2
    numbers = np.arange(num_rows)
    table = pa.table({"number": pa.chunked_array([numbers[:1000], numbers[1000:]])})
    buckets = numbers * 48_271 % 65_537 % num_buckets
    write_buckets(tmp_path / "x.parquet", table, buckets, num_buckets)
    for bucket in range(num_buckets):
        assert np.array_equal(read_bucket([tmp_path / "x.parquet"], bucket)["number"], numbers[buckets == bucket])
