"""Tables: Parquet of pinned options, row groups as they were written, and slices that read only what they need."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.tables import (
    TableWriter,
    fit,
    iter_batches,
    iter_tables,
    read_row_groups,
    read_rows,
    read_slice,
    write_table,
)

SCHEMA = pa.schema([("uid", pa.string()), ("n", pa.int32())])


def rows(start: int, stop: int) -> pa.Table:
    return pa.table({"uid": [str(n) for n in range(start, stop)], "n": list(range(start, stop))}, SCHEMA)


def grouped(path: Path, sizes: list[int]) -> Path:
    start = 0
    with TableWriter(path, SCHEMA) as writer:
        for size in sizes:
            writer.write_row_group(rows(start, start + size))
            start += size
    return path


def test_each_row_group_is_read_back_as_it_was_written_empty_ones_too(tmp_path: Path) -> None:
    path = grouped(tmp_path / "a.parquet", [2, 0, 3])
    assert [read_row_groups(path, [n])["n"].to_pylist() for n in range(3)] == [[0, 1], [], [2, 3, 4]]
    assert read_row_groups(path, [2, 0], ["uid"])["uid"].to_pylist() == ["2", "3", "4", "0", "1"]
    assert read_rows(path, ["n"])["n"].to_pylist() == [0, 1, 2, 3, 4]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.data())
@settings(max_examples=40, deadline=None)
def test_a_slice_holds_the_rows_asked_for(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    path = grouped(tmp_path_factory.mktemp("slice") / "a.parquet", sizes)
    wanted = data.draw(st.lists(st.integers(0, sum(sizes) - 1), unique=True).map(sorted) if sum(sizes) else st.just([]))
    if wanted:
        assert read_slice(path, wanted)["n"].to_pylist() == wanted


def test_a_slice_of_no_rows_is_an_empty_table_of_the_file_s_columns(tmp_path: Path) -> None:
    path = grouped(tmp_path / "a.parquet", [2])
    assert read_slice(path, []).schema.equals(SCHEMA)


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(tmp_path / name, rows(0, 1000))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_identities_are_stored_plainly_and_words_by_dictionary(tmp_path: Path) -> None:
    write_table(tmp_path / "a", pa.table({"uid": ["a", "b"], "drop_reason": ["x", "x"]}))
    group = pq.read_metadata(tmp_path / "a").row_group(0)
    assert [group.column(n).has_dictionary_page for n in range(2)] == [False, True]
    assert group.column(0).compression == "ZSTD"


@pytest.mark.parametrize(
    ("given_columns", "expected"),
    [
        ({"n": [1], "uid": ["a"], "other": [0]}, {"uid": ["a"], "n": [1]}),
        ({"n": [1]}, {"uid": [None], "n": [1]}),
        ({"n": pa.array([1], pa.int64()), "uid": pa.array([None], pa.null())}, {"uid": [None], "n": [1]}),
    ],
)
def test_a_table_is_fitted_to_a_schema(
    given_columns: dict[str, list[object]], expected: dict[str, list[object]]
) -> None:
    fitted = fit(pa.table(given_columns), SCHEMA)
    assert fitted.schema.equals(SCHEMA)
    assert fitted.to_pydict() == expected


def test_a_number_that_does_not_fit_its_column_is_no_silent_overflow() -> None:
    with pytest.raises(pa.ArrowInvalid, match="not in range"):
        fit(pa.table({"n": [2**40]}), SCHEMA)


def test_batches_of_several_files_come_one_file_after_another(tmp_path: Path) -> None:
    paths = [grouped(tmp_path / "a", [2, 1]), grouped(tmp_path / "b", [0]), grouped(tmp_path / "c", [1])]
    assert [batch["n"].to_pylist() for batch in iter_batches(paths, ["n"]) if batch.num_rows] == [[0, 1, 2], [0]]


def test_many_rows_are_cut_into_row_groups(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "a", SCHEMA) as writer:
        writer.write(rows(0, 10), row_group_rows=4)
        assert writer.num_rows == 10
    metadata = pq.read_metadata(tmp_path / "a")
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [4, 4, 2]


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [([], [0]), ([0], [0]), ([2, 3], [5]), ([3, 3, 3], [3, 3, 3]), ([9, 1, 4], [9, 5]), ([5, 0, 1], [5, 1])],
)
def test_tables_are_of_whole_row_groups_as_many_as_fit(tmp_path: Path, sizes: list[int], pieces: list[int]) -> None:
    path = grouped(tmp_path / "a.parquet", sizes)
    tables = list(iter_tables(path, ["n"], rows_at_once=5))
    assert [table.num_rows for table in tables] == pieces
    assert pa.concat_tables(tables)["n"].to_pylist() == list(range(sum(sizes)))
    assert all(table.column_names == ["n"] for table in tables)


def test_a_slice_may_have_some_columns_alone(tmp_path: Path) -> None:
    path = grouped(tmp_path / "a.parquet", [2, 3])
    assert read_slice(path, [0, 1, 3], ["n"]).to_pydict() == {"n": [0, 1, 3]}
