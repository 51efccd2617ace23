"""A tar from a stream: what our writer wrote is read, and anything else is refused where it begins."""

import hashlib
import io
import tarfile
from collections.abc import Callable

import pytest

from shards import tar_stream
from shards.errors import BrokenRunError
from shards.tar_stream import walk
from shards.tars import TarWriter

UIDS = ["0123456789abcdef" * 2, "f" * 32]
ENTRIES = [(f"{uid}.{extension}", f"{uid}{extension}".encode() * 20) for uid in UIDS for extension in ("jpg", "txt")]


@pytest.fixture
def tar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    with TarWriter(path) as writer:
        for name, data in ENTRIES:
            writer.add(name, data)
    return path.read_bytes()


def test_members_come_as_they_were_written(tar: bytes) -> None:
    found = list(walk(io.BytesIO(tar)))
    assert [(f"{member.uid}.{member.extension}", member.beginning) for member in found] == ENTRIES
    assert [member.sha256 for member in found] == [hashlib.sha256(data).hexdigest() for _, data in ENTRIES]
    assert [member.num_bytes for member in found] == [len(data) for _, data in ENTRIES]


def test_of_a_large_member_only_the_beginning_is_kept(tar: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_stream, "BEGINNING_BYTES", 10)
    (first, *_) = walk(io.BytesIO(tar))
    assert first.beginning == ENTRIES[0][1][:10]
    assert first.sha256 == hashlib.sha256(ENTRIES[0][1]).hexdigest()


def foreign(change: Callable[[tarfile.TarInfo], object], format_: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar of one member with a header that another tool would write."""
    buffer = io.BytesIO()
    info = tarfile.TarInfo(ENTRIES[0][0])
    info.size, info.mode = 5, 0o644
    change(info)
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as other:
        other.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda info: setattr(info, "mtime", 1), "not as curate writes it"),
        (lambda info: setattr(info, "mode", 0o755), "not as curate writes it"),
        (lambda info: setattr(info, "uname", "me"), "not as curate writes it"),
        (lambda info: setattr(info, "type", tarfile.SYMTYPE), "not as curate writes it"),
        (lambda info: setattr(info, "linkname", "/etc/passwd"), "not as curate writes it"),
        (lambda info: setattr(info, "name", "../../etc/passwd"), "no member named <uid>.<extension>"),
        (lambda info: setattr(info, "name", "A" * 32 + ".jpg"), "no member named <uid>.<extension>"),
        (lambda info: setattr(info, "name", f"{UIDS[0]}.jpg/x"), "no member named <uid>.<extension>"),
    ],
)
def test_headers_of_other_makes_are_refused(change: Callable[[tarfile.TarInfo], object], expected: str) -> None:
    with pytest.raises(BrokenRunError, match=expected):
        list(walk(io.BytesIO(foreign(change))))


def test_a_member_that_claims_more_than_there_is_takes_no_memory() -> None:
    info = tarfile.TarInfo(ENTRIES[0][0])
    info.size, info.mode = 8 << 30, 0o644
    info.size -= 1
    with pytest.raises(BrokenRunError, match="ends 8589934591 bytes before the end of the member at byte 0"):
        list(walk(io.BytesIO(info.tobuf(tarfile.USTAR_FORMAT))))


def test_extended_headers_are_refused() -> None:
    data = foreign(lambda info: setattr(info, "pax_headers", {"comment": "x"}), tarfile.PAX_FORMAT)
    with pytest.raises(BrokenRunError, match="no member named"):
        list(walk(io.BytesIO(data)))


def test_any_changed_byte_outside_of_the_members_is_refused(tar: bytes) -> None:
    offsets = [0]
    for _, data in ENTRIES:
        offsets.append(offsets[-1] + 512 + len(data) + -len(data) % 512)
    inside = {at + 512 + place for at, (_, data) in zip(offsets, ENTRIES, strict=False) for place in range(len(data))}
    for place in sorted(set(range(0, len(tar), 7)) - inside):
        damaged = bytearray(tar)
        damaged[place] ^= 2
        try:
            found = [(f"{member.uid}.{member.extension}", member.beginning) for member in walk(io.BytesIO(damaged))]
        except BrokenRunError:
            continue
        pytest.fail(f"byte {place}: {found}")


@pytest.mark.parametrize("size", [0, 1, 511, 512, 600, -1, -512, -10240])
def test_a_tar_cut_short_is_refused(tar: bytes, size: int) -> None:
    with pytest.raises(BrokenRunError, match=r"ends |expected a tar's closing zeros"):
        list(walk(io.BytesIO(tar[:size])))


def test_what_follows_the_end_is_refused(tar: bytes) -> None:
    for more in (b"x", bytes(512), tar):
        with pytest.raises(BrokenRunError, match="and nothing else"):
            list(walk(io.BytesIO(tar + more)))
