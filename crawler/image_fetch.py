"""What becomes of one sample: its fetch, what its site asks of us, its stored copy, or the re-check of an old one."""

import hashlib
from collections.abc import Callable, Mapping

from crawler.decode_queue import DecodeQueue
from crawler.faults import Fault
from crawler.fetch import Fetcher, Response
from crawler.fetched_rows import Row, fetched_row, put_earlier, put_image, validator
from crawler.optout import opt_out_of_headers
from crawler.permission import Permission
from shards.images import Refusal

Earlier = Callable[[str], tuple[Row, bytes] | None]
"""By uid, the row of FETCHED and the stored bytes that an earlier run has."""


class ImageFetch:
    """Turns samples into rows of FETCHED and the bytes to store, none where an image is dropped."""

    def __init__(
        self,
        fetcher: Fetcher,
        permission: Permission,
        decoding: DecodeQueue,
        agent: str,
        *,
        obeys_opt_outs: bool,
        verifies_sha256: bool,
        earlier: Earlier | None,
    ) -> None:
        self._fetcher = fetcher
        self._permission = permission
        self._decoding = decoding
        self._agent = agent
        self._obeys_opt_outs = obeys_opt_outs
        self._verifies_sha256 = verifies_sha256
        self._earlier = earlier

    async def fetch(self, sample: Row) -> tuple[Row, bytes]:
        url = sample["canonical_url"]
        if not isinstance(url, str):
            return fetched_row(sample, None, Fault("bad_url")), b""
        earlier = self._earlier(str(sample["uid"])) if self._earlier is not None else None
        conditions = None if earlier is None else _conditions(sample)
        response = await self._fetcher.get(url, self._permission.refusal, conditions=conditions)
        robots, directive = self._permission.said(response.final_url)
        said = robots, opt_out_of_headers(response.headers, self._agent) or directive
        fault = response.fault
        if fault is None and said[1] is not None and self._obeys_opt_outs:
            fault = Fault("opt_out", said[1])
        if fault is not None:
            return fetched_row(sample, response, fault, said), b""
        if earlier is not None:
            return _checked_again(sample, response, said, earlier)
        return await self._decoded(sample, response, said)

    async def _decoded(self, sample: Row, response: Response, said: tuple[str | None, str | None]) -> tuple[Row, bytes]:
        decoded = await self._decoding.decode(response.body)
        if isinstance(decoded, Refusal):
            return fetched_row(sample, response, Fault(decoded.reason, decoded.detail), said), b""
        expected = sample.get("expected_sha256")
        if self._verifies_sha256 and expected is not None and str(expected).lower() != decoded.sha256:
            return fetched_row(sample, response, _mismatch(decoded.sha256), said), b""
        row = fetched_row(sample, response, None, said)
        put_image(row, decoded, len(response.body))
        return row, decoded.stored


def _checked_again(
    sample: Row, response: Response, said: tuple[str | None, str | None], earlier: tuple[Row, bytes]
) -> tuple[Row, bytes]:
    """A re-check keeps the earlier copy where the server says or shows that the image is the same."""
    facts, stored = earlier
    if response.status != 304:
        sha256 = hashlib.sha256(response.body).hexdigest()
        if sha256 != facts.get("sha256"):
            return fetched_row(sample, response, _mismatch(sha256), said), b""
    row = fetched_row(sample, response, None, said)
    put_earlier(row, facts, stored)
    return row, stored


def _conditions(sample: Mapping[str, object]) -> dict[str, str] | None:
    """The headers of a conditional request (RFC 9110, section 13.1), from what the server said the last time."""
    sent = {"If-None-Match": sample.get("etag"), "If-Modified-Since": sample.get("last_modified")}
    sound = {name: validator(value) for name, value in sent.items() if isinstance(value, str)}
    return {name: value for name, value in sound.items() if value} or None


def _mismatch(sha256: str) -> Fault:
    return Fault("hash_mismatch", f"sha256 {sha256}")
