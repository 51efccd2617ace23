"""Test sets of a sample: what people found to match, read back as Zero's and Chinese-CLIP's loaders do."""

import base64
import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.evaluation_sets.export import Order, export_test_set
from pipelines.evaluation_sets.sample import Request, draw_sample
from pipelines.evaluation_sets.votes import read_votes
from pipelines.evaluation_sets.writing import WRITERS
from pipelines.export import export
from shards.errors import BadInputError, BrokenRunError, UsageError
from tests.pipelines.exports import HOSTILE, tree
from tests.pipelines.made_release import Sample, make_release
from tests.pipelines.verifying import faults_of

NUM = 40


def sample(number: int) -> Sample:
    texts = [("alt", f"第{number}张 {HOSTILE[number % len(HOSTILE)]}"), ("title", f"标题{number // 2}")]
    texts += [("query", f"查询{number % 5}")] if number % 2 else []
    more = {"category": "风景" if number % 3 else "动物", "clip_score": number / 100}
    return Sample(f"http://a.cn/{number}", texts, more=more)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """A release of 50 and a sample of 40 of them."""
    release = make_release(tmp_path / "r", [sample(number) for number in range(50)], rows_a_file=16)
    drawn = draw_sample(release, Request(NUM, 0, "category"), tmp_path / "sample.parquet")
    return release, drawn.path


def label(folder: Path, annotator: str, labels: list[tuple[str, str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    rows = [dict(zip(("uid", "text", "label"), entry, strict=True)) for entry in labels]
    schema = pa.schema([(name, pa.string()) for name in ("uid", "text", "label")])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{annotator}.parquet")


def lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def captions(sample_file: Path) -> dict[str, dict[str, Any]]:
    return {row["uid"]: row for row in pq.read_table(sample_file).to_pylist()}


def image_id(record: dict[str, Any]) -> str:
    """As R2D2's loaders tell images: the last part of the path without four characters."""
    found: str = record["image_path"].split("/")[-1][:-4]
    return found


def test_a_matching_set_has_every_text_and_image_once_as_right_and_once_as_wrong(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    release, sample_file = made
    order = Order("zero-matching", sample_file, takes_unlabelled=True)
    told = export_test_set(release, order, str(tmp_path / "out"))
    assert (
        told[0]
        == "zero-matching: 40 images of the sample, NOT VERIFIED: --unlabelled takes pairs that nobody looked at"
    )
    rows = captions(sample_file)
    for name, prefix, num in (
        ("ICM", "long", NUM),
        ("IQM", "short", sum("query" in {t["kind"] for t in row["texts"]} for row in rows.values())),
    ):
        records = lines(tmp_path / "out" / name / "val" / f"{prefix}_itm_val.json")
        right, wrong = ([record for record in records if record["label"] == label] for label in (1, 0))
        assert len(right) == num
        assert {image_id(record) for record in right} == {image_id(record) for record in wrong}
        assert all(record["verified"] is False for record in records)
        texts = {uid: {text["text"] for text in row["texts"]} for uid, row in rows.items()}
        for record in right:
            assert record["text"] in texts[image_id(record)]
        for record in wrong:
            assert record["text"] not in texts[image_id(record)]
            owners = {rows[uid]["category"] for uid in texts if record["text"] in texts[uid]}
            assert rows[image_id(record)]["category"] in owners
    icm = lines(tmp_path / "out" / "ICM" / "val" / "long_itm_val.json")
    assert Counter(r["text"] for r in icm if r["label"]) == Counter(r["text"] for r in icm if not r["label"])
    images = {path.stem: path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()}
    assert {uid: hashlib.sha256(data).hexdigest() for uid, data in images.items()} == {
        uid: row["stored_sha256"] for uid, row in rows.items()
    }
    facts = json.loads((tmp_path / "out" / "test-set.json").read_text())
    assert facts["is_verified"] is False
    assert facts["counts"]["ICM pairs that nobody looked at"] == NUM


def test_most_annotators_decide(made: tuple[Path, Path], tmp_path: Path) -> None:
    release, sample_file = made
    rows = captions(sample_file)
    first, second, third, fourth, fifth, *rest = sorted(rows)
    text = {uid: rows[uid]["text"] for uid in rows}
    labels = tmp_path / "labels"
    label(
        labels,
        "甲",
        [
            (first, text[first], "no_match"),
            (first, text[first], "match"),  # changed their mind
            (second, text[second], "match"),
            (third, text[third], "match"),
            (fourth, text[fourth], "no_match"),
            (fifth, text[fifth], "match"),
            *((uid, text[uid], "match") for uid in rest[:6]),
            ("f" * 32, "别的", "match"),
        ],
    )
    label(
        labels,
        "乙",
        [(second, text[second], "no_match"), (third, text[third], "match"), (fifth, text[fifth], "unsure")],
    )
    label(labels, "丙", [(third, text[third], "no_match"), (fourth, rows[fourth]["texts"][1]["text"], "match")])
    votes = read_votes(labels, rows)
    assert votes.of((first, text[first])) is True
    assert votes.of((second, text[second])) is votes.of((fifth, text[fifth])) is None
    assert votes.of((third, text[third])) is True
    assert votes.of((fourth, text[fourth])) is False
    assert (votes.count(True), votes.count(False), votes.count(None)) == (9, 1, 2)
    told = export_test_set(release, Order("zero-retrieval", sample_file, labels=labels), str(tmp_path / "out"))
    assert told[0] == "zero-retrieval: 40 images of the sample"
    assert "  labelled pairs of the sample, by most of 3 annotators: 9 match, 1 do not, 2 are undecided" in told
    records = lines(tmp_path / "out" / "ICR" / "val" / "long_itr_val.json")
    assert {image_id(record) for record in records} == {first, third, fourth, *rest[:6]}
    found = {image_id(record): record["text"] for record in records}
    assert found[fourth] == rows[fourth]["texts"][1]["text"]
    assert all(record["verified"] for record in records)
    assert not (tmp_path / "out" / "IQR").exists()
    assert {path.stem for path in (tmp_path / "out" / "images").iterdir()} == found.keys()


def test_with_unlabelled_ones_what_was_judged_wrong_stays_out(made: tuple[Path, Path], tmp_path: Path) -> None:
    release, sample_file = made
    rows = captions(sample_file)
    bad, *_ = sorted(rows)
    label(tmp_path / "labels", "甲", [(bad, text["text"], "no_match") for text in rows[bad]["texts"]])
    order = Order("zero-retrieval", sample_file, labels=tmp_path / "labels", takes_unlabelled=True)
    export_test_set(release, order, str(tmp_path / "out"))
    records = lines(tmp_path / "out" / "ICR" / "val" / "long_itr_val.json")
    assert {image_id(record) for record in records} == rows.keys() - {bad}


def test_chinese_clip_s_retrieval_names_every_image_of_a_text(made: tuple[Path, Path], tmp_path: Path) -> None:
    release, sample_file = made
    rows = captions(sample_file)
    labels = [(uid, text["text"], "match") for uid, row in rows.items() for text in row["texts"]]
    label(tmp_path / "labels", "甲", labels)
    order = Order("chinese-clip-retrieval", sample_file, labels=tmp_path / "labels")
    export_test_set(release, order, str(tmp_path / "out"))
    uids = dict(line.split("\t") for line in (tmp_path / "out" / "test_uids.tsv").read_text().splitlines())
    assert uids.keys() == {str(number) for number in range(1, NUM + 1)}
    images = {}
    for line in (tmp_path / "out" / "test_imgs.tsv").read_text().splitlines():  # as build_lmdb_dataset.py reads it
        number, data = line.split("\t")
        images[uids[number]] = hashlib.sha256(base64.b64decode(data)).hexdigest()
    assert images == {uid: row["stored_sha256"] for uid, row in rows.items()}
    records = lines(tmp_path / "out" / "test_texts.jsonl")
    assert [record["text_id"] for record in records] == list(range(1, len(records) + 1))
    expected: dict[str, set[str]] = {}
    for uid, text, _ in labels:
        expected.setdefault(text, set()).add(uid)
    found = {record["text"]: {uids[str(number)] for number in record["image_ids"]} for record in records}
    assert found == expected
    assert max(map(len, found.values())) > 1


@pytest.mark.parametrize("layout", WRITERS)
def test_the_same_bytes_each_time_and_digests_of_all(made: tuple[Path, Path], tmp_path: Path, layout: str) -> None:
    release, sample_file = made
    order = Order(layout, sample_file, takes_unlabelled=True)
    for out in ("one", "other"):
        export_test_set(release, order, str(tmp_path / out))
    assert tree(tmp_path / "one") == tree(tmp_path / "other")
    assert faults_of(tmp_path / "one") == []
    export_test_set(release, replace(order, seed=1), str(tmp_path / "seed"))
    is_same = tree(tmp_path / "seed").get("ICM/val/long_itm_val.json") == tree(tmp_path / "one").get(
        "ICM/val/long_itm_val.json"
    )
    assert is_same == (layout != "zero-matching")


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [
        ({"sample": None}, UsageError, "is made of a sample: name it with --sample"),
        ({"sample": Path("none.parquet")}, BadInputError, "is not there; `curate sample` writes one"),
        ({"takes_unlabelled": False}, UsageError, "has no label of any of the sample's 40 images"),
        ({"labels": Path("strange")}, BadInputError, "label 'maybe'; expected one of match, no_match, unsure"),
        ({"labels": Path("columns")}, BadInputError, "no column label of type string"),
        ({"labels": Path("broken")}, BadInputError, "cannot be read as labels"),
        (
            {"labels": Path("nothing"), "takes_unlabelled": False},
            UsageError,
            "no pair of the sample was found to match",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    made: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], error: type[Exception], expected: str
) -> None:
    release, sample_file = made
    uid = next(iter(captions(sample_file)))
    label(tmp_path / "strange", "甲", [("1", "2", "maybe")])
    label(tmp_path / "nothing", "甲", [(uid, "别的", "no_match")])
    label(tmp_path / "columns", "甲", [])
    pq.write_table(pa.table({"uid": ["1"], "text": ["2"]}), tmp_path / "columns" / "甲.parquet")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "甲.parquet").write_bytes(b"PAR1")
    change = {name: tmp_path / value if isinstance(value, Path) else value for name, value in change.items()}
    order = replace(Order("zero-matching", sample_file, takes_unlabelled=True), **change)
    with pytest.raises(error, match=expected):
        export_test_set(release, order, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_another_release_lacks_the_images_of_the_sample(made: tuple[Path, Path], tmp_path: Path) -> None:
    other = make_release(tmp_path / "other", [sample(number) for number in range(10)])
    order = Order("zero-retrieval", made[1], takes_unlabelled=True)
    with pytest.raises(BadInputError, match=r"does not keep .* of the sample's 40 images"):
        export_test_set(other, order, str(tmp_path / "out"))
    (made[0] / "shards" / "000000.tar").write_bytes(b"")
    with pytest.raises(BrokenRunError, match="cannot be read as a shard"):
        export_test_set(made[0], order, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_command_makes_test_sets_and_says_what_goes_with_what(made: tuple[Path, Path], tmp_path: Path) -> None:
    release, sample_file = made
    base = ["export", str(release), "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(app, [*base, "--layout", "zero", "--sample", str(sample_file)])
    assert ended.exit_code == 2
    assert "go with a test set" in ended.stderr
    ended = CliRunner().invoke(
        app, [*base, "--layout", "zero-matching", "--sample", str(sample_file), "--unlabelled", "--seed", "3"]
    )
    assert ended.exit_code == 0, ended.output
    assert "  ICM negatives: of the same stratum: 40" in ended.stdout.splitlines()
    with pytest.raises(UsageError, match="zero-matching, zero-retrieval, chinese-clip-retrieval"):
        export(release, "none", str(tmp_path / "x"))
