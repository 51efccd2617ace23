"""Which folders of this node are mirrors, and of which runs: a mark beside each says so to every process."""

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path

from shards.errors import UsageError
from shards.stores.mirror import Mirror
from shards.stores.object_store import ObjectStore, split_url
from shards.stores.scratch import Scratch, scratch_folder

_MARK = "mirror.json"


def open_mirror(url: str) -> Mirror:
    """The mirror of a run on this node, made if there is none yet. Raises `UsageError` for what is no such URL."""
    bucket, prefix = split_url(url)
    parts = [part for part in prefix.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise UsageError(f"{url}: expected s3://BUCKET/PREFIX without . and .. in it")
    url = "/".join([f"s3://{bucket}", *parts])
    endpoint = ObjectStore(bucket).endpoint
    home = scratch_folder() / hashlib.sha256(f"{endpoint} {url}".encode()).hexdigest()[:16]
    root = home / (parts or [bucket])[-1]
    Scratch(home, root).prepare()
    mark = home / _MARK
    if not mark.is_file():
        beside = home / f".{_MARK}.{os.getpid()}"
        beside.write_text(json.dumps({"url": url, "root": root.name}))
        beside.replace(mark)
        _mirror_at.cache_clear()
    found = _mirror_at(str(root))
    assert found is not None
    return found


def mirror_of(path: Path | str) -> Mirror | None:
    """The mirror that a path lies in, if it does."""
    folder = os.path.abspath(path)
    while (found := _mirror_at(folder)) is None:
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return found


def mirror_at(run: Path) -> Mirror | None:
    """The mirror whose root this folder is, if it is one's."""
    return _mirror_at(os.fspath(run))


@lru_cache(maxsize=4096)
def _mirror_at(folder: str) -> Mirror | None:
    mark = os.path.join(os.path.dirname(folder), _MARK)
    try:
        with open(mark, "rb") as file:
            told = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return Mirror(Path(folder), told["url"]) if told["root"] == os.path.basename(folder) else None
