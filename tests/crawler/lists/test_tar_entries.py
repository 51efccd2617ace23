"""Anyone's tars read by their headers: all that tarfile writes, and nothing of what the hostile ones ask for."""

import io
import tarfile

import pytest

from crawler.lists.tar_entries import BrokenTarError, tar_entries


def tar_of(members: list[tuple[str, bytes]], form: int, **more: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.pax_headers = more.get("pax", {})
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def read(data: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (entry.name, data[entry.offset : entry.offset + entry.size])
        for entry in tar_entries(io.BytesIO(data), len(data))
    ]


MEMBERS = [("a.jpg", b"x" * 513), ("b/c.txt", b""), ("d/" * 60 + "长名.json", b"{}"), ("e" * 90 + "/f.txt", b"1")]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_writes_is_read(form: int) -> None:
    assert read(tar_of(MEMBERS, form)) == [(name.encode(), data) for name, data in MEMBERS]


def test_prefixes_of_ustar_are_read() -> None:
    name = "p" * 80 + "/" + "n" * 90 + ".txt"
    assert read(tar_of([(name, b"1")], tarfile.USTAR_FORMAT)) == [(name.encode(), b"1")]


def test_links_folders_and_devices_are_passed_over() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in [
            ("d", tarfile.DIRTYPE),
            ("l", tarfile.SYMTYPE),
            ("h", tarfile.LNKTYPE),
            ("v", tarfile.CHRTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("a.txt")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"1"))
    assert read(buffer.getvalue()) == [(b"a.txt", b"1")]


def test_empty_and_padded_tars_are_tars() -> None:
    assert read(tar_of([], tarfile.USTAR_FORMAT)) == []
    assert read(tar_of([("a.txt", b"1")], tarfile.USTAR_FORMAT) + b"rubbish behind the end") == [(b"a.txt", b"1")]


WHOLE = tar_of([("a.txt", b"1"), ("b.txt", b"2" * 600)], tarfile.USTAR_FORMAT)


def with_size(field: bytes) -> bytes:
    header = bytearray(WHOLE[:512])
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + WHOLE[512:]


@pytest.mark.parametrize(
    ("data", "num_read", "told"),
    [
        (b"", 0, "ends at byte 0"),
        (b"PK\3\4" * 200, 0, "no tar header at byte 0"),
        (WHOLE[:1024], 1, "ends at byte 1024 without"),
        (WHOLE[:1100], 1, "ends at byte 1100 without"),
        (WHOLE[:1700], 1, "has 600 bytes, and the file ends before"),
        (WHOLE[:1024] + b"\1" * 512, 1, "no tar header at byte 1024"),
        (with_size(b"77777777777\0"), 0, "has 8589934591 bytes"),
        (with_size(b"\x80" + b"\xff" * 11), 0, "and the file ends before"),
        (with_size(b"\xff" * 12), 0, "no tar header"),
        (with_size(b"not a number"), 0, "no tar header"),
        (tar_of([("a.txt", b"1")], tarfile.PAX_FORMAT, pax={"comment": "x" * 100_000}), 0, "at most 65536"),
    ],
)
def test_a_broken_tar_is_told_where(data: bytes, num_read: int, told: str) -> None:
    entries = tar_entries(io.BytesIO(data), len(data))
    assert [entry.size > 0 for _, entry in zip(range(num_read), entries, strict=False)] == [True] * num_read
    with pytest.raises(BrokenTarError, match=told):
        next(entries)
