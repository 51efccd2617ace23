"""TaiSu's files: tars of images that are named by id, and the list of captions by id, in slices, and nothing lost."""

import gzip
import tarfile
from pathlib import Path
from typing import Any

import pytest

from crawler.lists.shard_samples import shard_slices
from crawler.lists.shards_source import ShardsSource
from crawler.lists.taisu import caption_slices, read_captions, read_images
from shards.errors import BadInputError
from shards.schema import RAW_CANDIDATE
from tests.crawler.lists.shard_files import write_tar

ID = "img1baiducomitu1848496827104259151"


def source_of(**said: Any) -> ShardsSource:
    given = {"kind": "shards", "layout": "taisu", "paths": ["x.tar"], "captions": ["x.txt"]}
    return ShardsSource.model_validate(given | said)


def captions_of(path: Path, slice_bytes: int = 1 << 20, **said: Any) -> list[dict[str, Any]]:
    source = source_of(captions=[str(path)], **said)
    batches = [b for piece in caption_slices(source.captions, slice_bytes) for b in read_captions(piece, source)]
    assert all(batch.schema == RAW_CANDIDATE for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def images_of(path: Path, **said: Any) -> list[dict[str, Any]]:
    source = source_of(paths=[str(path)], **said)
    batches = [batch for piece in shard_slices(source.paths) for batch in read_images(piece, source)]
    assert all(batch.schema == RAW_CANDIDATE for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def write_list(folder: Path, *lines: str | bytes, name: str = "captions.txt", end: bytes = b"\n") -> Path:
    path = folder / name
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + end for line in lines))
    return path


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        (f"{ID}*****湖畔的古塔*****湖边有一座塔", [("caption", "湖畔的古塔"), ("generated", "湖边有一座塔")]),
        (f"{ID}*****湖畔的古塔*****None", [("caption", "湖畔的古塔")]),
        (f"{ID}*****None*****一座塔", [("generated", "一座塔")]),
        (f"{ID}*****None*****None", [(None, None)]),
        (f"{ID}**********一座塔", [("generated", "一座塔")]),
        (f"{ID}*****Nonesuch*****none", [("caption", "Nonesuch"), ("generated", "none")]),
        (f"{ID}*****禁*****止*****None", [("caption", "禁*****止")]),
        (f"{ID}*****评价五星******None", [("caption", "评价五星*")]),
        (f'{ID}*****=HYPERLINK(1), \t"x"*****None\r', [("caption", '=HYPERLINK(1), \t"x"')]),
        (f"\ufeff{ID}*****塔*****None", [("caption", "塔")]),
        (f"folder/{ID}.jpg*****塔*****None", [("caption", "塔")]),
    ],
)
def test_a_line_gives_its_captions_by_kind(tmp_path: Path, line: str, texts: list[tuple[str, str]]) -> None:
    rows = captions_of(write_list(tmp_path, line))
    assert [(row["kind"], row["text"]) for row in rows] == texts
    told = {(row["url"], row["origin"], row["member"], row["drop_reason"], row["strength"]) for row in rows}
    assert told == {(f"shard:taisu/{ID}", "captions.txt:1", None, None, "weak")}


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (f"{ID}*****塔", "bad_row", "expected ID*****caption*****generated caption"),
        ("塔", "bad_row", "expected ID*****caption*****generated caption"),
        ("*****塔*****None", "bad_row", "no id"),
        (".hidden*****塔*****None", "bad_row", "no id"),
        ("a\x07b*****塔*****None", "bad_row", "no id"),
        ("x" * 300 + "*****塔*****None", "bad_row", "no id"),
        (b"\xff*****a*****None", "bad_row", "no id"),
        (b"7*****\xff\xfe*****None", "bad_text", "not UTF-8"),
        (b"7*****" + b"x" * (2**20 + 1) + b"*****None", "bad_text", "1048577 characters"),
        (b"7*****" + b"x" * (2**25 + 1) + b"*****None", "bad_row", "a line of more than"),
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(tmp_path: Path, line: str | bytes, reason: str, detail: str) -> None:
    good = f"{ID}*****塔*****None"
    first, bad, last = captions_of(write_list(tmp_path, good, "", line, good))
    assert (bad["origin"], bad["drop_reason"], bad["text"]) == ("captions.txt:3", reason, None)
    assert detail in bad["detail"]
    assert [(row["text"], row["drop_reason"]) for row in (first, last)] == [("塔", None)] * 2


def test_slices_of_any_size_give_the_same_rows(tmp_path: Path) -> None:
    lines = [f"id{number}*****第{number}张*****{'None' if number % 3 else '生成'}" for number in range(20)]
    path = write_list(tmp_path, *lines, "broken", end=b"\r\n")
    whole = captions_of(path)
    assert len(whole) == 28
    for slice_bytes in (1, 50, 200):
        rows = captions_of(path, slice_bytes)
        assert [row | {"origin": ""} for row in rows] == [row | {"origin": ""} for row in whole]
        assert len(list(caption_slices([str(path)], slice_bytes))) > 2
        for row in rows:
            place, number = row["origin"].removeprefix("captions.txt").split(":")
            behind = path.read_bytes()[int(place.removeprefix("@") or 0) :]
            assert (row["url"] or "broken").removeprefix("shard:taisu/").encode() in behind.splitlines()[
                int(number) - 1
            ]
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    assert [row | {"origin": ""} for row in captions_of(packed, 50)] == [row | {"origin": ""} for row in whole]


def test_the_recipe_says_more_of_all(tmp_path: Path) -> None:
    said: dict[str, Any] = {"text_kind": "alt", "strength": "strong", "category": "风景", "license": "CC-BY-NC-SA-4.0"}
    rows = captions_of(write_list(tmp_path, "1*****塔*****一座塔"), **said)
    rows += images_of(write_tar(tmp_path / "0.tar", [("1.jpg", b"x")]), **said)
    assert [row["kind"] for row in rows] == ["alt", "generated", None]
    assert {(row["strength"], row["category"], row["license"]) for row in rows} == {
        ("strong", "风景", "CC-BY-NC-SA-4.0")
    }


@pytest.mark.parametrize("data", [b"", b"\n\n", b"id,caption\n1,x\n", b'{"1": {"w": "x"}}', b"\x1f\x8b\x08"])
def test_what_is_no_list_of_captions_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "captions.txt"
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=r"captions\.txt: none of its first lines is ID"):
        captions_of(path)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_images_are_told_by_id_and_place_in_whatever_folder_they_lie(tmp_path: Path, form: int) -> None:
    names = [f"{ID}.jpg", "./baidu/7.jpeg", "/data/8", "a/9.tar.png", "x" * 120 + "/图 1.jpg"]
    path = write_tar(tmp_path / "baidu_images0.tar", [(name, name.encode()) for name in names], form)
    rows = images_of(path)
    assert [row["url"].removeprefix("shard:taisu/") for row in rows] == [ID, "7", "8", "9", "%E5%9B%BE%201"]
    data = path.read_bytes()
    for name, row in zip(names, rows, strict=True):
        tar, offset, size = row["member"].rsplit(":", 2)
        assert (tar, data[int(offset) : int(offset) + int(size)]) == ("baidu_images0.tar", name.encode())
        assert (row["origin"], row["text"], row["drop_reason"]) == (f"baidu_images0.tar:{name}", None, None)


def test_an_id_of_the_list_names_the_same_image_as_a_file_of_it(tmp_path: Path) -> None:
    for number, (listed, file) in enumerate([(ID, f"a/{ID}.jpg"), ("图 1", "图 1.png"), ("a/b.jpg", "b.jpg")]):
        (caption,) = captions_of(write_list(tmp_path, f"{listed}*****塔*****None"))
        (image,) = images_of(write_tar(tmp_path / f"{number}.tar", [(file, b"x")]))
        assert caption["url"] == image["url"]


def test_what_is_no_image_of_an_id_is_passed_over_or_told(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "t.tar", [("._1.jpg", b"x"), ("a\x07.jpg", b"x"), ("1.jpg", b"x"), ("2.jpg", b"y" * 9000)]
    )
    bad, good, _ = images_of(path)
    assert (bad["origin"], bad["drop_reason"]) == ("t.tar:a\x07.jpg+1536", "bad_row")
    assert "holds no id" in bad["detail"]
    assert good["url"] == "shard:taisu/1"
    path.write_bytes(path.read_bytes()[:-9000])
    *_, end = images_of(path)
    assert (end["origin"], end["drop_reason"]) == ("t.tar:+", "bad_row")


def test_a_packed_tar_is_refused_and_told_how_to_unpack(tmp_path: Path) -> None:
    (tmp_path / "baidu_images0.tgz").write_bytes(gzip.compress(b"x" * 2000, mtime=0))
    with pytest.raises(BadInputError, match=r"baidu_images0\.tgz: is compressed; unpack it first \(`pigz -d`"):
        list(shard_slices([str(tmp_path / "*.tgz")]))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"layout": "taisu"}, "layout taisu needs `captions:`"),
        ({"layout": "taisu", "captions": ["x"], "texts": {"a": "alt"}}, "leave `texts:` out"),
        ({"captions": ["x"]}, "`captions:` belong to layout taisu"),
        ({"layout": "chinese-clip", "captions": ["x"]}, "`captions:` belong to layout taisu"),
    ],
)
def test_captions_and_the_layout_belong_together(said: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ShardsSource.model_validate({"kind": "shards", "paths": ["x.tar"], **said})
