"""What is asked to be taken down, as tombstones: from the command line, and from lists that are read line by line."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crawler.urls import canonical_url, host_of
from shards.errors import UsageError
from shards.schema import uid_of
from shards.tombstones import (
    HASH_BITS,
    TOMBSTONES_FILE,
    Tombstone,
    Tombstones,
    host_tombstone,
    read_tombstones,
)

_UID, _SHA256 = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
_HEX_HASH, _NUMBER = re.compile(r"(0x)?[0-9a-f]{16}"), re.compile(r"[0-9]{1,20}")
_KINDS = ("url", "uid", "sha256", "host", "phash")


@dataclass(frozen=True)
class Options:
    """The options of `curate remove` as they were given."""

    urls: Sequence[str] = ()
    uids: Sequence[str] = ()
    sha256s: Sequence[str] = ()
    hosts: Sequence[str] = ()
    phashes: Sequence[str] = ()
    distance: int = 0
    lists: Sequence[Path] = ()


def asked_tombstones(options: Options) -> Tombstones:
    """A tombstone for each thing named, two for a URL: it may be an image's and a page's. Raises `UsageError`."""
    given = (options.urls, options.uids, options.sha256s, options.hosts, options.phashes)
    entries: set[Tombstone] = set()
    for kind, values in zip(_KINDS, given, strict=True):
        for value in values:
            entries.update(_parsed(kind, value, options.distance, f"--{kind} {value}"))
    for path in options.lists:
        entries.update(_listed(path, options.distance))
    if not entries:
        names = ", ".join(f"--{kind}" for kind in _KINDS)
        raise UsageError(f"nothing is named: expected at least one of {names} or --list")
    return Tombstones(frozenset(entries))


def _listed(path: Path, distance: int) -> Iterator[Tombstone]:
    """Each line is `KIND VALUE`, or a bare URL, uid or sha256; or the file is a list of tombstones."""
    if path.suffix == Path(TOMBSTONES_FILE).suffix:
        yield from read_tombstones(path).entries
        return
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if text := line.partition("#")[0].strip() if line.lstrip().startswith("#") else line.strip():
                    kind, value = _kind_of(text)
                    yield from _parsed(kind, value, distance, f"--list {path}, line {number}: {text[:200]}")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--list {path}: cannot be read: {error}; expected a text file in UTF-8") from None


def _kind_of(text: str) -> tuple[str, str]:
    kind, _, value = text.partition(" ")
    if kind in _KINDS and value.strip():
        return kind, value.strip()
    lower = text.lower()
    return ("uid" if _UID.fullmatch(lower) else "sha256" if _SHA256.fullmatch(lower) else "url"), text


def _parsed(kind: str, value: str, distance: int, where: str) -> Iterable[Tombstone]:
    lower = value.lower()
    if kind == "url":
        return _of_url(value, where)
    if kind == "uid" and _UID.fullmatch(lower):
        return [Tombstone("uid", lower)]
    if kind == "sha256" and _SHA256.fullmatch(lower):
        return [Tombstone("sha256", lower)]
    if kind == "host":
        canonical = None if set(value) & set("/@?#: ") else canonical_url(f"http://{value.removeprefix('*.')}/")
        if canonical is not None:
            return [host_tombstone(host_of(canonical))]
    if kind == "phash" and (number := _phash(lower)) is not None:
        return [Tombstone("phash", f"{number:016x}", distance)]
    raise UsageError(f"{where}: {_EXPECTED[kind]}")


_EXPECTED = {
    "uid": "is no uid; expected 32 hex digits",
    "sha256": "is no sha256; expected 64 hex digits",
    "host": "is no host; expected as `example.cn`, without scheme, port or path",
    "phash": "is no perceptual hash; expected 16 hex digits, or the number in the manifest's column phash (a number of "
    "16 digits could be both: write 0x before hex digits, or a 0 before the number)",
}


def _of_url(url: str, where: str) -> Iterable[Tombstone]:
    if "://" not in url:
        raise UsageError(f"{where}: is no URL; expected as `https://example.cn/a.jpg`")
    canonical = canonical_url(url)
    if canonical is None:  # it may still be a sample of its own, as bad_url
        return [Tombstone("uid", uid_of(url))]
    return [Tombstone("uid", uid_of(canonical)), Tombstone("page", uid_of(canonical))]


def _phash(text: str) -> int | None:
    """
    >>> _phash("0x00000000000000ff"), _phash("c3c1a5f00f5a3c3c") == 0xC3C1A5F00F5A3C3C, _phash("255")
    (255, True, 255)
    """
    if _NUMBER.fullmatch(text) and len(text) != HASH_BITS // 4:
        number = int(text)
        return number if number < 1 << HASH_BITS else None
    if _HEX_HASH.fullmatch(text) and not _NUMBER.fullmatch(text):
        return int(text, 16)
    return None
