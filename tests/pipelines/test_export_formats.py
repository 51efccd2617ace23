"""The formats that `curate export` writes: what each holds, what its layout reads of it, and what it tells as lost."""

import base64
import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from crawler.lists.encoded_images import encoded_slices, read_encoded
from crawler.lists.shards_source import ShardsSource
from pipelines.export import export
from shards.errors import UsageError
from shards.layouts import LAYOUTS
from tests.pipelines.exports import GLOBS, HOSTILE, ODD_SAMPLES, SEVERAL, Pair, collected, counted, tree
from tests.pipelines.made_release import Sample, make_release


def pairs(samples: list[Sample]) -> list[Pair]:
    return sorted(((sample.url, text, kind) for sample in samples for kind, text in sample.texts), key=repr)


@pytest.mark.parametrize("layout", GLOBS)
def test_what_is_written_is_read_again_whatever_the_captions_hold(tmp_path: Path, layout: str) -> None:
    kind = "title" if layout == "zero" else LAYOUTS[layout].text_kind
    samples = [Sample(sample.url, [(kind, sample.texts[0][1])]) for sample in ODD_SAMPLES]
    done = export(make_release(tmp_path / "r", samples, rows_a_file=5), layout, str(tmp_path / "out"))
    assert collected(layout, tmp_path / "out") == pairs(samples)
    assert done.samples == len(samples)
    assert [line for line in done.losses if line.startswith(("one ", "captions of", "texts of"))] == []


def test_zero_holds_one_text_of_each_of_its_kinds(tmp_path: Path) -> None:
    done = export(make_release(tmp_path / "r", SEVERAL), "zero", str(tmp_path / "out"))
    assert collected("zero", tmp_path / "out") == sorted(
        [
            ("http://a.cn/1", "标题", "title"),
            ("http://a.cn/1", "上下文", "surrounding"),
            ("http://a.cn/2", "替代文字", "title"),
            ("http://a.cn/2", "查询", "query"),
            ("http://a.cn/3", "别的种类", "title"),
            ("http://a.cn/4", None, None),
        ],
        key=repr,
    )
    assert done.losses == [
        "one text of each kind a sample; further texts left out: 3",
        "texts of other kinds under Title, which read back as title: 2 (1 alt, 1 说明)",
        "samples without a text: 1",
    ]
    first = json.loads((tmp_path / "out" / "zero_000000.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert list(first) == ["Url", "Title", "Content", "Keywords", "ImageKey", "ImageUrl", "ImageQuery"]


def test_wenlan_holds_every_text_under_its_type(tmp_path: Path) -> None:
    done = export(make_release(tmp_path / "r", SEVERAL), "wenlan", str(tmp_path / "out"))
    assert collected("wenlan", tmp_path / "out") == sorted([*pairs(SEVERAL), ("http://a.cn/4", None, None)], key=repr)
    lines = (tmp_path / "out" / "wenlan_000000.jsonl").read_text(encoding="utf-8").splitlines()
    record = next(r for r in map(json.loads, lines) if r["url"] == "http://a.cn/2")
    assert record == {
        "image_id": f"{SEVERAL[1].uid}.jpg",
        "sentences": [["alt_text", "替代文字"], ["first", "第一句"], ["query", "查询"]],
        "bbox": [[0, 0, 320, 240]],
        "url": "http://a.cn/2",
        "page_url": "http://a.cn/页.html",
    }
    assert done.losses == [
        "samples without sur_text, the one text that BriVL's own loader reads: 2",
        "samples without a text: 1",
    ]


@pytest.mark.parametrize("layout", ["wukong", "wudaomm", "laion", "coyo", "datacomp"])
def test_one_caption_a_sample_tells_what_it_leaves_out(tmp_path: Path, layout: str) -> None:
    done = export(make_release(tmp_path / "r", SEVERAL), layout, str(tmp_path / "out"))
    kind = LAYOUTS[layout].text_kind
    captions = [("http://a.cn/1", "图注"), ("http://a.cn/2", "替代文字"), ("http://a.cn/3", "别的种类")]
    expected: list[Pair] = [(url, text, kind) for url, text in captions]
    assert collected(layout, tmp_path / "out") == [*expected, ("http://a.cn/4", None, None)]
    kinds = {"caption": "1 alt, 1 说明", "alt": "1 caption, 1 说明"}[kind]
    assert [line for line in counted(done) if "category" not in line] == [
        "one caption a sample; further texts left out: 5",
        f"captions of other kinds, which read back as {kind}: 2 ({kinds})",
        "samples without a text: 1",
    ]


def test_wukong_is_256_files_of_about_as_many_rows(tmp_path: Path) -> None:
    samples = [Sample(f"http://a.cn/{n}", [("caption", f'第{n}张,"图"')]) for n in range(600)]
    export(make_release(tmp_path / "r", samples, rows_a_file=100), "wukong", str(tmp_path / "out"))
    rows = []
    for number in range(256):
        with (tmp_path / "out" / f"wukong_100m_{number}.csv").open(encoding="utf-8", newline="") as file:
            header, *some = csv.reader(file)
        assert header == ["url", "caption"]
        assert len(some) in (2, 3)
        rows += some
    in_order = sorted(samples, key=lambda sample: sample.uid)
    assert rows == [[sample.url, sample.texts[0][1]] for sample in in_order]


CATEGORIES = ["风景", "Art", "art", "a/b", "..", "CON: ?", "类" * 61, None]


def test_wudaomm_is_an_array_a_category_with_names_made_of_the_record(tmp_path: Path) -> None:
    samples = [
        Sample(f"http://a.cn/{n}", [("caption", f"字{n}")], more={"category": category, "strength": strength})
        for n, (category, strength) in enumerate((c, s) for c in CATEGORIES for s in ("strong", "weak", None))
    ]
    done = export(make_release(tmp_path / "r", samples, rows_a_file=7), "wudaomm", str(tmp_path / "out"))
    for folder, strengths in (("strong", {"strong"}), ("weak", {"weak", None})):
        files = sorted((tmp_path / "out" / folder).iterdir())
        assert len({path.name.casefold() for path in files}) == len(CATEGORIES)
        records = [record for path in files for record in json.loads(path.read_text(encoding="utf-8"))]
        expected = {(s.url, s.more["category"] or "") for s in samples if s.more["strength"] in strengths}
        assert {(record["url"], record["tag"]) for record in records} == expected
        for record in records:
            told = record["tag"] + record["url"] + record["captions"]
            assert record["name"] == hashlib.md5(told.encode()).hexdigest() + ".jpg"
    assert (tmp_path / "out" / "strong" / "风景.json").is_file()
    assert collected("wudaomm", tmp_path / "out") == pairs(samples)
    assert "samples of unknown strength, put among the weak: 8" in done.losses
    assert "samples without a category, whose tag is empty: 3" in done.losses


def test_too_many_categories_for_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.export_wudaomm.MAX_CATEGORIES", 2)
    samples = [Sample(f"http://a.cn/{n}", more={"category": f"c{n}"}) for n in range(3)]
    with pytest.raises(UsageError, match="more than 2 of them"):
        export(make_release(tmp_path / "r", samples), "wudaomm", str(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


def test_chinese_clip_s_own_builder_reads_the_files(tmp_path: Path) -> None:
    export(make_release(tmp_path / "r", SEVERAL, rows_a_file=2), "chinese-clip", str(tmp_path / "out"))
    images, found = built_as_chinese_clip_does(tmp_path / "out")
    uids = dict(line.split("\t") for line in (tmp_path / "out" / "train_uids.tsv").read_text().splitlines())
    by_uid = {sample.uid: sample for sample in SEVERAL}
    assert {uids[number]: image for number, image in images.items()} == {s.uid: s.image for s in SEVERAL}
    assert sorted((by_uid[uids[str(number)]].url, text) for number, _, text in found) == sorted(
        (sample.url, text) for sample in SEVERAL for _, text in sample.texts
    )
    assert [text_id for _, text_id, _ in found] == list(range(1, len(found) + 1))


def test_a_source_reads_chinese_clip_s_files_back(tmp_path: Path) -> None:
    export(make_release(tmp_path / "r", SEVERAL, rows_a_file=2), "chinese-clip", str(tmp_path / "out"))
    source = ShardsSource(kind="shards", layout="chinese-clip", paths=[str(tmp_path / "out" / "*_imgs.tsv")])
    batches = [batch for piece in encoded_slices(source.paths) for batch in read_encoded(piece, source)]
    rows = [row for batch in batches for row in batch.to_pylist()]
    uids = dict(line.split("\t") for line in (tmp_path / "out" / "train_uids.tsv").read_text().splitlines())
    found = [(uids[row["url"].rpartition("/")[2]], row["kind"], row["text"]) for row in rows if row["text"]]
    assert sorted(found) == sorted((sample.uid, kind, text) for sample in SEVERAL for kind, text in sample.texts)


def built_as_chinese_clip_does(folder: Path) -> tuple[dict[str, bytes], list[tuple[int, int, str]]]:
    """cn_clip/preprocess/build_lmdb_dataset.py, line for line, into dicts instead of LMDB."""
    found = []
    with (folder / "train_texts.jsonl").open(encoding="utf-8") as fin_pairs:
        for line in fin_pairs:
            obj = json.loads(line.strip())
            for name in ("text_id", "text", "image_ids"):
                assert name in obj
            found += [(image_id, obj["text_id"], obj["text"]) for image_id in obj["image_ids"]]
    images = {}
    with (folder / "train_imgs.tsv").open(encoding="utf-8") as fin_imgs:
        for line in fin_imgs:
            image_id, b64 = line.strip().split("\t")
            images[image_id] = base64.urlsafe_b64decode(b64.replace("+", "-").replace("/", "_"))
    return images, found


def test_a_release_without_shards_holds_no_images(tmp_path: Path) -> None:
    release = make_release(tmp_path / "r", SEVERAL)
    (release / "shards" / "000000.tar").unlink()
    (release / "shards").rmdir()
    with pytest.raises(UsageError, match="carries images"):
        export(release, "chinese-clip", str(tmp_path / "out"))


LAION_HASH = 697790328030997915
"""mmh3 5.3.1: `mmh3.hash64((url + text).encode())[0]` of the first sample."""


def test_laion_s_columns_and_hash(tmp_path: Path) -> None:
    export(make_release(tmp_path / "r", ODD_SAMPLES), "laion", str(tmp_path / "out"))
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert table.schema.names == [
        *("URL", "TEXT", "WIDTH", "HEIGHT", "similarity", "LANGUAGE", "hash", "pwatermark", "punsafe")
    ]
    row = next(row for row in table.to_pylist() if row["TEXT"] == HOSTILE[0])
    assert (row["WIDTH"], row["HEIGHT"], row["similarity"]) == (640, 480, 0.25)
    assert row["hash"] == LAION_HASH


def test_coyo_s_columns(tmp_path: Path) -> None:
    export(make_release(tmp_path / "r", [Sample("http://a.cn/1", [("alt", "a bc 字")])]), "coyo", str(tmp_path / "out"))
    (row,) = pq.read_table(tmp_path / "out" / "part-00000.parquet").to_pylist()
    filled = {name: value for name, value in row.items() if value is not None}
    assert len(row) == 18
    assert filled == {
        "id": int(Sample("http://a.cn/1").uid[:16], 16) >> 1,
        "url": "http://a.cn/1",
        "text": "a bc 字",
        "width": 640,
        "height": 480,
        "image_phash": "8000000000000001",
        "text_length": 6,
        "word_count": 3,
        "clip_score": 0.25,
    }


def test_datacomp_s_subset_file_is_sorted_and_whole(tmp_path: Path) -> None:
    samples = [Sample(f"http://a.cn/{n}", [("alt", "字")]) for n in range(200)]
    release = make_release(tmp_path / "r", samples)
    (release / "manifest" / "kept-000000.parquet").rename(release / "manifest" / "kept-000001.parquet")
    last = make_release(tmp_path / "s", [Sample("http://b.cn/")]) / "manifest" / "kept-000000.parquet"
    last.rename(release / "manifest" / "kept-000000.parquet")
    export(release, "datacomp", str(tmp_path / "out"))
    uids = np.load(tmp_path / "out" / "uids.npy")
    assert uids.dtype == np.dtype("u8,u8")
    expected = sorted([*(sample.uid for sample in samples), Sample("http://b.cn/").uid])
    assert [f"{int(high):016x}{int(low):016x}" for high, low in uids] == expected
    table = pq.read_table(tmp_path / "out" / "metadata" / "part-00000.parquet")
    assert sorted(table["uid"].to_pylist()) == expected


@pytest.mark.parametrize(
    ("model", "filled"),
    [
        ("xlm-roberta-base-ViT-B-32", {"clip_b32_similarity_score"}),
        ("ViT-L/14", {"clip_l14_similarity_score"}),
        ("local-dir:mine", set()),
    ],
)
def test_scores_stand_in_the_column_of_their_model_only(tmp_path: Path, model: str, filled: set[str]) -> None:
    release = make_release(tmp_path / "run" / "release", ODD_SAMPLES)
    (tmp_path / "run" / "recipe.yaml").write_text(f"score: {{model: '{model}'}}\n")
    done = export(release, "datacomp", str(tmp_path / "out"))
    table = pq.read_table(tmp_path / "out" / "metadata" / "part-00000.parquet")
    columns = ("clip_b32_similarity_score", "clip_l14_similarity_score")
    assert {name for name in columns if table[name].null_count == 0} == filled
    assert any(model in line for line in done.losses) is not bool(filled)


def test_files_are_cut_where_they_would_grow_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.export_parquet.ROWS_A_FILE", 7)
    monkeypatch.setattr("shards.export_text.RECORDS_A_FILE", 8)
    monkeypatch.setattr("shards.export_text._LINES_AT_ONCE", 4)
    release = make_release(tmp_path / "r", ODD_SAMPLES, rows_a_file=5)
    for layout, last in (("laion", "part-00002.parquet"), ("zero", "zero_000002.jsonl")):
        export(release, layout, str(tmp_path / layout))
        assert max(tree(tmp_path / layout)) == last
        assert len(collected(layout, tmp_path / layout)) == len(ODD_SAMPLES)
