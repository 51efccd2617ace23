"""`curate verify RELEASE`: any changed byte is found, and so is what its digests do not show."""

import json
import os
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.verify import command
from shards.errors import BadInputError, UsageError
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.verifying import (
    Members,
    change_json,
    change_members,
    change_table,
    copied_release,
    faults_of,
    flipped,
    resign,
)

TAR, KEPT, DROPPED = "shards/000000.tar", "manifest/kept-000000.parquet", "manifest/dropped-000000.parquet"


@pytest.fixture
def release(finished: FinishedRun, tmp_path: Path) -> Path:
    return copied_release(finished, tmp_path)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_release_as_it_was_made_has_no_fault(finished: FinishedRun, release: Path) -> None:
    assert faults_of(release) == []
    assert faults_of(finished.folder / "release") == []
    assert faults_of(finished.folder) == []


def places(path: Path, more: int = 0) -> list[int]:
    """Places in a file where a byte may be changed: its ends, what only some readers look at, and some at random."""
    data = path.read_bytes()
    found = {0, len(data) // 2, len(data) - 1}
    if path.suffix == ".tar":
        found |= {300, 512 + data[:512].find(b"\0"), len(data) - 600}  # a header, an image, the closing zeros
    if path.suffix == ".parquet":
        found |= {len(data) - 9, len(data) - 6, len(data) - 200}  # footer and its length
    found |= set(random.Random(len(data)).sample(range(len(data)), min(more, len(data))))
    return sorted(place for place in found if 0 <= place < len(data))


@pytest.mark.parametrize("more", [0, pytest.param(15, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_any_file_is_found(release: Path, more: int) -> None:
    names = [path.relative_to(release).as_posix() for path in files_of(release)]
    assert {"SHA256SUMS", "README.md", "report.html", "stats.json", "uids.npy", "views.sql", TAR, KEPT, DROPPED} <= {
        *names
    }
    missed = []
    for name in names:
        for place in places(release / name, more):
            with flipped(release / name, place, 1 << place % 8):
                told = faults_of(release)
            if not told or not (name == "SHA256SUMS" or any(line.startswith(f"{name}: ") for line in told)):
                missed.append((name, place, told))
    assert missed == []
    assert faults_of(release) == []


@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
def test_a_truncated_file_is_found(release: Path, keep: float) -> None:
    for path in files_of(release):
        data = path.read_bytes()
        path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
        assert any(line.startswith(path.relative_to(release).as_posix()) for line in faults_of(release))
        path.write_bytes(data)


def test_a_missing_file_is_found(release: Path) -> None:
    for path in files_of(release):
        data = path.read_bytes()
        path.unlink()
        name = path.relative_to(release).as_posix()
        told = [line for line in faults_of(release) if line.startswith(f"{name}: ")]
        assert len(told) == 1
        assert told[0].endswith("take it again from where the release came from")
        path.write_bytes(data)


def test_what_is_not_listed_is_found(release: Path) -> None:
    (release / "shards" / "000009.tar").write_bytes(b"")
    (release / "notes").mkdir()
    (release / "notes" / "a.txt").write_text("a")
    (release / "manifest" / "loop").symlink_to(release)
    assert faults_of(release) == [
        "manifest/loop/: is not listed in SHA256SUMS; delete it, or keep it elsewhere",
        "notes/: is not listed in SHA256SUMS; delete it, or keep it elsewhere",
        "shards/000009.tar: is not listed in SHA256SUMS; delete it, or keep it elsewhere",
    ]


def test_the_recipe_of_a_release_that_was_decided_again_may_lie_there(release: Path) -> None:
    (release / "recipe.yaml").write_text("name: a\n")
    assert faults_of(release) == []


def test_a_fifo_in_place_of_a_file_is_told_and_not_waited_for(release: Path) -> None:
    (release / TAR).unlink()
    os.mkfifo(release / TAR)
    assert any(line.startswith(f"{TAR}: is not there as a file") for line in faults_of(release))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no digest\n", "is not a sha256, two blanks and a name inside"),
        (f"{'0' * 64}  ../../etc/passwd\n", "is not a sha256, two blanks and a name inside"),
        (f"{'0' * 64}  /etc/passwd\n", "is not a sha256, two blanks and a name inside"),
        (f"{'0' * 64}  a\x1b[2Jb\n", "is not a sha256, two blanks and a name inside"),
        (f"{'0' * 64}  shards/../../x\n", "is not a sha256, two blanks and a name inside"),
        (f"{'0' * 64}  zz", "does not end in a whole line"),
        (f"{'0' * 64}  README.md\n", "is not in order"),
    ],
)
def test_a_line_that_is_no_digest_is_told(release: Path, line: str, expected: str) -> None:
    with (release / "SHA256SUMS").open("a") as sums:
        sums.write(line)
    assert expected in faults_of(release)[0]


def test_swapped_shards_are_found_in_their_bytes(release: Path) -> None:
    swap(release)
    told = faults_of(release)
    assert {line.split(":")[0] for line in told} == {TAR, "shards/000001.tar"}
    assert sum("its bytes are not those released" in line for line in told) == 2


def swap(release: Path) -> None:
    first, second = release / TAR, release / "shards/000001.tar"
    first.rename(release / "x")
    second.rename(first)
    (release / "x").rename(second)


def only_first_rows(release: Path) -> None:
    change_table(release / KEPT, lambda table: table.slice(0, 3))


def of_a_larger_release(release: Path) -> None:
    extra = pa.array(["f" * 32])
    change_table(
        release / KEPT,
        lambda table: pa.concat_tables(
            [table, table.slice(5).set_column(table.schema.get_field_index("uid"), "uid", extra)]
        ),
    )


def twice(release: Path) -> None:
    uid = pa.array([None], pa.string())

    def change(table: pa.Table) -> pa.Table:
        nonlocal uid
        uid = pc.min_max(table["uid"])["min"]
        return table

    change_table(release / KEPT, change)
    change_table(
        release / DROPPED,
        lambda table: table.set_column(
            table.schema.get_field_index("uid"), "uid", pa.array([uid.as_py(), *table["uid"].to_pylist()[1:]])
        ),
    )


def with_value(name: str, value: object, file: str = KEPT) -> Callable[[Path], None]:
    """The first row of a manifest file says something else."""

    def change(table: pa.Table) -> pa.Table:
        column = table.schema.field(name)
        values = pa.array([value, *table[name].to_pylist()[1:]], column.type)
        return table.set_column(table.schema.get_field_index(name), column, values)

    return lambda release: change_table(release / file, change)


def with_members(change: Callable[[Members], Members]) -> Callable[[Path], None]:
    return lambda release: change_members(release / TAR, change)


def with_stats(**values: object) -> Callable[[Path], None]:
    return lambda release: change_json(release / "stats.json", **values)


def with_uids(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def damage(release: Path) -> None:
        np.save(release / "uids.npy", change(np.load(release / "uids.npy")))

    return damage


def with_bytes(name: str, data: bytes) -> Callable[[Path], None]:
    def damage(release: Path) -> None:
        (release / name).write_bytes(data)

    return damage


def facts_with(**values: object) -> Callable[[Members], Members]:
    def change(found: Members) -> Members:
        name, data = found[2]
        return [*found[:2], (name, json.dumps(json.loads(data) | values).encode()), *found[3:]]

    return change


def replaced(place: int, data: bytes) -> Callable[[Members], Members]:
    return lambda found: [*found[:place], (found[place][0], data), *found[place + 1 :]]


def renamed(place: int, extension: str) -> Callable[[Members], Members]:
    return lambda found: [
        (name.split(".")[0] + "." + extension if number == place else name, data)
        for number, (name, data) in enumerate(found)
    ]


SIGNED = {
    "swapped shards": (swap, [f"{TAR}: sample", "is in it; the manifest does not say so"]),
    "a manifest that ends early": (only_first_rows, ["stats.json: kept is 6", "shards/000002.tar: no row"]),
    "a manifest of a larger release": (of_a_larger_release, ["stats.json: kept is 6", f"sample {'f' * 32} is not in"]),
    "a uid kept and dropped": (twice, ["manifest: sample", "more than once"]),
    "an upper-case uid": (with_value("uid", "A" * 32, DROPPED), ["has no uid of 32 hex digits"]),
    "no uid": (with_value("uid", None), ["a sample has no uid of 32 hex digits"]),
    "a dropped row among the kept": (with_value("status", "dropped"), ["has another status than kept"]),
    "a kept row with a reason": (with_value("drop_reason", "x"), ["has a drop_reason"]),
    "a dropped row without one": (with_value("drop_reason", None, DROPPED), ["has no drop_reason"]),
    "a dropped row with a shard": (with_value("shard", "000000.tar", DROPPED), ["has a shard"]),
    "another reason": (with_value("drop_reason", "too_smal", DROPPED), ["stats.json: ", "for too_smal, rows of"]),
    "a shard that is not there": (with_value("shard", "000007.tar"), ["lie in shards/000007.tar, which SHA256SUMS"]),
    "a kept row without shard": (with_value("shard", None), ["lie in shards/None"]),
    "rows of a shard apart": (with_value("shard", "000001.tar"), ["rows of shards/000001.tar do not all follow"]),
    "a shard outside": (with_value("shard", "../stats.json"), ["lie in shards/../stats.json, which SHA256SUMS"]),
    "another text": (
        with_value("text", "别的"),
        ["the caption is ", 'the manifest\'s text "别的"', "its .json says text"],
    ),
    "another measure": (with_value("entropy", 0.5), ["its .json says entropy", "the manifest 0.5"]),
    "another digest": (with_value("stored_sha256", "0" * 64), ["the image's sha256 is"]),
    "another caption": (with_members(replaced(1, b"\xff\x1b[2J")), ["the caption is "]),
    "another image": (with_members(replaced(0, b"\xff\xd8\xff")), ["the image's sha256 is"]),
    "no image": (with_members(replaced(0, b"<svg/>")), ["its .jpg does not begin as one (no image)"]),
    "an image of another kind": (with_members(renamed(0, "png")), ["its .png does not begin as one (jpeg)"]),
    "two images": (with_members(renamed(1, "png")), ["its members are jpg, png, json; expected one of"]),
    "no caption": (with_members(lambda found: [found[0], *found[2:]]), ["its members are jpg, json; expected"]),
    "a member twice": (with_members(lambda found: [found[0], *found]), ["its members are jpg, jpg, txt, json"]),
    "samples out of order": (with_members(lambda found: found[3:] + found[:3]), ["is not in order of uid"]),
    "no sample": (with_members(lambda found: []), ["is not in it; the manifest says that it is"]),
    "facts that differ": (with_members(facts_with(host="a.cn")), ['its .json says host "a.cn", the manifest "127']),
    "facts too many": (with_members(facts_with(extra=1)), ['its .json has "extra", which is no column']),
    "facts that are none": (with_members(replaced(2, b"[]")), ["its .json is no JSON object"]),
    "deep facts": (with_members(replaced(2, b"[" * 200_000)), ["its .json is no JSON object"]),
    "no tar": (with_bytes(TAR, b"x" * 2000), [f"{TAR}: is no shard: no member named <uid>.<extension> at byte 0"]),
    "an empty tar": (with_bytes(TAR, b""), [f"{TAR}: is no shard: ends at byte 0"]),
    "kept is wrong": (with_stats(kept=7), ["stats.json: kept is 7, rows of manifest/kept-* 6", "samples is"]),
    "merged is wrong": (with_stats(merged=0), ["stats.json: candidates is"]),
    "shards is wrong": (with_stats(shards=1), ["stats.json: shards is 1, shards in SHA256SUMS 3"]),
    "a count is none": (with_stats(kept="6"), ["stats.json: kept holds no count"]),
    "a count is negative": (with_stats(dropped=-1), ["stats.json: dropped holds no count"]),
    "drops are none": (with_stats(drops={"a": 1}), ["stats.json: does not hold a release's numbers"]),
    "no numbers": (with_bytes("stats.json", b"[]"), ["stats.json: does not hold a release's numbers"]),
    "no JSON": (with_bytes("stats.json", b"[" * 100_000), ["stats.json: does not hold a release's numbers"]),
    "uids not sorted": (with_uids(lambda uids: uids[::-1]), ["uids.npy: uid 0 is"]),
    "a uid too few": (with_uids(lambda uids: uids[1:]), ["uids.npy: holds", "(5,); expected 6 uids"]),
    "other uids": (with_uids(lambda uids: uids["f0"]), ["uids.npy: holds uint64"]),
    "no npy": (with_bytes("uids.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535), ["uids.npy: is no .npy file"]),
    "no Parquet": (with_bytes(KEPT, b"PAR1" + b"\xff" * 400 + b"PAR1"), [f"{KEPT}: cannot be read as a manifest"]),
}
"""What digests do not show, since they were made to fit; and what must be told of it."""


@pytest.mark.parametrize("name", SIGNED)
def test_what_was_signed_again_is_found_too(release: Path, name: str) -> None:
    damage, expected = SIGNED[name]
    damage(release)
    resign(release)
    told = "\n".join(faults_of(release))
    assert [words for words in expected if words not in told] == [], told


def test_a_column_of_another_type_is_told(release: Path) -> None:
    change_table(release / KEPT, lambda table: table.rename_columns(["Uid", *table.column_names[1:]]))
    resign(release)
    assert "has not one column uid of type string" in faults_of(release)[0]


def test_a_truncated_parquet_page_that_was_signed_again_is_told(release: Path) -> None:
    data = bytearray((release / KEPT).read_bytes())
    data[200:260] = bytes(60)
    (release / KEPT).write_bytes(data)
    resign(release)
    assert any(line.startswith(f"{KEPT}: cannot be read as a manifest") for line in faults_of(release))


def test_many_faults_are_counted_and_few_are_told(release: Path) -> None:
    for number in range(1000):
        (release / f"{number:04}.txt").touch()
    told = faults_of(release)
    assert len(told) == 206
    assert told[-1] == "other files: 795 more faults"


def test_a_folder_of_an_export_has_digests_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,caption\n")
    resign(tmp_path)
    assert faults_of(tmp_path) == []
    with flipped(tmp_path / "a.csv", 3):
        assert len(faults_of(tmp_path)) == 1


def test_what_is_no_release_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run of curate, and no release"):
        faults_of(tmp_path)
    with pytest.raises(UsageError, match="is no run of curate, and no release"):
        faults_of(tmp_path / "none")


def test_sums_that_cannot_be_read_are_bad_input(release: Path) -> None:
    (release / "SHA256SUMS").unlink()
    (release / "SHA256SUMS").mkdir()
    with pytest.raises(BadInputError, match=r"SHA256SUMS cannot be read: "):
        faults_of(release)


def test_a_release_without_shards_or_dropped_rows_is_whole(release: Path) -> None:
    shutil.rmtree(release / "shards")
    (release / DROPPED).unlink()
    change_json(release / "stats.json", shards=0)
    resign(release)
    assert faults_of(release) == []


@pytest.mark.parametrize("says_so", [False, True])
def test_a_manifest_that_would_fill_the_memory_is_told(
    release: Path, monkeypatch: pytest.MonkeyPatch, says_so: bool
) -> None:
    """A text of 8 MiB stands once in the file, in a dictionary, and in each of 4,200 rows."""
    monkeypatch.setattr(command, "_MEMORY_BYTES", 256 << 20)
    rows = pa.concat_tables([pq.read_table(release / KEPT)] * 700)
    detail = pa.DictionaryArray.from_arrays(pa.array([0] * len(rows), pa.int32()), pa.array(["x" * (8 << 20)]))
    rows = rows.set_column(rows.schema.get_field_index("detail"), "detail", detail)
    pq.write_table(rows, release / KEPT, store_schema=says_so)
    assert (release / KEPT).stat().st_size < 1 << 20
    resign(release)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert any(line.startswith(f"{KEPT}: cannot be read as a manifest: ") for line in faults_of(release))
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
