"""How long a request to an object store is tried again: what passes is waited for, the rest is told at once."""

import errno
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from shards.errors import DiskError, TryAgainError, UsageError
from shards.stores.bounded_call import within

T = TypeVar("T")

_TOLD_CHARS = 300

_PASSING_CODES = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException",
    "TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded", "OperationAborted", "BadDigest",
    "ConditionalRequestConflict", "IncompleteBody",
}  # fmt: skip
_MISSING_CODES = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
_SECRET_CODES = {
    "403", "401", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "InvalidSecurity", "AllAccessDisabled",
}  # fmt: skip
_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, for keys that may list, read and write there"
)


class StoreAwayError(TryAgainError):
    """An object store that did not answer, or answered with its own faults, for as long as it was asked."""


class StoreRefusedError(DiskError):
    """An object store that answers and will not: keys that it does not know, a quota, a read-only bucket."""


@dataclass(frozen=True)
class Patience:
    """Tries of one request, and the rests between them: random up to a bound that doubles (AWS calls it full jitter).

    Ten tries rest about half a minute in all: a store that reboots is waited for, one that is gone ends the run. One
    that takes each request and answers none is not asked again after `longest_s`; one that gives or takes a byte now
    and then is not waited for any longer.
    """

    num_tries: int = 10
    first_rest_s: float = 0.2
    longest_rest_s: float = 10.0
    longest_s: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def rest(self, num_failed: int) -> None:
        """Wait before another try. Jitter keeps a thousand workers from coming back at one moment."""
        bound = min(self.longest_rest_s, self.first_rest_s * 2 ** (num_failed - 1))
        self.sleep(random.uniform(0, bound))

    def ask(self, request: Callable[[], T], what: str) -> T:
        """What the request gives. `what` says in messages what was wanted of which object, with its bytes.

        Raises `FileNotFoundError` for an object that is not there, `PreconditionError`, `UsageError`,
        `StoreRefusedError` or `StoreAwayError`.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        ends = self.clock() + self.longest_s
        for number in range(1, self.num_tries + 1):
            try:
                return within(self.longest_s, request)
            except TimeoutError as fault:
                last: Exception = fault
            except (ClientError, BotoCoreError) as fault:
                if not _passes(fault):
                    _refuse(fault, what)
                last = fault
            if number == self.num_tries or self.clock() >= ends:
                break
            self.rest(number)
        raise StoreAwayError(
            f"{what}: the object store failed {number} time{'s' if number > 1 else ''}, at last with: {_told(last)}. "
            "Run again when it answers: the run resumes"
        ) from last


class PreconditionError(Exception):
    """A conditional request whose condition did not hold."""


class NotOfferedError(Exception):
    """A header that this store does not implement."""


def _passes(fault: Exception) -> bool:
    """Whether the same request may succeed later."""
    from botocore import exceptions

    if isinstance(fault, exceptions.ClientError):
        status, code = status_and_code(fault)
        return code in _PASSING_CODES or status == 429 or (status >= 500 and code != "NotImplemented" and status != 501)
    lost = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)
    return isinstance(fault, (*lost, exceptions.ResponseStreamingError))


def _refuse(fault: Exception, what: str) -> NoReturn:
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    if not isinstance(fault, ClientError):
        if isinstance(fault, (NoCredentialsError, PartialCredentialsError)):
            raise StoreRefusedError(f"{what}: no keys for the object store were found; {_CREDENTIALS}") from fault
        raise UsageError(f"{what}: {fault}") from fault
    status, code = status_and_code(fault)
    if code in _MISSING_CODES:
        raise FileNotFoundError(errno.ENOENT, "there is no such object", what) from fault
    if code in ("NoSuchBucket", "InvalidBucketName"):
        raise UsageError(f"{what}: there is no such bucket; make it first, or choose another") from fault
    if status == 412 or code in ("PreconditionFailed", "FileAlreadyExists"):
        raise PreconditionError(what) from fault
    if code == "NotImplemented":
        raise NotOfferedError(f"{what}: {_told(fault)}") from fault
    if code in _SECRET_CODES:
        raise StoreRefusedError(f"{what}: the object store refuses ({_told(fault)}); {_CREDENTIALS}") from fault
    raise StoreRefusedError(f"{what}: the object store refuses ({_told(fault)})") from fault


def status_and_code(fault: Any) -> tuple[int, str]:
    """The HTTP status and S3's word of a fault of the server."""
    answer = fault.response
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)), str(answer.get("Error", {}).get("Code"))


def _told(fault: Exception) -> str:
    from botocore.exceptions import ClientError

    if isinstance(fault, ClientError):
        status, code = status_and_code(fault)
        return f"{status} {code}: {fault.response.get('Error', {}).get('Message', '')}"[:_TOLD_CHARS]
    return " ".join(str(fault).split())[:_TOLD_CHARS]
