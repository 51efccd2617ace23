"""Verdicts apart from what was gathered: the rows, and the pieces, that a select part with all columns would hold."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.checks import checked_plan
from pipelines.flow.decided_release import decided_ranges
from pipelines.flow.final import selected_rows, selected_schema
from pipelines.flow.gather import GATHERED_ROWS
from pipelines.flow.manifest_files import manifest_rows
from pipelines.flow.sample_rows import DecidedRows, SampleRows, StoredRows
from pipelines.flow.verdicts import OF_TEXTS, DecidedPart
from pipelines.tasks import Plan
from shards.database import scratch_database
from shards.tables import TableWriter, iter_tables, read_slice
from tests.pipelines.conftest import table_recipe, write_csv

NUM = 200_000
TEXT = pa.struct([("kind", pa.string()), ("text", pa.string()), ("zh_chars", pa.int32()), ("drop_reason", pa.string())])
COLUMNS = ["uid", "host", OF_TEXTS + "kind", OF_TEXTS + "text", OF_TEXTS + "drop_reason", "bytes", "failed_rules"]
COLUMNS += ["status", "drop_reason", "text_kind"]


class Both:
    """The same samples as a part with all columns has them, and with verdicts apart."""

    def __init__(self, folder: Path, plan: Plan, num_rows: int) -> None:
        self.plan, schema = plan, selected_schema(plan)
        self.kept, self.dropped = folder / "kept.parquet", folder / "dropped.parquet"
        one, other, third = (folder / f"{name}.parquet" for name in ("verdicts", "gathered", "judged"))
        self.apart = DecidedPart(one, other, third, plan)
        table, verdicts = _samples(num_rows), ["uid", "drop_reason", "failed_rules"]
        gathered = table.drop_columns(["drop_reason", "failed_rules", "text_kind"])
        decided = selected_rows(table, schema).select(["uid", "status", "drop_reason", "failed_rules"])
        judged = table.select(["uid", "drop_reason", "text_kind"]).append_column("text_reasons", _reasons(table))
        judged = judged.set_column(1, "drop_reason", pa.nulls(num_rows, pa.string()))
        assert set(verdicts) <= set(decided.column_names)
        with (
            TableWriter(self.apart.gathered, gathered.schema, read_once=True) as rest,
            TableWriter(self.apart.verdicts, decided.schema, read_once=True) as own,
            TableWriter(self.apart.judged, judged.schema, read_once=True) as before,
            TableWriter(self.kept, schema, read_once=True) as kept,
            TableWriter(self.dropped, schema, read_once=True) as dropped,
        ):
            for start in range(0, max(1, num_rows), 4 * GATHERED_ROWS):
                piece = selected_rows(table.slice(start, 4 * GATHERED_ROWS), schema)
                stands = pc.is_null(piece["drop_reason"])
                if num_rows:
                    rest.write(gathered.slice(start, 4 * GATHERED_ROWS), GATHERED_ROWS)
                own.write(decided.slice(start, 4 * GATHERED_ROWS), GATHERED_ROWS)
                before.write(judged.slice(start, 4 * GATHERED_ROWS), GATHERED_ROWS)
                kept.write(piece.filter(stands), GATHERED_ROWS)
                dropped.write(piece.filter(pc.invert(stands)))

    def forms(self) -> tuple[SampleRows, SampleRows]:
        return StoredRows([self.kept], [self.dropped]), DecidedRows([self.apart])


def _samples(num_rows: int) -> pa.Table:
    random = np.random.default_rng(7)
    texts: list[list[dict[str, Any]] | None] = [
        [{"kind": "alt", "text": f"字{n}", "zh_chars": 1, "drop_reason": "ads" if n % 3 == 0 else None}] * (n % 3)
        if n % 5
        else None
        for n in range(1000)
    ]
    fell = random.random(num_rows) < 0.45
    return pa.table(
        {
            "uid": [f"{n:032x}" for n in range(num_rows)],
            "host": pa.array([f"h{n % 7}.cn" for n in range(num_rows)], pa.string()),
            "texts": pa.array(texts, pa.list_(TEXT)).take(pa.array(np.arange(num_rows) % 1000)),
            "text_kind": pa.array(["alt", None], pa.string()).take(pa.array(np.arange(num_rows) % 2)),
            "bytes": pa.array(random.integers(1, 10**6, num_rows), pa.int64()),
            "drop_reason": pc.if_else(pa.array(fell), "small", pa.scalar(None, pa.string())),
            "failed_rules": pa.array([["small"], None], pa.list_(pa.string())).take(pa.array((~fell).astype(np.int8))),
        }
    )


def _reasons(table: pa.Table) -> pa.Array:
    texts = table["texts"].to_pylist()
    return pa.array([row and [text["drop_reason"] for text in row] for row in texts], pa.list_(pa.string()))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    source = write_csv(tmp_path_factory.mktemp("source") / "t.csv", [("http://a.cn/1.png", "照片")])
    return checked_plan(table_recipe(source, {"no_chinese": "zh_chars >= 1"}), "test")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Both:
    return Both(tmp_path_factory.mktemp("both"), plan, NUM)


def chunks(table: pa.Table) -> list[int]:
    """Rows of the pieces of a column: pages of a file end where they do."""
    return [len(chunk) for chunk in table["uid"].chunks if len(chunk)]


@pytest.mark.parametrize("ranks", [(0, 80_000), (17, 18), (70_000, 110_000), (0, 0)])
def test_kept_rows_come_in_the_same_pieces(both: Both, ranks: tuple[int, int]) -> None:
    wanted = np.arange(*ranks)
    whole = manifest_rows(read_slice(both.kept, wanted.tolist()), both.plan)
    whole = whole.select(["uid", "host", "texts", "bytes", "text_kind"])
    found = manifest_rows(both.apart.kept_rows(wanted, COLUMNS), both.plan)
    assert found.select(whole.column_names).equals(whole)
    assert chunks(found) == chunks(whole)


@pytest.mark.parametrize("num_rows", [0, 3, NUM])
def test_fallen_rows_come_in_the_same_pieces(tmp_path: Path, plan: Plan, num_rows: int) -> None:
    made = Both(tmp_path, plan, num_rows)
    whole = [manifest_rows(table, plan) for table in iter_tables(made.dropped)]
    found = [manifest_rows(table, plan) for table in made.apart.fallen_tables(COLUMNS)]
    assert [table.num_rows for table in found] == [table.num_rows for table in whole]
    for one, other in zip(found, whole, strict=True):
        assert one.drop_columns(["shard"]).equals(other.select(one.column_names[:-1]))
        assert chunks(one) == chunks(other)


@pytest.mark.parametrize("num_rows", [0, 3, NUM])
def test_one_pass_gives_both(tmp_path: Path, plan: Plan, num_rows: int) -> None:
    apart = Both(tmp_path, plan, num_rows).apart
    pairs = list(apart.both(COLUMNS))
    fallen = [table for _, tables in pairs for table in tables]
    assert [chunks(table) for table in fallen] == [chunks(table) for table in apart.fallen_tables(COLUMNS)]
    assert pa.concat_tables(fallen).equals(pa.concat_tables(apart.fallen_tables(COLUMNS)))
    kept = [table for tables, _ in pairs for table in tables]
    whole = apart.kept_rows(np.arange(sum(table.num_rows for table in kept)), COLUMNS)
    assert [table.num_rows for table in kept] == chunks(whole)
    assert whole.num_rows + sum(table.num_rows for table in fallen) == num_rows


def test_a_run_of_shards_is_of_the_range_in_which_it_begins() -> None:
    runs = [{"start": start, "stop": min(start + 8, 20), "kept": [5, 12, 0, 3]} for start in (0, 8, 16)]
    ranges = list(decided_ranges(runs, 4))
    assert [[run["start"] for run in one["runs"]] for one in ranges] == [[0], [8, 16], [], []]
    assert [one["first"] for one in ranges] == [0, 5, 17, 17]
    assert [one["runs"] for one in decided_ranges([], 2)] == [[], []]


def test_columns_are_read_of_who_is_kept_and_of_who_fell(both: Both) -> None:
    names = ["bytes", OF_TEXTS + "kind", OF_TEXTS + "drop_reason", "num_tokens"]
    for which in ("kept", "dropped"):
        one, other = (
            pa.Table.from_batches(getattr(rows, which)(names)).select(["bytes", "texts"]) for rows in both.forms()
        )
        assert one.to_pylist() == other.to_pylist()


def test_reasons_of_texts_need_nothing_of_what_was_gathered(both: Both, tmp_path: Path) -> None:
    alone = DecidedRows([replace(both.apart, gathered=tmp_path / "nowhere.parquet")])
    with pytest.raises(FileNotFoundError):
        list(alone.kept(["host"]))
    one = pa.Table.from_batches(both.forms()[0].dropped([OF_TEXTS + "drop_reason"]))
    other = pa.Table.from_batches(DecidedRows([both.apart]).dropped([OF_TEXTS + "drop_reason"]))
    assert one.to_pylist() == other.to_pylist()


def test_a_query_of_all_samples_answers_the_same(both: Both, tmp_path: Path) -> None:
    asked = "SELECT status, host, count(*), sum(bytes), max(failed_rules[1]), count(page_url), count(text_kind)"
    asked += " FROM rows GROUP BY ALL"
    answers = []
    for rows in both.forms():
        with scratch_database(tmp_path) as database:
            database.execute(f"CREATE VIEW rows AS {rows.sql()}")
            answers.append(sorted(database.sql(asked).fetchall()))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 14
