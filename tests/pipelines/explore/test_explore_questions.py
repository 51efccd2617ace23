"""What the page asks: filters, reasons, orders, pages, one sample in full, thresholds that move."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.explore.command import Wishes
from pipelines.explore.explored import open_explored
from pipelines.explore.pages import MAX_PAGES, PAGE_ROWS
from pipelines.explore.sample_index import SampleIndex
from pipelines.explore.thresholds import NUM_STOPS, stops_of
from shards.errors import UsageError
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.explore.serving import HOSTILE, Served, served
from tests.pipelines.made_release import Sample, make_release


def texts(served_: Served, **words: Any) -> list[str]:
    return [card["text"] for card in served_.get("/api/samples", words).json["cards"]]


def test_the_run_is_told_in_full(served_run: Served, finished: FinishedRun) -> None:
    about = served_run.get("/api/about").json
    assert (about["name"], about["samples"], about["kept"]) == ("test", 14, finished.kept)
    assert dict(about["reasons"])["near_duplicate"] == 1
    assert [rule["name"] for rule in about["rules"]] == list(finished.recipe["rules"])
    assert {"rule": "plain", "measure": "entropy", "operator": ">=", "value": 1.0} in about["thresholds"]
    assert "near_duplicate" not in [at["rule"] for at in about["thresholds"]]
    assert {"name": "entropy", "kind": "DOUBLE", "unit": "bits, 0.0-8.0, of the histogram of grey"} in about["columns"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"where": "text like '第1%'"}, ["第1张照片"]),
        (
            {"where": "zh_chars > 3 and text in ('不许看的照片', '没有照片')", "sort": "zh_chars"},
            ["不许看的照片", "没有照片"],
        ),
        ({"reason": "too_small"}, ["很小的照片"]),
        ({"reason": "robots_disallowed", "where": "zh_chars > 1"}, ["不许看的照片"]),
        ({"reason": "kept", "where": "text = '很小的照片'"}, []),
        ({"reason": "' or true --"}, []),
        ({"where": "try_cast(text as integer) > 1"}, []),
        ({"where": "text::integer > 1 or zh_chars = 0"}, []),
        ({"where": "text = '{where}'"}, []),
    ],
)
def test_a_filter_and_a_reason_find_samples(served_run: Served, words: dict[str, str], expected: list[str]) -> None:
    assert texts(served_run, **words) == expected


def test_a_filter_is_counted_by_reason(served_run: Served) -> None:
    where = "zh_chars >= 5 and text <> '同一张照片'"  # which of two alike says that hangs on the server's port
    found = served_run.get("/api/samples", {"where": where, "reason": "too_small"}).json["found"]
    assert found["matched"] == sum(number for _, number in found["reasons"])
    assert dict(found["reasons"]) == {"robots_disallowed": 1, "too_small": 1}
    assert served_run.get("/api/samples", {"counted": "1"}).json["found"] is None


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("count(*) > 1", "aggregate"),
        ("uid in (select uid from samples)", "a subquery looks at other rows"),
        ("read_text('/etc/passwd') is not null", "returns rows"),
        ("getenv('HOME') is not null", "function"),
        ("random() > 0.5", "another value another time"),
        ("clip_scor > 1", "no column is called 'clip_scor'"),
        ('"#offset" > 1', "no column is called '#offset'"),
        ("tar_offset > 1", "no column is called 'tar_offset'"),
        ("zh_chars", "expected a condition"),
        ("zh_chars > ", "no SQL expression"),
        ("true) or (true", "no SQL expression"),
        ("true; drop table samples", "no SQL expression"),
        ("zh_chars > ?", "a parameter has no value here"),
        ("zh_chars > 1 -- and so on", "comment"),
        ("zh_chars > " + "1" * 4000, "longer than"),
        ("text > 1 + date '2020-01-01' - interval 'x'", "cannot be evaluated"),
    ],
)
def test_a_filter_that_no_rule_could_be_is_refused_with_its_reason(served_run: Served, where: str, told: str) -> None:
    answer = served_run.get("/api/samples", {"where": where})
    assert answer.status == 400
    assert told in answer.json["refused"]


@pytest.mark.parametrize(
    "words",
    [
        {"sort": "nothing"},
        {"sort": 'uid" desc; drop table samples; --'},
        {"page": "-1"},
        {"page": str(MAX_PAGES)},
        {"page": "x"},
        {"page": "٣"},
        {"reason": "r" * 64},
        {f"word{n}": "" for n in range(21)},
    ],
)
def test_other_nonsense_is_refused(served_run: Served, words: dict[str, str]) -> None:
    assert served_run.get("/api/samples", words).status == 400


@pytest.mark.parametrize(("way", "sign"), [("down", -1), ("up", 1)])
def test_samples_are_sorted_with_nulls_last(served_run: Served, way: str, sign: int) -> None:
    cards = served_run.get("/api/samples", {"sort": "entropy", "way": way}).json["cards"]
    values = [card["value"] for card in cards]
    there = [value for value in values if value is not None]
    assert len(cards) == 14
    assert len(there) == 7
    assert values == sorted(there, key=lambda value: sign * value) + [None] * 7


def test_a_column_of_any_kind_sorts(served_run: Served) -> None:
    about = served_run.get("/api/about").json
    for column in about["columns"]:
        assert served_run.get("/api/samples", {"sort": column["name"]}).status == 200


def test_pages_follow_each_other_without_gap_or_repeat(tmp_path: Path) -> None:
    samples = [Sample(f"http://a.cn/{n}.jpg", [("alt", str(n))]) for n in range(2 * PAGE_ROWS + 3)]
    with served(make_release(tmp_path / "r", samples, rows_a_file=20)) as here:
        pages = [texts(here, page=page, sort="clip_score") for page in range(4)]
    assert [len(page) for page in pages] == [PAGE_ROWS, PAGE_ROWS, 3, 0]
    assert sorted(int(text) for page in pages for text in page) == list(range(len(samples)))


def test_a_kept_sample_is_shown_with_its_copy_texts_and_measures(served_run: Served, finished: FinishedRun) -> None:
    (card,) = served_run.get("/api/samples", {"where": "text = '第2张照片'"}).json["cards"]
    told = served_run.get("/api/sample", {"uid": card["uid"]}).json
    assert (told["status"], told["text"], told["shard"]) == ("kept", "第2张照片", None)
    assert told["url"] == finished.site.url("/2.png")
    assert told["texts"][0]["measures"][0] == {"name": "zh_chars", "value": 4, "unit": "characters, from 0"}
    measures = {fact["name"]: fact["value"] for fact in told["measures"]}
    assert measures["min_side"] == 256
    assert measures["entropy"] > 1
    assert len(measures["phash"]) == 16
    assert not {"tar_offset", "fetch_index", "uid"} & {fact["name"] for fact in told["facts"]}
    image = served_run.get(f"/image/{card['uid']}")
    assert (image.status, image.headers["content-type"]) == (200, "image/jpeg")
    assert image.body.startswith(b"\xff\xd8\xff")


def test_a_dropped_sample_has_its_copy_its_rule_and_its_group(served_run: Served) -> None:
    (card,) = served_run.get("/api/samples", {"reason": "near_duplicate"}).json["cards"]
    told = served_run.get("/api/sample", {"uid": card["uid"]}).json
    assert told["failed"] == [{"rule": "near_duplicate", "expression": "dup_rank = 1"}]
    assert [(one["status"], one["has_image"]) for one in told["group"]] == [("kept", True)]
    assert served_run.get(f"/image/{card['uid']}").status == 200


def test_a_sample_without_a_copy_says_so(served_run: Served) -> None:
    (card,) = served_run.get("/api/samples", {"reason": "http_status"}).json["cards"]
    assert card["has_image"] is False
    assert served_run.get(f"/image/{card['uid']}").status == 404
    assert served_run.get("/api/sample", {"uid": "0" * 32}).status == 404
    assert served_run.get("/api/sample", {"uid": "../" * 10}).status == 400


def test_a_release_alone_shows_what_its_shards_hold(served_release: Served) -> None:
    cards = served_release.get("/api/samples").json["cards"]
    assert len(cards) == len(HOSTILE) + 1
    assert {card["has_image"] for card in cards} == {True}
    image = served_release.get(f"/image/{cards[0]['uid']}")
    assert (image.status, image.headers["content-type"]) == (200, "image/jpeg")
    assert image.headers["x-content-type-options"] == "nosniff"


def test_a_copy_that_is_another_now_is_not_shown(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    with served(run) as here:
        (card,) = here.get("/api/samples", {"where": "text = '第2张照片'"}).json["cards"]
        for tar in (run / "fetch").glob("*.tar"):
            data = bytearray(tar.read_bytes())
            data[600::7] = bytes(len(data[600::7]))
            tar.write_bytes(bytes(data))
        assert here.get(f"/image/{card['uid']}").status == 404
        for part in (run / "select").glob("*.parquet"):
            part.unlink()
        answer = here.get("/api/sample", {"uid": card["uid"]})
        assert (answer.status, "explore it anew" in answer.json["refused"]) == (400, True)


def test_a_moved_threshold_says_who_changes_sides(served_run: Served) -> None:
    kept = served_run.get("/api/samples", {"reason": "kept", "sort": "entropy", "way": "up"}).json["cards"]
    least, second = kept[0], kept[1]
    words = {"measure": "entropy", "operator": ">=", "rule": "plain", "value": second["value"]}
    moved = served_run.get("/api/move", words).json
    assert (moved["samples"], moved["kept"], moved["falls"], moved["back"], moved["keeps"]) == (14, 6, 1, 0, 5)
    assert [card["uid"] for card in moved["falling"]] == [least["uid"]]


def test_a_lowered_threshold_brings_back_what_fell_for_its_rule_alone(served_run: Served) -> None:
    words = {"measure": "min_side", "operator": ">", "rule": "too_small"}
    assert served_run.get("/api/move", {**words, "value": 30}).json["back"] == 0
    moved = served_run.get("/api/move", {**words, "value": 29.5}).json
    assert (moved["back"], moved["keeps"], [card["text"] for card in moved["returning"]]) == (1, 7, ["很小的照片"])


def test_without_its_rule_a_threshold_brings_nothing_back(served_run: Served) -> None:
    moved = served_run.get("/api/move", {"measure": "min_side", "operator": ">", "value": 1}).json
    assert (moved["back"], moved["keeps"]) == (0, 6)


@pytest.mark.parametrize("operator", [">=", ">", "<=", "<"])
@pytest.mark.parametrize("measure", ["entropy", "zh_chars", "min_side", "bytes"])
def test_every_stop_of_the_slider_keeps_what_the_threshold_there_keeps(
    served_run: Served, measure: str, operator: str
) -> None:
    words = {"measure": measure, "operator": operator, "value": 3}
    spread = served_run.get("/api/spread", words).json
    places = range(0, len(spread["stops"]), max(1, len(spread["stops"]) // 8))
    for place in places:
        moved = served_run.get("/api/move", {**words, "value": spread["stops"][place]}).json
        assert moved["keeps"] == spread["keep_at"][place]
    shown = sum(sum(bars) for bars in spread["bars"].values())
    assert shown + sum(spread["without"].values()) == 14


@pytest.mark.parametrize(
    "words",
    [
        {"measure": "text", "operator": ">=", "value": 1},
        {"measure": "nothing", "operator": ">=", "value": 1},
        {"measure": "entropy", "operator": "= 1 or", "value": 1},
        {"measure": "entropy", "operator": ">=", "value": "nan"},
        {"measure": "entropy", "operator": ">=", "value": "x"},
        {"measure": "entropy", "operator": ">=", "value": 1, "rule": "no_such_rule"},
        {"measure": "entropy", "operator": "<=", "value": 1, "rule": "plain"},
        {"measure": "entropy", "operator": ">=", "value": 1, "where": "text = 'nobody'"},
    ],
)
def test_a_threshold_that_is_none_is_refused(served_run: Served, words: dict[str, Any]) -> None:
    assert served_run.get("/api/spread", words).status == 400


@pytest.mark.parametrize(
    ("least", "greatest", "is_whole", "is_skewed", "scale"),
    [
        (1, 9, True, False, "each"),
        (0, 0, True, False, "each"),
        (0, 3000, True, False, "linear"),
        (1, 10**6, True, True, "log"),
        (-0.5, 0.9, False, False, "linear"),
        (0.0, 5.0, False, True, "log"),
        (0.7, 0.7, False, False, "linear"),
        (0.0, 0.0, False, False, "linear"),
        (-1e-9, 1e-9, False, False, "linear"),
    ],
)
def test_stops_enclose_all_values_and_hold_the_threshold(
    least: float, greatest: float, is_whole: bool, is_skewed: bool, scale: str
) -> None:
    found, stops = stops_of(least, greatest, is_whole, is_skewed, 0.3)
    assert found == scale
    assert stops == sorted(set(stops))
    assert stops[0] <= least
    assert stops[-1] >= greatest
    assert 2 <= len(stops) <= NUM_STOPS + 4
    assert (0.3 in stops) == (stops[0] < 0.3 < stops[-1])


def test_a_question_that_takes_too_long_is_stopped(served_run: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.explore.sample_index.MAX_SECONDS", 0.2)
    where = "list_sum(list_transform(range(100000), lambda x: x * zh_chars)) + len(text) > 1"
    slow = " or ".join([f"({where.replace('> 1', f'= {n}')})" for n in range(30)])
    answer = served_run.get("/api/samples", {"where": slow})
    assert answer.status == 400
    assert "stopped after" in answer.json["refused"]
    assert served_run.get("/api/about").status == 200


def test_no_question_reaches_a_file_or_a_setting(finished: FinishedRun) -> None:
    index = SampleIndex(open_explored(finished.folder).files)
    try:
        for attempt in ("SELECT * FROM read_text('/etc/passwd')", "SET enable_external_access = true", "LOAD httpfs"):
            with pytest.raises(duckdb.Error):
                index._connection.execute(attempt)
    finally:
        index.close()


def test_a_run_without_a_release_and_what_is_no_run_are_refused(finished: FinishedRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished release yet"):
        open_explored(finished.copy(tmp_path, upto="select"))
    with pytest.raises(UsageError, match="is no run of curate"):
        open_explored(tmp_path / "nothing")


def test_exploring_writes_nothing_into_the_run(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    before = sorted(path for path in run.rglob("*"))
    with served(run, Wishes()) as here:
        assert here.get("/api/samples").status == 200
    assert sorted(path for path in run.rglob("*")) == before
    shutil.rmtree(run)
