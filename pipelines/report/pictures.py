"""Where the report's pictures come from: the tars of a run's fetch parts, or the shards of a release."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shards.errors import CurateError
from shards.image_thumbnails import thumbnail
from shards.parts import StepFolder
from shards.released import ShardReader
from shards.tars import TarReader

MAX_SIDE_PX = 144

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """A thumbnail that this code encoded, as a page carries it; width and height in px."""

    base64: str
    width: int
    height: int


class Pictures(Protocol):
    """A source of pictures. `column` is the column that is null where a sample has none; `told` what is lacking."""

    @property
    def column(self) -> str: ...
    @property
    def told(self) -> str: ...
    def of(self, rows: Sequence[_Row]) -> Iterator[Picture | None]:
        """A picture for each row, None where there is no copy or it cannot be read: `curate verify` tells faults."""


@dataclass(frozen=True)
class RunPictures:
    """Stored copies of kept and dropped samples, by their places in the tars of a run's fetch parts."""

    run: Path
    column: str = "tar_bytes"
    told: str = ""

    def of(self, rows: Sequence[_Row]) -> Iterator[Picture | None]:
        folder = StepFolder(self.run, "fetch")
        readers: dict[tuple[int, str], TarReader] = {}
        with ExitStack() as stack:
            for row in rows:
                place = row["fetch_index"], row["fetch_fingerprint"]
                if row["tar_bytes"] is None:
                    yield None
                    continue
                try:
                    if place not in readers:
                        path = folder.file(folder.record(*place), "tar")
                        readers[place] = stack.enter_context(TarReader(path))
                    data = readers[place].read(row["tar_offset"], row["tar_bytes"])
                except (CurateError, OSError):
                    yield None
                else:
                    yield _picture(data)


@dataclass(frozen=True)
class ReleasePictures:
    """Stored copies of kept samples, from the shards of a release."""

    release: Path
    column: str = "shard"

    @property
    def told(self) -> str:
        if (self.release / "shards").is_dir():
            return "A release holds no copies of dropped samples: make this page from the run to see them."
        return "This release has no shards: make this page from the run to see the images."

    def of(self, rows: Sequence[_Row]) -> Iterator[Picture | None]:
        found: dict[str, Picture | None] = {}
        with ShardReader() as shards:
            for row in sorted(rows, key=lambda row: (row.get("shard") or "", row["uid"])):
                found[row["uid"]] = self._of(row, shards)
        return (found[row["uid"]] for row in rows)

    def _of(self, row: _Row, shards: ShardReader) -> Picture | None:
        path = self.release / "shards" / (row.get("shard") or "none")
        if not row.get("shard") or not path.is_file():
            return None
        try:
            return _picture(shards.read(path, f"{row['uid']}.{row['stored_format']}"))
        except CurateError:
            return None


def _picture(stored: bytes) -> Picture | None:
    try:
        made = thumbnail(stored, MAX_SIDE_PX)
    except ValueError:
        return None
    return Picture(base64.b64encode(made.jpeg).decode(), made.width, made.height)
