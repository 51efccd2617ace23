"""`curate sample`: a file with the sample, the hashes of all that is too near it, and what is said of both."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dedup.hash_file import HASH_FILE, hash_file_fault, read_known
from pipelines.cli import app
from pipelines.evaluation_sets.sample import Request, draw_sample, told
from shards.errors import BadInputError, UsageError
from shards.schema import uid_of
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.exports import tree
from tests.pipelines.made_release import Sample, make_release
from tests.pipelines.test_release_again import decide, manifest, with_rules

KINDS = ("alt", "title", "query")


def sample(number: int, **more: Any) -> Sample:
    """Hashes lie far apart: blake2b of the number."""
    phash = int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=8).digest(), "big")
    facts = {"category": "abc"[number % 3], "host": f"h{number % 40}.cn", "phash": phash}
    return Sample(f"http://a.cn/{number}", [(KINDS[number % 3], f"第{number}")], more=facts | more)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 samples: pairs of one group, pairs of the same bytes, pairs of near hashes, and one without a text."""
    samples = [sample(number) for number in range(300)]
    for number in range(0, 30, 2):
        group = uid_of(f"http://a.cn/{number}")
        samples[number] = sample(number, dup_group=group)
        samples[number + 1] = sample(number + 1, dup_group=group)
    for number in range(30, 60, 2):
        for one in (number, number + 1):
            samples[one] = sample(one, sha256=f"{number:064x}")
    for number in range(60, 90, 2):
        samples[number + 1] = sample(number + 1, phash=samples[number].more["phash"] ^ 0b1011)
    samples.append(Sample("http://a.cn/none", [], more={"phash": 5}))
    return make_release(tmp_path_factory.mktemp("made") / "r", samples, rows_a_file=64)


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_a_sample_is_stratified_and_seeded(release: Path, tmp_path: Path) -> None:
    for name, request in {
        "a": Request(60, 1, "category"),
        "b": Request(60, 1, "category"),
        "c": Request(60, 2, "category"),
    }.items():
        assert draw_sample(release, request, tmp_path / f"{name}.parquet").size == 60
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.hashes.parquet").read_bytes() == (tmp_path / "b.hashes.parquet").read_bytes()
    one, other = (rows(tmp_path / f"{name}.parquet") for name in "ac")
    assert [row["uid"] for row in one] == sorted(row["uid"] for row in one)
    assert {row["uid"] for row in one} != {row["uid"] for row in other}
    for found in (one, other):
        assert all(row["stratum"] == row["category"] for row in found)
        assert [sum(row["stratum"] == name for row in found) for name in "abc"] == [20, 20, 20]
        assert all(row["text"] for row in found)
        keys = [row["dup_group"] or row["sha256"] for row in found]
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("by", [None, "host", "text_kind", "query"])
def test_it_is_stratified_by_what_is_asked_for(release: Path, tmp_path: Path, by: str | None) -> None:
    drawn = draw_sample(release, Request(30, 0, by), tmp_path / "a.parquet")
    found = rows(drawn.path)
    assert drawn.size == len(found) == 30
    assert all(row["stratum"] == ((row[by] or "") if by else "") for row in found)


def test_all_that_is_too_near_is_in_the_hash_file_and_counted_by_why(release: Path, tmp_path: Path) -> None:
    drawn = draw_sample(release, Request(200, 0), tmp_path / "a.parquet")
    everything = {row["uid"]: row for p in sorted((release / "manifest").glob("kept-*")) for row in rows(p)}
    inside = {row["uid"] for row in rows(drawn.path)}
    expected: dict[str, set[str]] = {"bytes": set(), "group": set(), "hash": set()}
    for uid in everything.keys() - inside:
        row, ours = everything[uid], [everything[other] for other in inside]
        if any(row["sha256"] == other["sha256"] for other in ours):
            expected["bytes"].add(uid)
        elif row["dup_group"] and any(row["dup_group"] == other["dup_group"] for other in ours):
            expected["group"].add(uid)
        elif any((row["phash"] ^ other["phash"]).bit_count() <= 4 for other in ours):
            expected["hash"].add(uid)
    assert all(len(uids) > 3 for uids in expected.values())
    assert drawn.too_near == {why: len(uids) for why, uids in expected.items()}
    assert {row["name"] for row in rows(drawn.hashes)} == inside.union(*expected.values())
    assert pq.read_schema(drawn.hashes).equals(HASH_FILE)
    assert hash_file_fault(drawn.hashes, "phash") is hash_file_fault(drawn.path, "phash") is None
    assert len(read_known([drawn.hashes], "phash").hashes) == len({row["phash"] for row in rows(drawn.hashes)})
    none = draw_sample(release, Request(200, 0, distance=0), tmp_path / "b.parquet")
    assert none.too_near["hash"] == 0
    assert rows(none.path) == rows(drawn.path)


def test_more_than_there_is_takes_one_of_each_group(release: Path, tmp_path: Path) -> None:
    request = Request(1_000, 0, "category")
    drawn = draw_sample(release, request, tmp_path / "a.parquet")
    assert (drawn.eligible, drawn.size) == (300, 270)
    assert told(drawn, request)[:2] == [
        "sample: 270 of 300 kept samples in 3 strata by category, seed 0",
        "  730 fewer than asked for: of each group of near-duplicates one at most is drawn",
    ]


def test_one_split_alone_may_be_drawn_from(tmp_path: Path) -> None:
    samples = [sample(number, split="val" if number % 4 == 0 else "train") for number in range(80)]
    release = make_release(tmp_path / "r", samples)
    drawn = draw_sample(release, Request(50, split="val"), tmp_path / "a.parquet")
    assert drawn.size == 20
    assert {row["split"] for row in rows(drawn.path)} == {"val"}


def test_a_later_recipe_leaves_out_the_sample_and_its_relatives(finished: FinishedRun, tmp_path: Path) -> None:
    drawn = draw_sample(finished.folder, Request(2), tmp_path / "test.parquet")
    recipe = with_rules(finished.recipe, in_test_set="eval_match IS NULL")
    recipe["dedup"] = {"evaluation": [str(drawn.hashes)]}
    made = decide(finished.folder, recipe, tmp_path / "out", shards=False)
    assert made.stats["kept"] == finished.kept - 2
    left = {row["uid"] for row in manifest(tmp_path / "out") if row["status"] == "kept"}
    assert not left & {row["uid"] for row in rows(drawn.path)}
    assert {"test.hashes"} == {row["eval_match"] for row in manifest(tmp_path / "out")} - {None}


@pytest.mark.parametrize(
    ("request_", "name", "error", "expected"),
    [
        (Request(5, by="uid"), "a.parquet", UsageError, "--by uid: no such column to stratify by; known: category"),
        (Request(5), "r/a.parquet", UsageError, "lies in the release itself"),
        (Request(5), "none/a.parquet", UsageError, "is no folder"),
        (Request(5), "there.parquet", UsageError, "is there already"),
        (Request(5), "near.parquet", UsageError, "near.hashes.parquet: is there already"),
        (Request(5, split="val"), "a.parquet", UsageError, "no kept sample with a caption"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_leaves_nothing(
    tmp_path: Path, request_: Request, name: str, error: type[Exception], expected: str
) -> None:
    release = make_release(tmp_path / "r", [sample(number) for number in range(9)])
    (tmp_path / "there.parquet").touch()
    (tmp_path / "near.hashes.parquet").touch()
    before = tree(tmp_path)
    with pytest.raises(error, match=expected):
        draw_sample(release, request_, tmp_path / name)
    assert tree(tmp_path) == before


def test_a_release_without_splits_or_columns_is_told(finished: FinishedRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no splits; `release.splits` makes them"):
        draw_sample(finished.folder, Request(2, split="val"), tmp_path / "a.parquet")
    release = make_release(tmp_path / "r", [sample(1)])
    path = release / "manifest" / "kept-000000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["dup_group"]), path)
    with pytest.raises(BadInputError, match="no column dup_group"):
        draw_sample(release, Request(1), tmp_path / "a.parquet")


def test_the_command_says_what_it_drew(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    ended = CliRunner().invoke(app, ["sample", str(release), "--size", "9", "--by", "category", "-o", str(out)])
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert lines[0] == "sample: 9 of 300 kept samples in 3 strata by category, seed 0"
    assert lines[1].startswith("  too near for training beside it: ")
    assert f"`dedup: {{evaluation: [{tmp_path}/a.hashes.parquet]}}`" in lines[2]
    assert lines[3:] == ["", str(out), f"{tmp_path}/a.hashes.parquet"]
    again = CliRunner().invoke(app, ["sample", str(release), "--size", "9", "-o", str(out)])
    assert (again.exit_code, again.stdout) == (2, "")
