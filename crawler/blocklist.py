"""Hosts that are never contacted, from the recipe's files: a host covers those below it."""

from collections.abc import Iterable
from pathlib import Path

from shards.errors import UsageError

MAX_BLOCKLIST_BYTES = 512 * 2**20


class Blocklist:
    """A set of hosts; a host is listed where it, or one above it, is."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = frozenset(hosts)

    def __contains__(self, host: str) -> bool:
        if not self._hosts:
            return False
        labels = host.split(".")
        return any(".".join(labels[start:]) in self._hosts for start in range(len(labels)))

    @classmethod
    def read(cls, paths: Iterable[str]) -> "Blocklist":
        """Reads files of one host a line; `#` starts a comment. Raises UsageError for what is no host."""
        return cls(host for path in paths for host in _read_hosts(Path(path)))


def _read_hosts(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        if size > MAX_BLOCKLIST_BYTES:
            raise UsageError(f"crawler.blocklist: {path} has {size} bytes; at most {MAX_BLOCKLIST_BYTES} are read")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"crawler.blocklist: cannot read {path}: {error}; expected a text file of hosts") from None
    entries = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1))
    return [_host(path, number, entry) for number, entry in entries if entry]


def _host(path: Path, number: int, entry: str) -> str:
    from crawler.urls import canonical_url, host_of

    canonical = canonical_url(f"http://{entry.removeprefix('*.')}/")
    is_literal = entry.startswith("[")
    if canonical is None or (not is_literal and any(character in entry for character in "/@?:")):
        raise UsageError(f"crawler.blocklist: {path}, line {number}: {entry!r} is no host; expected `example.cn`")
    return host_of(canonical)
