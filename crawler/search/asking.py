"""Queries put to a search endpoint, page after page: politely, each request once, every answer on disk at once."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from crawler.blocklist import Blocklist
from crawler.faults import Fault
from crawler.fetch import Fetcher, Permit, Response
from crawler.fetched_rows import clean
from crawler.outage import OutageWatch
from crawler.permission import Permission
from crawler.politeness import Politeness
from crawler.search.answers import Answer, AnswerSpool, Place
from crawler.search.html_picker import HtmlPicker
from crawler.search.items import SAID, Picked, pick_json
from crawler.search.key import SearchKey
from crawler.search.queries import Query
from crawler.search.settings import Endpoint
from crawler.search.source import SearchSource
from crawler.settings import CrawlerSettings, FetchSettings, HostOverride, NetworkSettings, product_token
from crawler.urls import canonical_url, host_of, resolve
from shards.errors import CurateError, TryAgainError, UsageError

MAX_FAILURES = 10
"""Queries in a row that may come to nothing, whatever the reason, before the endpoint is to blame and not they."""

_ACCEPT = {"json": "application/json", "html": "text/html,application/xhtml+xml"}
_REFUSING = frozenset({401, 403, 407})
_CLOSED = frozenset({"robots_disallowed", "opt_out", "blocklisted", "blocked_address", "blocked_scheme", "bad_url"})
_AWAY = frozenset({"robots_unreachable", "dns_error", "connect_error", "tls_error"})

Pick = Callable[[Answer], Picked]


@dataclass
class QueryEnd:
    """How one query ended: its answers, its results up to `per_query`, and what went wrong with the last answer."""

    query: Query
    num_pages: int = 0
    num_results: int = 0
    drop_reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class SearchSettings:
    """The sections of the recipe that a part of a search reads."""

    source: SearchSource
    crawler: CrawlerSettings
    fetch: FetchSettings
    network: NetworkSettings

    @property
    def politely(self) -> CrawlerSettings:
        """The crawler's settings with the endpoint's own limits, wherever these are stricter."""
        endpoint = self.source.described
        ours = self.crawler.limits_of(endpoint.host)
        limits = HostOverride(
            concurrency=min(ours.concurrency, endpoint.concurrency), delay_s=max(ours.delay_s, endpoint.delay_s)
        )
        return self.crawler.model_copy(update={"hosts": {endpoint.host: limits}})


def search_part(
    queries: Iterable[Query], settings: SearchSettings, spool_path: Path, answers_path: Path
) -> tuple[list[QueryEnd], int, int]:
    """Asks for every query, and writes all answers to `answers_path`. Returns how each query ended, how many answers
    an earlier attempt had left in the spool, and how many requests were sent.

    Raises TryAgainError where the endpoint is away or has had enough of us, and UsageError where it refuses us or
    nothing that it answers can be used. What was answered before stays in the spool.
    """
    with AnswerSpool(spool_path) as spool, open_picker(settings.source.described) as pick:
        part = _SearchPart(settings, spool, pick)
        ends = asyncio.run(part.run(list(queries)))
        spool.write_whole(answers_path)
        return ends, spool.num_kept, part.num_requests


@contextmanager
def open_picker(endpoint: Endpoint) -> Iterator[Pick]:
    """A function that reads answers; HTML has a process of its own for that."""
    with ExitStack() as stack:
        html = stack.enter_context(HtmlPicker(endpoint)) if endpoint.format == "html" else None

        def pick(answer: Answer) -> Picked:
            if answer.drop_reason is not None:
                return Picked()
            if html is not None:
                return html.pick(answer.body, answer.url, answer.content_type)
            return pick_json(answer.body, endpoint)

        yield pick


@dataclass
class _SearchPart:
    settings: SearchSettings
    spool: AnswerSpool
    pick: Pick
    num_requests: int = 0
    _failed: list[Place] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._source = self.settings.source
        self._endpoint = self._source.described
        self._key = SearchKey.read(self._endpoint)

    async def run(self, queries: list[Query]) -> list[QueryEnd]:
        ends = [QueryEnd(query) for query in queries]
        todo = iter(ends)
        async with AsyncExitStack() as stack:
            await self._open(stack)
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.settings.politely.limits_of(self._endpoint.host).concurrency):
                        group.create_task(self._work(todo))
            except* CurateError as errors:
                raise errors.exceptions[0] from None
        return ends

    async def _open(self, stack: AsyncExitStack) -> None:
        crawler, host = self.settings.politely, self._endpoint.host
        fetch = self.settings.fetch.model_copy(update={"max_bytes": self._endpoint.max_answer_bytes})
        agent = str(crawler.user_agent)
        self._politeness = Politeness(crawler, fetch, frozenset({host}), num_lanes=1)
        fetcher = Fetcher(self.settings.network, fetch, agent, self._politeness, OutageWatch())
        self._fetcher = await stack.enter_async_context(fetcher)
        blocklist = Blocklist.read(crawler.blocklist)
        permit = _unless_blocked(blocklist, self._politeness)
        if self._endpoint.obey_robots:
            permission = Permission(
                fetcher,
                self._politeness,
                blocklist,
                product_token(agent),
                obeys_opt_outs=crawler.opt_outs == "obey",
            )
            stack.push_async_callback(permission.close)
            permit = permission.refusal
        self._permit = _at_home(self._endpoint.address("", 0, ""), permit)

    async def _work(self, todo: Iterator[QueryEnd]) -> None:
        for end in todo:
            await self._ask_all(end)

    async def _ask_all(self, end: QueryEnd) -> None:
        """One query to its end: enough results, no more pages, an answer that repeats the last, or a fault."""
        url: str | None = self._endpoint.address(end.query.text, 0, "")
        before: Picked | None = None
        while url is not None:
            answer = await self._answer(end, url)
            read = self.pick(answer)
            end.num_pages += 1
            reason, detail = answer.drop_reason, answer.detail
            if read.fault is not None:
                reason, detail = "parse_error", read.fault
            self._note(answer, reason, detail)
            if reason is not None:
                end.drop_reason, end.detail = reason, detail
                return
            if before is not None and read.items == before.items:
                return
            end.num_results = min(end.num_results + len(read.items), self._source.most_results)
            url = self._next_url(end, url, read)
            before = read

    def _next_url(self, end: QueryEnd, url: str, read: Picked) -> str | None:
        endpoint, page = self._endpoint, end.num_pages
        is_last = read.num_pages is not None and page >= read.num_pages
        if is_last or not read.items or not read.has_more or not endpoint.has_pages or page >= endpoint.max_pages:
            return None
        if end.num_results >= self._source.most_results:
            return None
        if endpoint.next_url is not None:
            target = None if read.next_page is None else resolve(url, read.next_page)
            is_near = target is not None and _origin(target) == _origin(url)
            return self._key.unsigned(str(target)) if is_near else None
        if endpoint.token is not None and read.next_page is None:
            return None
        return endpoint.address(end.query.text, page, read.next_page or "")

    async def _answer(self, end: QueryEnd, url: str) -> Answer:
        kept = self.spool.get((end.query.line, end.num_pages))
        if kept is not None:
            return kept
        asked = Answer(end.query.line, end.query.text, end.num_pages, self._key.hidden(url))
        target = canonical_url(self._key.signed(url))
        if target is None:
            return replace(asked, drop_reason="bad_url")
        self.num_requests += 1
        headers = {"Accept": _ACCEPT[self._endpoint.format]} | self._key.headers()
        response = await self._fetcher.get(target, self._permit, headers=headers)
        self._refuse_to_go_on(response)
        answer = self._answered(asked, response)
        self.spool.add(answer)
        return answer

    def _answered(self, asked: Answer, response: Response) -> Answer:
        fault = response.fault
        return replace(
            asked,
            status=response.status,
            content_type=clean(response.header("content-type")),
            body=self._key.hidden_in(response.body),
            drop_reason=None if fault is None else fault.reason,
            detail=None if fault is None else clean(self._key.hidden(fault.detail or "")),
        )

    def _refuse_to_go_on(self, response: Response) -> None:
        """What no other query would fare better with ends the part; nothing of it is kept."""
        fault = response.fault
        if fault is None:
            return
        told = self._key.hidden(f"{fault.reason} {fault.detail or ''}".strip())
        host = self._endpoint.host
        if response.status in _REFUSING:
            raise UsageError(f"the endpoint {host} refuses us ({told}): see its terms, and its key if it wants one")
        if fault.reason in _CLOSED:
            raise UsageError(f"the endpoint {host} may not be asked ({told})")
        is_away = fault.no_contact or fault.reason in _AWAY or self._politeness.given_up(host) is not None
        if is_away or response.status == 429:
            raise self._try_again(told)

    def _try_again(self, told: str) -> TryAgainError:
        return TryAgainError(
            f"the endpoint {self._endpoint.host} does not answer for now ({told}). What it answered is kept: "
            "run the same command again later"
        )

    def _note(self, answer: Answer, reason: str | None, detail: str | None) -> None:
        """Counts failures in a row; when they are too many, they are forgotten, to be asked again another day."""
        if reason is None:
            self._failed.clear()
            return
        self._failed.append(answer.place)
        if len(self._failed) < MAX_FAILURES:
            return
        self.spool.forget(self._failed)
        told = f"{MAX_FAILURES} queries in a row came to nothing, the last for {reason} {detail or ''}".rstrip()
        if (answer.status or 0) >= 500 or (detail or "").startswith(SAID):
            raise self._try_again(told)
        raise UsageError(f"the endpoint {self._endpoint.host}: {told}. Is it described as it is?")


def _unless_blocked(blocklist: Blocklist, politeness: Politeness) -> Permit:
    async def permit(url: str) -> Fault | None:
        host = host_of(url)
        if host in blocklist:
            return Fault("blocklisted", host)
        given_up = politeness.given_up(host)
        return None if given_up is None else Fault(*given_up)

    return permit


def _at_home(address: str, permit: Permit) -> Permit:
    """A redirect would take the query, and maybe the key, to an address that nobody described."""

    async def permit_at_home(url: str) -> Fault | None:
        if _origin(url) != _origin(str(canonical_url(address))):
            return Fault("too_many_redirects", "to another address than the endpoint's")
        return await permit(url)

    return permit_at_home


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
