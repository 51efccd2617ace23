"""One bucket of an S3-compatible store: listings, ranges, whole puts, and puts that hold only if nobody was first."""

import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xml.etree.ElementTree import ParseError

from shards.errors import TryAgainError, UsageError
from shards.stores.client import adding_headers, s3_client, usual_patience
from shards.stores.object_listing import LISTED, Page, StoredObject
from shards.stores.patience import NotOfferedError, Patience, PreconditionError, StoreAwayError
from shards.stores.ranged_reader import RangedReader, buffered

T = TypeVar("T")

SCHEME = "s3://"
_URL = re.compile(r"s3://([^/]+)/*(.*)\Z", re.DOTALL)
_PIECE_BYTES = 16 << 20
_MOST_PIECES = 9_000  # S3 takes 10,000
_IF_ABSENT = ({"If-None-Match": "*"}, {"x-oss-forbid-overwrite": "true"})
"""The standard's words for "only if there is none", and Aliyun's, whose S3 interface does not know the standard's."""


class Found(NamedTuple):
    """An object's bytes, and what the store says: when it was put, and how long ago by the store's own clock."""

    data: bytes
    etag: str
    modified_s: float
    age_s: float


def is_url(place: str) -> bool:
    """Whether a place is on an object store, not a path."""
    return place.startswith(SCHEME)


def split_url(url: str) -> tuple[str, str]:
    """(bucket, key) of an `s3://` URL; the key may be empty. Raises `UsageError`."""
    match = _URL.match(url)
    if match is None:
        raise UsageError(f"{url}: expected s3://BUCKET/KEY")
    return match[1], match[2]


class ObjectStore:
    """One bucket. Keys, endpoint and region come from AWS's own environment variables and files.

    Requests that fail by a fault that passes are tried again; the errors are those of `Patience.ask`. May be used by
    many threads at once, and is made in no time where the process has another.
    """

    def __init__(self, bucket: str, patience: Patience | None = None) -> None:
        self.bucket = bucket
        self._client = s3_client()
        self._patience = patience or usual_patience()
        self._if_absent: Mapping[str, str] = _IF_ABSENT[0]

    @property
    def endpoint(self) -> str:
        """Where the store is asked."""
        return str(self._client.meta.endpoint_url)

    def url(self, key: str) -> str:
        return f"{SCHEME}{self.bucket}/{key}"

    def _ask(self, request: Callable[[], T], what: str) -> T:
        return self._patience.ask(request, what)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of every object whose key begins with `prefix`, by key; a thousand a request."""
        return ((found.key, found.size) for found in self.objects(prefix))

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """As `list`, with what the store calls their contents."""
        for page in self._pages(prefix, ""):
            yield from page.objects

    def top(self, prefix: str) -> Page:
        """The objects right below `prefix` (empty, or ending with "/"), and the prefixes of what lies deeper."""
        pages = [*self._pages(prefix, "/")]
        return Page([one for page in pages for one in page.objects], [name for page in pages for name in page.prefixes])

    def _pages(self, prefix: str, delimiter: str) -> Iterator[Page]:
        # Names with characters that XML cannot hold come escaped.
        asked = {"Bucket": self.bucket, "Prefix": prefix, "EncodingType": "url"}
        asked |= {"Delimiter": delimiter} if delimiter else {}
        while True:
            page = self._ask(lambda: self._page(asked), f"listing {self.url(prefix)}*")
            yield page
            if page.next_token is None:
                return
            asked["ContinuationToken"] = page.next_token

    def _page(self, asked: dict[str, str]) -> Page:
        from botocore.exceptions import ResponseStreamingError

        try:
            page: Page = self._client.list_objects_v2(**asked)[LISTED]
        except (ParseError, KeyError) as error:  # half a page, or another document
            raise ResponseStreamingError(error=error) from error
        return page

    def size(self, key: str) -> int:
        """An object's bytes. Raises `FileNotFoundError`."""
        return int(self._head(key)["ContentLength"])

    def _head(self, key: str) -> Any:
        what = f"looking for {self.url(key)}"
        return self._ask(lambda: self._client.head_object(Bucket=self.bucket, Key=key), what)

    def read_range(self, key: str, start: int, length: int, etag: str | None = None) -> bytes:
        """Bytes of an object from `start`, fewer than `length` at its end; none beyond it.

        Raises `PreconditionError` where the object is not the one with `etag` any more, `FileNotFoundError`.
        """
        if length <= 0:
            return b""
        asked = {"Bucket": self.bucket, "Key": key, "Range": f"bytes={start}-{start + length - 1}"}
        asked |= {"IfMatch": f'"{etag}"'} if etag else {}
        what = f"reading {length:,} bytes at {start:,} of {self.url(key)}"
        return self._ask(lambda: self._body(asked), what)

    def _body(self, asked: dict[str, str]) -> bytes:
        from botocore.exceptions import ClientError

        try:
            data: bytes = self._client.get_object(**asked)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRange":
                return b""
            raise
        return data

    def read(self, key: str) -> Found:
        """A small object's bytes, whole. Raises `FileNotFoundError`."""
        return self._ask(lambda: self._found(key), f"reading {self.url(key)}")

    def _found(self, key: str) -> Found:
        from email.utils import parsedate_to_datetime

        answer = self._client.get_object(Bucket=self.bucket, Key=key)
        data = answer["Body"].read()
        now = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        modified = answer["LastModified"]
        age_s = (parsedate_to_datetime(now) - modified).total_seconds() if now else 0.0
        return Found(data, _bare(answer["ETag"]), modified.timestamp(), age_s)

    def open(self, key: str) -> io.BufferedReader:
        """An object as a seekable file that reads some megabytes ahead.

        Raises `FileNotFoundError`; reading raises `TryAgainError` once another object has come in its place.
        """
        head = self._head(key)
        etag = _bare(head["ETag"])

        def read(start: int, length: int) -> bytes:
            try:
                return self.read_range(key, start, length, etag)
            except PreconditionError as error:
                raise TryAgainError(
                    f"{self.url(key)}: another object came in its place while it was read; expected one that stays as "
                    "it is. Run again once nobody writes it: it is read anew, and parts that are done stay done"
                ) from error

        return buffered(RangedReader(read, int(head["ContentLength"]), self.url(key)))

    def fetch(self, key: str, path: Path) -> None:
        """An object's bytes into a file, piece by piece. Raises `FileNotFoundError`."""
        with self.open(key) as source, path.open("wb") as target:
            while data := source.read(_PIECE_BYTES):
                target.write(data)

    def put(self, key: str, source: Path | bytes) -> None:
        """Make an object of a file's bytes, or of these: it appears whole or not at all, over what was there."""
        if isinstance(source, bytes):
            self.put_bytes(key, source)
            return
        size = source.stat().st_size
        if size > 2 * _PIECE_BYTES:
            self._put_in_pieces(key, source, size)
        else:
            self.put_bytes(key, source.read_bytes())

    def put_bytes(self, key: str, data: bytes) -> str:
        """As `put`; returns the new object's etag."""
        return self._put(key, data)

    def _put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> str:
        asked = {"Bucket": self.bucket, "Key": key, "Body": data, "ContentMD5": _md5(data)}
        with adding_headers(headers or {}):
            answer = self._ask(lambda: self._client.put_object(**asked), self._writing(key, len(data)))
        return _bare(answer["ETag"])

    def _writing(self, key: str, size: int) -> str:
        return f"writing {self.url(key)} ({size:,} bytes)"

    def _put_in_pieces(self, key: str, source: Path, size: int) -> None:
        what = self._writing(key, size)
        place = {"Bucket": self.bucket, "Key": key}
        place["UploadId"] = self._ask(lambda: self._client.create_multipart_upload(**place)["UploadId"], what)
        with ExitStack() as unless_whole:
            unless_whole.callback(self._abandon, place, what)
            pieces = list(self._pieces(place, source, max(_PIECE_BYTES, -(-size // _MOST_PIECES)), what))
            self._join(place, pieces, size, what)
            unless_whole.pop_all()

    def _abandon(self, place: dict[str, str], what: str) -> None:
        """Forget the pieces of an upload that will not be whole; where that fails, the next run forgets them."""
        with suppress(StoreAwayError, FileNotFoundError):
            self._ask(lambda: self._client.abort_multipart_upload(**place), what)

    def _pieces(self, place: dict[str, str], source: Path, piece_bytes: int, what: str) -> Iterator[dict[str, Any]]:
        number = 0
        with source.open("rb") as file:
            while data := file.read(piece_bytes):
                number += 1
                asked: dict[str, Any] = {**place, "PartNumber": number, "Body": data, "ContentMD5": _md5(data)}
                answer = self._ask(partial(self._client.upload_part, **asked), what)
                yield {"PartNumber": number, "ETag": answer["ETag"]}

    def _join(self, place: dict[str, str], pieces: Sequence[dict[str, Any]], size: int, what: str) -> None:
        asked: dict[str, Any] = {**place, "MultipartUpload": {"Parts": pieces}}
        try:
            self._ask(lambda: self._client.complete_multipart_upload(**asked), what)
        except FileNotFoundError:  # no such upload: an answer may have been lost after it took effect
            if self.size(place["Key"]) != size:
                raise

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Make an object if there is none of that key. Returns whether the object that is there now is this one.

        Where an answer was lost after the object was made, the second try is refused; the bytes there tell whose it
        is, so no two writers may put the same. Raises `NotOfferedError`.
        """
        try:
            self._put(key, data, self._if_absent)
        except PreconditionError:
            return self.read(key).data == data
        except NotOfferedError:
            if self._if_absent == _IF_ABSENT[-1]:
                raise
            self._if_absent = _IF_ABSENT[-1]
            return self.put_if_absent(key, data)
        return True

    def replace(self, key: str, data: bytes, etag: str) -> str | None:
        """Put an object in place of the one with `etag`; returns the new one's, or None where that one is not there.

        A store without conditional replacement (Aliyun's) is asked first and put to then.
        """
        try:
            return self._put(key, data, {"If-Match": f'"{etag}"'})
        except NotOfferedError:
            return self._put(key, data) if self._etag(key) == etag else None
        except (PreconditionError, FileNotFoundError):
            return self._etag_of_own(key, data)

    def _etag(self, key: str) -> str | None:
        with suppress(FileNotFoundError):
            return self.read(key).etag
        return None

    def _etag_of_own(self, key: str, data: bytes) -> str | None:
        """As in `put_if_absent`: the first try may have taken effect, and its answer been lost."""
        with suppress(FileNotFoundError):
            found = self.read(key)
            return found.etag if found.data == data else None
        return None

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        with suppress(FileNotFoundError):
            self._ask(lambda: self._client.delete_object(Bucket=self.bucket, Key=key), f"deleting {self.url(key)}")

    def abandon_uploads(self, prefix: str) -> None:
        """Forget the pieces of uploads that were never joined: they are in no listing, and are paid for."""
        asked = {"Bucket": self.bucket, "Prefix": prefix}
        found = self._ask(lambda: self._client.list_multipart_uploads(**asked), f"uploads of {self.url(prefix)}*")
        for upload in found.get("Uploads", ()):
            place = {"Bucket": self.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            with suppress(FileNotFoundError):
                self._ask(partial(self._client.abort_multipart_upload, **place), f"forgetting {place}")


def _bare(etag: str) -> str:
    return etag.strip('"')


def _md5(data: bytes) -> str:
    """For the store to check what came: not every one knows the newer checksums that boto3 would send."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
