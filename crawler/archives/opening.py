"""Archives and their indexes opened where they lie: on disk, in an object store, or on a web server."""

from typing import Any, Protocol

import pyarrow as pa

from crawler.input_files import open_stream
from crawler.remote.http_file import HttpFile
from crawler.remote.range_client import MissingFileError, RangeClient
from crawler.remote.reach import Reach
from shards.closing import Closing
from shards.errors import BadInputError
from shards.stores.object_store import ObjectStore, is_url, split_url

WEB = ("http://", "https://")


class Bytes(Protocol):
    """An opened file."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...

    def close(self) -> None: ...


class Opener(Closing):
    """Opens files by path or address. Web servers are asked politely, one request at a time."""

    def __init__(self, reach: Reach | None = None) -> None:
        self._client = RangeClient(reach or Reach())

    def stream(self, path: str, start: int = 0, stop: int | None = None) -> Bytes:
        """The bytes from `start` on, to be read in order. `stop` says how many are wanted: a server sends no more.

        Raises MissingFileError for a file that is not there, at once or when it is read.
        """
        if is_web(path):
            return HttpFile(self._client, path, start=start, stop=stop)
        if is_url(path) and stop is not None:
            return _Window(_object_range(path, start, stop), start)
        try:
            opened: Any = open_stream(path, None)
        except BadInputError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise MissingFileError(str(error)) from error
            raise
        opened.seek(start)
        found: Bytes = opened
        return found

    def by_place(self, path: str) -> pa.NativeFile:
        """The file for reading here and there, as Parquet is."""
        if is_web(path):
            return pa.PythonFile(HttpFile(self._client, path, is_streamed=False), mode="r")
        return open_stream(path, None)

    def unpacked(self, path: str) -> pa.NativeFile:
        """The file in order, decompressed where its name ends in .gz or .zst."""
        compression = compression_of(path)
        if not is_web(path):
            return open_stream(path, compression)
        stream = pa.PythonFile(HttpFile(self._client, path), mode="r")
        return pa.CompressedInputStream(stream, compression) if compression else stream

    def close(self) -> None:
        self._client.close()


class _Window:
    """Bytes of a file that are in memory: at most a run of records."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._start = start
        self._place = start

    def read(self, size: int = -1, /) -> bytes:
        begin = self._place - self._start
        piece = self._data[begin:] if size < 0 else self._data[begin : begin + size]
        self._place += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence or offset < self._start:
            raise ValueError(f"a seek to {offset} of {whence}, outside of what was read")
        self._place = offset
        return offset

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._data = b""


def _object_range(path: str, start: int, stop: int) -> bytes:
    bucket, key = split_url(path)
    try:
        return ObjectStore(bucket).read_range(key, start, stop - start)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such object") from error


def is_web(path: str) -> bool:
    """Whether a path is an address on a web server."""
    return path.lower().startswith(WEB)


def compression_of(path: str) -> str | None:
    """How a file is packed, by its name's end."""
    return {".gz": "gzip", ".zst": "zstd"}.get(path[path.rfind(".") :].lower() if "." in path else "")
