"""The mirror of a run: what is written is on the store, what is asked for is here and whole, listings decide."""

import hashlib
import shutil
from pathlib import Path

import pytest

from shards.errors import BrokenRunError, DiskError
from shards.parts import Attempt, Record, StepFolder
from shards.storage import delete, open_run_folder, put_if_absent, put_whole, read_current, told_place
from shards.stores.mirror import Mirror
from shards.stores.mirrors import mirror_at, mirror_of
from shards.stores.object_store import ObjectStore
from shards.stores.step_listing import StepListing
from tests.object_server import Bucket

FINGERPRINTS = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(100)]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CURATE_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture
def run(bucket: Bucket) -> Path:
    return open_run_folder(bucket.url("runs/run"))


def mirror(run: Path) -> Mirror:
    found = mirror_at(run)
    assert found is not None
    return found


def objects(bucket: Bucket) -> dict[str, bytes]:
    store = ObjectStore(bucket.name)
    return {key.removeprefix("runs/run/"): store.read(key).data for key, _ in store.list("runs/run/")}


def commit(run: Path, index: int, content: bytes = b"rows", step: str = "fetch") -> Record:
    """A part with two files."""
    folder = StepFolder(run, step)
    attempt = Attempt(folder, index)
    for role, suffix in (("rows", "parquet"), ("tar", "tar")):
        attempt.path(role, suffix).write_bytes(content + suffix.encode())
    record = Record(step, index, FINGERPRINTS[index], attempt.publish(), 1, {"standing": 1})
    return folder.commit(record, lambda: True)


def elsewhere(bucket: Bucket, scratch: Path) -> Path:
    """The run's folder on a node that has nothing of it."""
    shutil.rmtree(scratch)
    return open_run_folder(bucket.url("runs/run"))


def test_a_mirror_is_found_from_every_path_in_it_and_from_no_other(run: Path, tmp_path: Path, bucket: Bucket) -> None:
    assert mirror_of(run / "a" / "b") is mirror_of(run) is mirror(run)
    assert mirror_of(run.parent) is mirror_of(tmp_path) is None
    assert told_place(run / "release") == bucket.url("runs/run/release")
    assert told_place(tmp_path) == str(tmp_path)
    assert run.name == "run"


@pytest.mark.parametrize("form", ["runs/run", "runs/run/", "runs//run"])
def test_one_run_has_one_mirror(run: Path, bucket: Bucket, form: str) -> None:
    assert open_run_folder(bucket.url(form)) == run


def test_small_files_are_put_replaced_read_and_deleted_on_the_store(run: Path, bucket: Bucket) -> None:
    put_whole(run / "run.json", b"1")
    put_whole(run / "run.json", b"2")
    assert not put_if_absent(run / "run.json", b"3")
    assert put_if_absent(run / "dead" / "a", b"4")
    assert objects(bucket) == {"run.json": b"2", "dead/a": b"4"}
    ObjectStore(bucket.name).put("runs/run/run.json", b"another node's")
    assert read_current(run / "run.json") == b"another node's" == (run / "run.json").read_bytes()
    delete(run / "run.json")
    assert objects(bucket) == {"dead/a": b"4"}
    assert not (run / "run.json").exists()


def test_a_node_sees_the_run_s_own_files_as_they_are_now(run: Path, bucket: Bucket) -> None:
    put_whole(run / "run.json", b"old")
    put_whole(run / "dead" / "a", b"1")
    store = ObjectStore(bucket.name)
    store.put("runs/run/run.json", b"new")
    store.put("runs/run/recipe.yaml", b"recipe")
    store.delete("runs/run/dead/a")
    store.put("runs/run/dead/b", b"2")
    store.put("runs/run/fetch/_done/x.json", b"")
    assert open_run_folder(bucket.url("runs/run")) == run
    assert {path.name for path in run.iterdir()} == {"run.json", "recipe.yaml", "dead", "fetch"}
    assert (run / "run.json").read_bytes() == b"new"
    assert [path.name for path in (run / "dead").iterdir()] == ["b"]


def test_a_committed_part_is_read_on_a_node_that_did_not_make_it(run: Path, bucket: Bucket, scratch: Path) -> None:
    record = commit(run, 7)
    other = StepFolder(elsewhere(bucket, scratch), "fetch")
    assert other.committed() == {(7, FINGERPRINTS[7][:8])}
    assert other.record(7, FINGERPRINTS[7]) == record
    assert other.is_whole(record)
    assert other.file(record, "tar").read_bytes() == b"rowstar"


def test_a_copy_that_is_here_is_not_brought_again_and_one_of_other_bytes_is(run: Path, bucket: Bucket) -> None:
    record, folder = commit(run, 0), StepFolder(run, "fetch")
    bucket.server.forget()
    path = folder.file(record, "rows")
    assert not bucket.server.log()
    path.write_bytes(b"swapparquet")
    assert folder.file(record, "rows").read_bytes() == b"rowsparquet"
    assert len(bucket.server.log("GET ")) == 1


def test_a_file_that_is_gone_or_has_other_bytes_on_the_store_is_told(run: Path, bucket: Bucket, scratch: Path) -> None:
    record = commit(run, 0)
    names = {file.role: file.name for file in record.files}
    store = ObjectStore(bucket.name)
    store.delete(f"runs/run/fetch/{names['tar']}")
    store.put(f"runs/run/fetch/{names['rows']}", b"rowsPARQUET")
    folder = StepFolder(elsewhere(bucket, scratch), "fetch")
    with pytest.raises(BrokenRunError, match=r"s3://.*tar is not there, though its record is"):
        folder.file(record, "tar")
    with pytest.raises(BrokenRunError, match=r"s3://.*parquet: its bytes are not those of its record"):
        folder.file(record, "rows")
    assert list(folder.path.glob("part-*")) == []
    assert not folder.is_whole(record)


def test_of_two_attempts_at_a_part_the_first_record_counts_on_every_node(
    run: Path, bucket: Bucket, scratch: Path
) -> None:
    first = commit(run, 3, b"first")
    other = elsewhere(bucket, scratch)
    assert commit(other, 3, b"second") == first
    folder = StepFolder(other, "fetch")
    assert folder.record(3, FINGERPRINTS[3]) == first
    folder.sweep()
    assert set(objects(bucket)) == {
        f"fetch/_done/000003-{FINGERPRINTS[3][:8]}.json",
        *(f"fetch/{file.name}" for file in first.files),
    }


def test_a_record_that_was_replaced_elsewhere_is_read_anew(run: Path, bucket: Bucket) -> None:
    record = commit(run, 0)
    folder = StepFolder(run, "fetch")
    newer = Record("fetch", 0, FINGERPRINTS[0], (), 9)
    ObjectStore(bucket.name).put(f"runs/run/fetch/_done/000000-{FINGERPRINTS[0][:8]}.json", newer.to_json())
    assert folder.record(0, FINGERPRINTS[0]) == record, "no listing said otherwise yet"
    folder.committed()
    assert folder.record(0, FINGERPRINTS[0]) == newer


def test_another_driver_s_records_are_not_trusted_by_a_worker(run: Path, bucket: Bucket) -> None:
    commit(run, 0)
    newer = Record("fetch", 0, FINGERPRINTS[0], (), 9)
    ObjectStore(bucket.name).put(f"runs/run/fetch/_done/000000-{FINGERPRINTS[0][:8]}.json", newer.to_json())
    put_whole(run / "reuse.json", b"[]")
    ObjectStore(bucket.name).put("runs/run/reuse.json", b"[1]")
    mirror(run).begin("another token")
    assert StepFolder(run, "fetch").record(0, FINGERPRINTS[0]) == newer
    assert (run / "reuse.json").read_bytes() == b"[1]"
    bucket.server.forget()
    mirror(run).begin("another token")
    assert not bucket.server.log()


def test_what_is_done_is_decided_by_one_listing_alone(run: Path, bucket: Bucket, scratch: Path) -> None:
    records = [commit(run, index) for index in range(60)]
    folder = StepFolder(elsewhere(bucket, scratch), "fetch")
    bucket.server.forget()
    assert len(folder.committed()) == 60
    for record in records:
        done = folder.done(record.index, record.fingerprint)
        assert done is not None
        assert set(done.files) == {file.name for file in record.files}
    log = bucket.server.log()
    assert len(log) == 4, "180 objects, 50 a page"
    assert all("list-type" in asked.line for asked in log)


def test_where_a_listing_leaves_a_doubt_the_record_is_read(run: Path, bucket: Bucket, scratch: Path) -> None:
    whole, torn, twice = (commit(run, index) for index in range(3))
    store = ObjectStore(bucket.name)
    store.delete("runs/run/fetch/" + next(file.name for file in torn.files if file.role == "tar"))
    store.put("runs/run/fetch/part-000002.00000000.tar", b"a killed attempt's")
    folder = StepFolder(elsewhere(bucket, scratch), "fetch")
    folder.committed()
    bucket.server.forget()
    assert folder.done(0, whole.fingerprint) is not None
    assert folder.done(1, torn.fingerprint) is None
    done = folder.done(2, twice.fingerprint)
    assert done is not None
    assert set(done.files) == {file.name for file in twice.files}
    assert len(bucket.server.log()) == 2


def test_a_part_s_files_are_known_by_the_listing_only_if_nothing_else_can_be_meant() -> None:
    listing = StepListing()
    listing.records = {f"00000{index}-0000000{index}.json": (1, "e") for index in range(4)}
    listing.records["000003-ffffffff.json"] = (1, "e")
    names = ["0.aaaaaaaa.tar", "1.aaaaaaaa.tar", "2.aaaaaaaa.tar", "2.bbbbbbbb.tar", "3.aaaaaaaa.tar", "4.aaaaaaaa.x"]
    listing.sizes = {f"part-00000{name}": 1 for name in names}
    assert listing.only_files(0) == ("part-000000.aaaaaaaa.tar",)
    assert listing.only_files(2) is None, "two attempts"
    assert listing.only_files(3) is None, "two records"
    assert listing.only_files(4) is None, "no record"
    assert listing.only_files(5) is None


def test_a_memory_of_hosts_goes_from_node_to_node(run: Path, bucket: Bucket, scratch: Path) -> None:
    folder = StepFolder(run, "fetch")
    folder.path.mkdir()
    folder.borrow(".lane-00001.jsonl")
    folder.lend(".lane-00001.jsonl")
    assert objects(bucket) == {}
    (folder.path / ".lane-00001.jsonl").write_bytes(b"a.cn rests")
    folder.lend(".lane-00001.jsonl")
    other = StepFolder(elsewhere(bucket, scratch), "fetch")
    other.borrow(".lane-00001.jsonl")
    assert (other.path / ".lane-00001.jsonl").read_bytes() == b"a.cn rests"


def test_a_name_that_leads_out_of_the_folder_is_refused(run: Path, bucket: Bucket) -> None:
    ObjectStore(bucket.name).put("runs/run/dead/../../x", b"")
    with pytest.raises(BrokenRunError, match="none of curate's"):
        open_run_folder(bucket.url("runs/run"))


def test_a_copy_of_all_needs_room(run: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    put_whole(run / "run.json", b"12345")
    with mirror(run).whole_copy() as folder:
        assert (folder / "run.json").read_bytes() == b"12345"
    assert not folder.exists()
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 4}))
    with pytest.raises(DiskError, match=r"holds 5 bytes.*has room for 4; set CURATE_SCRATCH"), mirror(run).whole_copy():
        pass
