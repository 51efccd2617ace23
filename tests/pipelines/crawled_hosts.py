"""Virtual hosts on one loopback server, each with a fault of its own, and a log of who was asked for what and when."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from tests.crawler.conftest import Handler, Request, Server

HTML = {"Content-Type": "text/html; charset=utf-8"}
ANSWER_S = 0.03
"""A server's own time for each answer, so that a kill finds requests in flight."""

DELAYED_S = 0.4
PLAIN, ROBOTS, NO_ROBOTS, DELAY, TRAP, REDIRECTS, ERRORS, CLOSED, RESETS, SESSIONS = range(10)
"""What is odd about a host, by the last digit of its number."""


@dataclass(frozen=True)
class Asked:
    """One request in the log; `status` 0 for a connection that was closed without an answer, `ended` by monotonic."""

    host: str
    path: str
    started: float
    ended: float
    status: int


class Hosts(dict[str, Handler]):
    """The pages of all hosts: `Server.pages` by Host header."""

    def __init__(self, num_hosts: int) -> None:
        super().__init__()
        self.num_hosts = num_hosts
        self.log: list[Asked] = []
        self.in_flight: defaultdict[str, int] = defaultdict(int)
        self.most_in_flight: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def get(self, path: str, default: object = None) -> Handler:
        return self._answer

    def url(self, number: int, path: str, port: int) -> str:
        return f"http://h{number % self.num_hosts:03d}.test:{port}{path}"

    def forget(self) -> None:
        self.log.clear()
        self.most_in_flight.clear()

    def num_in_flight(self) -> int:
        with self._lock:
            return sum(self.in_flight.values())

    def _answer(self, request: Request) -> None:
        host, _, port = request.headers["host"].partition(":")
        with self._lock:
            self.in_flight[host] += 1
            self.most_in_flight[host] = max(self.most_in_flight[host], self.in_flight[host])
            num_before = sum((asked.host, asked.path) == (host, request.path) for asked in self.log)
        status, body, headers = self._page(int(host[1:4]), request.path, int(port), num_before)
        time.sleep(ANSWER_S)
        try:
            if status:
                request.answer(body.encode(), f"{status} X", headers)
        finally:
            with self._lock:
                self.in_flight[host] -= 1
                self.log.append(Asked(host, request.path, request.started, time.monotonic(), status))

    def _page(self, number: int, path: str, port: int, num_before: int) -> tuple[int, str, dict[str, str]]:
        kind = number % 10
        if path == "/robots.txt":
            return _robots(kind)
        if path == "/sitemap.xml":
            listed = f"<urlset><url><loc>{self.url(number, '/listed', port)}</loc></url></urlset>"
            return (200, listed, {}) if kind == PLAIN else (404, "", {})
        if kind == REDIRECTS and path in _REDIRECTS:
            target = _REDIRECTS[path] or self.url(number + 1, "/landed", port)
            return 302, "", {"Location": target}
        if kind == ERRORS and path in ("/gone", "/broken", "/busy"):
            status = {"/gone": 404, "/broken": 500, "/busy": 503 if num_before == 0 else 200}[path]
            return status, "<p>错误", HTML
        if kind == RESETS and path == "/reset":
            return 0, "", {}
        return 200, self._links(number, kind, path, port), HTML

    def _links(self, number: int, kind: int, path: str, port: int) -> str:
        links = [f"/p{n}" for n in range(3)] + [self.url(number * 7 + 1, "/guest", port)] if path == "/" else ["/"]
        if kind == TRAP:
            links += [f"{path.rstrip('/')}/{name}" for name in "甲乙丙丁"]
        elif kind == SESSIONS:
            links = [f"{link};jsessionid={time.monotonic_ns()}" for link in links]
        elif path == "/":
            links += _ODD_LINKS.get(kind, [])
        return "<title>图片</title>" + "".join(f'<a href="{link}">页</a>' for link in links)


_REDIRECTS = {"/away": "", "/inner": "/p1", "/loop1": "/loop2", "/loop2": "/loop1"}
_ODD_LINKS = {
    ROBOTS: ["/secret/1", "/secret/2"],
    REDIRECTS: ["/away", "/inner", "/loop1"],
    ERRORS: ["/gone", "/broken", "/busy"],
    RESETS: ["/reset"],
}


def _robots(kind: int) -> tuple[int, str, dict[str, str]]:
    said = {ROBOTS: "Disallow: /secret/", DELAY: f"Crawl-delay: {DELAYED_S}"}.get(kind, "Allow: /")
    status = {NO_ROBOTS: 404, CLOSED: 503}.get(kind, 200)
    return status, f"User-agent: *\n{said}\n", {}


def serve_hosts(num_hosts: int) -> tuple[Server, Hosts]:
    """A server for all hosts, whose names are h000.test and so on."""
    hosts = Hosts(num_hosts)
    return Server(pages=hosts), hosts
