"""Fetch lanes: which part each standing sample is fetched in, so that every host has one worker at a time."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crawler.lanes import LARGE_PARTS, MAX_GIANTS, MAX_LARGE, LanePlan, num_lanes, plan_lanes
from crawler.lists.shards_source import ShardsSource
from crawler.settings import CrawlerSettings
from pipelines.flow.fetch import fetch_settings
from pipelines.flow.holders import holders, owners
from pipelines.flow.rows import standing
from pipelines.flow.shuffle import grouped_by_rows
from pipelines.retries import read_retries
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Task, tasks_of
from shards.parts import fingerprint
from shards.tables import TableWriter, read_rows

_VERSION = 3
_COUNT_VERSION = 2
_LARGEST_HOSTS = 5
"""Hosts of a piece whose counts its record keeps: what its politeness bound is worked out from at run time."""

CPU_S_PER_ROW = 0.005
"""What one image costs a worker, decoding included (infra/bench/fetch.py): for shares of CPUs, never for results."""
TAIL_S = 20.0
"""What a part may wait for its last answers with next to nothing to do."""
BUSY_SHARE = 0.8
"""Of a CPU for a part that is not held up by politeness: even that one waits, at its start and for its last hosts."""
WAITING_SHARES = (0.1, 0.4)
"""Least and most for a part that politeness holds up; infra/bench/lanes.py decided. So at most ten parts lie in the
memory of one CPU, some 0.25 GB each."""


@dataclass(frozen=True)
class SamplePart:
    """A fetch part and the samples that now stand on it: row groups of `fetch-lanes` files."""

    fetched: PartRef
    samples: tuple[tuple[PartRef, int], ...]
    num_rows: int


@dataclass
class _Part:
    """A fetch part as it is put together from pieces; `lane` is None where it was there before."""

    index: int
    lane: int | None
    known: PartRef | None = None
    samples: list[tuple[PartRef, int]] = field(default_factory=list)
    uids: list[str] = field(default_factory=list)
    num_rows: int = 0
    hosts: dict[str, int] = field(default_factory=dict)

    def add(self, samples: tuple[PartRef, int], piece: dict[str, Any]) -> None:
        self.samples.append(samples)
        self.num_rows += piece["rows"]
        if self.lane is not None:
            self.uids.append(piece["uids"])
            for host, count in piece["hosts"]:
                self.hosts[host] = self.hosts.get(host, 0) + count

    def ref(self, settings: str, retries: int) -> PartRef:
        if self.known is not None:
            return self.known
        key = [self.uids, retries] if retries else [self.uids]
        return PartRef("fetch", self.index, fingerprint("fetch", settings, *key))

    def polite_s(self, crawler: CrawlerSettings) -> float:
        """The least seconds that its hosts' delays take, as far as its largest hosts say."""
        return max((count * crawler.limits_of(host).delay_s for host, count in self.hosts.items()), default=0.0)


def steps(flow: Flow) -> Iterator[Batch]:
    """Count the large hosts, deal samples out to lanes, then fetch the parts that are new, one of a lane at a time."""
    records = list(flow.records("admit"))
    num_standing = sum(record.counts.get("standing", 0) for record in records)
    lanes = num_lanes(num_standing, flow.recipe.crawler.lanes)
    groups = list(grouped_by_rows(flow.refs("admit"), [record.rows for record in records]))
    keys = [[ref.fingerprint for ref in group] for group in groups]
    yield tasks_of("fetch-hosts", _COUNT_VERSION, lanes, [{"admit": group, "lanes": lanes} for group in groups], keys)
    plan = plan_lanes(_host_counts(flow), num_standing, flow.recipe.crawler.lanes)
    settings = fetch_settings(flow.plan)
    known, first_index = holders(flow, settings)
    common = {"plan": plan, "known": known, "first_index": first_index}
    # Asking again (`--retry`) deals anew, and then the same uids make another part.
    asked_again = [asdict(retry) for retry in read_retries(flow.context.run)]
    # Parts are put together over groups, so whatever changes in one group deals all of them anew.
    deciding = [settings, asdict(plan), flow.recipe.fetch.part_rows, flow.chain("admit"), asked_again]
    yield tasks_of("fetch-lanes", _VERSION, deciding, [{"admit": group} | common for group in groups], keys)
    kept = tuple(part.known for part in _parts(flow) if part.known is not None)
    yield Batch("fetch", tuple(_fetch_tasks(flow, settings, plan)), kept)


def sample_parts(flow: Flow) -> list[SamplePart]:
    """Every fetch part that holds samples of this run, by index, with where its samples are listed."""
    settings, retries = fetch_settings(flow.plan), len(read_retries(flow.context.run))
    made = [SamplePart(part.ref(settings, retries), tuple(part.samples), part.num_rows) for part in _parts(flow)]
    return sorted(made, key=lambda part: (part.fetched.index, part.fetched.fingerprint))


def cpu_share(cpu_s: float, polite_s: float) -> float:
    """The share of a CPU that a part is given, in tenths: a giant's part sleeps, and others run beside it."""
    if polite_s < cpu_s:
        return BUSY_SHARE
    least, most = WAITING_SHARES
    return min(most, max(least, round(cpu_s / (polite_s + TAIL_S), 1)))


def _host_counts(flow: Flow) -> dict[str, int]:
    """Samples of the hosts that are large in any group, too low by what lies in groups where they are not."""
    counts: dict[str, int] = {}
    for record in flow.records("fetch-hosts"):
        for host, count in record.meta["hosts"]:
            counts[host] = counts.get(host, 0) + count
    return counts


def _fetch_tasks(flow: Flow, settings: str, plan: LanePlan) -> Iterator[Task]:
    """The parts to fetch, each with its share of a CPU and with what its lane still takes when it begins."""
    crawler, retries = flow.recipe.crawler, len(read_retries(flow.context.run))
    parts = [part for part in _parts(flow) if part.lane is not None]
    lane_left: dict[int | None, float] = {}
    given = {"settings": settings, "plan": plan}
    tasks = []
    for part in reversed(parts):
        cpu_s, polite_s = part.num_rows * CPU_S_PER_ROW, part.polite_s(crawler)
        lane_left[part.lane] = lane_left.get(part.lane, 0.0) + max(cpu_s, polite_s)
        ref = part.ref(settings, retries)
        task = Task(
            "fetch",
            ref.index,
            ref.fingerprint,
            {"samples": tuple(part.samples)} | given,
            part.num_rows,
            part.lane,
            cpus=cpu_share(cpu_s, polite_s),
            remaining_s=lane_left[part.lane],
        )
        tasks.append(task)
    yield from reversed(tasks)


def _parts(flow: Flow) -> list[_Part]:
    """The fetch parts as the lanes files say: a lane's pieces of several groups make one part while they fit."""
    known: dict[PartRef, _Part] = {}
    open_parts: dict[int, _Part] = {}
    parts: list[_Part] = []
    part: _Part | None
    for ref in flow.refs("fetch-lanes"):
        meta = flow.context.record(ref).meta
        for row_group, piece in enumerate(meta["parts"]):
            if piece["known"] is not None:
                there = PartRef("fetch", *piece["known"])
                part = known.setdefault(there, _Part(there.index, None, there))
            else:
                lane = piece["lane"]
                part = open_parts.get(lane)
                if part is None or part.num_rows + piece["rows"] > flow.recipe.fetch.part_rows:
                    part = open_parts[lane] = _Part(meta["first_index"] + len(parts), lane)
                    parts.append(part)
            part.add((ref, row_group), piece)
    return [*known.values(), *parts]


def count_hosts(job: Job) -> Outcome:
    """The hosts with half of the least large host's share among this uid range's standing samples, most first."""
    narrow = [read_rows(path, ["host", "drop_reason"]) for path in job.paths("admit")]
    if isinstance(job.recipe.source, ShardsSource):
        return Outcome(standing(pa.concat_tables(narrow)).num_rows, meta={"hosts": []})
    hosts = standing(pa.concat_tables(narrow))["host"].drop_null()
    counted = pc.value_counts(hosts.combine_chunks())
    names, counts = counted.field(0), counted.field(1)
    large = pc.greater_equal(counts, max(1, len(hosts) // (2 * LARGE_PARTS * job.task.inputs["lanes"])))
    pairs = zip(names.filter(large).to_pylist(), counts.filter(large).to_pylist(), strict=True)
    largest = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[: MAX_GIANTS + MAX_LARGE]
    return Outcome(len(hosts), meta={"hosts": [list(pair) for pair in largest]})


def deal_lanes(job: Job) -> Outcome:
    """Write this uid range's standing samples piece by piece, a row group each: what is there already, then by lane."""
    samples = standing(pa.concat_tables([read_rows(path) for path in job.paths("admit")]))
    pieces: list[dict[str, Any]] = []
    with TableWriter(job.attempt.path("rows", "parquet"), samples.schema) as writer:
        for piece, table in _dealt(samples, job):
            pieces.append(piece)
            writer.write_row_group(table)
    return Outcome(samples.num_rows, meta={"parts": pieces, "first_index": job.task.inputs["first_index"]})


def _dealt(samples: pa.Table, job: Job) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    owner = owners(samples, job)
    for number, ref in enumerate(job.task.inputs["known"]):
        there = np.flatnonzero(owner == number)
        if len(there):
            table = samples.take(pa.array(there))
            yield {"known": [ref.index, ref.fingerprint], "rows": len(there)}, table
    new = np.flatnonzero(owner < 0)
    plan: LanePlan = job.task.inputs["plan"]
    is_polite = not isinstance(job.recipe.source, ShardsSource)
    # Images of the source itself are asked of no host: any lane will do, and the more at once the better.
    lanes = _lanes_of(samples["host"] if is_polite else pc.utf8_slice_codeunits(samples["uid"], 0, 4), plan)[new]
    order = np.argsort(lanes, kind="stable")
    ends = np.searchsorted(lanes[order], np.arange(1, plan.total + 1)).tolist()
    for lane, (first, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        for start in range(first, end, job.recipe.fetch.part_rows):
            rows = new[order[start : min(end, start + job.recipe.fetch.part_rows)]]
            table = samples.take(pa.array(rows))
            uids = fingerprint(table["uid"].to_pylist())
            hosts = _largest_hosts(table["host"]) if is_polite else []
            yield {"known": None, "lane": lane, "rows": table.num_rows, "uids": uids, "hosts": hosts}, table


def _lanes_of(hosts: pa.ChunkedArray, plan: LanePlan) -> npt.NDArray[np.int64]:
    encoded = pc.fill_null(hosts, "").combine_chunks().dictionary_encode()
    lane_of_name = np.array([plan.lane_of(name) for name in encoded.dictionary.to_pylist()] or [0], np.int64)
    return np.asarray(lane_of_name[encoded.indices.to_numpy(zero_copy_only=False)], np.int64)


def _largest_hosts(hosts: pa.ChunkedArray) -> list[tuple[str, int]]:
    counted = pc.value_counts(pc.fill_null(hosts, "").combine_chunks())
    pairs = zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:_LARGEST_HOSTS]
