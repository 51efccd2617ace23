"""Rules: what is refused and why, where each rule runs, and what TRUE means."""

import pyarrow as pa
import pytest

from filters.measures import MEASURES
from filters.rules import RuleEngine, place_rules, split_at_relative
from shards.errors import BrokenRunError
from shards.schema import REASONS


@pytest.fixture(scope="module")
def engine() -> RuleEngine:
    return RuleEngine()


@pytest.mark.parametrize(
    ("expression", "stage", "level"),
    [
        ("zh_chars >= 1", "collect", "text"),
        ("not is_filename", "collect", "text"),
        ("ZH_Chars between 1 and 31", "collect", "text"),
        ("text not like '%;--%' and kind in ('alt', 'title')", "collect", "text"),
        ("host <> 'bad.example.cn'", "collect", "sample"),
        ("true", "collect", "sample"),
        ("text_count <= 10", "admit", "text"),
        ("coalesce(category, '') <> 'ads'", "admit", "sample"),
        ("num_pages < 100", "admit", "sample"),
        ("min_side > 200", "fetch", "sample"),
        ("bytes > 1000 and kind = 'alt'", "fetch", "text"),
        ("is_animated is not true", "fetch", "sample"),
        ("sharpness > 50 and zh_chars > 2", "measure", "text"),
        ("dup_rank = 1", "dedup", "sample"),
        ("clip_score >= 0.2", "score", "text"),
        ("clip_pct >= 0.3", "select", "sample"),
        ("sem_dup_cos < 0.95", "select", "sample"),
        ("list_bool_or(list_transform([zh_chars], lambda x: x > 1))", "collect", "text"),
        ("if(zh_chars > 1, nullif(text, '') is not null, false)", "collect", "text"),
        ("case when aspect > 2 then min_side > 300 else true end", "fetch", "sample"),
        ("strlen(text) > 3 and text ~ '[a-z]+'", "collect", "text"),
    ],
)
def test_rule_runs_at_the_first_stage_that_has_its_columns(
    engine: RuleEngine, expression: str, stage: str, level: str
) -> None:
    placed, problems = engine.place({"rule": expression})
    assert problems == []
    assert (placed[0].stage, placed[0].level) == (stage, level)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "empty"),
        ("zh_chars >=", "no SQL expression"),
        ("zh_chars", "INTEGER, expected a BOOLEAN"),
        ("NULL", "expected a BOOLEAN"),
        ("zh_char >= 1", "the nearest known: zh_chars"),
        ("current_date > '2026-01-01'", "no column is called 'current_date'"),
        ("rowid = 1", "no column is called 'rowid'"),
        ("rows_to_judge.zh_chars = 1", "no column is called"),
        ("lenght(text) > 3", "the nearest known: length"),
        ("zh_chars > text", "cannot be evaluated"),
        ("regexp_matches(text, '(')", "cannot be evaluated"),
        ("count(*) > 1", "aggregate"),
        ("max(zh_chars) > 1", "aggregate"),
        ("bool_and(zh_chars > 1)", "aggregate"),
        ("row_number() over () = 1", "window"),
        ("(select 1) = 1", "subquery"),
        ("exists (from duckdb_tables())", "subquery"),
        ("zh_chars = any (select 1)", "subquery"),
        ("1=1) or (select true", "no SQL expression"),
        ("1=1) or (1=1", "no SQL expression"),
        ("true] or [true", "no SQL expression"),
        ("zh_chars > 1, zh_chars > 2", "2 expressions"),
        ("zh_chars > 1 -- always", "comment"),
        ("zh_chars > 1 /* always */", "comment"),
        ("zh_chars > 1; select 1", "no SQL expression"),
        ("*", "no single column"),
        ("COLUMNS(*) > 1", "no single column"),
        ("? > 1", "parameter"),
        ("#1 > 1", "#1 names no column"),
        ("unnest([true])", "rows, not a value"),
        ("grouping(zh_chars) = 1", "other rows"),
        ("text -> 'a' = '1'", "-> is not allowed"),
        ("random() > 0.5", "another time"),
        ("now() > '2026-01-01'", "another time"),
        ("today() > '2026-01-01'", "another time"),
        ("ago(interval 1 day) > '2026-01-01'", "another time"),
        ("age('2026-01-01'::timestamp) > interval 1 day", "another time"),
        ("current_localtimestamp() > '2026-01-01'", "another time"),
        ("current_setting('threads') = '1'", "another time"),
        ("getvariable('a') = 1", "another time"),
        ("uuid() = 'a'", "another time"),
        ("error('x')", "another time"),
        ("read_text('/etc/passwd') is null", "rows, not a value"),
        ("true and " * 1000 + "true", "longer than"),
        ("(" * 1500 + "true" + ")" * 1500, "SQL expression|nested"),
    ],
)
def test_expression_that_is_not_one_repeatable_row_wise_condition_is_refused(
    engine: RuleEngine, expression: str, said: str
) -> None:
    placed, problems = engine.place({"rule": expression})
    assert placed == []
    assert any(word in problems[0].message for word in said.split("|")), problems[0].message


@pytest.mark.parametrize("name", ["Too_long", "1st", "", "a-b", "a" * 64, "中文", "timeout", "a\n"])
def test_rule_needs_a_plain_name_that_the_web_does_not_use(engine: RuleEngine, name: str) -> None:
    placed, problems = engine.place({name: "zh_chars >= 1"})
    assert placed == []
    assert problems[0].name == name


def test_all_problems_come_at_once_and_good_rules_are_placed_in_order_of_judgement() -> None:
    rules = {
        "late": "clip_pct > 0.3",
        "bad": "nope = 1",
        "small": "min_side > 1",
        "no_zh": "zh_chars > 0",
        "worse": "(",
    }
    placed, problems = place_rules(rules)
    assert [rule.name for rule in placed] == ["no_zh", "small", "late"]
    assert [problem.name for problem in problems] == ["bad", "worse"]


@pytest.mark.parametrize(("measure", "level"), [("dup_rank", "sample"), ("pair_rank", "text")])
def test_best_score_moves_ranks_to_select(engine: RuleEngine, measure: str, level: str) -> None:
    for dup_rank_stage in ("dedup", "select"):
        placed, _ = engine.place({"repeated": f"{measure} = 1"}, dup_rank_stage)
        assert (placed[0].stage, placed[0].level, placed[0].relative) == (dup_rank_stage, level, (measure,))


def test_relative_measures_open_a_run_of_their_own(engine: RuleEngine) -> None:
    rules = {"a": "clip_score > 0", "b": "clip_pct > 0.1", "c": "dup_rank = 1", "d": "bytes > 1"}
    placed, _ = engine.place(rules, dup_rank_stage="select")
    in_select = [rule for rule in placed if rule.stage == "select"]
    assert [rule.relative for rule in in_select] == [("clip_pct",), ("dup_rank",)]
    runs = split_at_relative([placed[0], *in_select, placed[1]])
    assert [[rule.name for rule in run] for run in runs] == [["d"], ["b"], ["c", "a"]]
    assert split_at_relative([]) == []


def test_only_true_is_true_and_nan_is_null(engine: RuleEngine) -> None:
    table = pa.table(
        {
            "zh_chars": pa.array([0, 1, 2, None], pa.int32()),
            "clip_score": pa.array([float("nan"), float("inf"), 0.3, None]),
        }
    )
    rules = {
        "some": "zh_chars >= 1",
        "score": "clip_score >= 0.3",
        "fails": "error_free(zh_chars) > 1",
        "divides": "1 // (zh_chars - 1) >= -5 and (10 % (zh_chars - 1)) = 0",
        "casts": "zh_chars::varchar::date > '2026-01-01'",
        "always": "true",
    }
    placed, problems = engine.place(rules)
    assert [problem.name for problem in problems] == ["fails"]
    verdicts = engine.evaluate(table, placed).to_pydict()
    assert verdicts["some"] == [False, True, True, False]
    assert verdicts["score"] == [False, False, True, False]
    assert verdicts["divides"] == [True, False, True, False]
    assert verdicts["casts"] == [False] * 4
    assert verdicts["always"] == [True] * 4


def test_a_rule_cannot_see_an_earlier_rule_by_name(engine: RuleEngine) -> None:
    placed, problems = engine.place({"zh_chars": "zh_chars >= 2", "then": "zh_chars = 1", "alias": "then"})
    assert [problem.name for problem in problems] == ["alias"]
    verdicts = engine.evaluate(pa.table({"zh_chars": pa.array([1], pa.int32())}), placed).to_pydict()
    assert verdicts == {"zh_chars": [False], "then": [True]}


@pytest.mark.parametrize("num_rows", [0, 1, 5000])
def test_rows_keep_their_number_and_order(engine: RuleEngine, num_rows: int) -> None:
    placed, _ = engine.place({"even": "zh_chars % 2 = 0"})
    table = pa.table({"zh_chars": pa.array(range(num_rows), pa.int32())})
    assert engine.evaluate(table, placed)["even"].to_pylist() == [n % 2 == 0 for n in range(num_rows)]


def test_a_missing_column_is_our_own_fault(engine: RuleEngine) -> None:
    placed, _ = engine.place({"rule": "zh_chars >= 1"})
    with pytest.raises(BrokenRunError, match="zh_chars"):
        engine.evaluate(pa.table({"text": ["a"]}), placed)


def test_no_measure_is_called_like_a_reason_of_the_web() -> None:
    assert not set(MEASURES) & set(REASONS)
