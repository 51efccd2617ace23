"""What nodes offer, and how long a run waits for one that offers what a stage asks."""

import re
from dataclasses import dataclass, field

import pytest

from pipelines.cluster.nodes import Node, Offers
from pipelines.cluster.place import ANYWHERE, Place
from shards.errors import TryAgainError

CRAWL = Node("10.0.0.1 (a)", "crawl", cpus=8, gpus=0, memory_mb=16_000)
GPU = Node("10.0.0.2 (b)", "gpu", cpus=4, gpus=1, memory_mb=64_000)


@dataclass
class World:
    """Nodes that come and go, and a clock that stands still."""

    nodes: list[Node] = field(default_factory=list)
    now: float = 0.0
    looks: int = 0

    def offers(self, wait_s: float) -> Offers:
        return Offers(self._living, wait_s, lambda: self.now)

    def _living(self) -> list[Node]:
        self.looks += 1
        return list(self.nodes)


def test_a_node_is_read_from_what_ray_tells() -> None:
    told = {
        "NodeManagerAddress": "10.0.0.2",
        "NodeID": "0123456789abcdef",
        "Labels": {"curate-node": "gpu", "ray.io/node-id": "0123"},
        "Resources": {"CPU": 4.0, "GPU": 1.0, "memory": 64_000 * 2**20 + 5.0},
    }
    assert Node.of(told) == Node("10.0.0.2 (01234567)", "gpu", 4.0, 1.0, 64_000)
    assert Node.of(told | {"Labels": {}, "Resources": {}}) == Node("10.0.0.2 (01234567)", None, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("place", "cpus", "gpus", "expected"),
    [
        (ANYWHERE, 1.0, 0.0, True),
        (Place("crawl"), 8.0, 0.0, True),
        (Place("crawl"), 8.5, 0.0, False),
        (Place("gpu"), 1.0, 0.0, False),
        (ANYWHERE, 1.0, 0.5, False),
        (Place(memory_mb=16_000), 1.0, 0.0, True),
        (Place(memory_mb=16_001), 1.0, 0.0, False),
    ],
)
def test_a_node_offers_what_it_has_in_all(place: Place, cpus: float, gpus: float, expected: bool) -> None:
    assert CRAWL.offers(place, cpus, gpus) is expected


def test_a_run_waits_for_a_node_that_may_be_on_its_way() -> None:
    world = World([CRAWL])
    offers = world.offers(wait_s=60)
    offers.check(Place("gpu"), 1.0, 1.0)
    world.now = 59.0
    offers.check(Place("gpu"), 1.0, 1.0)
    world.nodes.append(GPU)
    world.now = 64.0
    offers.check(Place("gpu"), 1.0, 1.0)
    world.nodes.remove(GPU)  # as spot nodes do: the wait begins anew
    world.now = 70.0
    offers.check(Place("gpu"), 1.0, 1.0)
    world.now = 129.0
    offers.check(Place("gpu"), 1.0, 1.0)
    world.now = 130.0
    expected = (
        "no node offers label curate-node=gpu, 1 CPU, 1 GPU, after waiting 60 s (resources.wait_for_nodes_s); "
        "there are: label curate-node=crawl, 8 CPU, 16000 MiB of memory. Start one"
    )
    with pytest.raises(TryAgainError, match=re.escape(expected)):
        offers.check(Place("gpu"), 1.0, 1.0)


def test_no_waiting_at_all_is_a_choice_too() -> None:
    with pytest.raises(TryAgainError, match="there are: no nodes"):
        World().offers(wait_s=0).check(ANYWHERE, 1.0, 0.0)


def test_the_head_is_not_asked_all_the_time() -> None:
    world = World([CRAWL])
    offers = world.offers(wait_s=60)
    for _ in range(100):
        offers.check(ANYWHERE, 1.0, 0.0)
    assert world.looks == 1
    world.now = 5.0
    assert offers.nodes == [CRAWL]
    assert world.looks == 2
