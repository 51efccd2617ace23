"""Labelling: what is asked, answers that are whole and on disk, several annotators, and who is refused."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.explore import answers as answers_module
from pipelines.explore.answers import SCHEMA, AnswerBook, answers_of_all
from pipelines.explore.command import Wishes, explore
from shards.errors import BadInputError, DiskError, OutputInUseError, UsageError
from tests.pipelines.explore.serving import Served, served
from tests.pipelines.made_release import Sample, make_release

SAMPLES = [Sample(f"http://a.cn/{n}.jpg", [("alt", f"第{n}张照片")]) for n in range(4)]
TEXTS = {sample.uid: sample.texts[0][1] for sample in SAMPLES}
UIDS = list(TEXTS)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release", SAMPLES)


def a_list(path: Path, **columns: Any) -> Path:
    usual = {"uid": UIDS[::-1], "text": [TEXTS[uid] for uid in UIDS[::-1]], "stratum": ["a"] * 4}
    pq.write_table(pa.table(usual | columns), path)
    return path


def labelled(here: Served, uid: str, label: str | None) -> int:
    body = {"uid": uid, "text": TEXTS.get(uid, "x"), "text_kind": "alt", "label": label}
    return here.post("/api/label", body).status


def test_a_list_is_asked_in_its_order_and_nothing_that_could_sway_is_told(release: Path, tmp_path: Path) -> None:
    wishes = Wishes(label=a_list(tmp_path / "list.parquet"), annotator="wu")
    with served(release, wishes) as here:
        tasks = here.get("/api/tasks").json
    assert [task["uid"] for task in tasks] == UIDS[::-1]
    assert {tuple(task) for task in tasks} == {("uid", "text", "text_kind", "label")}
    assert {task["label"] for task in tasks} == {None}


def test_a_filter_is_a_list_too(release: Path) -> None:
    with served(release, Wishes(annotator="wu")) as here:
        tasks = here.get("/api/tasks", {"where": "text <> '第1张照片'", "reason": "kept"}).json
        assert here.get("/api/about").json["labelling"]["listed"] is None
    assert [task["uid"] for task in tasks] == sorted(uid for uid in UIDS if TEXTS[uid] != "第1张照片")


def test_answers_are_there_again_after_a_new_start(release: Path, tmp_path: Path) -> None:
    with served(release, Wishes(annotator="吴")) as here:
        assert [labelled(here, UIDS[0], "match"), labelled(here, UIDS[1], "unsure")] == [200, 200]
        assert [labelled(here, UIDS[1], "no_match"), labelled(here, UIDS[2], "match")] == [200, 200]
        assert labelled(here, UIDS[2], None) == 200
    rows = pq.read_table(tmp_path / "release-labels" / "吴.parquet").to_pylist()
    expected = {UIDS[0]: "match", UIDS[1]: "no_match"}
    assert rows == [
        {"uid": uid, "text": TEXTS[uid], "text_kind": "alt", "label": expected[uid]} for uid in sorted(expected)
    ]
    with served(release, Wishes(annotator="吴")) as here:
        assert {task["uid"]: task["label"] for task in here.get("/api/tasks").json if task["label"]} == expected
    assert not (release / "labels").exists()


def test_equal_answers_are_equal_bytes_in_any_order(tmp_path: Path) -> None:
    for name, uids in (("a", UIDS), ("b", UIDS[::-1])):
        with AnswerBook(tmp_path, name) as book:
            for uid in uids:
                book.put(uid, TEXTS[uid], None, "match")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_agreement_of_several_annotators_is_told(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    for name, said in (("an", ("match", "match", "no_match")), ("li", ("match", "no_match", "no_match"))):
        with AnswerBook(folder, name) as book:
            for uid, label in zip(UIDS, said, strict=False):
                book.put(uid, TEXTS[uid], "alt", label)
    with served(release, Wishes(annotator="wu", labels=folder)) as here:
        labelled(here, UIDS[0], "match")
        told = here.get("/api/agreement").json
    assert [(one["annotator"], one["answers"]) for one in told["annotators"]] == [("an", 3), ("li", 3), ("wu", 1)]
    pair = told["agreements"][0]
    assert (pair["annotators"], pair["items"]) == (["an", "li"], 3)
    assert pair["share"] == pytest.approx(2 / 3)
    assert pair["kappa"] == pytest.approx(0.4)
    assert told["agreements"][-1]["annotators"] == ["an", "li", "wu"]


@pytest.mark.parametrize(
    "change",
    [
        {"uid": "0" * 32},
        {"uid": "../x"},
        {"uid": 1},
        {"text": None},
        {"text": "长" * 20_001},
        {"text_kind": 3},
        {"label": "maybe"},
        {"label": 1},
    ],
)
def test_an_answer_that_is_none_is_refused(release: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    body = {"uid": UIDS[0], "text": TEXTS[UIDS[0]], "text_kind": "alt", "label": "match"} | change
    with served(release, Wishes(annotator="wu")) as here:
        assert here.post("/api/label", body).status == 400
    assert not (tmp_path / "release-labels" / "wu.parquet").exists()


def test_nothing_is_labelled_without_an_annotator(release: Path, tmp_path: Path) -> None:
    with served(release) as here:
        assert labelled(here, UIDS[0], "match") == 400
        assert here.get("/api/tasks").status == 404
        assert here.get("/api/agreement").status == 404
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release"]


def test_an_annotator_s_file_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    with AnswerBook(tmp_path, "wu"), pytest.raises(OutputInUseError, match=r"wu\.parquet"):
        AnswerBook(tmp_path, "wu")
    with AnswerBook(tmp_path, "li"), AnswerBook(tmp_path, "wu"):
        pass


def test_a_write_that_fails_leaves_the_answers_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, data: bytes) -> None:
        raise DiskError("no space")

    with AnswerBook(tmp_path, "wu") as book:
        book.put(UIDS[0], "一", None, "match")
        monkeypatch.setattr(answers_module, "put_whole", full_disk)
        with pytest.raises(DiskError):
            book.put(UIDS[1], "二", None, "match")
        assert list(book.answers()) == [(UIDS[0], "一")]
    assert answers_of_all(tmp_path) == {"wu": {(UIDS[0], "一"): "match"}}
    assert sorted(os.listdir(tmp_path)) == [".wu.lock", "wu.parquet"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", ".hidden", "a" * 41, "a\n", "a b", "a\0"])
def test_a_name_that_is_no_file_s_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--annotator"):
        AnswerBook(tmp_path, name)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"uid": ["0" * 32] * 4}, "1 of its 1 images are not in what is explored"),
        ({"uid": [None] * 4}, "0 of its 0 images"),
    ],
)
def test_a_list_of_other_images_is_refused(release: Path, tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    wishes = Wishes(label=a_list(tmp_path / "list.parquet", **columns), annotator="wu")
    with pytest.raises(BadInputError, match=told), served(release, wishes):
        pass


def test_files_that_are_no_lists_or_no_answers_are_refused(release: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"url": ["x"]}), other)
    for path, told in ((other, "no column uid, text"), (tmp_path / "none.parquet", "cannot be read")):
        with pytest.raises(BadInputError, match=told), served(release, Wishes(label=path, annotator="wu")):
            pass
    labels = tmp_path / "labels"
    labels.mkdir()
    pq.write_table(pa.Table.from_pylist([{"label": "maybe"}], schema=SCHEMA), labels / "li.parquet")
    with pytest.raises(BadInputError, match="a label is none of"):
        answers_of_all(labels)
    (labels / "li.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInputError, match="no answers of annotators"):
        AnswerBook(labels, "li")


def test_labelling_needs_a_name(release: Path, tmp_path: Path) -> None:
    for wishes in (Wishes(label=tmp_path / "x"), Wishes(labels=tmp_path)):
        with pytest.raises(UsageError, match="need --annotator NAME"):
            explore(release, wishes, print)
