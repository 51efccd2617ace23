"""The whole of dedup on skewed hashes: the groups of a plain loop, and the same survivors, however the work is cut."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from dedup import hamming
from dedup.groups import HASHED, distinct_hashes, groups_of
from dedup.hamming import as_words, in_part, pairs_in_tables, plan_join
from dedup.survivors import rank_in_groups
from tests.dedup.leading import led_in_ranges

NUM = 500
Hashes = npt.NDArray[np.uint64]


def skewed_images() -> pa.Table:
    """HASHED rows: a tenth all but blank, a third in clusters of a few flipped bits, some with equal hashes."""
    random = np.random.default_rng(11)
    blank = [sum(1 << int(bit) for bit in random.choice(64, random.integers(0, 3))) for _ in range(NUM // 10)]
    hashes = random.integers(0, 2**64, NUM - len(blank), dtype=np.uint64).tolist()
    for place in range(0, NUM // 3, 4):
        for member in range(1, 4):
            flips = random.choice(64, random.integers(0, 11), replace=False).tolist()
            hashes[place + member] = hashes[place] ^ sum(1 << bit for bit in flips)
    names = [f"{number:032x}" for number in random.permutation(NUM).tolist()]
    pixels = random.integers(1, 40, NUM).tolist()
    column = pa.array([*blank, *hashes], pa.uint64())
    return pa.table({"uid": names, "hash": column, "stored_sha256": names, "pixels": pixels}).cast(HASHED)


def leaders_by_a_plain_loop(images: pa.Table, distance: int) -> dict[str, str]:
    leaders: list[tuple[str, int]] = []
    found = {}
    for row in images.sort_by([("pixels", "descending"), ("uid", "ascending")]).to_pylist():
        near = [uid for uid, hash_ in leaders if (hash_ ^ row["hash"]).bit_count() <= distance]
        found[row["uid"]] = near[0] if near else row["uid"]
        if not near:
            leaders.append((row["uid"], row["hash"]))
    return found


def near_pairs_in_parts(hashes: Hashes, distance: int, num_parts: int) -> Iterator[Hashes]:
    plan = plan_join(64, distance, len(hashes))
    for family in range(len(plan.families)):
        for number in range(num_parts):
            yield from pairs_in_tables(plan, family, in_part(plan, family, as_words(hashes), (number, num_parts)))


def leaders_in_parts(images: pa.Table, distance: int, num_parts: int) -> dict[str, str]:
    ranges = (images["hash"].to_numpy() >> np.uint64(32)) * np.uint64(num_parts) >> np.uint64(32)
    tables = [images.filter(pa.array(ranges == number)) for number in range(num_parts)]
    distinct = [distinct_hashes(table) for table in tables]
    known = pa.concat_tables(distinct)
    pairs = np.concatenate(list(near_pairs_in_parts(known["hash"].to_numpy(), distance, num_parts)))
    led = led_in_ranges(pairs[:, 0, 0], pairs[:, 1, 0], known, num_parts)
    groups = [groups_of(table, its, led)[0] for table, its in zip(tables, distinct, strict=True)]
    uids = [uid for table in tables for uid in table["uid"].to_pylist()]
    return dict(zip(uids, [group for some in groups for group in some.to_pylist()], strict=True))


def survivors(images: pa.Table, leaders: dict[str, str]) -> set[str]:
    samples = pa.table(
        {
            "uid": images["uid"],
            "dup_group": [leaders[uid] for uid in images["uid"].to_pylist()],
            "drop_reason": pa.nulls(len(images), pa.string()),
            "original_width": images["pixels"].cast(pa.int32()),
            "original_height": pa.array(np.ones(len(images), np.int32)),
        }
    )
    ranks = rank_in_groups(samples, "largest").to_pylist()
    return {uid for uid, rank in zip(images["uid"].to_pylist(), ranks, strict=True) if rank == 1}


@pytest.mark.parametrize("distance", range(11))
def test_groups_and_survivors_are_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch, distance: int) -> None:
    monkeypatch.setattr(hamming, "_FEW_PAIRS", 0)
    images = skewed_images()
    expected = leaders_by_a_plain_loop(images, distance)
    stayed = survivors(images, expected)
    assert len(images) > len(stayed) > NUM // 2
    for num_parts in (1, 2, 4):
        shuffled = images.take(pa.array(np.random.default_rng(num_parts).permutation(NUM)))
        leaders = leaders_in_parts(shuffled, distance, num_parts)
        assert leaders == expected
        assert survivors(shuffled, leaders) == stayed
