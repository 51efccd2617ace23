"""A shard and the manifest's rows of it, read side by side: each sample in its place, whole, and as its row says."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

from pipelines.verify.faults import HeldFaults
from shards.image_bytes import sniff
from shards.images import STORED_EXTENSIONS
from shards.tar_stream import BEGINNING_BYTES, Member

Row = Mapping[str, Any]
T = TypeVar("T")

_MEMBERS = 3
_SHOWN_CHARS = 60


@dataclass(frozen=True)
class _Sample:
    """The first members of one uid: one more than there may be says that there are too many."""

    uid: str
    members: tuple[Member, ...]


def check_shard(members: Iterable[Member], rows: Iterable[Row] | None, faults: HeldFaults) -> int:
    """Tell what is wrong with a shard, and where it and its rows differ. Returns how many samples it holds.

    Both are read once, in order of uid. Without `rows` the manifest could not be read: samples are only to be whole.
    """
    num_samples = 0
    for sample, row in _side_by_side(members, rows, faults):
        num_samples += sample is not None
        for fault in _faults_of(sample, row, rows is not None):
            faults.add(fault)
    return num_samples


def _side_by_side(
    members: Iterable[Member], rows: Iterable[Row] | None, faults: HeldFaults
) -> Iterator[tuple[_Sample | None, Row | None]]:
    def told(uid: str, where: str) -> None:
        faults.add(f"{where}: sample {uid} is not in order of uid, or there twice")

    samples = _in_order(_samples(members), lambda sample: sample.uid, lambda uid: told(uid, "in the tar"))
    if rows is None:
        return ((sample, None) for sample in samples)
    listed = _in_order(rows, lambda row: str(row["uid"]), lambda uid: told(uid, "in the manifest's rows of it"))
    return _paired(samples, listed)


def _samples(members: Iterable[Member]) -> Iterator[_Sample]:
    for uid, group in groupby(members, lambda member: member.uid):
        yield _Sample(uid, tuple(islice(group, _MEMBERS + 1)))


def _in_order(items: Iterable[T], uid_of: Callable[[T], str], tell: Callable[[str], None]) -> Iterator[T]:
    """The items as they come; those that do not come after the one before are told."""
    previous = ""
    for item in items:
        uid = uid_of(item)
        if uid <= previous:
            tell(uid)
        previous = uid
        yield item


def _paired(samples: Iterator[_Sample], rows: Iterator[Row]) -> Iterator[tuple[_Sample | None, Row | None]]:
    """Samples and rows of one uid together, and alone what has no other."""
    sample, row = next(samples, None), next(rows, None)
    while sample is not None or row is not None:
        if row is None or (sample is not None and sample.uid < row["uid"]):
            yield sample, None
            sample = next(samples, None)
        elif sample is None or sample.uid > row["uid"]:
            yield None, row
            row = next(rows, None)
        else:
            yield sample, row
            sample, row = next(samples, None), next(rows, None)


def _faults_of(sample: _Sample | None, row: Row | None, has_rows: bool) -> Iterator[str]:
    if sample is None:
        if row is not None:
            yield f"sample {row['uid']} is not in it; the manifest says that it is"
    elif row is None and has_rows:
        yield f"sample {sample.uid} is in it; the manifest does not say so"
    else:
        for fault in _faults_of_members(sample, row):
            yield f"sample {sample.uid}: {fault}"


def _faults_of_members(sample: _Sample, row: Row | None) -> Iterator[str]:
    found = {member.extension: member for member in sample.members}
    kinds = [extension for extension in STORED_EXTENSIONS.values() if extension in found]
    if len(sample.members) != _MEMBERS or len(kinds) != 1 or not {"txt", "json"} <= found.keys():
        names = ", ".join(member.extension for member in sample.members)
        yield f"its members are {names}; expected one of jpg, png or webp, one txt and one json"
        return
    image = found[kinds[0]]
    magic = sniff(image.beginning)
    if STORED_EXTENSIONS.get(magic or "") != image.extension:
        yield f"its .{image.extension} does not begin as one ({magic or 'no image'})"
    if row is not None:
        yield from _differences(image, found["txt"], found["json"], row)


def _differences(image: Member, caption: Member, facts: Member, row: Row) -> Iterator[str]:
    """Where the members of a sample say something else than its row."""
    if image.sha256 != row["stored_sha256"]:
        expected = str(row["stored_sha256"])[:16]
        yield f"the image's sha256 is {image.sha256[:16]}…, the manifest's stored_sha256 {expected}…"
    if image.extension != row["stored_format"]:
        yield f"the image is a .{image.extension}, the manifest's stored_format {_shown(row['stored_format'])}"
    if caption.beginning != (row["text"] or "").encode():
        found = caption.beginning[: 4 * _SHOWN_CHARS].decode("utf-8", "replace")
        yield f"the caption is {_shown(found)}, the manifest's text {_shown(row['text'])}"
    wanted = {name: value for name, value in row.items() if name != "shard"}
    found_facts = _parsed(facts)
    if not isinstance(found_facts, dict):
        yield "its .json is no JSON object"
    elif found_facts != wanted:
        yield _first_difference(found_facts, wanted)


def _parsed(facts: Member) -> object:
    if facts.num_bytes > BEGINNING_BYTES:
        return None
    try:
        return json.loads(facts.beginning)
    except (ValueError, RecursionError):
        return None


def _first_difference(found: Row, expected: Row) -> str:
    names = sorted(found.keys() | expected.keys())
    name = next(name for name in names if name not in found or name not in expected or found[name] != expected[name])
    if name not in expected:
        return f"its .json has {_shown(name)}, which is no column of the manifest"
    if name not in found:
        return f"its .json has no {name}, a column of the manifest"
    return f"its .json says {name} {_shown(found[name])}, the manifest {_shown(expected[name])}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
