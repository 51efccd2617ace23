"""A real S3 server on this machine, moto's, in a process of its own: with a log of requests, and faults on demand."""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parent.parent
PAGE_SIZE = 50
_DEADLINE_S = 5400
"""A server that was forgotten ends by itself."""

Kind = Literal["500", "503", "drop-before", "drop-after", "403", "not-implemented", "ignore-conditions", "hang"]


@dataclass(frozen=True)
class Trouble:
    """What befalls every `every`-th request whose "METHOD /bucket/key?query" has `pattern`, `times` times in all."""

    kind: Kind
    pattern: str = ""
    every: int = 1
    times: int = 1_000_000_000


@dataclass(frozen=True)
class Asked:
    """One request of the log: its status, 0 where its answer was withheld."""

    line: str
    status: int


@dataclass(frozen=True)
class ObjectServer:
    """A running server, and what to ask it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """AWS's variables for a process that is to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self, name: str) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{name}", method="PUT"), timeout=30).close()

    def trouble(self, *troubles: Trouble) -> None:
        """From now on, these befall requests; none: all is well again."""
        self._tell("/_troubles", [asdict(one) for one in troubles])

    def log(self, pattern: str = "") -> list[Asked]:
        """Requests since the last `forget`, in the order in which they came."""
        lines = [Asked(line, status) for line, status in self._tell("/_log", None)]
        return [asked for asked in lines if re.search(pattern, asked.line)]

    def forget(self) -> None:
        """Begin the log anew."""
        self._tell("/_forget", None)

    def _tell(self, path: str, what: object) -> Any:
        request = urllib.request.Request(self.endpoint + path, json.dumps(what).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Bucket:
    """One test's bucket."""

    server: ObjectServer
    name: str

    def url(self, key: str = "") -> str:
        return f"s3://{self.name}/{key}"


@contextmanager
def serving_objects(page_size: int = PAGE_SIZE) -> Iterator[ObjectServer]:
    """The server, for as long as the block runs. Its listings have so many objects a page."""
    environment = os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": str(page_size)}
    command = [sys.executable, "-W", "ignore", "-m", "tests.object_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().decode().strip()
            assert port.isdigit(), "the object server did not start"
            yield ObjectServer(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


class _Hook:
    """Around moto's application: the log, the troubles, and one conditional put at a time, which moto itself races."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._puts = threading.Lock()
        self._log: list[tuple[str, int]] = []
        self._troubles: list[tuple[Trouble, re.Pattern[str]]] = []
        self._met: list[int] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/_"):
            return self._told(path, environ, start_response)
        query = environ.get("QUERY_STRING", "")
        line = f"{environ['REQUEST_METHOD']} {path}" + (f"?{query}" if query else "")
        kind = self._trouble_of(line)
        if kind in ("500", "503", "403") or (kind == "not-implemented" and _is_conditional(environ)):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return self._failed(kind, line, start_response)
        if kind == "hang":
            threading.Event().wait(_DEADLINE_S)
        if kind == "drop-before":
            return self._dropped(line, environ, start_response)
        if kind == "ignore-conditions":
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ.pop("HTTP_IF_MATCH", None)
        if kind == "not-implemented" and environ.pop("HTTP_X_OSS_FORBID_OVERWRITE", None):
            environ["HTTP_IF_NONE_MATCH"] = "*"
        return self._passed(kind, line, environ, start_response)

    def _passed(self, kind: str | None, line: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: list[Any] = []
        if environ["REQUEST_METHOD"] == "PUT":
            with self._puts:
                body = b"".join(self._application(environ, lambda *given: answer.extend(given)))
        else:
            body = b"".join(self._application(environ, lambda *given: answer.extend(given)))
        if kind == "drop-after":
            return self._dropped(line, environ, start_response)
        self._note(line, int(answer[0][:3]))
        start_response(answer[0], answer[1])
        return [body]

    def _failed(self, kind: str, line: str, start_response: Any) -> Iterable[bytes]:
        status, code = {
            "500": ("500 Internal Server Error", "InternalError"),
            "503": ("503 Slow Down", "SlowDown"),
            "403": ("403 Forbidden", "AccessDenied"),
            "not-implemented": ("501 Not Implemented", "NotImplemented"),
        }[kind]
        self._note(line, int(status[:3]))
        start_response(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>as the test asked</Message></Error>".encode()]

    def _dropped(self, line: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self._note(line, 0)
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response("200 OK", [])
        return [b""]

    def _trouble_of(self, line: str) -> str | None:
        with self._lock:
            for place, (trouble, pattern) in enumerate(self._troubles):
                if pattern.search(line):
                    self._met[place] += 1
                    if self._met[place] % trouble.every == 0 and self._met[place] // trouble.every <= trouble.times:
                        return trouble.kind
        return None

    def _note(self, line: str, status: int) -> None:
        with self._lock:
            self._log.append((line, status))

    def _told(self, path: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        what = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        said: object = None
        with self._lock:
            if path == "/_troubles":
                self._troubles = [(Trouble(**one), re.compile(one["pattern"])) for one in what]
                self._met = [0] * len(what)
            elif path == "/_forget":
                self._log = []
            else:
                said = list(self._log)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(said).encode()]


def _is_conditional(environ: dict[str, Any]) -> bool:
    return "HTTP_IF_NONE_MATCH" in environ or ("HTTP_IF_MATCH" in environ and environ["REQUEST_METHOD"] == "PUT")


def _serve() -> None:
    """Serve until stdin is closed, which the death of whoever started this does too."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as real stores do

        def log(self, type: str, message: str, *args: Any) -> None:
            pass

    application = _Hook(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()


def _end_with_stdin() -> None:
    timer = threading.Timer(_DEADLINE_S, lambda: os._exit(1))
    timer.daemon = True
    timer.start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    _serve()
