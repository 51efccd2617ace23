"""The benches' web: nginx on 64 loopback hosts over http and https, and a server whose one image never ends."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOSTS = tuple(f"127.0.1.{last}" for last in range(1, 65))
DRIP_EVERY_S = 0.5

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_START_S = 20.0
_CONFIGURATION = """
{user} worker_processes 1; daemon off; pid {state}/pid; error_log {state}/error.log error; worker_rlimit_nofile {files};
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000;
  reset_timedout_connection on; open_file_cache max=20000 inactive=600s; open_file_cache_valid 600s;
  types {{ image/jpeg jpg; image/png png; image/webp webp; text/html html; }}
  client_body_temp_path {state}/t1; proxy_temp_path {state}/t2; fastcgi_temp_path {state}/t3;
  uwsgi_temp_path {state}/t4; scgi_temp_path {state}/t5;
  ssl_certificate {state}/server.pem; ssl_certificate_key {state}/server.key; ssl_session_cache shared:s:4m;
  server {{
    {listens}
    root {www};
    location /slow/ {{ limit_rate 128k; }}
  }}
}}
"""


@dataclass(frozen=True)
class ImageServer:
    """Where the images are served, and by which process. `bundle_file`: the system's authorities and ours."""

    hosts: tuple[str, ...]
    http_port: int
    https_port: int
    pid: int
    ca_file: Path
    bundle_file: Path

    def url(self, number: int, path: str, scheme: str = "http") -> str:
        """The URL of image `number`, whose hosts take turns."""
        port = self.https_port if scheme == "https" else self.http_port
        return f"{scheme}://{self.hosts[number % len(self.hosts)]}:{port}/{path}"


@contextmanager
def serve_images(www: Path, state: Path, hosts: Sequence[str] = HOSTS) -> Iterator[ImageServer]:
    """nginx over the files of `www` (those below `slow/` at 128 KB/s a connection); robots.txt and the like are 404.

    Ends the bench with a message where nginx is missing or does not start.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None or shutil.which("openssl") is None:
        raise SystemExit("this bench serves its images with nginx: apt-get install nginx-light openssl")
    state.mkdir(parents=True, exist_ok=True)
    _make_certificates(state)
    http_port, https_port = _free_port(), _free_port()
    text = _CONFIGURATION.format(
        user="user root;" if os.geteuid() == 0 else "",  # else its worker cannot read a folder of root's
        state=state.resolve(),
        www=www.resolve(),
        files=20_000 + len(hosts),
        listens="\n    ".join(_listens(hosts, http_port, https_port)),
    )
    (state / "nginx.conf").write_text(text)
    process = subprocess.Popen([program, "-c", str(state.resolve() / "nginx.conf"), "-p", str(state.resolve())])
    try:
        _wait_until_it_answers(process, hosts[-1], https_port if len(hosts) <= 64 else http_port, state)
        yield ImageServer(
            tuple(hosts), http_port, https_port, process.pid, state / "ca.pem", (state / "bundle.pem").resolve()
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def dripping_server(host: str = HOSTS[0]) -> Iterator[str]:
    """URL of an image that never ends: a byte every half second, without Content-Length; anything else is 404."""
    ready, port, loop = threading.Event(), _free_port(), asyncio.new_event_loop()

    async def run() -> None:
        server = await asyncio.start_server(_drip, host, port)
        ready.set()
        async with server:
            await server.serve_forever()

    def serve() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(run())
        loop.run_until_complete(asyncio.sleep(0))  # lets what was cancelled end
        loop.close()

    def stop() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait(_START_S)
    try:
        yield f"http://{host}:{port}/endless.jpg"
    finally:
        loop.call_soon_threadsafe(stop)
        thread.join(_START_S)


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"endless.jpg" not in head.split(b"\r\n")[0]:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xe0")
            while True:
                writer.write(b"\0")
                await writer.drain()
                await asyncio.sleep(DRIP_EVERY_S)
    writer.close()


def _listens(hosts: Sequence[str], http_port: int, https_port: int) -> Iterator[str]:
    for host in hosts:
        yield f"listen {host}:{http_port} backlog=4096;"
        if len(hosts) <= len(HOSTS):
            yield f"listen {host}:{https_port} ssl backlog=4096;"


def _make_certificates(state: Path) -> None:
    """An authority of our own and its certificate for the 64 addresses; kept for later runs."""
    if (state / "bundle.pem").exists():
        return
    (state / "names.cnf").write_text("subjectAltName=" + ",".join(f"IP:{host}" for host in HOSTS))
    new_key = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    sign = ["openssl", "x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names.cnf"]
    days = ["-days", "3650"]
    for command in (
        [*new_key, "-x509", *days, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench authority"],
        [*new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"],
        [*sign, *days, "-in", "server.csr", "-out", "server.pem"],
    ):
        subprocess.run(command, cwd=state, check=True, capture_output=True)
    system = _CERTIFICATES.read_text() if _CERTIFICATES.exists() else ""
    (state / "bundle.pem").write_text(system + (state / "ca.pem").read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOSTS[0], 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], host: str, port: int, state: Path) -> None:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise SystemExit(f"nginx ended with status {process.returncode}; see {state / 'error.log'}")
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"nginx does not answer on {host}:{port} within {_START_S:.0f} s")
