"""The demo's web site: `python -m pipelines.demo.photo_site` serves it on loopback until Ctrl-C."""

import argparse
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from pipelines.demo.album import Album
from pipelines.demo.pages import Answer, Page, make_content
from pipelines.demo.photos import check_photos
from shards.closing import Closing
from shards.errors import UsageError

DEFAULT_PORT = 18080
"""Fixed, because a sample's uid comes from its URL, port included."""

_HOST = "127.0.0.1"
_ROBOTS = "User-agent: *\nDisallow: /members/\nDisallow: /img/private/\n\nSitemap: {origin}/sitemap.xml\n"
_TYPES = {
    ".html": "text/html",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
}


@dataclass(frozen=True)
class Site:
    """Files below `folder`, and the paths that are answered otherwise than with their file."""

    folder: Path
    answers: Mapping[str, Answer]


def build_site(folder: Path, port: int = DEFAULT_PORT) -> Site:
    """Write the site's files: the same bytes at every call. Raises UsageError without the `demo` extra."""
    check_photos()
    content = make_content(Album(folder))
    for page in content.pages:
        path = folder / page.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_html(page).encode(page.encoding))
    origin = f"http://{_HOST}:{port}"
    (folder / "robots.txt").write_text(_ROBOTS.format(origin=origin), encoding="utf-8")
    locations = "".join(f"<url><loc>{origin}/{page.file}</loc></url>" for page in content.pages)
    sitemap = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>\n'
    (folder / "sitemap.xml").write_text(sitemap, encoding="utf-8")
    return Site(folder, content.answers)


class RunningSite(Closing):
    """A site being served from threads of its own; `close` ends it."""

    def __init__(self, server: "_Server") -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="demo-site", daemon=True)
        self._thread.start()
        self.origin = f"http://{_HOST}:{server.server_address[1]}"

    def close(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(site: Site, port: int = DEFAULT_PORT, log: Path | None = None) -> RunningSite:
    """Serve on 127.0.0.1; port 0 takes a free one. `log` gets a line `GET 200 /img/cat-1.jpg` a request."""
    notes = None if log is None else _opened(log)
    try:
        server = _Server(site, port, notes)
    except OSError as error:
        if notes is not None:
            notes.close()
        raise UsageError(
            f"the demo's site needs port {port} of {_HOST}, which cannot be had ({error.strerror}): "
            "end what listens there, a demo that still runs perhaps, and try again"
        ) from error
    return RunningSite(server)


def _opened(log: Path) -> IO[str]:
    try:
        return log.open("a", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--log {log}: cannot be written: {error.strerror}") from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, site: Site, port: int, log: IO[str] | None) -> None:
        self.site = site
        self._lock = threading.Lock()
        self._log = log
        super().__init__((_HOST, port), _Handler)

    def note(self, line: str) -> None:
        with self._lock:
            if self._log is not None:
                self._log.write(line + "\n")
                self._log.flush()

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            if self._log is not None:
                self._log.close()
                self._log = None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "curate-demo"
    sys_version = ""
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: `_answer` keeps the log."""

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        path = "/index.html" if path == "/" else path
        answer = self.server.site.answers.get(path, Answer())
        file = self._file_of(path)
        status, body = (answer.status, file.read_bytes() if file else b"")
        if status != 200 or file is None:
            status = status if status != 200 else 404
            body = f"{status}\n".encode()
        self.server.note(f"{self.command} {status} {self.path}"[:2000].encode("ascii", "backslashreplace").decode())
        self.send_response(status)
        suffix = file.suffix if file and status == 200 else ".txt"
        self.send_header("Content-Type", answer.content_type or _TYPES.get(suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) - answer.cut_bytes])
        self.close_connection = self.close_connection or answer.cut_bytes > 0

    def _file_of(self, path: str) -> Path | None:
        """The file of a path, only if it lies below the site's folder."""
        folder = self.server.site.folder.resolve()
        file = (folder / path.lstrip("/")).resolve()
        return file if file.is_relative_to(folder) and file.is_file() else None


def _html(page: Page) -> str:
    charset = page.head if "charset" in page.head else f'<meta charset="utf-8">{page.head}'
    items = "\n".join(page.body)
    return (
        f'<!DOCTYPE html>\n<html lang="zh-CN">\n<head>{charset}<title>{page.title}</title></head>\n'
        f"<body>\n<h1>{page.title}</h1>\n{items}\n</body>\n</html>\n"
    )


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the demo's site on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--log", type=Path, default=None, help="append a line a request to this file")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        site = build_site(Path(folder), arguments.port)
        with serve(site, arguments.port, arguments.log) as running:
            print(f"{running.origin}/ (Ctrl-C ends it)", flush=True)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print("ended")


if __name__ == "__main__":
    main()
