"""Leaders as the flow finds them: the same whatever the ranges, in as many turns as it takes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dedup.groups import DISTINCT
from dedup.hamming import near_pairs
from dedup.leaders import ENDS
from pipelines.attempts import perform
from pipelines.flow import leaders
from pipelines.flow.cells import range_of_hashes
from pipelines.recipe import Recipe
from pipelines.tasks import Batch, Context, Flow, Plan, Task
from shards.lease import Lease
from shards.parts import Attempt, Record, StepFolder
from shards.tables import read_rows, write_table
from tests.dedup.leading import led_in_ranges
from tests.pipelines.conftest import table_recipe

NUM = 600


def known_hashes() -> pa.Table:
    """DISTINCT rows in chains of a few flipped bits, of a few sizes, some unknown."""
    random = np.random.default_rng(3)
    hashes = random.integers(0, 2**64, NUM, dtype=np.uint64)
    for place in range(1, NUM):
        if place % 6:
            flips = random.choice(64, random.integers(1, 4), replace=False).tolist()
            hashes[place] = hashes[place - 1] ^ np.uint64(sum(1 << bit for bit in flips))
    hashes = np.unique(hashes)
    sizes = random.integers(1, 9, len(hashes))
    uids = [f"{number:032x}" for number in random.permutation(len(hashes)).tolist()]
    pixels = pa.array(sizes, pa.int64(), mask=sizes == 8)
    return pa.table({"hash": hashes, "uid": uids, "pixels": pixels, "num_images": np.ones(len(hashes), int)}, DISTINCT)


def commit(flow: Flow, step: str, tables: list[pa.Table]) -> None:
    folder = StepFolder(flow.context.run, step)
    tasks = []
    for index, table in enumerate(tables):
        attempt = Attempt(folder, index)
        write_table(attempt.path("rows", "parquet"), table)
        task = Task(step, index, f"{index:032x}")
        folder.commit(Record(step, index, task.fingerprint, attempt.publish(), table.num_rows), lambda: True)
        tasks.append(task)
    flow.finish(Batch(step, tuple(tasks)))


def led_by_flow(run: Path, known: pa.Table, num_ranges: int) -> tuple[pa.Table, int]:
    """LED rows of all ranges, by hash, and how many turns there were."""
    hashes = known["hash"].to_numpy()
    one, other = near_pairs(hashes, 4)
    pairs = pa.table([hashes[one], hashes[other]], schema=ENDS)
    half = len(pairs) // 2
    run.mkdir()
    recipe = Recipe.model_validate(table_recipe(run / "none.csv"))
    with Lease.take(run) as lease:
        context = Context(run, Plan(recipe, (), ()), lease.token)
        flow = Flow(context)
        ranges = range_of_hashes(hashes, num_ranges)
        commit(flow, "dedup-distinct", [known.filter(pa.array(ranges == number)) for number in range(num_ranges)])
        commit(flow, "dedup-near", [pairs[:half], pairs[half:]])
        for batch in leaders.steps(flow):
            for task in batch.tasks:
                perform(task, context)
            flow.finish(batch)
        assert {leaders.led_part(flow, place) for place in range(num_ranges)} == set(flow.refs("dedup-leaders"))
        led = pa.concat_tables([read_rows(context.path(ref)) for ref in flow.refs("dedup-leaders")])
        return led.sort_by("hash"), len(flow.tasks("dedup-turn")) // len(flow.tasks("dedup-leaders"))


@pytest.mark.parametrize("num_ranges", [1, 2, 5])
def test_ranges_change_no_leader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_ranges: int) -> None:
    monkeypatch.setattr(leaders, "_PAIRS", 400)
    known = known_hashes()
    led, num_turns = led_by_flow(tmp_path / "run", known, num_ranges)
    hashes = known["hash"].to_numpy()
    one, other = near_pairs(hashes, 4)
    assert len(one) > 400
    expected = led_in_ranges(hashes[one], hashes[other], known, 1)
    assert led.equals(expected)
    assert (num_turns == 1) == (num_ranges == 1)
