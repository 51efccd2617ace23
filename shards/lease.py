"""Who owns a run's folder: a lease with expiry, renewed while the owner lives and checked before each commit."""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from shards.errors import CurateError, DiskError, OutputInUseError, TryAgainError
from shards.storage import folder_gone, put_if_absent, put_whole, told_place
from shards.stores.mirrors import mirror_at
from shards.stores.object_store import ObjectStore
from shards.stores.patience import Patience, StoreAwayError

_NAME = "lease.json"
TTL_S = 20.0
_RENEW_S = 4.0
_LEAVING_S = 5.0


@dataclass(frozen=True)
class Holder:
    """Who holds a run's folder, and until when (seconds since the epoch, by the holder's clock)."""

    token: str
    pid: int
    host: str
    expires: float


@dataclass(frozen=True)
class _Seen:
    """A lease that lies there: whose, whether it was renewed lately, and what to name when it is replaced."""

    holder: Holder
    is_fresh: bool
    mark: str = ""


class _Local:
    """A lease in a folder of this machine, or one that machines share."""

    ttl_s = TTL_S
    renew_s = _RENEW_S

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> _Seen | None:
        try:
            holder = _holder(self._path.read_bytes())
        except FileNotFoundError:
            return None
        return None if holder is None else _Seen(holder, holder.expires >= time.time())

    def put_if_absent(self, data: bytes) -> bool:
        return put_if_absent(self._path, data)

    def replace(self, data: bytes, seen: _Seen | None) -> bool:
        put_whole(self._path, data)
        return True

    def delete(self) -> None:
        self._path.unlink(missing_ok=True)

    def asked_once(self) -> "_Local":
        return self


class _Stored:
    """A lease on an object store. The store's own clock tells its age, and of two who replace one, one is refused."""

    ttl_s = 60.0
    renew_s = 10.0

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store, self._key = store, key

    def read(self) -> _Seen | None:
        try:
            found = self._store.read(self._key)
        except FileNotFoundError:
            return None
        holder = _holder(found.data)
        return None if holder is None else _Seen(holder, found.age_s < self.ttl_s, found.etag)

    def put_if_absent(self, data: bytes) -> bool:
        return self._store.put_if_absent(self._key, data)

    def replace(self, data: bytes, seen: _Seen | None) -> bool:
        try:
            mark = seen.mark if seen is not None else self._store.read(self._key).etag
        except FileNotFoundError:
            return self.put_if_absent(data)
        return self._store.replace(self._key, data, mark) is not None

    def delete(self) -> None:
        self._store.delete(self._key)

    def asked_once(self) -> "_Stored":
        """The same, of a store that nobody waits for."""
        return _Stored(ObjectStore(self._store.bucket, Patience(num_tries=1)), self._key)


class Lease:
    """Held while `with Lease.take(run)` runs. Raises `OutputInUseError` if somebody else's lease is alive."""

    def __init__(self, place: _Local | _Stored, holder: Holder) -> None:
        self._place = place
        self._holder = holder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    @property
    def token(self) -> str:
        """What a worker shows before it commits."""
        return self._holder.token

    @classmethod
    def take(cls, run: Path) -> "Lease":
        place = _place(run)
        mine = Holder(secrets.token_hex(8), os.getpid(), socket.gethostname(), time.time() + place.ttl_s)
        data = json.dumps(asdict(mine)).encode()
        if not place.put_if_absent(data):
            other = place.read()
            if (other is not None and _is_alive(other)) or not place.replace(data, other):
                raise OutputInUseError(
                    f"{told_place(run)} is in use by {_told(other)}; wait for its end or choose another --out"
                )
        return cls(place, mine)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        self._stop.set()
        is_away = isinstance(fault, StoreAwayError)  # it was asked for minutes already
        self._thread.join(_LEAVING_S if is_away else None)
        place = self._place.asked_once() if is_away else self._place
        with suppress(TryAgainError, DiskError):  # it runs out by itself
            seen = place.read()
            if seen is not None and seen.holder.token == self.token:
                place.delete()

    def _renew(self) -> None:
        while not self._stop.wait(self._place.renew_s):
            with suppress(TryAgainError, DiskError):  # the next commit, or the next renewal, meets it too
                if not self._is_renewed():
                    return

    def _is_renewed(self) -> bool:
        seen = self._place.read()
        if seen is None or seen.holder.token != self.token:
            return False
        renewed = replace(self._holder, expires=time.time() + self._place.ttl_s)
        return self._place.replace(json.dumps(asdict(renewed)).encode(), seen)


@contextmanager
def noticing_loss(run: Path) -> Iterator[None]:
    """Turn whatever ends the block into `DiskError` where the folder has lost its lease file: it is not the same one.

    Of a run on a store the folder is a mirror, and this says nothing.
    """
    try:
        yield
    except (OSError, CurateError) as fault:
        if isinstance(fault, DiskError) or mirror_at(run) is not None or (run / _NAME).is_file():
            raise
        raise folder_gone(run) from fault


def holds(run: Path, token: str) -> bool:
    """Whether the lease that bears `token` still owns the run's folder."""
    seen = _place(run).read()
    return seen is not None and seen.holder.token == token


def holder_of(run: Path) -> Holder | None:
    """Who owns the run's folder now, if anybody does."""
    seen = _place(run).read()
    return seen.holder if seen is not None and _is_alive(seen) else None


def _place(run: Path) -> _Local | _Stored:
    mirror = mirror_at(run)
    return _Local(run / _NAME) if mirror is None else _Stored(mirror.store, mirror.key(run / _NAME))


def _holder(data: bytes) -> Holder | None:
    """None for a damaged lease: it holds nobody out."""
    try:
        return Holder(**json.loads(data))
    except (ValueError, TypeError):
        return None


def _is_alive(seen: _Seen) -> bool:
    if not seen.is_fresh:
        return False
    if seen.holder.host != socket.gethostname():
        return True
    return _process_exists(seen.holder.pid)


def _told(seen: _Seen | None) -> str:
    return "another run" if seen is None else f"process {seen.holder.pid} on {seen.holder.host}"


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
