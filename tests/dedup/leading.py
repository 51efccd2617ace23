"""Leaders found in so many ranges of hashes, as the flow does it; and by a plain loop."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.leaders import ENDS, LED, TOLD, all_led, first_turn, next_turn, told_ends

Hashes = npt.NDArray[np.uint64]


def led_in_ranges(one: Hashes, other: Hashes, known: pa.Table, num_ranges: int) -> pa.Table:
    """LED rows, from near pairs and DISTINCT rows: hashes in ranges by their remainder, as many turns as it takes."""

    def range_of(hashes: Hashes) -> npt.NDArray[np.int64]:
        return (hashes % np.uint64(num_ranges)).astype(np.int64)

    def of_range(table: pa.Table, number: int, column: str = "hash") -> pa.Table:
        return table.filter(pa.array(range_of(table[column].to_numpy()) == number))

    numbers = range(num_ranges)
    ends = pa.table([np.concatenate([one, other]), np.concatenate([other, one])], schema=ENDS)
    known_of = [of_range(known, number) for number in numbers]
    told = pa.concat_tables(
        [TOLD.empty_table(), *(told_ends(of_range(ends, number), known_of[number]) for number in numbers)]
    )
    turns = [first_turn(of_range(told, number).sort_by("hash"), known_of[number], range_of) for number in numbers]
    led: list[Any] = [turn.led for turn in turns]
    while any(turn.waiting.num_rows for turn in turns):
        said = [
            pa.concat_tables([turn.said.filter(pa.array(turn.said_to == number)) for turn in turns])
            for number in numbers
        ]
        turns = [next_turn(turn.waiting, turn.asking, heard) for turn, heard in zip(turns, said, strict=True)]
        led += [turn.led for turn in turns]
    assert not any(turn.asking.num_rows for turn in turns)
    return all_led(pa.concat_tables([LED.empty_table(), *led]))
