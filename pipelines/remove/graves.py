"""Stories of rows that were set aside: one that names what was taken down is told no more."""

import json
from pathlib import Path

from pipelines.remove.parts import Removal
from shards.storage import put_whole

_FOLDER = "dead"
_UNTOLD = "removed"


def purge_graves(removal: Removal) -> None:
    """A grave keeps its step, part and row; a part's story goes."""
    for path in sorted((removal.run / _FOLDER).glob("*")):
        if path.is_file() and _names_any(path, removal.traces.urls):
            removal.tell(f"{_FOLDER}/{path.name}: its story is told no more")
            if not removal.is_dry:
                put_whole(path, _untold(path))


def _names_any(path: Path, urls: set[str]) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return any(url in text for url in urls)


def _untold(path: Path) -> bytes:
    if path.suffix != ".json":
        return (_UNTOLD + "\n").encode()
    grave = json.loads(path.read_bytes())
    return json.dumps(grave | {"fault": _UNTOLD}, ensure_ascii=False, indent=1).encode()
