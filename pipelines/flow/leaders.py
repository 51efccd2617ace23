"""Who leads whom, from the near pairs of all tables: sent to the ranges of their hashes, and settled there in turns.

A task holds one range of hashes and what near pairs tell of them, whatever their number.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.groups import DISTINCT, Ints, places_among
from dedup.hamming import Hashes
from dedup.leaders import ENDS, all_led, first_turn, next_turn, told_ends
from pipelines.flow.cells import range_of_hashes
from pipelines.flow.shuffle import grouped_by_rows, read_bucket, write_buckets
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, buckets_for, tasks_of
from shards.tables import iter_batches, read_rows, write_table

_VERSION = 1
_PAIRS = 2_000_000
"""Near pairs, or ends of them, that a task takes: under 1 GiB with what is known of their hashes."""


def steps(flow: Flow) -> Iterator[Batch]:
    """`dedup-leaders` in the end: LED rows, a part for each range of hashes; `led_part` tells which."""
    rows = [record.rows for record in flow.records("dedup-near")]
    distinct = flow.refs("dedup-distinct")
    ranges = (len(distinct), min(len(distinct), buckets_for(2 * sum(rows), _PAIRS)))
    near = list(grouped_by_rows(flow.refs("dedup-near"), rows, _PAIRS))
    keys = [[ref.fingerprint for ref in group] for group in near]
    yield tasks_of("dedup-ends", _VERSION, ranges, [{"near": group, "ranges": ranges} for group in near], keys)
    of_range: list[dict[str, Any]] = [{"number": number, "ranges": ranges} for number in range(ranges[1])]
    known = [{**given, "known": _known(distinct, given["number"], ranges[1])} for given in of_range]
    after = [{**given, "ends": flow.refs("dedup-ends")} for given in known]
    yield _for_each("dedup-told", flow.chain("dedup-ends", "dedup-distinct"), after)
    after = [{**given, "told": flow.refs("dedup-told"), "before": []} for given in known]
    yield from _turns(flow, _for_each("dedup-turn", flow.chain("dedup-told"), after))
    after = [{**given, "turns": flow.refs("dedup-turn")} for given in of_range]
    yield _for_each("dedup-leaders", flow.chain("dedup-turn"), after)


def _known(distinct: Sequence[PartRef], number: int, num_ranges: int) -> list[PartRef]:
    """The ranges of distinct hashes that make up one range of near pairs."""
    return [ref for place, ref in enumerate(distinct) if place * num_ranges // len(distinct) == number]


def _for_each(step: str, chain: str, given: Sequence[dict[str, object]]) -> Batch:
    """A task for each range of hashes, which reads from the parts of all ranges."""
    return tasks_of(step, _VERSION, chain, given, list(range(len(given))))


def _turns(flow: Flow, batch: Batch) -> Iterator[Batch]:
    """Turn after turn, until nobody waits."""
    yield batch
    while any(flow.context.record(task.ref).rows for task in batch.tasks):
        before = [task.ref for task in batch.tasks]
        given = [{**task.inputs, "before": before} for task in batch.tasks]
        batch = _for_each("dedup-turn", flow.chain("dedup-turn"), given)
        yield batch


def led_part(flow: Flow, bucket: int) -> PartRef:
    """The part of `dedup-leaders` that tells of the `bucket`th range of distinct hashes."""
    led = flow.refs("dedup-leaders")
    return led[bucket * len(led) // len(flow.tasks("dedup-distinct"))]


def send_ends(job: Job) -> Outcome:
    """The near pairs of some tables, once for each of their hashes, by its range."""
    pairs = pa.concat_tables([ENDS.empty_table(), *(read_rows(path) for path in job.paths("near"))])
    turned = pairs.select(["other", "hash"]).rename_columns(ENDS.names)
    table = pa.concat_tables([pairs, turned])
    _write_by_range(job, "rows", table, _range_of(job, table["hash"].to_numpy()))
    return Outcome(table.num_rows)


def tell_ends(job: Job) -> Outcome:
    """The near pairs of one range, with what gives its hashes their turns, for the ranges of those they are near to."""
    ends = read_bucket(job.paths("ends"), job.task.inputs["number"])
    table = told_ends(ends, _of_hashes(job.paths("known"), np.unique(ends["hash"].to_numpy())))
    _write_by_range(job, "rows", table, _range_of(job, table["hash"].to_numpy()))
    return Outcome(table.num_rows)


def take_turn(job: Job) -> Outcome:
    """One turn of one range; as many rows as near hashes that are waited for after it."""
    number, before = job.task.inputs["number"], job.task.inputs["before"]
    if before:
        waiting, asking = (read_rows(job.context.path(before[number], role)) for role in ("rows", "asking"))
        turn = next_turn(waiting, asking, read_bucket(job.paths("before", "said"), number))
    else:
        told = read_bucket(job.paths("told"), number).sort_by([("hash", "ascending"), ("other", "ascending")])
        known = _of_hashes(job.paths("known"), np.unique(told["hash"].to_numpy()))
        turn = first_turn(told, known, lambda hashes: _range_of(job, hashes))
    write_table(job.attempt.path("rows", "parquet"), turn.waiting, read_once=True)
    write_table(job.attempt.path("asking", "asking.parquet"), turn.asking, read_once=True)
    _write_by_range(job, "said", turn.said, turn.said_to)
    _write_by_range(job, "led", turn.led, _range_of(job, turn.led["hash"].to_numpy()))
    return Outcome(turn.waiting.num_rows)


def gather_leaders(job: Job) -> Outcome:
    """Who leads each hash of one range that shares its group, by hash."""
    led = all_led(read_bucket(job.paths("turns", "led"), job.task.inputs["number"]))
    write_table(job.attempt.path("rows", "parquet"), led)
    return Outcome(led.num_rows)


def _range_of(job: Job, hashes: Hashes) -> Ints:
    """Ranges of near pairs are made of whole ranges of distinct hashes."""
    num_distinct, num_ranges = map(int, job.task.inputs["ranges"])
    return range_of_hashes(hashes, num_distinct) * num_ranges // num_distinct


def _write_by_range(job: Job, role: str, table: pa.Table, ranges: Ints) -> None:
    name = "parquet" if role == "rows" else f"{role}.parquet"
    write_buckets(job.attempt.path(role, name), table, ranges, job.task.inputs["ranges"][1])


def _of_hashes(paths: Sequence[Path], wanted: Hashes) -> pa.Table:
    """The DISTINCT rows of the wanted hashes, which are in order; the files are streamed."""
    found = [DISTINCT.empty_table()]
    for batch in iter_batches(paths):
        _, is_wanted = places_among(wanted, batch["hash"].to_numpy())
        found.append(pa.Table.from_batches([batch.filter(pa.array(is_wanted))]))
    return pa.concat_tables(found)
