"""Whether a URL may be fetched at all: the blocklist, robots.txt of its host, and what that says of AI training."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from crawler.ai_txt import AI_TXT_PATH, MAX_AI_TXT_BYTES, AiTxtRules
from crawler.blocklist import Blocklist
from crawler.faults import Fault
from crawler.fetch import Fetcher, Response
from crawler.host_memory import HostMemory, Sources
from crawler.politeness import Politeness
from crawler.robots import MAX_ROBOTS_BYTES, RobotsRules
from crawler.tdmrep import MAX_TDMREP_BYTES, TDMREP_PATH, TdmRules
from crawler.urls import host_of

MAX_ORIGINS = 10_000
MAX_RULES = 200_000
"""Rules held over all origins, some 50 MB at most; what falls out is read again from the memory of hosts, or asked."""

# Nothing of such a host can be had, so its images fall for the cause itself and not for robots.txt.
_HOST_FAULTS = frozenset({"blocked_address", "dns_error", "connect_error", "tls_error", "blocklisted"})
_UNREACHABLE_S = 60.0


@dataclass(slots=True)
class _Origin:
    """What one origin (scheme, host and port: RFC 9309, section 2.3) said. `tdmrep` is None until it was asked."""

    robots: RobotsRules
    stale_at: float | None = None  # when an unreachable robots.txt may be asked for again
    tdmrep: TdmRules | None = None
    ai_txt: AiTxtRules = field(default_factory=AiTxtRules)

    @property
    def num_rules(self) -> int:
        tdmrep = len(self.tdmrep.rules) if self.tdmrep else 0
        return 1 + len(self.robots.rules) + len(self.robots.usages) + tdmrep + len(self.ai_txt.rules.rules)

    def opt_out(self, url: str) -> str | None:
        """The directive that keeps a URL out of training data, and the file it stands in."""
        line = self.robots.opt_out(url)
        if line is not None:
            return f"robots.txt {line}"
        return (self.tdmrep.opt_out(url) if self.tdmrep else None) or self.ai_txt.opt_out(url)


class Permission:
    """Asks the files of each origin once, through the same guarded fetch as everything else."""

    def __init__(
        self,
        fetcher: Fetcher,
        politeness: Politeness,
        blocklist: Blocklist,
        agent: str,
        *,
        obeys_opt_outs: bool = True,
        unreachable_s: float = _UNREACHABLE_S,
        memory: HostMemory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._politeness = politeness
        self._blocklist = blocklist
        self._agent = agent
        self._obeys_opt_outs = obeys_opt_outs
        self._unreachable_s = unreachable_s
        self._memory = memory or HostMemory(None, agent)
        self._clock = clock
        self._known: OrderedDict[str, _Origin] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._num_rules = 0
        self._loading: dict[str, asyncio.Task[_Origin]] = {}

    async def refusal(self, url: str) -> Fault | None:
        """Why a canonical URL may not be fetched, or None."""
        refused = await self._host_refusal(url)
        if refused is not None:
            return refused
        name = _origin_of(url)
        origin = self._settled(name, url) or await self._load_once(name, url)
        if origin.robots.unreachable is not None:
            return Fault(*origin.robots.unreachable)
        if not origin.robots.allowed(url):
            return Fault("robots_disallowed", "robots.txt")
        directive = origin.opt_out(url) if self._obeys_opt_outs else None
        return None if directive is None else Fault("opt_out", directive)

    def said(self, url: str) -> tuple[str | None, str | None]:
        """What robots.txt said of a URL (allowed, disallowed, unreachable), and the directive against its use."""
        origin = self._known.get(_origin_of(url))
        if origin is None:
            return None, None
        if origin.robots.unreachable is not None:
            return "unreachable", None
        return "allowed" if origin.robots.allowed(url) else "disallowed", origin.opt_out(url)

    def forget_unreachable(self) -> None:
        """The network was gone: what could not be reached meanwhile is asked for again."""
        for name in [name for name, origin in self._known.items() if origin.robots.unreachable is not None]:
            self._drop(name)

    async def close(self) -> None:
        """Ends what is still being asked."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)

    def _settled(self, name: str, url: str) -> _Origin | None:
        """The origin, where nothing more has to be asked before this URL."""
        origin = self._known.get(name)
        if origin is None or self._is_stale(name, origin):
            return None
        self._known.move_to_end(name)
        self._obey_delay(host_of(url), origin.robots)  # its host may have been let go of since
        return origin if origin.tdmrep is not None or not origin.robots.allowed(url) else None

    def _is_stale(self, name: str, origin: _Origin) -> bool:
        """An unreachable robots.txt is asked for again after a while, and whenever its host is tried again."""
        if origin.stale_at is None:
            return False
        return origin.stale_at <= self._clock() or self._politeness.breaker(host_of(f"{name}/")).is_probing

    async def _load_once(self, name: str, url: str) -> _Origin:
        """One asks, the others wait; the one that is cancelled does not cancel for them."""
        while True:
            task = self._loading.get(name)
            if task is None:
                task = self._loading[name] = asyncio.create_task(self._load(name, url))
                task.add_done_callback(lambda _: self._loading.pop(name, None))
            origin = await asyncio.shield(task)
            # Another's URL may have been disallowed, and then the files that ours needs were not asked for.
            if origin.tdmrep is not None or not origin.robots.allowed(url):
                return origin

    async def _load(self, name: str, url: str) -> _Origin:
        origin = self._known.get(name)
        if origin is None or self._is_stale(name, origin):
            origin = self._recalled(name) or await self._ask_robots(name)
            self._keep(name, origin)
        # Before the images and not beside them: no body waits in memory for a verdict, and the gap costs the same.
        if origin.tdmrep is None and origin.robots.unreachable is None and origin.robots.allowed(url):
            tdmrep, ai_txt = await asyncio.gather(
                self._ask_file(name, origin.robots, TDMREP_PATH, MAX_TDMREP_BYTES),
                self._ask_file(name, origin.robots, AI_TXT_PATH, MAX_AI_TXT_BYTES),
            )
            origin.tdmrep = TdmRules.parse(tdmrep or b"")
            origin.ai_txt = AiTxtRules.parse(ai_txt or b"", self._agent)
            self._keep(name, origin)
            self._remember(name, tdmrep=tdmrep, ai_txt=ai_txt)
        return origin

    async def _ask_robots(self, name: str) -> _Origin:
        url = f"{name}/robots.txt"
        response = await self._fetcher.get(url, self._host_refusal, max_bytes=MAX_ROBOTS_BYTES, cut=True)
        origin = _Origin(_rules_of_response(response, self._agent))
        host = host_of(url)
        if origin.robots.unreachable is None:
            self._remember(name, robots=response.body if response.fault is None else b"")
        elif response.fault is not None and (response.fault.may_heal or response.fault.reason == "timeout"):
            origin.stale_at = self._clock() + self._unreachable_s
            self._politeness.leave_alone(host, *origin.robots.unreachable)
        self._obey_delay(host, origin.robots)
        return origin

    async def _ask_file(self, name: str, robots: RobotsRules, path: str, max_bytes: int) -> bytes | None:
        """The file's text, empty where there is none; None where no answer was had, which forbids nothing."""
        url = f"{name}{path}"
        if not robots.allowed(url):
            return b""
        response = await self._fetcher.get(url, self._host_refusal, max_bytes=max_bytes, cut=True, retries=0)
        if response.fault is None:
            return response.body
        return b"" if response.fault.reason == "http_status" and not response.fault.may_heal else None

    def _obey_delay(self, host: str, robots: RobotsRules) -> None:
        if robots.crawl_delay is not None:
            self._politeness.obey_crawl_delay(host, robots.crawl_delay)

    def _recalled(self, name: str) -> _Origin | None:
        host = host_of(f"{name}/")
        seen = self._memory.recall(host).origins.get(name)
        if seen is None:
            return None
        origin = _Origin(RobotsRules.parse(seen.robots, self._agent))
        if seen.tdmrep is not None and seen.ai_txt is not None:
            origin.tdmrep = TdmRules.parse(seen.tdmrep)
            origin.ai_txt = AiTxtRules.parse(seen.ai_txt, self._agent)
        self._obey_delay(host, origin.robots)
        return origin

    def _remember(
        self, name: str, robots: bytes | None = None, tdmrep: bytes | None = None, ai_txt: bytes | None = None
    ) -> None:
        host = host_of(f"{name}/")
        note = self._memory.recall(host)
        before = note.origins.pop(name, None)
        if robots is not None:
            note.origins[name] = Sources(time.time(), robots)
        elif before is not None:
            note.origins[name] = Sources(before.at, before.robots, tdmrep, ai_txt)
        self._memory.keep(host, note)

    def _keep(self, name: str, origin: _Origin) -> None:
        self._drop(name)
        self._known[name] = origin
        self._sizes[name] = origin.num_rules
        self._num_rules += origin.num_rules
        while len(self._known) > MAX_ORIGINS or (self._num_rules > MAX_RULES and len(self._known) > 1):
            self._drop(next(iter(self._known)))

    def _drop(self, name: str) -> None:
        if self._known.pop(name, None) is not None:
            self._num_rules -= self._sizes.pop(name)

    async def _host_refusal(self, url: str) -> Fault | None:
        host = host_of(url)
        if host in self._blocklist:
            return Fault("blocklisted", host)
        given_up = self._politeness.given_up(host)
        return None if given_up is None else Fault(*given_up)


def _origin_of(url: str) -> str:
    scheme, _, rest = url.partition("//")
    return f"{scheme}//{rest.partition('/')[0].rpartition('@')[2]}"


def _rules_of_response(response: Response, agent: str) -> RobotsRules:
    """RFC 9309, section 2.3.1: what each end of a robots.txt request means."""
    fault = response.fault
    if fault is None:
        return RobotsRules.parse(response.body, agent)
    if fault.reason == "http_status" and response.status is not None:
        return RobotsRules.of_response(response.status, b"", agent)
    if fault.reason == "too_many_redirects":  # section 2.3.1.2: taken as unavailable, like a 404
        return RobotsRules()
    detail = f"robots.txt: {fault.reason} {fault.detail or ''}".rstrip()
    if fault.reason in _HOST_FAULTS and host_of(response.final_url) == host_of(response.url):
        return RobotsRules.out_of_reach(detail, fault.reason)
    return RobotsRules.out_of_reach(detail)
