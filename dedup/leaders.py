"""Who leads each hash: near pairs settled range by range of hashes, in turns, so that no task holds all pairs.

Hashes are taken by their largest original (ties by uid), and each joins the first leader that is near it. A range
settles what hangs on nobody elsewhere, tells the other ranges what it decided, and goes on with what they tell. Each
turn settles at least the first of all hashes that wait, and commonly most of them: what a hash waits for is a chain of
near hashes, each before the next.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.groups import Ints, places_among, run_starts, turn_ranks
from dedup.hamming import Hashes

RangeOf: TypeAlias = Callable[[Hashes], Ints]

ENDS = pa.schema([("hash", pa.uint64()), ("other", pa.uint64())])
"""A near pair as one of its hashes sees it."""

TOLD = pa.schema([*ENDS, ("pixels", pa.int64()), ("uid", pa.string())])
"""The same, with what gives the other its turn."""

WAITING = pa.schema([*ENDS, ("uid", pa.string()), ("leads", pa.bool_())])
"""Hashes that wait, in the order of their turns; each with those before it that may lead it yet, the first of them
first, and whether one is known to lead."""

ASKING = pa.schema([("hash", pa.uint64()), ("range", pa.int32())])
"""Which other ranges wait for a hash."""

SAID = pa.schema([("hash", pa.uint64()), ("leads", pa.bool_())])
"""What became of a hash."""

LED = pa.schema([("hash", pa.uint64()), ("dup_group", pa.string())])
"""A hash in a group of several, and the uid of the group's leader."""


class Turn(NamedTuple):
    """What one range knows after a turn: WAITING and ASKING rows to go on with, and what it tells others.

    `said` are SAID rows for the ranges in `said_to`; `led` are LED rows of this range and others, some more than once.
    """

    waiting: pa.Table
    asking: pa.Table
    said: pa.Table
    said_to: Ints
    led: pa.Table


def told_ends(ends: pa.Table, known: pa.Table) -> pa.Table:
    """ENDS rows seen from the other side, TOLD: `known` are the DISTINCT rows of a range that holds all of `hash`."""
    place = pa.array(_places(ends["hash"].to_numpy(), known["hash"].to_numpy()))
    columns = [ends["other"], ends["hash"], known["pixels"].take(place), known["uid"].take(place)]
    return pa.table(columns, schema=TOLD)


def first_turn(told: pa.Table, known: pa.Table, range_of: RangeOf) -> Turn:
    """The first turn of a range, from all TOLD rows of its hashes, by `hash`, and their DISTINCT rows."""
    told, known = told.combine_chunks(), known.sort_by("hash")
    opens = run_starts(told["hash"].to_numpy())
    mine, hashes, others = np.cumsum(opens) - 1, told["hash"].to_numpy()[opens], told["other"].to_numpy()
    own = known.filter(pa.array(places_among(hashes, known["hash"].to_numpy())[1]))
    order = turn_ranks(pa.concat_tables([own.select(["pixels", "uid"]), told.select(["pixels", "uid"])]))
    my_turn, its_turn = order[: len(own)][mine], order[len(own) :]
    is_before = its_turn < my_turn
    after = np.flatnonzero(~is_before & (_places(others, hashes) < 0))
    asking = _unique({"hash": hashes[mine[after]], "range": range_of(others[after])})
    before = np.flatnonzero(is_before)
    before = before[np.lexsort((its_turn[before], my_turn[before]))]
    in_turn = np.argsort(order[: len(own)])
    ends = np.cumsum(np.bincount(mine[before], minlength=len(own))[in_turn])
    rows = told.select(["hash", "other", "uid"]).take(pa.array(before))
    rows = rows.append_column("leads", pa.array(np.zeros(len(before), np.bool_)))
    return _settled(rows, hashes[in_turn], np.concatenate([[0], ends]), asking, SAID.empty_table())


def next_turn(waiting: pa.Table, asking: pa.Table, said: pa.Table) -> Turn:
    """A later turn of a range, from what it went on with and what was said to it in the turn before."""
    hashes = waiting["hash"].to_numpy()
    starts = np.flatnonzero(run_starts(hashes))
    return _settled(waiting, hashes[starts], np.append(starts, len(hashes)), asking, said)


def all_led(led: pa.Table) -> pa.Table:
    """LED rows of all turns, each hash once, by hash."""
    led = led.sort_by("hash")
    return led.filter(pa.array(run_starts(led["hash"].to_numpy())))


def _settled(waiting: pa.Table, own: Hashes, starts: Ints, asking: pa.Table, said: pa.Table) -> Turn:
    """`own` hashes, in turn, take theirs: whom each looks at lies in `waiting` from one of `starts` to the next."""
    from dedup import leader_kernels as kernels

    places = _places(waiting["other"].to_numpy(), own)
    told = np.where(waiting["leads"].to_numpy(), np.int8(kernels.LEADS), _told(waiting["other"].to_numpy(), said))
    verdicts, chosen = np.zeros(len(own), np.int8), np.zeros(len(own), np.int64)
    kernels.take_turns(starts.astype(np.int64), places, told, verdicts, chosen)
    led = _led(waiting.take(pa.array(chosen[verdicts == kernels.JOINED])))
    if len(own):
        told = np.where(places >= 0, verdicts[places], told)
    waiting = waiting.set_column(3, WAITING.field("leads"), pa.array(told == kernels.LEADS))
    waits = np.repeat(verdicts, np.diff(starts)) == kernels.WAITS
    waiting = waiting.filter(pa.array(waits & (told != kernels.JOINED)))
    asked = verdicts.take(_places(asking["hash"].to_numpy(), own)) if len(own) else verdicts
    answered = asking.filter(pa.array(asked != kernels.WAITS))
    leads = pa.array(asked[asked != kernels.WAITS] == kernels.LEADS)
    said = pa.table({"hash": answered["hash"], "leads": leads}, SAID)
    asking = asking.filter(pa.array(asked == kernels.WAITS))
    return Turn(waiting, asking, said, answered["range"].to_numpy().astype(np.int64), led)


def _led(joined: pa.Table) -> pa.Table:
    """Who joined, and whom they joined, from their rows of WAITING."""
    hashes = [*joined["hash"].chunks, *joined["other"].chunks]
    groups = 2 * joined["uid"].chunks
    return pa.table([pa.chunked_array(hashes, pa.uint64()), pa.chunked_array(groups, pa.string())], LED)


def _told(others: Hashes, said: pa.Table) -> npt.NDArray[np.int8]:
    """What was said of each, int8: 0 where nothing was."""
    from dedup import leader_kernels as kernels

    verdicts = np.where(said["leads"].to_numpy(), kernels.LEADS, kernels.JOINED)
    places = _places(others, said["hash"].to_numpy())
    return np.where(places >= 0, np.append(verdicts, kernels.WAITS)[places], kernels.WAITS).astype(np.int8)


def _places(wanted: Hashes, own: Hashes) -> Ints:
    """The place of each among `own` hashes, both in any order; -1 for who is not among them."""
    order, turns = np.argsort(own), np.argsort(wanted)  # sorted, they are looked up where the last one was: fast
    place, is_own = places_among(own[order], wanted[turns])
    places = np.full(len(wanted), -1, np.int64)
    places[turns[is_own]] = order[place[is_own]]
    return places


def _unique(columns: dict[str, npt.NDArray[Any]]) -> pa.Table:
    """ASKING rows, each once, in an order of their own."""
    table = pa.table(columns).cast(ASKING)
    return table.group_by(table.column_names, use_threads=False).aggregate([]).cast(ASKING)
