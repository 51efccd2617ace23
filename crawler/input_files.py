"""The files that a source's paths and globs stand for, with names that do not betray the machine."""

import glob
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from shards.errors import BadInputError, UsageError
from shards.stores.object_store import ObjectStore, is_url, split_url

MAX_FILES = 1_000_000
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class InputFile:
    """One file of a source. `name` is the shortest end of its path that tells it from the others."""

    path: str
    name: str
    num_bytes: int


def find_files(patterns: Sequence[str], example: str = "*.parquet") -> list[InputFile]:
    """Each file once, sorted by path. A glob that fits nothing is a UsageError, a missing file a BadInputError, which
    shows the glob `example` where a folder is named."""
    sizes: dict[str, int] = {}
    for pattern in patterns:
        sizes |= _expand(pattern, example)
        if len(sizes) > MAX_FILES:
            raise UsageError(f"{pattern}: the source's paths fit more than {MAX_FILES:,} files; give narrower ones")
    names = _short_names(sorted(sizes))
    return [InputFile(path, names[path], sizes[path]) for path in sorted(sizes)]


def compression_of(path: str) -> str | None:
    """What a file of text is packed with, by the end of its name."""
    return next((name for suffix, name in _COMPRESSIONS.items() if path.lower().endswith(suffix)), None)


def open_stream(path: str, compression: str | None) -> pa.NativeFile:
    """A file's bytes, decompressed as they are read; seekable where `compression` is None."""
    try:
        if "://" not in path:
            stream: pa.NativeFile = pa.OSFile(path, "rb")
        elif is_url(path):
            bucket, key = split_url(path)
            stream = pa.PythonFile(ObjectStore(bucket).open(key), mode="r")
        else:
            system, inner = fs.FileSystem.from_uri(path)
            stream = system.open_input_file(inner)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error
    return pa.CompressedInputStream(stream, compression) if compression else stream


def read_chunk(path: str, stream: pa.NativeFile, num_bytes: int) -> bytes:
    """Up to `num_bytes` of an opened file; none at its end. Raises BadInputError where its compression breaks off."""
    with whole(path):
        chunk: bytes = stream.read(num_bytes)
        return chunk


@contextmanager
def whole(path: str) -> Iterator[None]:
    """Reading a file that may turn out to be cut short or not compressed as its name says: BadInputError."""
    try:
        yield
    except OSError as error:
        raise BadInputError(f"{path}: broken or cut short: {error}") from error


def _expand(pattern: str, example: str) -> dict[str, int]:
    if is_url(pattern):
        return _expand_objects(pattern, example)
    return _expand_remote(pattern) if "://" in pattern else _expand_local(pattern, example)


def _expand_local(pattern: str, example: str) -> dict[str, int]:
    full = str(Path(pattern).expanduser())
    if not glob.has_magic(full) or Path(full).is_file():
        if Path(full).is_dir():
            raise BadInputError(f"{pattern}: is a folder; write a glob such as {Path(full) / example}")
        if not Path(full).is_file():
            raise BadInputError(f"{pattern}: no such file (working folder: {Path.cwd()})")
        return {full: Path(full).stat().st_size}
    found = {path: Path(path).stat().st_size for path in glob.glob(full, recursive=True) if Path(path).is_file()}
    if not found:
        raise UsageError(f"{pattern}: no file fits this glob (working folder: {Path.cwd()})")
    return found


def _expand_objects(pattern: str, example: str) -> dict[str, int]:
    """Of a bucket only what begins as the glob does is listed."""
    bucket, key = split_url(pattern)
    store = ObjectStore(bucket)
    if not glob.has_magic(key):
        try:
            return {store.url(key): store.size(key)}
        except FileNotFoundError as error:
            raise BadInputError(f"{pattern}: no such object; expected e.g. {store.url(key)}/{example}") from error
    first = min(key.find(sign) for sign in "*?[" if sign in key)
    found = {store.url(name): size for name, size in store.list(key[:first]) if fnmatchcase(name, key)}
    if not found:
        raise UsageError(f"{pattern}: no object fits this glob")
    return found


def _expand_remote(pattern: str) -> dict[str, int]:
    folder = pattern.split("*", 1)[0].split("?", 1)[0].split("[", 1)[0].rpartition("/")[0]
    scheme = pattern.split("://", 1)[0]
    try:
        system, base = fs.FileSystem.from_uri(folder if folder != pattern else posixpath.dirname(pattern))
        infos = system.get_file_info(fs.FileSelector(base, recursive=True))
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInputError(f"{pattern}: cannot be listed: {error}") from error
    inner = base + pattern[len(folder) :]
    found = {
        f"{scheme}://{info.path}": int(info.size)
        for info in infos
        if info.type == fs.FileType.File and fnmatchcase(info.path, inner)
    }
    if not found:
        raise UsageError(f"{pattern}: no object fits this path")
    return found


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """The last parts of each path: as few as tell all apart."""
    depth = 1
    while True:
        names = {path: "/".join(path.split("/")[-depth:]) for path in paths}
        if len(set(names.values())) == len(paths):
            return names
        depth += 1
