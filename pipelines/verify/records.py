"""Commit records: what each says of its part's files, and of how many rows they hold."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.flow.indexes import IN_SHARDS
from pipelines.verify.faults import Faults
from pipelines.verify.listing import SUMS, Release
from pipelines.verify.manifest_files import UnreadableError, num_rows_of
from pipelines.verify.meter import Meter
from shards.digests import DigestingFile
from shards.parts import Record
from shards.storage import sha256_of
from shards.training_indexes import OFFSETS_SUFFIX

_NAME = re.compile(r"(\d{6,})-([0-9a-f]{8})\.json\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_MOST_BYTES = 1 << 26
_REDO = "delete it and run again: the part is redone"


def read_records(folder: Path, step: str, faults: Faults) -> Iterator[Record]:
    """Records in a step's folder, by name; what is none is told."""
    done = folder / "_done"
    for path in sorted(done.iterdir()) if done.is_dir() else ():
        name = f"_done/{path.name}"
        match = _NAME.match(path.name)
        if match is None:
            faults.add(name, "is no commit record", "delete it")
            continue
        try:
            yield _record(path, step, int(match[1]), match[2])
        except OSError as error:
            faults.add(name, f"cannot be read: {error.strerror or error}", _REDO)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            faults.add(name, f"cannot be read as a commit record: {error}", _REDO)


def _record(path: Path, step: str, index: int, digits: str) -> Record:
    """One record, every field of it looked at; raises what is wrong with it."""
    with DigestingFile(path) as opened:
        data = opened.read(_MOST_BYTES)
    record = Record.from_json(data)
    if (record.step, record.index, record.fingerprint[:8]) != (step, index, digits):
        raise ValueError(f"it says step {record.step}, part {record.index}, {record.fingerprint[:8]}")
    numbers = [record.rows, *record.counts.values(), record.meta.get("candidates", 0), record.meta.get("kept", 0)]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("it counts with what is no number")
    for file in record.files:
        if not (isinstance(file.bytes, int) and _SHA256.match(file.sha256) and _is_below(file.name)):
            raise ValueError(f"it names a file {file.name!r} of {file.bytes} bytes with sha256 {file.sha256!r}")
    if record.to_json() != data:
        raise ValueError("it is not written as curate writes records")
    if "standing" in record.counts and sum(record.counts.values()) != record.rows:
        raise ValueError(f"its counts do not add up to its {record.rows:,} rows")
    return record


def _is_below(name: str) -> bool:
    parts = name.split("/")
    return name.isprintable() and not {"", ".", ".."}.intersection(parts)


def check_files(folder: Path, record: Record, faults: Faults, meter: Meter) -> None:
    """The files of a part beside its record: sizes, digests, and how many rows the file `rows` has."""
    for file in record.files:
        path = folder / file.name
        try:
            with DigestingFile(path, meter.seen) as opened:
                found = opened.finish()
        except OSError as error:
            faults.add(file.name, f"cannot be read: {error.strerror or error}; its commit record names it")
            continue
        meter.num_files += 1
        if opened.num_bytes != file.bytes:
            faults.add(file.name, f"has {opened.num_bytes:,} bytes, its commit record says {file.bytes:,}")
        elif found != file.sha256:
            faults.add(file.name, f"its sha256 is {found}, its commit record says {file.sha256}")
        elif file.role == "rows":
            _check_rows(folder, file.name, record, faults)


def _check_rows(folder: Path, name: str, record: Record, faults: Faults) -> None:
    try:
        found = num_rows_of(folder / name)
    except UnreadableError as error:
        faults.add(name, str(error))
        return
    if found != record.rows:
        faults.add(name, f"has {found:,} rows, its commit record says {record.rows:,}")


def check_release_record(release: Release, record: Record, stats: Mapping[str, Any]) -> None:
    """A record of a release beside SHA256SUMS, whose digests were compared with the files, and beside its numbers."""
    faults, name = release.faults, f"_done/{record.index:06d}-{record.fingerprint[:8]}.json"
    for file in record.files:
        if file.name != SUMS and release.listed.get(file.name) != file.sha256:
            found = release.listed.get(file.name, "none at all")
            faults.add(name, f"gives {file.name} the sha256 {file.sha256}, {SUMS} {found}", _REDO)
        path = release.folder / file.name
        if path.is_file() and path.stat().st_size != file.bytes:
            faults.add(name, f"gives {file.name} {file.bytes:,} bytes, it has {path.stat().st_size:,}", _REDO)
        if file.role != _role_of(file.name):
            faults.add(name, f"calls {file.name} {file.role!r}, expected {_role_of(file.name)!r}", _REDO)
        if file.role == "manifest" and file.name in release.sound:
            _check_rows(release.folder, file.name, record, faults)
    for wrong in (_wrong_counts(record, stats), _wrong_shards(record)):
        if wrong is not None:
            faults.add(name, wrong, _REDO)


def _wrong_counts(record: Record, stats: Mapping[str, Any]) -> str | None:
    """What a record counts, if that is not what its manifest file or, for the seal, stats.json has."""
    names = {file.name for file in record.files}
    kinds = [kind for kind in ("kept", "dropped") if any(name.startswith(f"manifest/{kind}-") for name in names)]
    rows, counts = record.rows, dict.fromkeys(kinds, record.rows)
    if SUMS in names and stats:
        rows, counts = stats["samples"], {"kept": stats["kept"]}
    if (record.rows, record.counts) == (rows, counts) or (SUMS in names and not stats):
        return None
    return f"counts {record.counts} of {record.rows:,} rows, expected {counts} of {rows:,}"


def _wrong_shards(record: Record) -> str | None:
    """What a record says of its shards, if it is not what they are; earlier versions said nothing of them."""
    if not record.meta:
        return None
    told = record.meta.get(IN_SHARDS)
    shards = {file.name.removeprefix("shards/") for file in record.files if file.name.endswith(".tar")}
    if set(record.meta) != {IN_SHARDS} or not isinstance(told, dict):
        return f"says {sorted(record.meta)}, expected {IN_SHARDS}"
    if not all(isinstance(count, int) for count in told.values()) or sum(told.values()) != record.rows:
        return f"counts {told} in shards, expected {record.rows:,} in all"
    if shards and set(told) != shards:
        return f"counts samples of {', '.join(sorted(told))}, and names the shards {', '.join(sorted(shards))}"
    return None


def check_sums(release: Release, records: Iterable[Record]) -> None:
    """SHA256SUMS itself, where a commit record has its digest."""
    for record in records:
        for file in record.files:
            if file.name == SUMS and (release.folder / SUMS).is_file():
                found = sha256_of(release.folder / SUMS)
                if found != file.sha256:
                    release.faults.add(SUMS, f"its sha256 is {found}, its commit record says {file.sha256}")


def _role_of(name: str) -> str:
    """What the release step calls its files."""
    folder, _, file = name.partition("/")
    if not file or folder not in ("manifest", "shards"):
        return name
    if folder == "manifest":
        return folder
    is_index = file.endswith(OFFSETS_SUFFIX)
    return f"index-{file.removesuffix(OFFSETS_SUFFIX)}" if is_index else f"shard-{file.removesuffix('.tar')}"
