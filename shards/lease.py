"""Who owns a run's folder: a lease with expiry, renewed while the owner lives and checked before each commit."""

import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from shards.errors import OutputInUseError
from shards.storage import put_if_absent, put_whole

TTL_S = 20.0
_RENEW_S = 4.0


@dataclass(frozen=True)
class Holder:
    """Who holds a run's folder, and until when (seconds since the epoch, by the holder's clock)."""

    token: str
    pid: int
    host: str
    expires: float


class Lease:
    """Held while `with Lease.take(run)` runs. Raises `OutputInUseError` if somebody else's lease is alive."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path = path
        self._holder = holder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    @property
    def token(self) -> str:
        """What a worker shows before it commits."""
        return self._holder.token

    @classmethod
    def take(cls, run: Path) -> "Lease":
        path = run / "lease.json"
        mine = Holder(secrets.token_hex(8), os.getpid(), socket.gethostname(), time.time() + TTL_S)
        data = json.dumps(asdict(mine)).encode()
        if not put_if_absent(path, data):
            other = _read(path)
            if other is not None and _is_alive(other):
                raise OutputInUseError(
                    f"{run} is in use by process {other.pid} on {other.host}; wait for its end or choose another --out"
                )
            put_whole(path, data)
        return cls(path, mine)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        if holds(self._path.parent, self.token):
            self._path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._stop.wait(_RENEW_S):
            if not holds(self._path.parent, self.token):
                return
            renewed = Holder(self.token, self._holder.pid, self._holder.host, time.time() + TTL_S)
            put_whole(self._path, json.dumps(asdict(renewed)).encode())


def holds(run: Path, token: str) -> bool:
    """Whether the lease that bears `token` still owns the run's folder."""
    holder = _read(run / "lease.json")
    return holder is not None and holder.token == token


def holder_of(run: Path) -> Holder | None:
    """Who owns the run's folder now, if anybody does."""
    holder = _read(run / "lease.json")
    return holder if holder is not None and _is_alive(holder) else None


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _is_alive(holder: Holder) -> bool:
    if holder.expires < time.time():
        return False
    if holder.host != socket.gethostname():
        return True
    return _process_exists(holder.pid)


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
