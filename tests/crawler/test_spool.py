"""The spool: what was appended survives, a torn tail is cut off, other settings start anew."""

from pathlib import Path

import pytest

from crawler.spool import Spool


def filled(path: Path, key: str = "k") -> None:
    with Spool(path, key) as spool:
        spool.add({"uid": "a", "detail": "图"}, b"stored a" * 100)
        spool.add({"uid": "b", "detail": None}, b"")
        spool.add({"uid": "c", "detail": "x"}, b"stored c" * 50)


def test_entries_are_there_again(tmp_path: Path) -> None:
    filled(tmp_path / "spool")
    with Spool(tmp_path / "spool", "k") as spool:
        assert list(spool.entries) == ["a", "b", "c"]
        assert spool.row(spool.entries["a"]) == {"uid": "a", "detail": "图"}
        assert spool.stored(spool.entries["a"]) == b"stored a" * 100
        assert spool.stored(spool.entries["b"]) == b""
        spool.add({"uid": "d"}, b"d")
    with Spool(tmp_path / "spool", "k") as spool:
        assert spool.stored(spool.entries["d"]) == b"d"
        assert spool.stored(spool.entries["c"]) == b"stored c" * 50


def test_a_file_cut_anywhere_keeps_its_whole_entries_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    filled(path)
    whole = path.read_bytes()
    seen = set()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with Spool(path, "k") as spool:
            kept = list(spool.entries)
            assert kept == ["a", "b", "c"][: len(kept)]
            seen.add(len(kept))
            spool.add({"uid": "z"}, b"zz")
        with Spool(path, "k") as spool:
            assert list(spool.entries) == [*kept, "z"]
            assert spool.stored(spool.entries["z"]) == b"zz"
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("place", [5, 40, 300, 900])
def test_a_flipped_bit_ends_the_sound_part(tmp_path: Path, place: int) -> None:
    path = tmp_path / "spool"
    filled(path)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with Spool(path, "k") as spool:
        assert len(spool.entries) < 3


def test_other_settings_start_anew(tmp_path: Path) -> None:
    filled(tmp_path / "spool")
    with Spool(tmp_path / "spool", "other") as spool:
        assert spool.entries == {}
    with Spool(tmp_path / "spool", "k") as spool:
        assert spool.entries == {}
