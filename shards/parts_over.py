"""A step's parts in a new run that builds on another: what is not made anew is read from there, and never written."""

import os.path
from pathlib import Path

from shards.parts import Record, StepFolder


class FolderOver(StepFolder):
    """One step's folder over the same step's folder in the run `below`. A part that both have is the upper one's.

    What is made here goes when the release is whole, so nothing waits for the disk.
    """

    is_synced = False

    def __init__(self, run: Path, step: str, below: Path) -> None:
        super().__init__(run, step)
        self._below = StepFolder(below, step)

    def committed(self) -> set[tuple[int, str]]:
        return super().committed() | self._below.committed()

    def record(self, index: int, part_fingerprint: str) -> Record:
        if self._is_own(index, part_fingerprint):
            return super().record(index, part_fingerprint)
        return self._below.record(index, part_fingerprint)

    def is_whole(self, record: Record) -> bool:
        return super().is_whole(record) if self._has(record) else self._below.is_whole(record)

    def file(self, record: Record, role: str) -> Path:
        return super().file(record, role) if self._has(record) else self._below.file(record, role)

    def _has(self, record: Record) -> bool:
        return self._is_own(record.index, record.fingerprint)

    def _is_own(self, index: int, part_fingerprint: str) -> bool:
        return os.path.isfile(self._record_path(index, part_fingerprint))
