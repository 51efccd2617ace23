"""Tasks that use a GPU ask Ray for a share of one, where there are any, or will be."""

from typing import Any

import pytest

from pipelines.cluster.call import Around
from pipelines.cluster.nodes import Node, Offers
from pipelines.cluster.place import ANYWHERE, Place
from pipelines.workers import RayPool

CRAWL = Node("10.0.0.1 (a)", "crawl", cpus=8, gpus=0, memory_mb=16_000)
GPU = Node("10.0.0.2 (b)", "gpu", cpus=4, gpus=1, memory_mb=64_000)


class Remote:
    """Remembers what was asked of Ray for a call."""

    options_told: dict[str, float]

    def options(self, **told: float) -> "Remote":
        self.options_told = told
        return self

    def remote(self, *arguments: object) -> object:
        return arguments


class Head:
    """One that always answers."""

    def is_there(self) -> bool:
        return True


def asked(nodes: list[Node], place: Place, gpus: float = 0.5, is_cluster: bool = True) -> float | None:
    """The share of a GPU that Ray is asked for."""
    pool = object.__new__(RayPool)
    pool._call, pool._around, pool._waiting = Remote(), Around(), {}
    head: Any = Head() if is_cluster else None
    pool._head = head
    pool._offers = Offers(lambda: nodes, 1)
    pool.start_at(place, print, 1, cpus=1.0, gpus=gpus)
    told: float | None = pool._call.options_told.get("num_gpus")
    return told


@pytest.mark.parametrize(
    ("nodes", "place", "gpus", "expected"),
    [
        ([CRAWL, GPU], ANYWHERE, 0.5, 0.5),
        ([CRAWL, GPU], ANYWHERE, 0.0, None),
        ([CRAWL], ANYWHERE, 0.5, None),
        ([CRAWL, GPU], Place("gpu"), 0.5, 0.5),
        ([CRAWL, GPU], Place("crawl"), 0.5, None),  # a GPU elsewhere is none of its
        ([CRAWL], Place("gpu"), 0.5, None),
        ([CRAWL], Place("gpu", needs_gpu=True), 0.5, 0.5),  # one will come
        ([], Place(needs_gpu=True), 1.0, 1.0),
    ],
)
def test_share_of_a_gpu_is_asked_for_where_there_are_any(
    nodes: list[Node], place: Place, gpus: float, expected: float | None
) -> None:
    assert asked(nodes, place, gpus) == expected


@pytest.mark.parametrize(("nodes", "expected"), [([CRAWL], None), ([GPU], 0.5)])
def test_alone_a_machine_is_every_kind_of_node(nodes: list[Node], expected: float | None) -> None:
    assert asked(nodes, Place("other", needs_gpu=True), is_cluster=False) == expected


def test_gpus_that_come_and_go_are_remembered() -> None:
    now, living = 0.0, [CRAWL]
    offers = Offers(lambda: living, 1, lambda: now)
    assert not offers.has_gpus("gpu")
    now, living = 10.0, [CRAWL, GPU]
    assert offers.has_gpus("gpu")
    now, living = 20.0, [CRAWL]
    assert (offers.has_gpus("gpu"), offers.has_gpus(None), offers.has_gpus("crawl")) == (True, True, False)
