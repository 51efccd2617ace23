"""The process's client of the S3 interface: everything about where and who comes from AWS's own settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from shards.errors import UsageError
from shards.stores.object_listing import read_listings_here
from shards.stores.patience import Patience

_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_CONNECTIONS = 32
_added: ContextVar[Mapping[str, str] | None] = ContextVar("added", default=None)


@cache
def s3_client() -> Any:
    """Raises `UsageError` where boto3 is not installed, or AWS's settings cannot be read.

    AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE, keys and `addressing_style` count as in any program on boto3.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise UsageError("s3:// needs boto3: pip install 'curate[s3]'") from error
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},  # `Patience` tries again, and knows when not to
        # MD5 is what every store checks; the newer checksums come in an encoding that Aliyun and old servers refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        client = boto3.session.Session().client("s3", config=config)  # the default one keeps keys of before
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"the settings for object stores (AWS_* or ~/.aws/config) cannot be used: {error}") from error
    read_listings_here(client.meta.events)
    client.meta.events.register("before-call.s3.PutObject", _add_headers)
    return client


@cache
def usual_patience() -> Patience:
    """Ten tries of a request, or as many as AWS_MAX_ATTEMPTS (or `max_attempts` in AWS's file) says."""
    s3_client()  # for its error
    import botocore.session

    tries = botocore.session.get_session().get_config_variable("max_attempts")
    return Patience() if tries is None else Patience(num_tries=max(1, int(tries)))


@contextmanager
def adding_headers(headers: Mapping[str, str]) -> Iterator[None]:
    """PutObject requests of this thread carry these headers too; they are signed like the others."""
    before = _added.set(headers)
    try:
        yield
    finally:
        _added.reset(before)


def _add_headers(params: dict[str, Any], **_: Any) -> None:
    params["headers"].update(_added.get() or {})
